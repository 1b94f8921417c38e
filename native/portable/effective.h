// Which edges of a layer are trained, and what a score makes of a weight.

#ifndef PRIOT_EFFECTIVE_H
#define PRIOT_EFFECTIVE_H

#include <stdbool.h>

#include "kernels.h"
#include "rounding.h"

// what the rows of one layer share
typedef struct {
    const int32_t *d;
    uint8_t *scores;
    uint8_t *scores_end;
    uint8_t *weff; // NULL where the caller keeps none
    uint8_t *w; // written by WEIGHTS and WIDE
    const uint32_t *select;
    int32_t shift; // of the update; dW was shifted before where there are many positions
} layer_t;

// Whether scores make effective weights of weights, and move by dW * w.
static inline bool has_factors(const int32_t *d) {
    return d[RULE] == PRUNE || d[RULE] == GAIN;
}

// Those of WIDE are the lower bytes of the weights.
static inline bool has_scores(const int32_t *d) {
    return has_factors(d) || d[RULE] == WIDE;
}

// The effective weight of an edge with a score; all three are offset bytes.
static inline int32_t effective(int32_t w, int32_t score, const int32_t *d) {
    if (d[RULE] == PRUNE) {
        return score >= d[THRESHOLD] ? w : 128;
    }
    return clamp(((w - 128) * (score - 64) + 32) >> 6, -127, 127) + 128; // 64 + S = score - 64
}

// Whether an edge is trained where not all are.
static inline bool is_selected(int32_t w, int32_t edge, const layer_t *layer) {
    const int32_t *d = layer->d;
    if (d[SELECTION] == LARGEST) {
        return absolute(w - 128) >= d[TAU];
    }
    const uint8_t *bitmap = (const uint8_t *)(layer->select + d[N_OUT]);
    return bitmap[edge >> 3] >> (edge & 7) & 1;
}

// Scores of the rows before, where not all edges have one; at most n, whatever `select` holds.
static inline uint32_t scores_before(const uint32_t *select, int32_t row, uint32_t n) {
    return select[row] < n ? select[row] : n;
}

// First score of a row; never beyond the end, whatever `select` holds.
uint8_t *row_scores(const layer_t *layer, int32_t row);

// Effective weights of some rows: weff holds these.
void effective_rows(uint8_t *weff, const layer_t *layer, int32_t row, int32_t rows);

#endif
