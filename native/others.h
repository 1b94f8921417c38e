// Kernels of no layer that have no form, as functions of Python: what priot_layers leaves to the
// other modules. A file of its own, since names that Python sees are searched for in the text.

#ifndef PRIOT_OTHERS_H
#define PRIOT_OTHERS_H

#include "check.h"
#include "kernels.h"

static mp_obj_t call_cross_entropy(mp_obj_t tuple, mp_obj_t label_in) {
    const mp_obj_t *o = objects_of(tuple, 4);
    const int32_t *d = descriptor(o, 3, 0);
    int32_t n = d[N_CLASSES], t = d[LOSS_SHIFT];
    mp_int_t label = mp_obj_get_int(label_in);
    check(n >= 1 && n <= 1 << 15 && t >= -8 && t <= 8, // sums of e fit int32
        "d: classes not in 1..32768 or loss shift not in -8..8");
    check(label >= 0 && label < n, "label: not below the number of classes");
    int8_t *g = exactly(o, 0, n, MP_BUFFER_RW);
    const int8_t *z = exactly(o, 1, n, MP_BUFFER_READ);
    return mp_obj_new_int(cross_entropy(g, z, at_least(o, 2, n), d, label));
}
static MP_DEFINE_CONST_FUN_OBJ_2(cross_entropy_obj, call_cross_entropy);

static mp_obj_t call_init_scores(mp_obj_t tuple) {
    const mp_obj_t *o = objects_of(tuple, 2);
    operand_t scores = buffer_of(o, 0, MP_BUFFER_RW);
    return mp_obj_new_int(init_scores(scores.buf, scores.n, at_least(o, 1, 1)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(init_scores_obj, call_init_scores);

static mp_obj_t call_shuffle(mp_obj_t tuple) {
    const mp_obj_t *o = objects_of(tuple, 2);
    operand_t order = buffer_of(o, 0, MP_BUFFER_RW);
    check(((uintptr_t)order.buf & 1) == 0 && order.n <= 2 << 16, // draws have 15 bits
        "operand 0: more than 65536 numbers, or misaligned");
    return mp_obj_new_int(shuffle(order.buf, order.n >> 1, at_least(o, 1, 1)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(shuffle_obj, call_shuffle);

#define STORE_OTHERS \
    STORE(MP_QSTR_cross_entropy, cross_entropy); \
    STORE(MP_QSTR_init_scores, init_scores); \
    STORE(MP_QSTR_shuffle, shuffle);

#endif
