// How conv3x3_backward.c divides its scratch, in words.

#ifndef PRIOT_CONV3X3_BACKWARD_H
#define PRIOT_CONV3X3_BACKWARD_H

#include "conv3x3_errors.h"
#include "kernels.h"
#include "scratch.h"

enum {
    TAP_WORDS = 4, // of two channels each, per input and per tap
    BUCKET_WORDS = 2, // first error, bound
    ERROR_WORDS = 3, // error, weights of its filter, next error
};

static inline int32_t conv3x3_buckets_words(const int32_t *d) {
    return BUCKET_WORDS * (padded_plane(d) + 2 * padded_width(d) + 3);
}

static inline int32_t conv3x3_chains_words(const int32_t *d) {
    return conv3x3_errors_words(ERROR_WORDS * d[N_OUT] * d[H_OUT] * d[W_OUT], d);
}

static inline int32_t conv3x3_filters_words(const int32_t *d) {
    return d[N_OUT] * 9 * TAP_WORDS;
}

// Those, a bound of each filter's weights, and the list of inputs whose lanes may have overflowed.
static inline int32_t conv3x3_backward_words(const int32_t *d) {
    return conv3x3_buckets_words(d) + conv3x3_chains_words(d) + conv3x3_filters_words(d)
        + d[N_OUT] + d[H_IN] * d[W_IN];
}

#endif
