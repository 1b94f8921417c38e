// What the files of the 3x3 convolution hand to each other; the assembly knows the offsets of
// the fields of a job.

#ifndef PRIOT_CONV3X3_H
#define PRIOT_CONV3X3_H

#include "crew.h"
#include "kernels.h"
#include "scratch.h"

enum {
    BAND_WORDS = 5120, // of packed inputs: an image of more is done in bands
    BAND_WORDS_LOW = 2560, // the same with LOW_MEMORY
};

// Blocks of 2x2 outputs, a band of the image's at a time. For each row of blocks the packed inputs
// are, where the number of channels is odd, two rows of `width` words of the first channel, phase 1
// and phase 2 (conv3x3_blocks.S), then for each pair of channels four: phase 1 of both, phase 2 of
// both.
typedef struct {
    int32_t rows; // of blocks, of a band; the last may have less
    int32_t columns; // of blocks
    int32_t width; // words in a row of packed inputs
    int32_t row_words; // of packed inputs for a row of blocks
    int32_t outputs; // of a filter and a band: of whole blocks
} conv3x3_geometry;

// Rows of blocks of the image.
static inline int32_t conv3x3_rows(const int32_t *d) {
    return d[POOL_H] == 2 ? d[H_OUT] : (d[H_OUT] + 1) >> 1;
}

static inline void conv3x3_set_rows(conv3x3_geometry *v, int32_t rows, const int32_t *d) {
    v->rows = rows;
    v->outputs = rows * v->columns << (d[POOL_H] == 2 ? 0 : 2);
}

// A band is the whole image, or halves of it, or halves of those. The winners of each begin at a
// byte. In plan.c, once for both who ask: 60 bytes less.
conv3x3_geometry conv3x3_geometry_of(const int32_t *d);

// The packed inputs, then a row that takes what no block reads, then a row of zeros.
static inline int32_t conv3x3_inputs_words(const conv3x3_geometry *v, const int32_t *d) {
    return v->rows * v->row_words + v->width + words_of(d[W_IN]);
}

// For a single channel, the list of blocks of a band.
static inline int32_t conv3x3_list_words(const conv3x3_geometry *v, const int32_t *d) {
    return d[N_IN] == 1 ? 2 * v->rows * v->columns : 0;
}

// Each core's own: the packed weights of a filter, a byte per output of a band.
static inline int32_t conv3x3_filter_words(const conv3x3_geometry *v, const int32_t *d) {
    return 6 * (d[N_IN] + 1) + words_of(v->outputs);
}

static inline int32_t conv3x3_forward_words(const int32_t *d) {
    conv3x3_geometry v = conv3x3_geometry_of(d);
    return conv3x3_inputs_words(&v, d) + conv3x3_list_words(&v, d)
        + CREW * conv3x3_filter_words(&v, d);
}

enum { WALK_PAIRS, WALK_SINGLES, WALK_EXACT };

struct conv3x3_job {
    int32_t shift;
    int32_t low; // outputs are clamped to low..127
    int32_t to_winner; // pooled: winner's byte - output's byte; else the width of the output
    int8_t *y;
    const uint32_t *weights; // six words per channel
    int32_t rounding; // what the accumulators start from
    int32_t back; // bytes from behind a block's last input to the next block
    uintptr_t walk; // WALK_*; conv3x3_blocks overwrites it and `odd`
    int32_t left; // for conv3x3_blocks
    int32_t columns; // blocks in a row
    int32_t next_row; // bytes from behind a row's last block to the next row
    int32_t y_skip; // bytes of output between two rows of blocks
    int32_t rows; // of blocks; conv3x3_blocks counts it down
    int32_t step; // bytes from behind four columns to the next row of inputs
    const uint32_t *weights_end;
    const uint32_t *inputs;
    int32_t pool; // 1: maximum of a block, 0: all four outputs
    const uint32_t *list; // conv3x3_one_blocks: pairs (address of inputs, index of output)
    const uint32_t *list_end;
    uintptr_t odd; // 1: the first channel is not one of a pair
};

// conv3x3_blocks.S, conv3x3_one.S
void conv3x3_blocks(struct conv3x3_job *job);
void conv3x3_one_blocks(const struct conv3x3_job *job);

// conv3x3_words.S
void conv3x3_pack_rows(uint32_t *upper, uint32_t *lower, const int8_t *a_end,
    const int8_t *b_end, int32_t minus_n, uint32_t zero);
void conv3x3_pack_winners(uint8_t *argmax, const uint32_t *winners, int32_t n);
uint32_t *conv3x3_list_row(uint32_t *list, const uint32_t *upper, const uint32_t *lower,
    int32_t columns, uint32_t zero, uint32_t output, uint32_t step);

// conv3x3_weights.S
int32_t conv3x3_pack_weights(uint32_t *to, const uint8_t *w, int32_t n, int32_t lanes[2]);

// conv3x3_pack.c
void conv3x3_clear_zeros(uint32_t *inputs, const conv3x3_geometry *v, const int32_t *d);
void conv3x3_pack_inputs(uint32_t *inputs, const int8_t *x, uint32_t zero,
    const conv3x3_geometry *v, int32_t above, int32_t first, int32_t end, const int32_t *d);
uint32_t *conv3x3_list_blocks(uint32_t *list, const uint32_t *inputs, uint32_t zero,
    const conv3x3_geometry *v, int32_t first, int32_t end, const int32_t *d);

#endif
