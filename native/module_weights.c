// Functions of the module for layers with weights: fetch and check the operands, call the kernel.

#include "check.h"
#include "dispatch.h"
#include "module.h"

// scratch as operand i, as long as scratch_words asks for
static int32_t *scratch_of(const mp_obj_t *o, int i, int32_t kind, int32_t training,
    const int32_t *d) {
    return words_at_least(o, i, scratch_words(kind, training, d));
}

static mp_obj_t call_conv2d_forward(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 6);
    const int32_t *d = descriptor(o, 5);
    check_conv2d(d);
    check_rows(d);
    check_shift(d[FORWARD_SHIFT]);
    int8_t *y = writable(o, 0, output_bytes(d));
    uint8_t *argmax = writable(o, 1, argmax_bytes(d));
    const int8_t *x = readable(o, 2, input_bytes(d));
    const uint8_t *w = readable(o, 3, d[ROWS] * d[N_ROW]);
    int32_t *scratch = scratch_of(o, 4, CONV2D, 0, d);
    return mp_obj_new_int(PLANNED(PLAN_FORWARD, conv2d_forward, y, argmax, x, w, scratch, d));
}
MP_DEFINE_CONST_FUN_OBJ_1(conv2d_forward_obj, call_conv2d_forward);

static mp_obj_t call_linear_forward(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 5);
    const int32_t *d = descriptor(o, 4);
    check_linear(d);
    check_rows(d);
    check_shift(d[FORWARD_SHIFT]);
    int8_t *y = writable(o, 0, d[N_OUT]);
    const int8_t *x = readable(o, 1, d[N_IN]);
    const uint8_t *w = readable(o, 2, d[ROWS] * d[N_ROW]);
    int32_t *scratch = scratch_of(o, 3, LINEAR, 0, d);
    return mp_obj_new_int(PLANNED(PLAN_FORWARD, linear_forward, y, x, w, scratch, d));
}
MP_DEFINE_CONST_FUN_OBJ_1(linear_forward_obj, call_linear_forward);

static mp_obj_t call_conv2d_backward_input(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 7);
    const int32_t *d = descriptor(o, 6);
    check_conv2d(d);
    check_shift(d[BACKWARD_SHIFT]);
    int8_t *dx = writable(o, 0, input_bytes(d));
    const int8_t *g = readable(o, 1, output_bytes(d));
    const uint8_t *argmax = readable(o, 2, argmax_bytes(d));
    const int8_t *x = readable(o, 3, input_bytes(d));
    const uint8_t *w = readable(o, 4, d[N_OUT] * d[N_ROW]);
    int32_t *scratch = scratch_of(o, 5, CONV2D, 1, d);
    return mp_obj_new_int(
        PLANNED(PLAN_BACKWARD, conv2d_backward_input, dx, g, argmax, x, w, scratch, d));
}
MP_DEFINE_CONST_FUN_OBJ_1(conv2d_backward_input_obj, call_conv2d_backward_input);

static mp_obj_t call_linear_backward_input(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 6);
    const int32_t *d = descriptor(o, 5);
    check_linear(d);
    check_rows(d);
    check_shift(d[BACKWARD_SHIFT]);
    int8_t *dx = writable(o, 0, d[N_IN]);
    const int8_t *g = readable(o, 1, d[N_OUT]);
    const int8_t *x = readable(o, 2, d[N_IN]);
    const uint8_t *w = readable(o, 3, d[ROWS] * d[N_ROW]);
    int32_t *scratch = scratch_of(o, 4, LINEAR, 1, d);
    return mp_obj_new_int(
        PLANNED(PLAN_BACKWARD, linear_backward_input, dx, g, x, w, scratch, d));
}
MP_DEFINE_CONST_FUN_OBJ_1(linear_backward_input_obj, call_linear_backward_input);

// What both updates learn into and by: operands scores, weff, w and select.
typedef struct {
    uint8_t *scores;
    int32_t n_scores;
    uint8_t *weff;
    const uint8_t *w;
    const uint32_t *select;
} learned_t;

