// How the portable kernels divide the shared scratch, in int32 words.

#ifndef PRIOT_SCRATCH_H
#define PRIOT_SCRATCH_H

#include "kernels.h"
#include "rounding.h"

enum {
    HISTOGRAM_WORDS = 256,
    SUMS_WORDS = 4096,
};

// conv2d_backward_input adds up several channels at once up to this size.
static inline int32_t most_sums(const int32_t *d) {
    return d[LOW_MEMORY] != 0 ? 0 : SUMS_WORDS;
}

// words that hold this many bytes
static inline int32_t words_of(int32_t n_bytes) {
    return (n_bytes + 3) >> 2;
}

// An image with its zero border, PADDING wide.
static inline int32_t padded_width(const int32_t *d) {
    return d[W_IN] + 2 * d[PADDING];
}

static inline int32_t padded_plane(const int32_t *d) {
    return (d[H_IN] + 2 * d[PADDING]) * padded_width(d);
}

// bytes of the copy with borders; without padding the image itself is used
static inline int32_t padded_bytes(const int32_t *d) {
    return d[PADDING] == 0 ? 0 : d[N_IN] * padded_plane(d);
}

// x with zero borders: x itself or a copy in `copy`
const int8_t *padded_image(int8_t *copy, const int8_t *x, const int32_t *d);

// Channels of dx that conv2d_backward_input adds up at once, and the room that they take.
static inline int32_t channels_at_once(const int32_t *d) {
    int32_t plane = padded_plane(d);
    int32_t channels = 1;
    int32_t words = 2 * plane;
    while (channels < d[N_IN] && words <= most_sums(d)) {
        channels++;
        words += plane;
    }
    return channels;
}

static inline int32_t sums_words(const int32_t *d) {
    int32_t plane = padded_plane(d);
    return smaller(d[N_IN] * plane, larger(plane, most_sums(d)));
}

// The errors of one filter that are not 0, as words (position << 8) | (error & 255) where
// position is that of the kernel's top left corner in the padded plane; a 0 ends the list.
// Returns their number; list has room for H_OUT * W_OUT + 1 words. g and argmax are those of
// the filter.
int32_t list_errors(int32_t *list, const int8_t *g, const uint8_t *argmax, const int32_t *d);

static inline int32_t channel_argmax_bytes(const int32_t *d) {
    return (d[H_OUT] * d[W_OUT] * d[ARGMAX_BITS] + 7) >> 3;
}

// The k-th largest of the bytes that a histogram counts, 0 where there are fewer.
static inline int32_t kth_of(const int32_t histogram[HISTOGRAM_WORDS], int32_t k) {
    int32_t value = HISTOGRAM_WORDS - 1;
    while (value > 0 && k > histogram[value]) {
        k -= histogram[value];
        value--;
    }
    return value;
}

// What MEASURE finds in n accumulators `step` apart: the largest, a ReLU cuts negative ones.
static inline int32_t measured(const int32_t *acc, int32_t step, int32_t n, const int32_t *d) {
    int32_t largest = 0;
    for (; n != 0; n--) {
        largest = larger(largest, d[RELU] != 0 ? *acc : absolute(*acc));
        acc += step;
    }
    return largest;
}

int32_t conv2d_scratch_words(int32_t training, const int32_t *d);
int32_t linear_scratch_words(int32_t training, const int32_t *d);

#endif
