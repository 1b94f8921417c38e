// The module priot_native: every kernel as a function of one tuple (device/DESIGN.md, Kernels).
//
// A function fetches and checks its operands (check.h) and calls the kernel. It allocates
// nothing, and a Ctrl-C is seen after it.

#include "check.h"
#include "dispatch.h"
#include "scratch.h"

// Kernels whose operands fetch() understands are called from a table: a third of the code of a
// call each. All arguments are words; the calling conventions of both targets (AAPCS, System V)
// let a function ignore arguments beyond its own.
typedef uintptr_t word_t;
typedef int32_t (*kernel_t)(word_t, word_t, word_t, word_t, word_t, word_t, word_t, word_t,
    word_t, word_t);

typedef struct {
    kernel_t portable;
    kernel_t fast; // where d[slot] is set
    char form[MAX_OPERANDS + 1];
    uint8_t kind;
    uint8_t shift; // index of the field
    uint8_t slot;
} entry_t;

#define ENTRY(kernel, form, kind, shift, slot) \
    { (kernel_t)(void *)kernel, (kernel_t)(void *)fast_##kernel, form, kind, shift, slot }

enum {
    ENTRY_CONV2D_FORWARD, ENTRY_CONV2D_BACKWARD_INPUT, ENTRY_CONV2D_UPDATE,
    ENTRY_LINEAR_FORWARD, ENTRY_LINEAR_BACKWARD_INPUT, ENTRY_LINEAR_UPDATE,
    ENTRY_EFFECTIVE_WEIGHTS, ENTRY_MAX_POOL_FORWARD, ENTRY_MAX_POOL_BACKWARD,
    ENTRY_AVG_POOL_FORWARD, ENTRY_AVG_POOL_BACKWARD,
};

static const entry_t ENTRIES[] = {
    ENTRY(conv2d_forward, "YAxr0d", CONV2D, FORWARD_SHIFT, PLAN_FORWARD),
    ENTRY(conv2d_backward_input, "Xyaxw1d", CONV2D, BACKWARD_SHIFT, PLAN_BACKWARD),
    ENTRY(conv2d_update, "SEyaxWb2d", CONV2D, UPDATE_SHIFT, PLAN_UPDATE),
    ENTRY(linear_forward, "Yxr0d", LINEAR, FORWARD_SHIFT, PLAN_FORWARD),
    ENTRY(linear_backward_input, "Xyxr1d", LINEAR, BACKWARD_SHIFT, PLAN_BACKWARD),
    ENTRY(linear_update, "SEyxWb2d", LINEAR, UPDATE_SHIFT, PLAN_UPDATE),
    ENTRY(effective_weights, "Rwsbd", ANY_WEIGHTS, UPDATE_SHIFT, PLAN_UPDATE),
    ENTRY(max_pool_forward, "YAxd", MAX_POOL2D, FORWARD_SHIFT, PLAN_FORWARD),
    ENTRY(max_pool_backward, "Xyaxd", MAX_POOL2D, FORWARD_SHIFT, PLAN_FORWARD),
    ENTRY(avg_pool_forward, "Yxd", MAX_POOL2D, FORWARD_SHIFT, PLAN_FORWARD),
    ENTRY(avg_pool_backward, "Xyxd", MAX_POOL2D, FORWARD_SHIFT, PLAN_FORWARD),
};

static mp_obj_t call(mp_obj_t tuple, int i) {
    const entry_t *entry = &ENTRIES[i];
    word_t w[MAX_ARGUMENTS];
    const int32_t *d = fetch(w, tuple, entry->form, entry->kind, entry->shift);
    bool fast = d[entry->slot] != 0 && d[MEASURE] == 0; // only the portable kernels measure
    kernel_t kernel = fast ? entry->fast : entry->portable;
    return mp_obj_new_int(kernel(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9]));
}

static mp_obj_t call_conv2d_forward(mp_obj_t tuple) {
    return call(tuple, ENTRY_CONV2D_FORWARD);
}
static MP_DEFINE_CONST_FUN_OBJ_1(conv2d_forward_obj, call_conv2d_forward);

static mp_obj_t call_conv2d_backward_input(mp_obj_t tuple) {
    return call(tuple, ENTRY_CONV2D_BACKWARD_INPUT);
}
static MP_DEFINE_CONST_FUN_OBJ_1(conv2d_backward_input_obj, call_conv2d_backward_input);

static mp_obj_t call_conv2d_update(mp_obj_t tuple) {
    return call(tuple, ENTRY_CONV2D_UPDATE);
}
static MP_DEFINE_CONST_FUN_OBJ_1(conv2d_update_obj, call_conv2d_update);

static mp_obj_t call_linear_forward(mp_obj_t tuple) {
    return call(tuple, ENTRY_LINEAR_FORWARD);
}
static MP_DEFINE_CONST_FUN_OBJ_1(linear_forward_obj, call_linear_forward);

