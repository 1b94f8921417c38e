// What the sum of an output starts from: its bias, and what rounds it.

#ifndef PRIOT_ARMV6M_BIAS_H
#define PRIOT_ARMV6M_BIAS_H

#include "kernels.h"
#include "rounding.h"

enum {
    // A larger bias saturates as this does where shifts are at most MOST_SHIFT and rows have at
    // most 32768 terms, so sums are below 2^29: 2^29 >> 22 is more than an output.
    MOST_BIAS = 1 << 30,
    MOST_SHIFT = 22,
};

static inline int32_t is_bias_small(const int32_t *d) {
    return d[BIAS] == 0 || d[FORWARD_SHIFT] <= MOST_SHIFT;
}

// bias: those of the layer, nothing to read where it has none.
static inline int32_t sum_start(const int32_t *bias, int32_t row, const int32_t *d) {
    return (1 << d[FORWARD_SHIFT] >> 1) + (d[BIAS] == 0 ? 0 : smaller(bias[row], MOST_BIAS));
}

#endif
