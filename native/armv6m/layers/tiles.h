// How tiles.c divides its scratch, in words, and what it hands to tiles_lanes.S, which knows the offsets
// of the fields.

#ifndef PRIOT_TILES_H
#define PRIOT_TILES_H

#include "crew.h"
#include "kernels.h"
#include "scratch.h"

enum {
    TILE = 10, // positions of a tile
    TAP_WORDS = TILE / 2, // of a tile
};

// The filters of a call on one tile.
struct tiles_job {
    const uint32_t *inputs; // packed: five words a tap
    const struct tiles_filter *filters;
    const uint8_t *w; // of the first filter
    int8_t *y; // of the first filter
    int32_t low; // outputs are clamped to low..high
    int32_t y_step; // bytes from a filter's outputs to the next one's
    int32_t high;
    int32_t shift;
    const struct tiles_filter *filters_end;
};

struct tiles_filter {
    int32_t low_start; // what the sums of the low lanes start from
    int32_t high_start; // and of the high ones
    const uint8_t *segments; // taps of each, 1..255; then 0
};

// Bytes for the segments of a filter and their end; one that needs more takes the common list.
static inline int32_t tiles_segments(const int32_t *d) {
    return (d[N_ROW] >> 4) + 5;
}

// Of all filters, and for each core room to cut one of whatever weights.
static inline int32_t tiles_segments_words(const int32_t *d) {
    return words_of(d[N_OUT] * tiles_segments(d) + CREW * (d[N_ROW] + 1));
}

// The list for filters of the largest weights: two taps a segment where inputs are signed.
static inline int32_t tiles_common_words(const int32_t *d) {
    return words_of((d[N_ROW] >> 1) + 2);
}

// The image with its borders, of which neighbours share one: the right one of a row with the left
// one of the next, the bottom one of a channel with the top one of the next.
static inline int32_t tiles_width(const int32_t *d) {
    return d[W_IN] + larger(d[PAD_LEFT], d[PAD_RIGHT]);
}

static inline int32_t tiles_plane(const int32_t *d) {
    return (d[H_IN] + larger(d[PAD_TOP], d[PAD_BOTTOM])) * tiles_width(d);
}

static inline int32_t tiles_start(const int32_t *d) {
    return d[PAD_TOP] * tiles_width(d) + d[PAD_LEFT];
}

// Without borders the image itself is used.
static inline int32_t tiles_image_words(const int32_t *d) {
    return (d[PAD_TOP] | d[PAD_BOTTOM] | d[PAD_LEFT] | d[PAD_RIGHT]) == 0 ? 0
        : words_of(tiles_start(d) + d[N_IN] * tiles_plane(d));
}

// A tile of which there are not so many positions, for every filter.
static inline int32_t tiles_outputs_words(const int32_t *d) {
    return d[H_OUT] * d[W_OUT] < TILE ? words_of(TILE * d[N_OUT]) : 0;
}

static inline int32_t tiles_forward_words(const int32_t *d) {
    return tiles_image_words(d) + TAP_WORDS * d[N_ROW] + d[N_ROW] // tile, offsets of taps
        + 3 * d[N_OUT] + tiles_segments_words(d) + tiles_common_words(d)
        + tiles_outputs_words(d);
}

// tiles_lanes.S
void tiles_filters(const struct tiles_job *job);
int32_t tiles_cut(const uint8_t *w_end, int32_t n, uint8_t **to, int32_t limit);
void tiles_pack(uint32_t *to, const int8_t *a, const int8_t *b, const int32_t *offsets,
    const int32_t *offsets_end, uint32_t zero);
void tiles_pack_row(uint32_t *to, const int8_t *x, int32_t size, const int8_t *x_end,
    uint32_t zero);

#endif
