// What linear.c hands to linear_rows.S, linear_columns.S and linear_gradient.S, which know the
// offsets of the fields.

#ifndef PRIOT_ARMV6M_LINEAR_H
#define PRIOT_ARMV6M_LINEAR_H

#include <stdint.h>

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

struct gradient_job {
    int32_t half; // 2^(shift - 1), or 0
    int32_t cut; // dx stays 0 where x <= cut
    int32_t shift;
};

void linear_rows(struct linear_rows_job *job);
void linear_columns(int32_t *sums, const uint8_t *w, const int32_t *list,
    const int32_t *list_end, int32_t n_in, uint32_t start, int32_t is_first);
void gradients_of_sums(int8_t *dx_end, const int8_t *x_end, const int32_t *sums,
    int32_t minus_n, const struct gradient_job *job);

#endif
