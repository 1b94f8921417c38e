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
    MOST_LISTED = 4096, // words for errors and weights of the filters that are listed at once
};

// Filters whose errors are listed at once: where those are not all, sums of int32 lie between.
static inline int32_t conv3x3_listed(const int32_t *d) {
    int32_t n = d[N_OUT];
    while (n > 8 && n * (ERROR_WORDS * d[H_OUT] * d[W_OUT] + 9 * TAP_WORDS) > MOST_LISTED) {
        n = (n + 1) >> 1;
    }
    return n;
}

static inline int32_t conv3x3_buckets_words(const int32_t *d) {
    return BUCKET_WORDS * (padded_plane(d) + 2 * padded_width(d) + 3);
}

// The following are of so many listed filters.
static inline int32_t conv3x3_chains_words(int32_t listed, const int32_t *d) {
    return conv3x3_errors_words(ERROR_WORDS * listed * d[H_OUT] * d[W_OUT], d);
}

static inline int32_t conv3x3_filters_words(int32_t listed) {
    return listed * 9 * TAP_WORDS;
}

static inline int32_t conv3x3_sums_words(int32_t listed, const int32_t *d) {
    return listed < d[N_OUT] ? 2 * TAP_WORDS * d[H_IN] * d[W_IN] : 0;
}

// Those, a bound of each filter's weights, and the list of inputs whose lanes may have overflowed.
static inline int32_t conv3x3_backward_words(const int32_t *d) {
    int32_t listed = conv3x3_listed(d);
    return conv3x3_buckets_words(d) + conv3x3_chains_words(listed, d)
        + conv3x3_filters_words(listed) + listed + d[H_IN] * d[W_IN]
        + conv3x3_sums_words(listed, d);
}

#endif
