// How conv3x3_update.c divides its scratch, in words.

#ifndef PRIOT_CONV3X3_UPDATE_H
#define PRIOT_CONV3X3_UPDATE_H

#include "conv3x3_errors.h"
#include "crew.h"
#include "kernels.h"
#include "scratch.h"
#include "update.h"

enum {
    SPARE_WORDS = 6, // dW of a row or channel that is not there
    TAPS_WORDS = 3, // a struct conv3x3_taps
};

// Channels are packed two by two.
static inline int32_t conv3x3_pairs(const int32_t *d) {
    return (d[N_IN] + 1) >> 1;
}

static inline int32_t conv3x3_pairs_words(const int32_t *d) {
    return conv3x3_pairs(d) * padded_plane(d);
}

static inline int32_t conv3x3_taps_words(const int32_t *d) {
    return TAPS_WORDS * (3 * conv3x3_pairs(d) + 1) + 1;
}

static inline int32_t conv3x3_filter_errors_words(const int32_t *d) {
    return conv3x3_errors_words(2 * (d[H_OUT] * d[W_OUT] + 1), d);
}

// Each core's own: rows of taps, the errors of a filter, the list for update_rows.S, spare words,
// and what select.c needs.
static inline int32_t conv3x3_gradient_words(const int32_t *d) {
    return conv3x3_taps_words(d) + conv3x3_filter_errors_words(d) + 2 * d[N_ROW] + LIST_PADDING
        + SPARE_WORDS + selection_words(d);
}

// All that, packed inputs, and a row of weff where that is not kept.
static inline int32_t conv3x3_update_words(const int32_t *d) {
    return conv3x3_pairs_words(d) + words_of(d[N_ROW]) + CREW * conv3x3_gradient_words(d);
}

#endif