static mp_obj_t call_linear_backward_input(mp_obj_t tuple) {
    return call(tuple, ENTRY_LINEAR_BACKWARD_INPUT);
}
static MP_DEFINE_CONST_FUN_OBJ_1(linear_backward_input_obj, call_linear_backward_input);

static mp_obj_t call_linear_update(mp_obj_t tuple) {
    return call(tuple, ENTRY_LINEAR_UPDATE);
}
static MP_DEFINE_CONST_FUN_OBJ_1(linear_update_obj, call_linear_update);

static mp_obj_t call_effective_weights(mp_obj_t tuple) {
    return call(tuple, ENTRY_EFFECTIVE_WEIGHTS);
}
static MP_DEFINE_CONST_FUN_OBJ_1(effective_weights_obj, call_effective_weights);

static mp_obj_t call_max_pool_forward(mp_obj_t tuple) {
    return call(tuple, ENTRY_MAX_POOL_FORWARD);
}
static MP_DEFINE_CONST_FUN_OBJ_1(max_pool_forward_obj, call_max_pool_forward);

static mp_obj_t call_max_pool_backward(mp_obj_t tuple) {
    return call(tuple, ENTRY_MAX_POOL_BACKWARD);
}
static MP_DEFINE_CONST_FUN_OBJ_1(max_pool_backward_obj, call_max_pool_backward);

static mp_obj_t call_avg_pool_forward(mp_obj_t tuple) {
    return call(tuple, ENTRY_AVG_POOL_FORWARD);
}
static MP_DEFINE_CONST_FUN_OBJ_1(avg_pool_forward_obj, call_avg_pool_forward);

static mp_obj_t call_avg_pool_backward(mp_obj_t tuple) {
    return call(tuple, ENTRY_AVG_POOL_BACKWARD);
}
static MP_DEFINE_CONST_FUN_OBJ_1(avg_pool_backward_obj, call_avg_pool_backward);

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

static mp_obj_t call_classify(mp_obj_t tuple) {
    operand_t z = buffer_of(objects_of(tuple, 1), 0, MP_BUFFER_READ);
    check(z.n >= 1 && z.n <= 256, "operand 0: not 1..256 logits");
    return mp_obj_new_int(classify(z.buf, z.n));
}
static MP_DEFINE_CONST_FUN_OBJ_1(classify_obj, call_classify);

static mp_obj_t call_kth_largest(mp_obj_t tuple) {
    const mp_obj_t *o = objects_of(tuple, 3);
    operand_t scores = buffer_of(o, 0, MP_BUFFER_READ);
    int32_t *scratch = at_least(o, 1, HISTOGRAM_WORDS);
    return mp_obj_new_int(
        fast_kth_largest(scores.buf, scores.n, scratch, descriptor(o, 2, 0)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(kth_largest_obj, call_kth_largest);

static mp_obj_t call_count_below(mp_obj_t tuple) {
    const mp_obj_t *o = objects_of(tuple, 2);
    operand_t scores = buffer_of(o, 0, MP_BUFFER_READ);
    return mp_obj_new_int(fast_count_below(scores.buf, scores.n, descriptor(o, 1, 0)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(count_below_obj, call_count_below);

static mp_obj_t call_max_abs(mp_obj_t tuple) {
    operand_t values = buffer_of(objects_of(tuple, 1), 0, MP_BUFFER_READ);
    return mp_obj_new_int(fast_max_abs(values.buf, values.n));
}
static MP_DEFINE_CONST_FUN_OBJ_1(max_abs_obj, call_max_abs);

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

// The kind of layer to check d for; only those with weights have scratch or a plan.
static int32_t kind_of(mp_obj_t kind_in) {
    mp_int_t kind = mp_obj_get_int(kind_in);
    return kind == CONV2D || kind == LINEAR ? kind : 0;
}

static mp_obj_t call_scratch_words(mp_obj_t kind_in, mp_obj_t training, mp_obj_t d_in) {
    int32_t kind = kind_of(kind_in);
    const int32_t *d = descriptor(&d_in, 0, kind);
    return mp_obj_new_int(scratch_words(kind, mp_obj_get_int(training), d));
}
static MP_DEFINE_CONST_FUN_OBJ_3(scratch_words_obj, call_scratch_words);

static mp_obj_t call_plan(mp_obj_t kind_in, mp_obj_t w_in, mp_obj_t d_in) {
    int32_t kind = kind_of(kind_in);
    const int32_t *d = descriptor(&d_in, 0, kind);
    const uint8_t *w = NULL;
    if (kind != 0) {
        w = exactly(&w_in, 0, d[N_OUT] * d[N_ROW], MP_BUFFER_READ);
    }
    return mp_obj_new_int(plan(kind, w, at_least(&d_in, 0, N_FIELDS)));
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
    STORE(MP_QSTR_classify, classify_obj);
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
