// Copies weights out of the flash word by word, then lets scores make effective ones of them.
//
// A line of the flash cache, two words, costs an RP2040 56 cycles where it was missed: the sums,
// by which a file that was replaced is noticed, are lost in that.

#include "flash_rows.h"
#include "effective.h"

typedef struct {
    const uint8_t *flash;
    const uint32_t *piece;
    uint32_t at; // bytes of the piece that are behind
} place_t;

static void skip(place_t *v, uint32_t n) {
    while (n != 0 && n >= v->piece[1] - v->at) {
        n -= v->piece[1] - v->at;
        v->piece += 2;
        v->at = 0;
    }
    v->at += n;
}

// The next n bytes.
static void copy(uint8_t *to, place_t *v, uint32_t n, uint32_t sums[2]) {
    uint32_t sum = sums[0], sum_of_sums = sums[1];
    uint32_t *word = (uint32_t *)to;
    while (n != 0) {
        uint32_t left = v->piece[1] - v->at, part = left < n ? left : n;
        const uint32_t *from = (const uint32_t *)(v->flash + v->piece[0] + v->at);
        const uint32_t *end = from + (part >> 2);
        for (; end - from >= 4; from += 4, word += 4) { // 7 cycles a word, a single one 11
            sum += word[0] = from[0];
            sum_of_sums += sum;
            sum += word[1] = from[1];
            sum_of_sums += sum;
            sum += word[2] = from[2];
            sum_of_sums += sum;
            sum += word[3] = from[3];
            sum_of_sums += sum;
        }
        while (from != end) {
            uint32_t value = *from++;
            *word++ = value;
            sum += value;
            sum_of_sums += sum;
        }
        n -= part;
        skip(v, part);
    }
    sums[0] = sum;
    sums[1] = sum_of_sums;
}

// What tells in a word of four weights that none has a score because none is large: two lanes of 16
// bits, of which bit 15 says a weight >= 128 + tau, or > 128 - tau.
typedef struct {
    uint32_t high;
    uint32_t low;
} bounds_t;

static bounds_t bounds_of(const int32_t *d) {
    bounds_t v;
    v.high = (0x8000 - 128 - (uint32_t)d[TAU]) * 0x10001;
    v.low = (0x8000 - 129 + (uint32_t)d[TAU]) * 0x10001;
    return v;
}

static inline bool all_are_small(uint32_t word, const bounds_t *v) {
    uint32_t even = word & 0xFF00FF, odd = word >> 8 & 0xFF00FF;
    uint32_t large = (even + v->high) | (odd + v->high), not_small = (even + v->low) & (odd + v->low);
    return ((large | ~not_small) & 0x80008000) == 0;
}

// Effective weights in the place of n weights, the first of which is `edge` of the layer; `score`
// is that of the first that has one. Returns the next.
static const uint8_t *apply_largest(uint8_t *w, int32_t n, const uint8_t *score,
    const flash_layer_t *v) {
    const int32_t *d = v->d;
    bounds_t bounds = bounds_of(d);
    uint32_t tau = (uint32_t)d[TAU], between = 2 * tau - 1;
    for (const uint8_t *end = w + n; w != end; w += 4) {
        if (all_are_small(*(const uint32_t *)w, &bounds)) {
            continue;
        }
        for (int32_t i = 0; i < 4; i++) {
            if (w[i] - 128u + tau - 1 >= between && score != v->scores_end) {
                w[i] = (uint8_t)effective(w[i], *score++, d);
            }
        }
    }
    return score;
}

static const uint8_t *apply(uint8_t *w, int32_t n, int32_t edge, const uint8_t *score,
    const flash_layer_t *v) {
    const int32_t *d = v->d;
    if (d[SELECTION] == LARGEST) {
        return apply_largest(w, n, score, v);
    }
    const uint8_t *end = w + n;
    const uint8_t *bitmap =
        d[SELECTION] == BITMAP ? (const uint8_t *)(v->select + d[N_OUT]) : NULL;
    for (; w != end; w++, edge++) {
        if (bitmap != NULL && (bitmap[edge >> 3] >> (edge & 7) & 1) == 0) {
            continue;
        }
        if (score == v->scores_end) {
            break;
        }
        *w = (uint8_t)effective(*w, *score++, d);
    }
    return score;
}

// How many of n weights have a score.
static int32_t count_scored(const uint8_t *w, int32_t n, int32_t edge, const flash_layer_t *v) {
    layer_t layer = { .d = v->d, .select = v->select };
    uint32_t tau = (uint32_t)v->d[TAU], between = 2 * tau - 1;
    int32_t count = 0;
    if (v->d[SELECTION] == LARGEST) { // as in `apply_largest`
        bounds_t bounds = bounds_of(v->d);
        for (const uint8_t *end = w + n; w != end; w += 4) {
            for (int32_t i = all_are_small(*(const uint32_t *)w, &bounds) ? 4 : 0; i < 4; i++) {
                count += w[i] - 128u + tau - 1 >= between;
            }
        }
        return count;
    }
    for (; n != 0; n--) {
        count += is_selected(*w++, edge++, &layer);
    }
    return count;
}

// The first score of a row, never beyond the end.
static const uint8_t *first_score(const flash_layer_t *v, int32_t row) {
    const int32_t *d = v->d;
    uint32_t n = (uint32_t)(v->scores_end - v->scores);
    return v->scores + (d[SELECTION] == ALL ? (uint32_t)smaller(row * d[N_ROW], (int32_t)n)
                        : scores_before(v->select, row, n));
}

int32_t flash_rows(uint8_t *weff, uint32_t *checks, const flash_layer_t *v) {
    const int32_t *d = v->d;
    int32_t edge = d[ROW] * d[N_ROW], n = d[ROWS] * d[N_ROW];
    place_t place = { v->flash, v->pieces, 0 };
    skip(&place, (uint32_t)edge);
    if (edge == 0) {
        checks[0] = checks[1] = 0;
    }
    copy(weff, &place, (uint32_t)n, checks);
    if (has_factors(d)) {
        apply(weff, n, edge, first_score(v, d[ROW]), v);
    }
    return d[ROW] + d[ROWS] == d[N_OUT]
        && (checks[0] != checks[2] || checks[1] != checks[3]);
}

int32_t flash_columns(uint8_t *weff, int32_t *cursors, const flash_layer_t *v, int32_t first,
    int32_t columns) {
    const int32_t *d = v->d;
    uint32_t sums[2] = { 0, 0 };
    place_t place = { v->flash, v->pieces, 0 };
    skip(&place, (uint32_t)first);
    for (int32_t row = 0, edge = first; row < d[N_OUT]; row++, edge += d[N_ROW]) {
        copy(weff, &place, (uint32_t)columns, sums);
        if (d[SELECTION] == ALL) {
            const uint8_t *score = first_score(v, row);
            score += smaller(first, (int32_t)(v->scores_end - score));
            if (has_factors(d)) {
                apply(weff, columns, edge, score, v);
            }
        } else {
            uint32_t n = (uint32_t)(v->scores_end - v->scores);
            uint32_t at = first == 0 ? v->select[row] : (uint32_t)cursors[row];
            cursors[d[N_OUT] + row] = (int32_t)at;
            cursors[row] = (int32_t)at + (has_factors(d) // never beyond the end
                ? apply(weff, columns, edge, v->scores + (at < n ? at : n), v)
                    - (v->scores + (at < n ? at : n))
                : count_scored(weff, columns, edge, v));
        }
        weff += columns;
        if (row + 1 < d[N_OUT]) {
            skip(&place, (uint32_t)(d[N_ROW] - columns));
        }
    }
    return 0;
}
