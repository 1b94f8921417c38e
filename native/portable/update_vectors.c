// The update of a row, without a branch in its loops: see update_vectors.h.

#include "loops.h"
#include "update_vectors.h"

#if PRIOT_VECTORS

enum { AT_ONCE = 64 }; // edges whose steps wait

static void round_steps(int32_t *restrict steps, int32_t n, int32_t shift, bool stochastic) {
    if (stochastic) {
        for (int32_t i = 0; i < n; i++) {
            steps[i] = round_pseudo_stochastic(steps[i], shift);
        }
    } else if (shift != 0) {
        for (int32_t i = 0; i < n; i++) {
            steps[i] = round_half_up(steps[i], shift);
        }
    }
}

static void move(uint8_t *restrict values, const int32_t *restrict steps, int32_t n,
    int32_t lowest) {
    for (int32_t i = 0; i < n; i++) {
        values[i] = (uint8_t)clamp(values[i] - steps[i], lowest, 255);
    }
}

// Weights of 16 bits, whose lower bytes are scores.
static void move_wide(uint8_t *restrict w, uint8_t *restrict scores,
    const int32_t *restrict steps, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        int32_t wide = clamp((w[i] << 8) + scores[i] - steps[i], 256, 65535);
        w[i] = (uint8_t)(wide >> 8);
        scores[i] = (uint8_t)wide;
    }
}

// Effective weights of edges that moved; the others keep theirs.
static void put_effective(uint8_t *restrict weff, const uint8_t *restrict w,
    const uint8_t *restrict scores, const int32_t *restrict steps, int32_t n, const int32_t *d) {
    uint8_t fresh[AT_ONCE];
    int32_t threshold = d[THRESHOLD];
    if (d[RULE] == PRUNE) {
        for (int32_t i = 0; i < n; i++) {
            uint8_t kept = (uint8_t)-(scores[i] >= threshold);
            fresh[i] = (w[i] & kept) | (128 & ~kept);
        }
    } else {
        for (int32_t i = 0; i < n; i++) {
            int32_t product = (w[i] - 128) * (scores[i] - 64);
            fresh[i] = (uint8_t)(clamp((product + 32) >> 6, -127, 127) + 128);
        }
    }
    for (int32_t i = 0; i < n; i++) {
        uint8_t moved = (uint8_t)-(steps[i] != 0);
        weff[i] = (fresh[i] & moved) | (weff[i] & ~moved);
    }
}

void update_edges(const layer_t *layer, int32_t edge, uint8_t *score, const int32_t *dw,
    int32_t factor, int32_t n) {
    const int32_t *d = layer->d;
    int32_t steps[AT_ONCE];
    for (int32_t done = 0, count; done < n; done += count) {
        count = smaller(n - done, AT_ONCE);
        uint8_t *w = layer->w + edge + done;
        for (int32_t i = 0; i < count; i++) {
            steps[i] = dw[done + i] * factor;
        }
        if (has_factors(d)) {
            for (int32_t i = 0; i < count; i++) {
                steps[i] *= w[i] - 128;
            }
        }
        round_steps(steps, count, layer->shift, d[ROUNDING] == PSR);
        if (d[RULE] == WIDE) {
            move_wide(w, score + done, steps, count);
        } else {
            move(has_factors(d) ? score + done : w, steps, count, has_factors(d) ? 0 : 1);
        }
        if (has_factors(d) && layer->weff != NULL) {
            put_effective(layer->weff + edge + done, w, score + done, steps, count, d);
        }
    }
}

#endif
