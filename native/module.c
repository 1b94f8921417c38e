// The modules priot_portable and priot_native: every kernel as a function of one tuple
// (device/DESIGN.md, Kernels). dispatch.h says which of the two this is.
//
// A function fetches and checks its operands (check.h) and calls the kernel. It allocates
// nothing, and a Ctrl-C is seen after it.

#include "check.h"
#include "dispatch.h"
#include "scratch.h"

// Most kernels are called from a table: a third of the code of a function each. All arguments are
// words; the calling conventions of both targets (AAPCS, System V) let a function ignore
// arguments beyond its own.
typedef uintptr_t word_t;
typedef int32_t (*kernel_t)(word_t, word_t, word_t, word_t, word_t, word_t, word_t, word_t,
    word_t, word_t);

enum { ALWAYS = 0 }; // instead of a slot: needs no plan

typedef struct {
    kernel_t kernel;
    char form[10]; // see fetch
    uint8_t kind;
    uint8_t slot; // where a plan says that the kernel may run
} entry_t;

#define ENTRY(kernel, form, kind, slot) { (kernel_t)(void *)kernel, form, kind, slot }

// numbered as FUNCTION below says
static const entry_t ENTRIES[] = {
    ENTRY(CHOSEN(conv2d_forward), "YAxr0d", CONV2D, PLAN_FORWARD),
    ENTRY(CHOSEN(conv2d_backward_input), "Xyaxw1d", CONV2D, PLAN_BACKWARD),
    ENTRY(CHOSEN(conv2d_update), "SEyaxWb2d", CONV2D, PLAN_UPDATE),
    ENTRY(CHOSEN(linear_forward), "Yxr0d", LINEAR, PLAN_FORWARD),
    ENTRY(CHOSEN(linear_backward_input), "Xyxr1d", LINEAR, PLAN_BACKWARD),
    ENTRY(CHOSEN(linear_update), "SEyxWb2d", LINEAR, PLAN_UPDATE),
    ENTRY(effective_weights, "Rwsbd", CONV2D, ALWAYS),
    ENTRY(CHOSEN(kth_largest), "v3d", 0, ALWAYS),
    ENTRY(count_below, "vd", 0, ALWAYS),
    ENTRY(classify, "v", 0, ALWAYS),
    #ifndef PRIOT_FAST
    ENTRY(max_pool_forward, "YAxd", MAX_POOL2D, ALWAYS),
    ENTRY(max_pool_backward, "Xyaxd", MAX_POOL2D, ALWAYS),
    ENTRY(avg_pool_forward, "Yxd", MAX_POOL2D, ALWAYS),
    ENTRY(avg_pool_backward, "Xyxd", MAX_POOL2D, ALWAYS),
    #endif
};

static mp_obj_t call(mp_obj_t tuple, int i) {
    const entry_t *entry = &ENTRIES[i];
    word_t w[MAX_ARGUMENTS];
    const int32_t *d = fetch(w, tuple, entry->form, entry->kind);
    check(entry->slot == ALWAYS || CHOSEN(is_planned)(entry->kind, entry->slot, d),
        "d: not planned");
    return mp_obj_new_int(
        entry->kernel(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9]));
}

#define FUNCTION(name, entry) \
    static mp_obj_t call_##name(mp_obj_t tuple) { \
        return call(tuple, entry); \
    } \
    static MP_DEFINE_CONST_FUN_OBJ_1(name##_obj, call_##name)

FUNCTION(conv2d_forward, 0);
FUNCTION(conv2d_backward_input, 1);
FUNCTION(conv2d_update, 2);
FUNCTION(linear_forward, 3);
FUNCTION(linear_backward_input, 4);
FUNCTION(linear_update, 5);
FUNCTION(effective_weights, 6);
FUNCTION(kth_largest, 7);
FUNCTION(count_below, 8);
FUNCTION(classify, 9);
#ifndef PRIOT_FAST
FUNCTION(max_pool_forward, 10);
FUNCTION(max_pool_backward, 11);
FUNCTION(avg_pool_forward, 12);
FUNCTION(avg_pool_backward, 13);
#endif

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

// The kind of layer to check d for; only those with weights have scratch or a plan.
static int32_t kind_of(mp_obj_t kind_in) {
    mp_int_t kind = mp_obj_get_int(kind_in);
    return kind == CONV2D || kind == LINEAR ? kind : 0;
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

static mp_obj_t call_plan_name(mp_obj_t number) {
    const char *text = CHOSEN(plan_name)(mp_obj_get_int(number));
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
    mp_store_global(MP_QSTR_contract, MP_OBJ_NEW_SMALL_INT(CONTRACT));
    STORE(MP_QSTR_conv2d_forward, conv2d_forward_obj);
    STORE(MP_QSTR_linear_forward, linear_forward_obj);
    STORE(MP_QSTR_cross_entropy, cross_entropy_obj);
    STORE(MP_QSTR_classify, classify_obj);
    STORE(MP_QSTR_conv2d_backward_input, conv2d_backward_input_obj);
    STORE(MP_QSTR_linear_backward_input, linear_backward_input_obj);
    STORE(MP_QSTR_conv2d_update, conv2d_update_obj);
    STORE(MP_QSTR_linear_update, linear_update_obj);
    STORE(MP_QSTR_effective_weights, effective_weights_obj);
    STORE(MP_QSTR_kth_largest, kth_largest_obj);
    STORE(MP_QSTR_count_below, count_below_obj);
    STORE(MP_QSTR_init_scores, init_scores_obj);
    STORE(MP_QSTR_shuffle, shuffle_obj);
    STORE(MP_QSTR_scratch_words, scratch_words_obj);
    STORE(MP_QSTR_plan, plan_obj);
    STORE(MP_QSTR_plan_name, plan_name_obj);
    #ifndef PRIOT_FAST
    STORE(MP_QSTR_max_pool_forward, max_pool_forward_obj);
    STORE(MP_QSTR_max_pool_backward, max_pool_backward_obj);
    STORE(MP_QSTR_avg_pool_forward, avg_pool_forward_obj);
    STORE(MP_QSTR_avg_pool_backward, avg_pool_backward_obj);
    #endif
    MP_DYNRUNTIME_INIT_EXIT
}
