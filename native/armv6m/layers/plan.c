// Which layers the kernels of this folder take. dispatch.h has the contract.

#include <stddef.h>

#include "bias.h"
#include "choices.h"
#include "depthwise.h"
#include "rounding.h"
#include "tiles.h"
#ifndef PRIOT_PLAN_ONLY
#include "fast.h"
#endif

enum { // of NAMES
    FAST_TILES = LAYERS_PLAN,
    FAST_DEPTHWISE,
    FAST_BIASED_LINEAR,
    FAST_OTHERS,
};

// What a kernel needs of scratch, in words, and one; 0 where it does not take the layer.
static int32_t limited(int32_t is_taken, int32_t words) {
    return is_taken && words <= MOST_WORDS ? words + 1 : 0;
}

static int32_t is_pooled(const int32_t *d) {
    return d[POOL_H] != 1 || d[POOL_W] != 1;
}

static int32_t tiles(const int32_t *d) {
    return limited(d[GROUPS] == 1 && !is_pooled(d) && d[N_ROW] <= MOST_TERMS && is_bias_small(d),
        tiles_forward_words(d));
}

static int32_t depthwise(const int32_t *d) {
    return limited(d[GROUP_IN] == 1 && d[GROUP_OUT] == 1 && d[KERNEL_H] == 3 && d[KERNEL_W] == 3
        && d[STRIDE_H] == d[STRIDE_W] && d[STRIDE_H] <= 2 && !is_pooled(d) && is_bias_small(d),
        depthwise_forward_words(d));
}

static int32_t linear(const int32_t *d) {
    return limited(d[BIAS] != 0 && d[N_IN] <= MOST_TERMS && is_bias_small(d), 0);
}

static int32_t any(const int32_t *d) {
    (void)d;
    return 1;
}

static const choice_t CHOICES[] = {
    { CONV2D, PLAN_FORWARD, FAST_DEPTHWISE, depthwise, KERNEL(depthwise3x3_forward) },
    { CONV2D, PLAN_FORWARD, FAST_TILES, tiles, KERNEL(tiles_forward) },
    { LINEAR, PLAN_FORWARD, FAST_BIASED_LINEAR, linear, KERNEL(biased_linear_forward) },
    { AVG_POOL, PLAN_FORWARD, FAST_OTHERS, any, KERNEL(average_forward) },
    { GLOBAL_POOL, PLAN_FORWARD, FAST_OTHERS, any, KERNEL(mean_forward) },
    { ADD, PLAN_FORWARD, FAST_OTHERS, any, KERNEL(sum_forward) },
};

enum { N_CHOICES = sizeof(CHOICES) / sizeof(CHOICES[0]) };

int32_t layers_plan(int32_t kind, int32_t *d) {
    int32_t number = 0;
    for (int32_t i = 0; i < N_CHOICES; i++) {
        const choice_t *choice = &CHOICES[i];
        if (choice->kind == kind && d[choice->slot] == 0 && choice->words(d) != 0) {
            d[choice->slot] = LAYERS_PLAN + i;
            if (choice->slot == PLAN_FORWARD) {
                number = choice->name;
            }
        }
    }
    return number;
}

// Asked before every call: d may have changed since, and a kernel that does not take it would
// leave its buffers. The fast kernels never measure.
planned_t layers_planned(int32_t kind, int32_t slot, const int32_t *d) {
    uint32_t i = (uint32_t)d[slot] - LAYERS_PLAN;
    const choice_t *choice = &CHOICES[i];
    return i < N_CHOICES && choice->kind == kind && choice->slot == slot && d[MEASURE] == 0
        && choice->words(d) != 0 ? choice->kernel : NULL;
}

// in the order of the numbers
static const char NAMES[] = "armv6m tiles\0armv6m depthwise\0armv6m linear, bias\0armv6m\0";

const char *layers_plan_name(int32_t number) {
    const char *name = NAMES;
    for (; number > LAYERS_PLAN && *name != 0; number--) {
        while (*name++ != 0) {
        }
    }
    return number == LAYERS_PLAN && *name != 0 ? name : NULL;
}

int32_t layers_scratch_words(int32_t kind, int32_t training, const int32_t *d) {
    int32_t words = 0;
    for (int32_t i = 0; i < N_CHOICES; i++) {
        int32_t slot = CHOICES[i].slot;
        if (CHOICES[i].kind == kind && (slot == PLAN_FORWARD || training == 1
            || (slot == PLAN_UPDATE && training != 0))) {
            words = larger(words, CHOICES[i].words(d) - 1);
        }
    }
    return words;
}
