// How depthwise.c divides its scratch, in words, and what it hands to depthwise_blocks.S and
// depthwise_rows.S, which know the offsets of the fields.

#ifndef PRIOT_DEPTHWISE_H
#define PRIOT_DEPTHWISE_H

#include "crew.h"
#include "kernels.h"
#include "scratch.h"

// Stride 1: a channel in blocks of two rows and two columns of outputs, the last of a row may have
// one. For each row of blocks the
// packed inputs are two rows of `width` words: phase 1, phase 2 (conv3x3_blocks.S).
// Stride 2: a channel in blocks of four columns; inputs are bytes, with borders.
typedef struct {
    int32_t rows; // of blocks
    int32_t columns; // of blocks
    int32_t width; // of a row of inputs, in words
    int32_t outputs; // of whole blocks
} depthwise_geometry;

static inline depthwise_geometry depthwise_geometry_of(const int32_t *d) {
    depthwise_geometry v;
    int32_t is_strided = d[STRIDE_H] == 2;
    v.rows = is_strided ? d[H_OUT] : (d[H_OUT] + 1) >> 1;
    v.columns = is_strided ? (d[W_OUT] + 3) >> 2 : (d[W_OUT] + 1) >> 1;
    v.width = is_strided ? 2 * v.columns + 1 : 2 * v.columns + 2;
    v.outputs = 4 * v.rows * v.columns;
    return v;
}

// Rows of inputs. Stride 1: two for each row of blocks, and one above and one below that take what
// no block reads.
static inline int32_t depthwise_rows(const depthwise_geometry *v, const int32_t *d) {
    return 2 * v->rows + (d[STRIDE_H] == 2 ? 1 : 2);
}

// Those, the packed weights of a filter; stride 2: a byte per output of whole blocks.
static inline int32_t depthwise_core_words(const int32_t *d) {
    depthwise_geometry v = depthwise_geometry_of(d);
    return depthwise_rows(&v, d) * v.width + 12 + (d[STRIDE_H] == 2 ? words_of(v.outputs) : 0);
}

// Images so large that a channel takes 10 kB are done by one core.
static inline int32_t depthwise_cores(const int32_t *d) {
    return depthwise_core_words(d) <= 2560 && d[LOW_MEMORY] == 0 ? CREW : 1;
}

// Of each core, and a row of zeros.
static inline int32_t depthwise_forward_words(const int32_t *d) {
    return depthwise_cores(d) * depthwise_core_words(d) + words_of(d[W_IN]);
}

struct depthwise_job {
    int32_t shift; // four words, loaded together
    int32_t low; // outputs are clamped to low..high
    int32_t high;
    int32_t lower; // bytes from an output to the one below, a row of outputs
    int8_t *y; // of the next block
    int32_t rounding; // what the sums start from
    int32_t back; // bytes from behind a block's last input to the next block
    int32_t left; // blocks of this row, counted down
    int32_t columns; // of whole blocks
    int32_t rows; // of blocks; counted down
    int32_t row_step; // bytes from behind the last whole block of a row to the next row
    int32_t phase_step; // bytes from behind four columns to the same of phase 2; a row of inputs
    const uint32_t *weights;
    const uint32_t *inputs;
    int32_t is_exact; // 1: lanes are read out behind every MULS
    int32_t is_odd; // 1: half a block ends a row, for depthwise_blocks
    int32_t last_lower; // `lower` of the last row of blocks
};

// A channel of the image, which depthwise_pack packs: pairs of rows, each as phase 2 of the row of
// blocks above it and behind that as phase 1 of the one below.
struct depthwise_pack {
    uint32_t *lower; // where the first pair goes, by its columns
    uint32_t *upper;
    const int8_t *a; // end of the upper row of the pair
    int32_t left; // pairs, counted down
    int32_t minus_n; // columns
    uint32_t zero; // what two zeros become
    const int8_t *first; // end of the first row of the image
    uint32_t size; // bytes of a channel
    int32_t step; // bytes from behind a row's columns to the next but one
    int32_t w_in;
    const int8_t *zeros; // end of a row of them
};

// depthwise_blocks.S
void depthwise_pack(const struct depthwise_pack *job);
void depthwise_blocks(struct depthwise_job *job);
// depthwise_rows.S
void depthwise_strided(struct depthwise_job *job);

#endif
