// Which layers the kernels of this folder take, and why not the others.

#include <stddef.h>

#include "bias.h"
#include "choices.h"
#include "conv3x3.h"
#include "conv3x3_backward.h"
#include "conv3x3_update.h"
#include "linear.h"
#include "rounding.h"
#include "update.h"
#ifndef PRIOT_PLAN_ONLY
#include "fast.h"
#endif

enum { // of NAMES, 0 where there is nothing to say
    FAST_3X3 = 1,
    FAST_LINEAR,
    NOT_3X3,
    NOT_POOLED_BY_2,
    NOT_IN_FOURS,
    TOO_LARGE,
};

// What a kernel needs of scratch, in words; minus the reason where it does not take the layer.
static int32_t limited(int32_t is_taken, int32_t words, const int32_t *d) {
    int32_t most = d[LOW_MEMORY] != 0 ? MOST_WORDS_LOW : MOST_WORDS;
    return is_taken && words <= most ? words : -TOO_LARGE;
}

// Whether the fields at + 0, at + 1, .. at + n - 1 all have a value.
static int32_t all_are(int32_t value, int32_t at, int32_t n, const int32_t *d) {
    while (n != 0 && d[at] == value) {
        at++;
        n--;
    }
    return n == 0;
}

static int32_t shape_3x3(const int32_t *d) {
    if (!all_are(3, KERNEL_H, 2, d) || !all_are(1, STRIDE_H, 2, d) || d[GROUPS] != 1
        || !all_are(d[PAD_TOP], PAD_TOP, 4, d)) {
        return -NOT_3X3;
    }
    int32_t pool = d[POOL_H];
    if (pool > 2 || !all_are(pool, POOL_H, 4, d) || (pool == 2 && d[ARGMAX_BITS] != 2)) {
        return -NOT_POOLED_BY_2;
    }
    return limited(d[N_ROW] <= MOST_TERMS, 1, d);
}

conv3x3_geometry conv3x3_geometry_of(const int32_t *d) {
    conv3x3_geometry v;
    int32_t pooled = d[POOL_H] == 2, all = conv3x3_rows(d), rows = all;
    v.columns = pooled ? d[W_OUT] : (d[W_OUT] + 1) >> 1;
    v.width = 2 * v.columns + 2;
    v.row_words = 2 * d[N_IN] * v.width;
    while (rows > 1 && rows * v.row_words > (d[LOW_MEMORY] != 0 ? BAND_WORDS_LOW : BAND_WORDS)) {
        rows = (rows + 1) >> 1;
    }
    while (pooled && rows < all && (rows * v.columns & 3) != 0) {
        rows++;
    }
    conv3x3_set_rows(&v, rows, d);
    return v;
}

// They do not clamp at another value than 127.
static int32_t forward_3x3(const int32_t *d) {
    int32_t shape = shape_3x3(d);
    return shape < 0 ? shape : d[HIGH] != 127 || !is_bias_small(d) ? 0
        : limited(1, conv3x3_forward_words(d), d);
}

static int32_t backward_3x3(const int32_t *d) {
    return limited(shape_3x3(d) > 0 && d[MASK_DX] == 128 && d[ADD_DX] == 0
        && 9 * d[N_OUT] <= MOST_TERMS, conv3x3_backward_words(d), d);
}

static int32_t update_3x3(const int32_t *d) {
    return limited(shape_3x3(d) > 0 && d[H_OUT] * d[W_OUT] <= MOST_POSITIONS,
        conv3x3_update_words(d), d);
}

static int32_t in_fours(int32_t words, const int32_t *d) {
    return (d[N_IN] & 3) != 0 ? -NOT_IN_FOURS
        : d[N_IN] > MOST_TERMS || d[N_OUT] > MOST_TERMS ? -TOO_LARGE : words;
}

static int32_t forward_in_fours(const int32_t *d) {
    return in_fours(d[BIAS] == 0 && d[HIGH] == 127 ? linear_forward_words(d) : 0, d);
}

static int32_t backward_in_fours(const int32_t *d) {
    return in_fours(d[ADD_DX] == 0 && (d[MASK_DX] & 127) == 0 ? linear_backward_words(d) : 0, d);
}

static const choice_t CHOICES[] = {
    { CONV2D, PLAN_FORWARD, FAST_3X3, forward_3x3, KERNEL(conv3x3_forward) },
    { CONV2D, PLAN_BACKWARD, 0, backward_3x3, KERNEL(conv3x3_backward) },
    { CONV2D, PLAN_UPDATE, 0, update_3x3, KERNEL(conv3x3_update) },
    { LINEAR, PLAN_FORWARD, FAST_LINEAR, forward_in_fours, KERNEL(linear_fours_forward) },
    { LINEAR, PLAN_BACKWARD, 0, backward_in_fours, KERNEL(linear_fours_backward) },
    { LINEAR, PLAN_UPDATE, 0, linear_update_words, KERNEL(linear_listed_update) },
};

enum { N_CHOICES = sizeof(CHOICES) / sizeof(CHOICES[0]) };

// What a choice needs as d is now.
static int32_t words_now(const choice_t *choice, const int32_t *d) {
    if (choice->slot == PLAN_UPDATE && !update_is_supported(d)) {
        return 0;
    }
    return choice->words(d);
}

int32_t fast_plan(int32_t kind, int32_t *d) {
    int32_t number = 0;
    for (int32_t i = PLAN_FORWARD; i < PLAN_END; i++) {
        d[i] = 0;
    }
    for (int32_t i = 0; i < N_CHOICES; i++) {
        const choice_t *choice = &CHOICES[i];
        if (choice->kind == kind && d[choice->slot] == 0) {
            int32_t words = words_now(choice, d);
            if (words > 0) {
                d[choice->slot] = i + 1;
            }
            if (choice->slot == PLAN_FORWARD) {
                number = words > 0 ? choice->name : -words;
            }
        }
    }
    return number;
}

// Asked before every call: d may have changed since, and a kernel that does not take it would
// leave its buffers. The fast kernels never measure.
planned_t fast_planned(int32_t kind, int32_t slot, const int32_t *d) {
    uint32_t i = (uint32_t)d[slot] - 1;
    const choice_t *choice = &CHOICES[i];
    return i < N_CHOICES && choice->kind == kind && choice->slot == slot && d[MEASURE] == 0
        && words_now(choice, d) > 0 ? choice->kernel : NULL;
}

// in the order of the numbers
static const char NAMES[] =
    "portable C\0armv6m 3x3\0armv6m linear\0portable C: not 3x3 with stride 1\0"
    "portable C: not pooled by 2x2\0portable C: inputs no multiple of 4\0"
    "portable C: too large\0";

const char *fast_plan_name(int32_t number) {
    const char *name = NAMES;
    for (; number != 0 && *name != 0; number--) {
        while (*name++ != 0) {
        }
    }
    return *name != 0 ? name : NULL;
}

// Of all kernels that take the layer, whatever rule it is trained by: any may be the planned one.
int32_t fast_scratch_words(int32_t kind, int32_t training, const int32_t *d) {
    int32_t words = 0;
    for (int32_t i = 0; i < N_CHOICES; i++) {
        int32_t slot = CHOICES[i].slot;
        if (CHOICES[i].kind == kind
            && (slot == PLAN_FORWARD || (slot == PLAN_BACKWARD && training == 1)
                || (slot == PLAN_UPDATE
                    && (training == 2 || (training != 0 && d[RULE] != FROZEN))))) {
            words = larger(words, CHOICES[i].words(d));
        }
    }
    return words;
}
