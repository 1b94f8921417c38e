// Effective weights: what the scores make of a layer's weights; how many scores prune.

#include "effective.h"
#include "loops.h"

uint8_t *row_scores(const layer_t *layer, int32_t row) {
    const int32_t *d = layer->d;
    uint32_t n = (uint32_t)(layer->scores_end - layer->scores);
    uint32_t first = 0;
    if (has_scores(d)) {
        first = d[SELECTION] == ALL ? (uint32_t)smaller(row * d[N_ROW], (int32_t)n)
            : scores_before(layer->select, row, n);
    }
    return layer->scores + first;
}

enum {
    LANES = 0x00ff00ff, // every other byte of a word, with room for a carry above each
    CARRIES = 0x01000100,
    PRUNED = 0x80808080, // four weights of 0
};

// Bytes 0xff where a byte of `lanes` reaches the threshold: 256 - it, in each lane, then carries.
static uint32_t reaches(uint32_t lanes, uint32_t to_carry) {
    return (lanes + to_carry) & CARRIES;
}

// 7 cycles an edge on the Cortex-M0+, where the layout "small" does this before each use: four
// edges at a time where everything is aligned. Elsewhere the compiler's vectors do it.
static void prune_all(uint8_t *weff, const uint8_t *w, const uint8_t *scores, int32_t n,
    int32_t threshold) {
    const uint8_t *end = scores + n;
    if (!PRIOT_VECTORS && (((uintptr_t)weff | (uintptr_t)w | (uintptr_t)scores) & 3) == 0
        && threshold >= 0 && threshold <= 256) {
        uint32_t to_carry = (uint32_t)(256 - threshold) * 0x10001;
        for (; end - scores >= 4; scores += 4, w += 4, weff += 4) {
            uint32_t four = *(const uint32_t *)scores;
            uint32_t even = reaches(four & LANES, to_carry);
            uint32_t odd = reaches((four >> 8) & LANES, to_carry);
            uint32_t kept = (even - (even >> 8)) | ((odd << 8) - odd);
            *(uint32_t *)weff = PRUNED ^ ((*(const uint32_t *)w ^ PRUNED) & kept);
        }
    }
    while (scores != end) {
        uint8_t v = *w++;
        *weff++ = *scores++ >= threshold ? v : 128;
    }
}

void effective_rows(uint8_t *weff, const layer_t *layer, int32_t row, int32_t rows) {
    const int32_t *d = layer->d;
    int32_t edge = row * d[N_ROW], end = edge + rows * d[N_ROW];
    const uint8_t *score = row_scores(layer, row);
    bool scored = has_factors(d), every = d[SELECTION] == ALL;
    if (every && d[RULE] == PRUNE) {
        prune_all(weff, layer->w + edge, score, end - edge, d[THRESHOLD]);
        return;
    }
    for (; edge < end; edge++) {
        int32_t v = layer->w[edge];
        if (scored && (every || is_selected(v, edge, layer)) && score != layer->scores_end) {
            v = effective(v, *score++, d);
        }
        *weff++ = v;
    }
}

int32_t effective_weights(uint8_t *weff, const uint8_t *w, const uint8_t *scores,
    int32_t n_scores, const uint32_t *select, const int32_t *d) {
    layer_t layer = { d, (uint8_t *)scores, (uint8_t *)scores + n_scores, weff, (uint8_t *)w,
                      select, 0 };
    effective_rows(weff, &layer, d[ROW], d[ROWS]);
    return 0;
}

int32_t count_below(const void *values, int32_t n, int32_t threshold) {
    const uint8_t *scores = values;
    int32_t count = 0;
    for (; n != 0; n--) {
        count += *scores++ < threshold;
    }
    return count;
}
