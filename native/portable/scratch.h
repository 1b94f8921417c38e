// How the portable kernels divide the shared scratch, in int32 words.

#ifndef PRIOT_SCRATCH_H
#define PRIOT_SCRATCH_H

#include <stdbool.h>

#include "channels_last.h"
#include "kernels.h"
#include "loops.h"
#include "rounding.h"

enum {
    HISTOGRAM_WORDS = 256,
    KTH_WORDS = 512, // of kth_largest, on any processor: a histogram for each of two cores
    SUMS_WORDS = 4096,
    BAND_BYTES = 4096,
};

// conv2d_backward adds up several channels at once up to this size.
static inline int32_t most_sums(const int32_t *d) {
    return d[LOW_MEMORY] != 0 ? 0 : SUMS_WORDS;
}

// words that hold this many bytes
static inline int32_t words_of(int32_t n_bytes) {
    return (n_bytes + 3) >> 2;
}

// An image with its zero borders.
static inline int32_t padded_width(const int32_t *d) {
    return d[W_IN] + d[PAD_LEFT] + d[PAD_RIGHT];
}

static inline int32_t padded_height(const int32_t *d) {
    return d[H_IN] + d[PAD_TOP] + d[PAD_BOTTOM];
}

static inline int32_t padded_plane(const int32_t *d) {
    return padded_height(d) * padded_width(d);
}

// where the image begins in its padded plane
static inline int32_t padded_start(const int32_t *d) {
    return d[PAD_TOP] * padded_width(d) + d[PAD_LEFT];
}

// Without padding kernels read the image itself, elsewhere copies of parts with zero borders.
static inline bool is_padded(const int32_t *d) {
    return (d[PAD_TOP] | d[PAD_BOTTOM] | d[PAD_LEFT] | d[PAD_RIGHT]) != 0;
}

// Copies rows first .. first + rows - 1 of the padded planes of some channels of x.
void copy_padded(int8_t *copy, const int8_t *x, int32_t channels, int32_t first, int32_t rows,
    const int32_t *d);

// Rows of the padded image under so many rows of outputs.
static inline int32_t rows_under(int32_t outputs, const int32_t *d) {
    return ((outputs - 1) * d[POOL_STRIDE_H] + d[POOL_H] - 1) * d[STRIDE_H] + d[KERNEL_H];
}

// Rows of outputs that conv2d_forward computes from one copy, and the bytes of that. Rows where
// two copies meet are copied twice, which is little beside the products of all filters.
static inline int32_t band_rows(const int32_t *d) {
    int32_t row = d[GROUP_IN] * padded_width(d), rows = 1;
    int32_t most = d[LOW_MEMORY] != 0 ? 0 : BAND_BYTES;
    if (!is_padded(d)) {
        return d[H_OUT];
    }
    while (rows < d[H_OUT] && row * rows_under(rows + 1, d) <= most) {
        rows++;
    }
    return rows;
}

static inline int32_t band_bytes(const int32_t *d) {
    return is_padded(d) ? d[GROUP_IN] * padded_width(d) * rows_under(band_rows(d), d) : 0;
}

// Channels that conv2d_update copies at once: those of a group, or one, again for each filter.
static inline int32_t update_channels(const int32_t *d) {
    return d[LOW_MEMORY] != 0 ? 1 : d[GROUP_IN];
}

// Channels of dx that conv2d_backward adds up at once, and the room that they take.
static inline int32_t channels_at_once(const int32_t *d) {
    int32_t plane = padded_plane(d);
    int32_t channels = 1;
    int32_t words = 2 * plane;
    while (channels < d[GROUP_IN] && words <= most_sums(d)) {
        channels++;
        words += plane;
    }
    return channels;
}

static inline int32_t sums_words(const int32_t *d) {
    int32_t plane = padded_plane(d);
    return smaller(d[GROUP_IN] * plane, larger(plane, most_sums(d)));
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

// ---- what the kernels of a layer need; training as in device/DESIGN.md ----------------------

// conv2d_forward: patches
static inline int32_t patches_words(const int32_t *d) {
    int32_t n = patch_elements(smaller(d[N_ROW], PATCH_LENGTH));
    return words_of(4 * n * (int32_t)sizeof(patch_t));
}

// conv2d_forward: accumulators and the largest of a window, for each filter of a group
static inline int32_t accumulators_words(const int32_t *d) {
    return 6 * d[GROUP_OUT];
}

// Rows at the end of a group's part of w beyond which dot_rows would read out of that.
static inline int32_t tail_rows(int32_t rows, const int32_t *d) {
    int32_t n = 0;
    for (int32_t bytes = PATCH_STEP - 1; bytes > 0 && n < rows; bytes -= d[N_ROW]) {
        n++;
    }
    return n;
}

static inline int32_t tail_words(const int32_t *d) {
    return words_of(tail_rows(d[GROUP_OUT], d) * d[N_ROW] + PATCH_STEP - 1);
}

// conv2d_update: the image and a filter's gradient with channels last
static inline int32_t weights_last_words(const int32_t *d) {
    return words_of(2 * d[GROUP_IN] * padded_plane(d)) + d[N_ROW];
}

// conv2d_backward: sums, and with channels last a row of them and a filter
static inline int32_t inputs_words(const int32_t *d) {
    return has_channels_last(d)
        ? d[GROUP_IN] * padded_plane(d) + d[W_IN] + words_of(2 * d[N_ROW]) : sums_words(d);
}

static inline int32_t conv2d_scratch_words(int32_t training, const int32_t *d) {
    int32_t outputs = d[H_OUT] * d[W_OUT] + 1;
    int32_t words = accumulators_words(d) + patches_words(d) + tail_words(d)
        + words_of(band_bytes(d)); // forward
    if (training == 2 || (training != 0 && d[RULE] != FROZEN)) {
        int32_t padded = is_padded(d) ? update_channels(d) * padded_plane(d) : 0;
        int32_t image = has_channels_last(d) ? weights_last_words(d) : words_of(padded);
        words = larger(words, outputs + d[N_ROW] + image); // update
    }
    if (training == 1) {
        words = larger(words, outputs + inputs_words(d)); // backward
    }
    return words;
}

static inline int32_t linear_scratch_words(int32_t training, const int32_t *d) {
    if (training != 0) {
        return d[N_IN]; // backward: sums; update: x as int32; forward: half of that
    }
    return PRIOT_VECTORS ? words_of(2 * d[N_IN]) : 0;
}

#endif
