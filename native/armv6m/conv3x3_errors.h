// What C hands to conv3x3_list.h, conv3x3_gradient.S and conv3x3_gather.S, which know the offsets
// of the fields.

#ifndef PRIOT_CONV3X3_ERRORS_H
#define PRIOT_CONV3X3_ERRORS_H

#include "kernels.h"

// A row of three taps, each of two channels.
struct conv3x3_taps {
    const uint32_t *inputs; // [y][x] with borders, two channels a word: under the row
    int32_t *low; // where dW of the low lanes goes: three words, 8 bytes apart
    int32_t *high;
};

// dW of some rows of taps, two by two, from a list of errors.
struct conv3x3_gradient_job {
    const int32_t *list; // pairs (error, 4 * position), at least one, then the pair (keep, -1):
                         // keep 0: dW is stored, else added to what is there
    const struct conv3x3_taps *taps; // an even number, then NULL
};

// The errors of a filter. Positions are those of the kernel's upper left corner in the image
// with its borders.
struct conv3x3_errors {
    int32_t *list; // written
    const int8_t *g; // of the next filter
    const uint8_t *argmax; // of the next filter; something to read where there is no pooling
    int32_t argmax_bytes; // of a filter; 0 where there is no pooling
    int32_t outputs; // of a filter
    const uint16_t *positions_end; // of the outputs, of the upper left winner of a window
    int32_t lower; // bytes from the upper winner of a window to the lower; 0 without pooling
    int32_t right; // bytes from the left winner of a window to the right; 0 without pooling
    // conv3x3_link
    uint32_t *buckets; // of position 0
    int32_t bound; // of |w|
    const uint32_t *weights; // of the filter
    // conv3x3_list
    int32_t limit; // of the sum of the errors of one sign
    struct conv3x3_gradient_job gradient;
};

// dX of up to eight channels behind a ReLU for neighbouring inputs.
struct conv3x3_gather_job {
    int32_t channels;
    const int8_t *x; // of the first channel; moves along with dx and buckets
    int32_t size; // bytes between two channels
    int8_t *dx; // zeros
    int32_t half; // 2^(shift - 1), or 0
    int32_t shift;
    const uint32_t *buckets; // of the upper left of nine positions
    int32_t row_step; // bytes from behind three buckets to those one row below
    uint32_t limit; // of the sum of bounds
    const int8_t **too_large; // x of the inputs above the limit are listed here
    int32_t left; // inputs, at least 1; counted down
    // NULL: dx is what the errors listed add up to. Else `limit` is 0, and they are added to eight
    // sums of each input; lists above LANE_LIMIT are not. Less 32 * x, the address of the input.
    uintptr_t sums;
};

// conv3x3_gradient.S
int32_t *conv3x3_list(struct conv3x3_errors *v);
void conv3x3_gradient(const struct conv3x3_gradient_job *job);
uint32_t *conv3x3_pack_pair(uint32_t *to, const int8_t *a_end, const int8_t *b_end,
    int32_t minus_n, int32_t is_signed);

// conv3x3_gather.S
int32_t *conv3x3_link(struct conv3x3_errors *v);
void conv3x3_gather(struct conv3x3_gather_job *job);
void conv3x3_sum_pair(const uint32_t *bucket, int32_t row_step, int32_t offset,
    int32_t sums[2]);
uint32_t conv3x3_pack_taps(uint32_t *to, const uint8_t *w, int32_t second, uint32_t largest);

// Positions, and behind them a list of so many words, both in scratch.
static inline int32_t conv3x3_errors_words(int32_t words, const int32_t *d) {
    return ((d[H_OUT] * d[W_OUT] + 1) >> 1) + words;
}

// conv3x3_errors.c: writes the positions. position_bytes: of what the errors are used with, 4 for
// conv3x3_list, 8 for conv3x3_link.
void conv3x3_errors_prepare(struct conv3x3_errors *v, int32_t *scratch, const int8_t *g,
    const uint8_t *argmax, int32_t position_bytes, const int32_t *d);

#endif
