// scratch_words, plan and plan_name as functions of Python: module.c and plan_module.c have them.

#ifndef PRIOT_PLANNING_H
#define PRIOT_PLANNING_H

#include "check.h"
#include "dispatch.h"

// The kind of layer to check d for; only those with weights have scratch or a plan, but for
// priot_layers.
static int32_t kind_of(mp_obj_t kind_in) {
    mp_int_t kind = mp_obj_get_int(kind_in);
    #ifdef PRIOT_LAYERS
    return kind;
    #else
    return HAS_WEIGHTS(kind) ? kind : 0;
    #endif
}

static mp_obj_t call_scratch_words(mp_obj_t kind_in, mp_obj_t training, mp_obj_t d_in) {
    int32_t kind = kind_of(kind_in);
    const int32_t *d = descriptor(&d_in, 0, kind);
    return mp_obj_new_int(CHOSEN(scratch_words)(kind, mp_obj_get_int(training), d));
}
static MP_DEFINE_CONST_FUN_OBJ_3(scratch_words_obj, call_scratch_words);

static mp_obj_t call_plan(mp_obj_t kind_in, mp_obj_t d_in) {
    int32_t kind = kind_of(kind_in);
    descriptor(&d_in, 0, kind);
    return mp_obj_new_int(CHOSEN(plan)(kind, at_least(&d_in, 0, N_FIELDS)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(plan_obj, call_plan);

static mp_obj_t text_of(const char *text) {
    check(text != NULL, "plan: unknown number");
    size_t n = 0;
    while (text[n] != 0) {
        n++;
    }
    return mp_obj_new_str(text, n);
}

static mp_obj_t call_plan_name(mp_obj_t number) {
    return text_of(CHOSEN(plan_name)(mp_obj_get_int(number)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(plan_name_obj, call_plan_name);

#define STORE(qstr, name) mp_store_global(qstr, MP_OBJ_FROM_PTR(&name##_obj))

#endif
