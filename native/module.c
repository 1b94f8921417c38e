// The module priot_native: every kernel as a function of one tuple (device/DESIGN.md, Kernels).
//
// A function fetches and checks its operands (check.h) and calls the kernel. It allocates
// nothing, and a Ctrl-C is seen after it.

#include "check.h"
#include "dispatch.h"
#include "scratch.h"

static mp_obj_t call_conv2d_forward(mp_obj_t tuple) {
    operand_t o[5];
    const int32_t *d = fetch(o, tuple, "YAxrsd", CONV2D, FORWARD_SHIFT);
    return mp_obj_new_int(PLANNED(PLAN_FORWARD, conv2d_forward, o[0].buf, o[1].buf, o[2].buf,
        o[3].buf, o[4].buf, d));
}
static MP_DEFINE_CONST_FUN_OBJ_1(conv2d_forward_obj, call_conv2d_forward);

static mp_obj_t call_linear_forward(mp_obj_t tuple) {
    operand_t o[4];
    const int32_t *d = fetch(o, tuple, "Yxrsd", LINEAR, FORWARD_SHIFT);
    return mp_obj_new_int(PLANNED(PLAN_FORWARD, linear_forward, o[0].buf, o[1].buf, o[2].buf,
        o[3].buf, d));
}
static MP_DEFINE_CONST_FUN_OBJ_1(linear_forward_obj, call_linear_forward);

static mp_obj_t call_conv2d_backward_input(mp_obj_t tuple) {
    operand_t o[6];
    const int32_t *d = fetch(o, tuple, "Xyaxwtd", CONV2D, BACKWARD_SHIFT);
    return mp_obj_new_int(PLANNED(PLAN_BACKWARD, conv2d_backward_input, o[0].buf, o[1].buf,
        o[2].buf, o[3].buf, o[4].buf, o[5].buf, d));
}
static MP_DEFINE_CONST_FUN_OBJ_1(conv2d_backward_input_obj, call_conv2d_backward_input);

static mp_obj_t call_linear_backward_input(mp_obj_t tuple) {
    operand_t o[5];
    const int32_t *d = fetch(o, tuple, "Xyxrtd", LINEAR, BACKWARD_SHIFT);
    return mp_obj_new_int(PLANNED(PLAN_BACKWARD, linear_backward_input, o[0].buf, o[1].buf,
        o[2].buf, o[3].buf, o[4].buf, d));
}
static MP_DEFINE_CONST_FUN_OBJ_1(linear_backward_input_obj, call_linear_backward_input);

static void check_rule(const int32_t *d) {
    check(d[MEASURE] != 0 || (uint32_t)(d[RULE] - PRUNE) <= WEIGHTS - PRUNE,
        "d: rule not in 1..3");
}

static mp_obj_t call_conv2d_update(mp_obj_t tuple) {
    operand_t o[8];
    const int32_t *d = fetch(o, tuple, "SEyaxwbtd", CONV2D, UPDATE_SHIFT);
    check_rule(d);
    return mp_obj_new_int(PLANNED(PLAN_UPDATE, conv2d_update, o[0].buf, o[0].n, o[1].buf,
        o[2].buf, o[3].buf, o[4].buf, o[5].buf, o[6].buf, o[7].buf, d));
}
static MP_DEFINE_CONST_FUN_OBJ_1(conv2d_update_obj, call_conv2d_update);

static mp_obj_t call_linear_update(mp_obj_t tuple) {
    operand_t o[7];
    const int32_t *d = fetch(o, tuple, "SEyxwbtd", LINEAR, UPDATE_SHIFT);
    check_rule(d);
    return mp_obj_new_int(PLANNED(PLAN_UPDATE, linear_update, o[0].buf, o[0].n, o[1].buf,
        o[2].buf, o[3].buf, o[4].buf, o[5].buf, o[6].buf, d));
}
static MP_DEFINE_CONST_FUN_OBJ_1(linear_update_obj, call_linear_update);
