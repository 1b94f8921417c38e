// The module priot_native: every kernel as a function of one tuple (device/DESIGN.md, Kernels).
//
// A function fetches and checks its operands (check.h) and calls the kernel. It allocates
// nothing, and a Ctrl-C is seen after it. Layers with weights are in module_weights.c.

#include "check.h"
#include "dispatch.h"
#include "module.h"
#include "scratch.h"

static mp_obj_t call_max_pool_forward(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 4);
    const int32_t *d = descriptor(o, 3);
    check_pool(d);
    int8_t *y = writable(o, 0, output_bytes(d));
    uint8_t *argmax = writable(o, 1, argmax_bytes(d));
    const int8_t *x = readable(o, 2, input_bytes(d));
    return mp_obj_new_int(max_pool_forward(y, argmax, x, d));
}
static MP_DEFINE_CONST_FUN_OBJ_1(max_pool_forward_obj, call_max_pool_forward);

static mp_obj_t call_max_pool_backward(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 5);
    const int32_t *d = descriptor(o, 4);
    check_pool(d);
    int8_t *dx = writable(o, 0, input_bytes(d));
    const int8_t *g = readable(o, 1, output_bytes(d));
    const uint8_t *argmax = readable(o, 2, argmax_bytes(d));
    const int8_t *x = readable(o, 3, input_bytes(d));
    return mp_obj_new_int(max_pool_backward(dx, g, argmax, x, d));
}
static MP_DEFINE_CONST_FUN_OBJ_1(max_pool_backward_obj, call_max_pool_backward);

static mp_obj_t call_avg_pool_forward(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 3);
    const int32_t *d = descriptor(o, 2);
    check_pool(d);
    int8_t *y = writable(o, 0, output_bytes(d));
    const int8_t *x = readable(o, 1, input_bytes(d));
    return mp_obj_new_int(avg_pool_forward(y, x, d));
}
static MP_DEFINE_CONST_FUN_OBJ_1(avg_pool_forward_obj, call_avg_pool_forward);

static mp_obj_t call_avg_pool_backward(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 4);
    const int32_t *d = descriptor(o, 3);
    check_pool(d);
    int8_t *dx = writable(o, 0, input_bytes(d));
    const int8_t *g = readable(o, 1, output_bytes(d));
    const int8_t *x = readable(o, 2, input_bytes(d));
    return mp_obj_new_int(avg_pool_backward(dx, g, x, d));
}
static MP_DEFINE_CONST_FUN_OBJ_1(avg_pool_backward_obj, call_avg_pool_backward);

static mp_obj_t call_cross_entropy(mp_obj_t operands, mp_obj_t label_in) {
    const mp_obj_t *o = operands_of(operands, 4);
    const int32_t *d = descriptor(o, 3);
    int32_t n = d[N_CLASSES], t = d[LOSS_SHIFT];
    mp_int_t label = mp_obj_get_int(label_in);
    check(n >= 1 && n <= 1 << 15, "d: classes not in 1..32768"); // their sum of e fits int32
    check(t >= -8 && t <= 8, "d: loss shift not in -8..8");
    check(label >= 0 && label < n, "label: not below the number of classes");
    int8_t *g = writable(o, 0, n);
    const int8_t *z = readable(o, 1, n);
    int32_t *scratch = words_at_least(o, 2, n);
    return mp_obj_new_int(cross_entropy(g, z, scratch, d, label));
}
static MP_DEFINE_CONST_FUN_OBJ_2(cross_entropy_obj, call_cross_entropy);

static mp_obj_t call_kth_largest(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 3);
    size_t n;
    const uint8_t *scores = any_length(o, 0, &n, MP_BUFFER_READ);
    int32_t *scratch = words_at_least(o, 1, HISTOGRAM_WORDS);
    const int32_t *d = descriptor(o, 2);
    return mp_obj_new_int(fast_kth_largest(scores, n, scratch, d));
}
static MP_DEFINE_CONST_FUN_OBJ_1(kth_largest_obj, call_kth_largest);

