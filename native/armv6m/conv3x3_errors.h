// What C hands to conv3x3_list.S, conv3x3_gradient.S and conv3x3_gather.S, which know the offsets
// of the fields.

#ifndef PRIOT_CONV3X3_ERRORS_H
#define PRIOT_CONV3X3_ERRORS_H

#include <stdint.h>

// The errors of one filter. Positions are those of the kernel's upper left corner in the image
// with its borders, in bytes of what the errors are used with: 4 per position for conv3x3_list,
// 8 for conv3x3_link.
struct conv3x3_errors {
    int32_t *list; // written
    const int8_t *g;
    const uint8_t *argmax; // NULL where there is no pooling
    const int8_t *g_end;
    int32_t columns; // of outputs
    int32_t skip; // from behind a row of outputs to the next
    int32_t step; // between two outputs
    int32_t below; // between two rows of positions
    uint32_t *buckets; // conv3x3_link: of position 0
    int32_t bound; // conv3x3_link: of |w|
    const uint32_t *weights; // conv3x3_link: of the filter
    int32_t sum; // conv3x3_list writes the sum of |error|
};

// Two rows of three taps, each of two channels.
struct conv3x3_pass {
    const uint32_t *inputs; // [y][x] with borders, two channels a word: under the first row
    int32_t to_second; // bytes from behind three of these to those under the second row
    int32_t *dw; // of the low lanes of the first row: three words, 8 bytes apart
    int32_t *dw_second;
};

// dW of some passes from a list of errors.
struct conv3x3_gradient_job {
    const struct conv3x3_pass *passes;
    const struct conv3x3_pass *passes_end;
    const int32_t *list;
    const int32_t *list_end;
    int32_t high; // bytes from dW of the low lanes to those of the high ones
    int32_t keep; // 0: store, 1: add to what is there
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
};

// conv3x3_list.S
int32_t *conv3x3_list(struct conv3x3_errors *v);
int32_t *conv3x3_link(struct conv3x3_errors *v);

// conv3x3_gradient.S
void conv3x3_gradient(const struct conv3x3_gradient_job *job);
void conv3x3_pack_pair(uint32_t *to, const int8_t *a_end, const int8_t *b_end,
    int32_t minus_n);

// conv3x3_gather.S
void conv3x3_gather(struct conv3x3_gather_job *job);
void conv3x3_sum_pair(const uint32_t *bucket, int32_t row_step, int32_t offset,
    int32_t sums[2]);
uint32_t conv3x3_pack_taps(uint32_t *to, const uint8_t *w, int32_t second, uint32_t largest);

// conv3x3_errors.c
void conv3x3_errors_prepare(struct conv3x3_errors *v, int32_t *list, int32_t position_bytes,
    const int32_t *d);
void conv3x3_errors_of(struct conv3x3_errors *v, const int8_t *g, const uint8_t *argmax,
    int32_t filter, const int32_t *d);

#endif
