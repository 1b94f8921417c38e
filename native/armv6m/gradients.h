// What C hands to gradients.S, which knows the offsets of the fields.

#ifndef PRIOT_GRADIENTS_H
#define PRIOT_GRADIENTS_H

#include <stdint.h>

struct gradient_job {
    int32_t half; // 2^(shift - 1), or 0
    int32_t cut; // dx stays 0 where x <= cut
    int32_t stride; // bytes between two values
    int32_t shift;
    int32_t bias; // the last two for lanes only
    int32_t left;
};

void gradients_of_sums(int8_t *dx_end, const int8_t *x_end, const uint32_t *from,
    int32_t minus_n, const struct gradient_job *job);
void gradients_of_lanes(int8_t *dx_end, const int8_t *x_end, const uint32_t *from,
    int32_t minus_n, const struct gradient_job *job);

static inline void gradients_prepare(struct gradient_job *job, const int32_t *d) {
    job->shift = d[BACKWARD_SHIFT];
    job->half = 1 << job->shift >> 1;
    job->cut = d[X_RELU] != 0 ? 0 : -129;
}

// n values of dx from n sums, one behind the other.
void put_sums(int8_t *dx, const int8_t *x, const int32_t *sums, int32_t n, const int32_t *d);

#endif
