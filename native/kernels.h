// The contract of the C kernels: fields of a layer descriptor and one prototype per kernel.
//
// What each kernel computes is defined in device/DESIGN.md ("Kernels"); the numpy oracle
// host_tools/priot/oracle/kernels.py is its executable form. The kernels use nothing but these arguments:
// no allocation, no statics, no division, no 64-bit arithmetic. Lengths and the geometry in d
// are checked by check.c before a kernel runs; scratch holds at least scratch_words() words
// and is aligned to 4 bytes, as is select. Shapes and bytes are those of device/DESIGN.md.

#ifndef PRIOT_KERNELS_H
#define PRIOT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

// Raised where package and modules of different versions do not go together.
enum { CONTRACT = 2 };

// fields of a layer descriptor: the numbers of device/priot/fields.py (a test compares them)
enum {
    N_IN = 0,
    H_IN = 1,
    W_IN = 2,
    N_OUT = 3,
    KERNEL = 4,
    STRIDE = 5,
    PADDING = 6,
    H_CONV = 7,
    W_CONV = 8,
    POOL = 9,
    POOL_STRIDE = 10,
    H_OUT = 11,
    W_OUT = 12,
    RELU = 13,
    X_RELU = 14,
    FORWARD_SHIFT = 15,
    BACKWARD_SHIFT = 16,
    UPDATE_SHIFT = 17,
    ROW = 18,
    ROWS = 19,
    RULE = 20,
    ROUNDING = 21,
    THRESHOLD = 22,
    SELECTION = 23,
    TAU = 24,
    N_ROW = 25,
    MULTIPLIER = 26,
    MEASURE = 27,
    ARGMAX_BITS = 28,
    N_CLASSES = 29,
    LOSS_SHIFT = 30,
    KEEP_COUNT = 31,
    PLAN_FORWARD = 32,
    PLAN_BACKWARD = 33,
    PLAN_UPDATE = 34,
    LOW_MEMORY = 39,
    N_FIELDS = 40,
};

// the words of the plan, see dispatch.h
enum { PLAN = PLAN_FORWARD, PLAN_PARAMETERS = PLAN_UPDATE + 1, PLAN_END = LOW_MEMORY };

// kinds of layers
enum {
    CONV2D = 1,
    LINEAR = 2,
    RELU_LAYER = 3,
    MAX_POOL2D = 4,
    AVG_POOL2D = 5,
    FLATTEN = 6,
};

// d[RULE]
enum { FROZEN = 0, PRUNE = 1, GAIN = 2, WEIGHTS = 3 };

// d[ROUNDING]
enum { RHU = 0, PSR = 1 };

// d[SELECTION]
enum { ALL = 0, LARGEST = 1, BITMAP = 2 };

// conv2d.c, conv2d_backward.c
int32_t conv2d_forward(int8_t *y, uint8_t *argmax, const int8_t *x, const uint8_t *w,
    int32_t *scratch, const int32_t *d);
int32_t conv2d_backward_input(int8_t *dx, const int8_t *g, const uint8_t *argmax,
    const int8_t *x, const uint8_t *w, int32_t *scratch, const int32_t *d);

// linear.c, linear_backward.c
int32_t linear_forward(int8_t *y, const int8_t *x, const uint8_t *w, int32_t *scratch,
    const int32_t *d);
int32_t linear_backward_input(int8_t *dx, const int8_t *g, const int8_t *x, const uint8_t *w,
    int32_t *scratch, const int32_t *d);

// pool.c
int32_t max_pool_forward(int8_t *y, uint8_t *argmax, const int8_t *x, const int32_t *d);
int32_t max_pool_backward(int8_t *dx, const int8_t *g, const uint8_t *argmax, const int8_t *x,
    const int32_t *d);
int32_t avg_pool_forward(int8_t *y, const int8_t *x, const int32_t *d);
int32_t avg_pool_backward(int8_t *dx, const int8_t *g, const int8_t *x, const int32_t *d);

// loss.c
int32_t cross_entropy(int8_t *g, const int8_t *z, int32_t *scratch, const int32_t *d,
    int32_t label);

// Index of the largest of n <= 256 logits, the first of equals, + 256 * those at +-127.
int32_t classify(const int8_t *z, size_t n);

// update.c, effective.c: n_scores is the length of scores; weff is NULL where the caller passed an empty one
int32_t conv2d_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const uint8_t *argmax, const int8_t *x, const uint8_t *w, const uint32_t *select,
    int32_t *scratch, const int32_t *d);
int32_t linear_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const int8_t *x, const uint8_t *w, const uint32_t *select, int32_t *scratch,
    const int32_t *d);
int32_t effective_weights(uint8_t *weff, const uint8_t *w, const uint8_t *scores,
    int32_t n_scores, const uint32_t *select, const int32_t *d);

// of n scores
int32_t count_below(const uint8_t *scores, int32_t n, const int32_t *d);

// topk.c
int32_t kth_largest(const uint8_t *scores, int32_t n, int32_t *scratch, const int32_t *d);

// random.c
int32_t init_scores(uint8_t *scores, int32_t n, uint32_t *state);
int32_t shuffle(uint16_t *order, int32_t n, uint32_t *state);

// plan.c: see dispatch.h
int32_t scratch_words(int32_t kind, int32_t training, const int32_t *d);
int32_t plan(int32_t kind, int32_t *d);
const char *plan_name(int32_t number);

#endif
