// Which layers the kernels of this folder take. dispatch.h has the contract.

#include <stddef.h>

#include "choices.h"
#include "depthwise_gradients.h"
#include "edges.h"
#include "gather.h"
#include "rounding.h"
#ifndef PRIOT_PLAN_ONLY
#include "fast.h"
#endif

// What a kernel needs of scratch, in words, and one; 0 where it does not take the layer.
static int32_t limited(int32_t is_taken, int32_t words, const int32_t *d) {
    int32_t most = d[LOW_MEMORY] != 0 ? MOST_WORDS_LOW : MOST_WORDS;
    return is_taken && words <= most ? words + 1 : 0;
}

static int32_t is_pooled(const int32_t *d) {
    return d[POOL_H] != 1 || d[POOL_W] != 1;
}

// A MASK_DX of 1 would let nothing through.
static int32_t is_masked_well(const int32_t *d) {
    return d[MASK_DX] != 1;
}

static int32_t is_depthwise(const int32_t *d) {
    return d[GROUP_IN] == 1 && d[GROUP_OUT] == 1 && d[KERNEL_H] == 3 && d[KERNEL_W] == 3
        && !is_pooled(d);
}

static int32_t depthwise(const int32_t *d) {
    return limited(is_depthwise(d) && is_masked_well(d), depthwise_backward_words(d), d);
}

// Products of dW and weight fit int32.
static int32_t has_few_positions(const int32_t *d) {
    return d[RULE] >= WEIGHTS || d[H_OUT] * d[W_OUT] <= MOST_POSITIONS;
}

static int32_t depthwise_update(const int32_t *d) {
    return limited(is_depthwise(d) && has_few_positions(d), depthwise_update_words(d), d);
}

static int32_t gathered(const int32_t *d) {
    return limited(d[GROUPS] == 1 && !is_pooled(d) && is_masked_well(d)
        && d[STRIDE_H] == d[STRIDE_W] && d[STRIDE_H] <= 2
        && d[N_OUT] * gather_taps(d) <= MOST_TERMS,
        gather_backward_words(d), d);
}

static int32_t gathered_update(const int32_t *d) {
    return limited(d[GROUPS] == 1 && !is_pooled(d) && has_few_positions(d),
        gather_update_words(d), d);
}

static int32_t any(const int32_t *d) {
    (void)d;
    return 1;
}

static const choice_t CHOICES[] = {
    { CONV2D, PLAN_BACKWARD, 0, depthwise, KERNEL(depthwise3x3_backward) },
    { CONV2D, PLAN_UPDATE, 0, depthwise_update, KERNEL(depthwise3x3_update) },
    { CONV2D, PLAN_BACKWARD, 0, gathered, KERNEL(gather_backward) },
    { CONV2D, PLAN_UPDATE, 0, gathered_update, KERNEL(gather_update) },
    { GLOBAL_POOL, PLAN_BACKWARD, 0, any, KERNEL(mean_backward) },
    { ADD, PLAN_BACKWARD, 0, any, KERNEL(sum_backward) },
};

enum { N_CHOICES = sizeof(CHOICES) / sizeof(CHOICES[0]) };

// What a choice needs as d is now.
static int32_t words_now(const choice_t *choice, const int32_t *d) {
    return choice->slot == PLAN_UPDATE && !update_is_supported(d) ? 0 : choice->words(d);
}

int32_t backward_plan(int32_t kind, int32_t *d) {
    for (int32_t i = 0; i < N_CHOICES; i++) {
        const choice_t *choice = &CHOICES[i];
        if (choice->kind == kind && d[choice->slot] == 0 && words_now(choice, d) != 0) {
            d[choice->slot] = BACKWARD_PLAN + i;
        }
    }
    return 0;
}

// Asked before every call: d may have changed since, and a kernel that does not take it would
// leave its buffers. The fast kernels never measure.
planned_t backward_planned(int32_t kind, int32_t slot, const int32_t *d) {
    uint32_t i = (uint32_t)d[slot] - BACKWARD_PLAN;
    const choice_t *choice = &CHOICES[i];
    return i < N_CHOICES && choice->kind == kind && choice->slot == slot && d[MEASURE] == 0
        && words_now(choice, d) != 0 ? choice->kernel : NULL;
}

const char *backward_plan_name(int32_t number) {
    (void)number;
    return NULL; // a layer's name is that of its forward pass
}

int32_t backward_scratch_words(int32_t kind, int32_t training, const int32_t *d) {
    int32_t words = 0;
    for (int32_t i = 0; i < N_CHOICES; i++) {
        if (CHOICES[i].kind == kind
            && (CHOICES[i].slot == PLAN_BACKWARD ? training == 1
                : training == 2 || (training != 0 && d[RULE] != FROZEN))) {
            words = larger(words, CHOICES[i].words(d) - 1);
        }
    }
    return words;
}