static const uint32_t *select_of(const mp_obj_t *o, int i, const int32_t *d) {
    check((uint32_t)d[SELECTION] <= BITMAP, "d: selection not in 0..2");
    const uint32_t *select = readable(o, i, select_bytes(d));
    check_alignment(i, select, d[SELECTION] == ALL ? 1 : 4);
    return select;
}

static learned_t learned_of(const mp_obj_t *o, int i_w, int i_select, const int32_t *d) {
    learned_t l;
    size_t n_scores, n_weff;
    size_t n_edges = d[N_OUT] * d[N_ROW];
    check(d[MEASURE] != 0 || (uint32_t)(d[RULE] - PRUNE) <= WEIGHTS - PRUNE,
        "d: rule not in 1..3");
    check_shift(d[UPDATE_SHIFT]);
    l.scores = any_length(o, 0, &n_scores, MP_BUFFER_RW);
    l.n_scores = (int32_t)n_scores;
    l.weff = any_length(o, 1, &n_weff, MP_BUFFER_RW);
    if (d[RULE] == WEIGHTS) {
        l.w = writable(o, i_w, n_edges);
    } else {
        l.w = readable(o, i_w, n_edges);
        if (d[SELECTION] == ALL && d[MEASURE] == 0) {
            check_length(0, n_scores, n_edges);
        }
    }
    if (n_weff == 0) {
        l.weff = NULL;
    } else {
        check_length(1, n_weff, n_edges);
    }
    l.select = select_of(o, i_select, d);
    return l;
}

static mp_obj_t call_conv2d_update(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 9);
    const int32_t *d = descriptor(o, 8);
    check_conv2d(d);
    learned_t l = learned_of(o, 5, 6, d);
    const int8_t *g = readable(o, 2, output_bytes(d));
    const uint8_t *argmax = readable(o, 3, argmax_bytes(d));
    const int8_t *x = readable(o, 4, input_bytes(d));
    int32_t *scratch = scratch_of(o, 7, CONV2D, 1, d);
    return mp_obj_new_int(PLANNED(PLAN_UPDATE, conv2d_update, l.scores, l.n_scores, l.weff, g,
        argmax, x, l.w, l.select, scratch, d));
}
MP_DEFINE_CONST_FUN_OBJ_1(conv2d_update_obj, call_conv2d_update);

static mp_obj_t call_linear_update(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 8);
    const int32_t *d = descriptor(o, 7);
    check_linear(d);
    learned_t l = learned_of(o, 4, 5, d);
    const int8_t *g = readable(o, 2, d[N_OUT]);
    const int8_t *x = readable(o, 3, d[N_IN]);
    int32_t *scratch = scratch_of(o, 6, LINEAR, 1, d);
    return mp_obj_new_int(PLANNED(PLAN_UPDATE, linear_update, l.scores, l.n_scores, l.weff, g,
        x, l.w, l.select, scratch, d));
}
MP_DEFINE_CONST_FUN_OBJ_1(linear_update_obj, call_linear_update);

static mp_obj_t call_effective_weights(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 5);
    const int32_t *d = descriptor(o, 4);
    check_edges(d);
    check_rows(d);
    uint8_t *weff = writable(o, 0, d[ROWS] * d[N_ROW]);
    const uint8_t *w = readable(o, 1, d[N_OUT] * d[N_ROW]);
    size_t n_scores;
    const uint8_t *scores = any_length(o, 2, &n_scores, MP_BUFFER_READ);
    const uint32_t *select = select_of(o, 3, d);
    if (d[SELECTION] == ALL && (d[RULE] == PRUNE || d[RULE] == GAIN)) {
        check_length(2, n_scores, d[N_OUT] * d[N_ROW]);
    }
    return mp_obj_new_int(effective_weights(weff, w, scores, n_scores, select, d));
}
MP_DEFINE_CONST_FUN_OBJ_1(effective_weights_obj, call_effective_weights);