static mp_obj_t call_count_below(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 2);
    size_t n;
    const uint8_t *scores = any_length(o, 0, &n, MP_BUFFER_READ);
    return mp_obj_new_int(fast_count_below(scores, n, descriptor(o, 1)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(count_below_obj, call_count_below);

static mp_obj_t call_max_abs(mp_obj_t operands) {
    size_t n;
    const int8_t *buf = any_length(operands_of(operands, 1), 0, &n, MP_BUFFER_READ);
    return mp_obj_new_int(fast_max_abs(buf, n));
}
static MP_DEFINE_CONST_FUN_OBJ_1(max_abs_obj, call_max_abs);

static mp_obj_t call_init_scores(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 2);
    size_t n;
    uint8_t *scores = any_length(o, 0, &n, MP_BUFFER_RW);
    return mp_obj_new_int(init_scores(scores, n, words_at_least(o, 1, 1)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(init_scores_obj, call_init_scores);

static mp_obj_t call_shuffle(mp_obj_t operands) {
    const mp_obj_t *o = operands_of(operands, 2);
    size_t n_bytes;
    uint16_t *order = any_length(o, 0, &n_bytes, MP_BUFFER_RW);
    check_alignment(0, order, 2);
    check(n_bytes <= 2 << 16, "order: more than 65536 numbers"); // draws have 15 bits
    return mp_obj_new_int(shuffle(order, n_bytes >> 1, words_at_least(o, 1, 1)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(shuffle_obj, call_shuffle);

// Checks d for a kind of layer, as its kernels will.
static const int32_t *descriptor_of_kind(const mp_obj_t *o, int32_t kind) {
    const int32_t *d = descriptor(o, 0);
    if (kind == CONV2D) {
        check_conv2d(d);
    } else if (kind == LINEAR) {
        check_linear(d);
    }
    return d;
}

static mp_obj_t call_scratch_words(mp_obj_t kind_in, mp_obj_t training, mp_obj_t d) {
    int32_t kind = mp_obj_get_int(kind_in);
    return mp_obj_new_int(
        scratch_words(kind, mp_obj_get_int(training), descriptor_of_kind(&d, kind)));
}
static MP_DEFINE_CONST_FUN_OBJ_3(scratch_words_obj, call_scratch_words);

static mp_obj_t call_plan(mp_obj_t kind_in, mp_obj_t w_in, mp_obj_t d_in) {
    int32_t kind = mp_obj_get_int(kind_in);
    const int32_t *d = descriptor_of_kind(&d_in, kind);
    const uint8_t *w = NULL;
    if (kind == CONV2D || kind == LINEAR) {
        w = readable(&w_in, 0, d[N_OUT] * d[N_ROW]);
    }
    return mp_obj_new_int(plan(kind, w, writable(&d_in, 0, 4 * N_FIELDS)));
}
static MP_DEFINE_CONST_FUN_OBJ_3(plan_obj, call_plan);

static mp_obj_t call_plan_name(mp_obj_t number) {
    const char *text = plan_name(mp_obj_get_int(number));
    check(text != NULL, "plan: unknown number");
    size_t n = 0;
    while (text[n] != 0) {
        n++;
    }
    return mp_obj_new_str(text, n);
}
static MP_DEFINE_CONST_FUN_OBJ_1(plan_name_obj, call_plan_name);

#define STORE(qstr, object) mp_store_global(qstr, MP_OBJ_FROM_PTR(&object))

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_name, MP_OBJ_NEW_QSTR(MP_QSTR_native));
    STORE(MP_QSTR_conv2d_forward, conv2d_forward_obj);
    STORE(MP_QSTR_linear_forward, linear_forward_obj);
    STORE(MP_QSTR_max_pool_forward, max_pool_forward_obj);
    STORE(MP_QSTR_max_pool_backward, max_pool_backward_obj);
    STORE(MP_QSTR_avg_pool_forward, avg_pool_forward_obj);
    STORE(MP_QSTR_avg_pool_backward, avg_pool_backward_obj);
    STORE(MP_QSTR_cross_entropy, cross_entropy_obj);
    STORE(MP_QSTR_conv2d_backward_input, conv2d_backward_input_obj);
    STORE(MP_QSTR_linear_backward_input, linear_backward_input_obj);
    STORE(MP_QSTR_conv2d_update, conv2d_update_obj);
    STORE(MP_QSTR_linear_update, linear_update_obj);
    STORE(MP_QSTR_effective_weights, effective_weights_obj);
    STORE(MP_QSTR_kth_largest, kth_largest_obj);
    STORE(MP_QSTR_count_below, count_below_obj);
    STORE(MP_QSTR_max_abs, max_abs_obj);
    STORE(MP_QSTR_init_scores, init_scores_obj);
    STORE(MP_QSTR_shuffle, shuffle_obj);
    STORE(MP_QSTR_scratch_words, scratch_words_obj);
    STORE(MP_QSTR_plan, plan_obj);
    STORE(MP_QSTR_plan_name, plan_name_obj);
    MP_DYNRUNTIME_INIT_EXIT
}
