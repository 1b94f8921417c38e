// Which layers the kernels of this folder take, and why not the others.

#include <stddef.h>

#include "fast.h"
#include "layout.h"
#include "rounding.h"
#include "update.h"

enum { // of NAMES, 0 where there is nothing to say
    FAST_3X3 = 1,
    FAST_LINEAR,
    NOT_3X3,
    NOT_POOLED_BY_2,
    NOT_IN_FOURS,
    TOO_LARGE,
};

enum {
    // A kernel with more scratch (64 kB) leaves the layer to priot_portable. The other limits
    // keep a sum of products and the rounding of a shift by 30 in int32.
    MOST_WORDS = 16384,
    MOST_TERMS = 65536, // 65536 * 127 * 127 + 2^29
    MOST_POSITIONS = 786, // 786 * 127 * 127 * 127 + 2^29
};

// What a kernel needs, or 0 where it does not take the layer.
static int32_t words_if(int32_t is_taken, int32_t words) {
    return is_taken && words <= MOST_WORDS ? words : 0;
}

static int32_t forward_words(const int32_t *d) {
    return words_if(d[N_ROW] <= MOST_TERMS, conv3x3_forward_words(d));
}

static int32_t backward_words(const int32_t *d) {
    return words_if(d[X_RELU] != 0 && 9 * d[N_OUT] <= MOST_TERMS, conv3x3_backward_words(d));
}

static int32_t gradient_words(const int32_t *d) {
    return words_if(d[H_OUT] * d[W_OUT] <= MOST_POSITIONS, conv3x3_update_words(d));
}

static int32_t number_of(int32_t kind, const int32_t *d) {
    if (kind == LINEAR) {
        return (d[N_IN] & 3) != 0 ? NOT_IN_FOURS
            : d[N_IN] > MOST_TERMS || d[N_OUT] > MOST_TERMS ? TOO_LARGE : FAST_LINEAR;
    }
    if (kind != CONV2D) {
        return 0;
    }
    if (d[KERNEL] != 3 || d[STRIDE] != 1) {
        return NOT_3X3;
    }
    if (d[POOL] > 2 || d[POOL_STRIDE] != d[POOL] || (d[POOL] == 2 && d[ARGMAX_BITS] != 2)) {
        return NOT_POOLED_BY_2;
    }
    return forward_words(d) != 0 ? FAST_3X3 : TOO_LARGE;
}

// Whether the fast kernel of a slot takes the layer.
static int32_t takes(int32_t kind, int32_t slot, const int32_t *d) {
    int32_t number = number_of(kind, d);
    if (slot == PLAN_UPDATE && !update_is_supported(d)) {
        return 0;
    }
    if (kind == LINEAR) {
        return slot == PLAN_UPDATE || number == FAST_LINEAR;
    }
    return number == FAST_3X3 && (slot == PLAN_FORWARD
        || (slot == PLAN_BACKWARD ? backward_words(d) : gradient_words(d)) != 0);
}

int32_t fast_plan(int32_t kind, int32_t *d) {
    for (int32_t i = PLAN; i < PLAN_END; i++) {
        d[i] = i < PLAN_PARAMETERS && kind != 0 ? takes(kind, i, d) : 0;
    }
    return number_of(kind, d);
}

// Asked before every call: d may have changed since, and a kernel that does not take it would
// leave its buffers. The fast kernels never measure.
int32_t fast_is_planned(int32_t kind, int32_t slot, const int32_t *d) {
    return d[slot] != 0 && d[MEASURE] == 0 && takes(kind, slot, d);
}

// in the order of the numbers
static const char NAMES[] =
    "portable C\0armv6m 3x3\0armv6m linear\0portable C: not 3x3 with stride 1\0"
    "portable C: not pooled by 2x2\0portable C: inputs not a multiple of 4\0"
    "portable C: too large\0";

const char *fast_plan_name(int32_t number) {
    const char *name = NAMES;
    for (; number != 0 && *name != 0; number--) {
        while (*name++ != 0) {
        }
    }
    return *name != 0 ? name : NULL;
}

int32_t fast_scratch_words(int32_t kind, int32_t training, const int32_t *d) {
    int32_t number = number_of(kind, d), words = 0;
    if (kind == LINEAR) {
        words = number == FAST_LINEAR ? linear_fast_words(training, d) : 0;
        words = training != 0 ? larger(words, update_words(d)) : words;
    } else if (number == FAST_3X3) {
        words = forward_words(d);
        words = training == 1 ? larger(words, backward_words(d)) : words;
        words = training != 0 ? larger(words, gradient_words(d)) : words;
    }
    return words;
}
