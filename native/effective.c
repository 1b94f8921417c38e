// Effective weights: what the scores make of a layer's weights; how many scores prune.

#include "effective.h"
#include "rounding.h"

int32_t effective(int32_t w, int32_t score, const int32_t *d) {
    if (d[RULE] == PRUNE) {
        return score >= d[THRESHOLD] ? w : 128;
    }
    return clamp(((w - 128) * (score - 64) + 32) >> 6, -127, 127) + 128; // 64 + S = score - 64
}

int32_t is_selected(int32_t w, int32_t edge, const layer_t *layer) {
    const int32_t *d = layer->d;
    if (d[SELECTION] == LARGEST) {
        return absolute(w - 128) >= d[TAU];
    }
    const uint8_t *bitmap = (const uint8_t *)(layer->select + d[N_OUT]);
    return bitmap[edge >> 3] >> (edge & 7) & 1;
}

uint8_t *row_scores(const layer_t *layer, int32_t row) {
    const int32_t *d = layer->d;
    uint32_t n = (uint32_t)(layer->scores_end - layer->scores);
    uint32_t first = 0;
    if (has_scores(d)) {
        first = d[SELECTION] == ALL ? (uint32_t)(row * d[N_ROW]) : layer->select[row];
    }
    return layer->scores + (first < n ? first : n);
}

int32_t effective_weights(uint8_t *weff, const uint8_t *w, const uint8_t *scores,
    int32_t n_scores, const uint32_t *select, const int32_t *d) {
    layer_t layer = { d, (uint8_t *)scores, (uint8_t *)scores + n_scores, weff, (uint8_t *)w,
                      select };
    int32_t edge = d[ROW] * d[N_ROW];
    const uint8_t *score = row_scores(&layer, d[ROW]);
    for (int32_t n = d[ROWS] * d[N_ROW]; n != 0; n--) {
        int32_t v = w[edge];
        if (has_scores(d) && (d[SELECTION] == ALL || is_selected(v, edge, &layer))
            && score != layer.scores_end) {
            v = effective(v, *score++, d);
        }
        *weff++ = v;
        edge++;
    }
    return 0;
}

int32_t count_below(const uint8_t *scores, int32_t n, const int32_t *d) {
    int32_t threshold = d[THRESHOLD];
    int32_t count = 0;
    for (; n != 0; n--) {
        count += *scores++ < threshold;
    }
    return count;
}
