// The module priot_plan: what another processor's modules say of a layer, for those who plan for
// it. No kernels.
//
// plan, plan_name and scratch_words are those of priot_native of the processor whose folder it is
// built with, those that begin with layers_ are of priot_layers, with backward_ of priot_backward;
// portable_scratch_words is scratch_words of priot_portable as compiled for it.

#include "planning.h"

static mp_obj_t call_portable_scratch_words(mp_obj_t kind_in, mp_obj_t training, mp_obj_t d_in) {
    int32_t kind = kind_of(kind_in);
    const int32_t *d = descriptor(&d_in, 0, kind);
    return mp_obj_new_int(scratch_words(kind, mp_obj_get_int(training), d));
}
static MP_DEFINE_CONST_FUN_OBJ_3(portable_scratch_words_obj, call_portable_scratch_words);

static mp_obj_t words_of(int32_t (*words)(int32_t, int32_t, const int32_t *), mp_obj_t kind_in,
    mp_obj_t training, mp_obj_t d_in) {
    int32_t kind = mp_obj_get_int(kind_in);
    const int32_t *d = descriptor(&d_in, 0, kind);
    return mp_obj_new_int(words(kind, mp_obj_get_int(training), d));
}

static mp_obj_t plan_of(int32_t (*choose)(int32_t, int32_t *), mp_obj_t kind_in, mp_obj_t d_in) {
    int32_t kind = mp_obj_get_int(kind_in);
    descriptor(&d_in, 0, kind);
    return mp_obj_new_int(choose(kind, at_least(&d_in, 0, N_FIELDS)));
}

static mp_obj_t call_layers_scratch_words(mp_obj_t kind, mp_obj_t training, mp_obj_t d) {
    return words_of(layers_scratch_words, kind, training, d);
}
static MP_DEFINE_CONST_FUN_OBJ_3(layers_scratch_words_obj, call_layers_scratch_words);

static mp_obj_t call_layers_plan(mp_obj_t kind, mp_obj_t d) {
    return plan_of(layers_plan, kind, d);
}
static MP_DEFINE_CONST_FUN_OBJ_2(layers_plan_obj, call_layers_plan);

static mp_obj_t call_layers_plan_name(mp_obj_t number) {
    return text_of(layers_plan_name(mp_obj_get_int(number)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(layers_plan_name_obj, call_layers_plan_name);

static mp_obj_t call_backward_scratch_words(mp_obj_t kind, mp_obj_t training, mp_obj_t d) {
    return words_of(backward_scratch_words, kind, training, d);
}
static MP_DEFINE_CONST_FUN_OBJ_3(backward_scratch_words_obj, call_backward_scratch_words);

static mp_obj_t call_backward_plan(mp_obj_t kind, mp_obj_t d) {
    return plan_of(backward_plan, kind, d);
}
static MP_DEFINE_CONST_FUN_OBJ_2(backward_plan_obj, call_backward_plan);

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_contract, MP_OBJ_NEW_SMALL_INT(CONTRACT));
    STORE(MP_QSTR_plan, plan);
    STORE(MP_QSTR_plan_name, plan_name);
    STORE(MP_QSTR_scratch_words, scratch_words);
    STORE(MP_QSTR_layers_plan, layers_plan);
    STORE(MP_QSTR_layers_plan_name, layers_plan_name);
    STORE(MP_QSTR_layers_scratch_words, layers_scratch_words);
    STORE(MP_QSTR_backward_plan, backward_plan);
    STORE(MP_QSTR_backward_scratch_words, backward_scratch_words);
    STORE(MP_QSTR_portable_scratch_words, portable_scratch_words);
    MP_DYNRUNTIME_INIT_EXIT
}
