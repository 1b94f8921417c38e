// What linear.c hands to linear_rows.S and linear_columns.S, which know the offsets of the
// fields.

#ifndef PRIOT_ARMV6M_LINEAR_H
#define PRIOT_ARMV6M_LINEAR_H

#include "kernels.h"

struct linear_rows_job {
    int32_t shift;
    int32_t low; // outputs are clamped to low..127
    int32_t rounding; // added to a row's sum before the shift
    int8_t *y;
    int32_t rows; // linear_rows counts it down
    const uint32_t *x; // two words for four inputs
    const uint32_t *x_end;
    const uint8_t *w; // aligned to 4
    int32_t n_in; // a multiple of 4
};

// Columns go by quads of four, an even number of these; each has four sums, one behind the other.
struct columns_job {
    const uint16_t *quads; // first column of each
    const int32_t *lists; // each: its end, -128 * 0x10001 * sum of the errors, pairs (address of a
                          // row's weights, error); behind the last 0
    int32_t is_first; // 1: there are no sums yet
    const uint16_t *quads_end;
    int32_t *sums;
    int32_t half; // 2^(shift - 1), or 0
    int32_t cut; // dx stays 0 where x <= cut
    int32_t shift;
};

enum {
    // rows at once, each perhaps a list of four words; they are listed behind half of that
    ROWS_AT_ONCE = 127,
    LISTS_WORDS = 516, // >= 4 * ROWS_AT_ONCE + LIST_PADDING
};

// Four sums for the quad that makes the number even.
static inline int32_t linear_sums_words(const int32_t *d) {
    return d[N_IN] + 4;
}

static inline int32_t linear_quads_words(const int32_t *d) {
    return (d[N_IN] >> 3) + 1;
}

static inline int32_t linear_forward_words(const int32_t *d) {
    return d[N_IN] >> 1;
}

static inline int32_t linear_backward_words(const int32_t *d) {
    return linear_sums_words(d) + linear_quads_words(d) + LISTS_WORDS;
}

void linear_rows(struct linear_rows_job *job);
void linear_columns(const struct columns_job *job);
void linear_gradient(int8_t *dx, const int8_t *x, const struct columns_job *job);

#endif
