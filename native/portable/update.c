// Learning: dW of a layer row by row, and the update rules.

#include "effective.h"
#include "loops.h"
#include "scratch.h"

// The update rule for one edge whose dW is not 0.
static void update_edge(const layer_t *layer, int32_t edge, uint8_t *score, int32_t dw) {
    const int32_t *d = layer->d;
    int32_t shift = layer->shift, w = layer->w[edge];
    int32_t step = has_factors(d) ? dw * (w - 128) : dw;
    step = d[ROUNDING] == PSR ? round_pseudo_stochastic(step, shift) : round_half_up(step, shift);
    if (d[RULE] == WEIGHTS) {
        layer->w[edge] = clamp(w - step, 1, 255);
    } else if (d[RULE] == WIDE) {
        int32_t wide = clamp((w << 8) + *score - step, 256, 65535);
        layer->w[edge] = wide >> 8;
        *score = (uint8_t)wide;
    } else if (step != 0 && has_factors(d)) {
        int32_t v = clamp(*score - step, 0, 255);
        *score = v;
        if (layer->weff != NULL) {
            layer->weff[edge] = effective(w, v, d);
        }
    }
}

// Applies the update rule to the scored edges of a row, dW = dw[i] * factor; returns max |dW|
// for MEASURE.
static int32_t update_row(const layer_t *layer, int32_t row, const int32_t *dw, int32_t factor) {
    const int32_t *d = layer->d;
    bool every = d[SELECTION] == ALL;
    int32_t edge = row * d[N_ROW], end = edge + d[N_ROW];
    int32_t largest = 0;
    uint8_t *score = row_scores(layer, row);
    if (d[RULE] == PRUNE && d[ROUNDING] == RHU && every && d[MEASURE] == 0
        && layer->shift != 0 && layer->weff != NULL) {
        prune_t prune = { factor, layer->shift, d[THRESHOLD] };
        prune_edges(score, layer->weff + edge, layer->w + edge, dw, d[N_ROW], &prune);
        return 0;
    }
    for (; edge < end; edge++) {
        int32_t step = *dw++ * factor;
        if (!every && !is_selected(layer->w[edge], edge, layer)) {
            continue;
        }
        if (d[MEASURE] != 0) {
            largest = larger(largest, absolute(step));
        } else if (has_scores(d) && score == layer->scores_end) {
            break;
        } else if (step != 0) {
            update_edge(layer, edge, score, step);
        }
        score += has_scores(d);
    }
    return largest;
}

int32_t linear_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const int8_t *x, const uint8_t *w, const uint32_t *select, int32_t *scratch,
    const int32_t *d) {
    layer_t layer = {
        d, scores, scores + n_scores, weff, (uint8_t *)w, select, larger(0, d[UPDATE_SHIFT]),
    };
    int32_t largest = 0;
    for (int32_t i = 0; i < d[N_IN]; i++) {
        scratch[i] = x[i];
    }
    for (int32_t row = 0; row < d[N_OUT]; row++) {
        if (g[row] != 0) {
            largest = larger(largest, update_row(&layer, row, scratch, g[row]));
        }
    }
    return largest;
}

// How far dW is shifted so that its product with a weight fits int32: k of device/DESIGN.md.
static int32_t product_shift(const int32_t *d) {
    int32_t shift = 0;
    if (has_factors(d) && d[MEASURE] == 0) {
        while (d[H_OUT] * d[W_OUT] > MAX_POSITIONS << shift) {
            shift++;
        }
    }
    return shift;
}

// dW of a filter from the list of its errors; x with zero borders
static void filter_gradient(int32_t *dw, const int32_t *list, const int8_t *x,
    const int32_t *d) {
    int32_t kernel = d[KERNEL_W], width = padded_width(d), plane = padded_plane(d);
    for (int32_t c = d[GROUP_IN]; c != 0; c--) {
        const int8_t *from = x;
        for (int32_t ky = d[KERNEL_H]; ky != 0; ky--) {
            for (int32_t kx = 0; kx < kernel; kx += kernel < 3 ? 1 : 3) {
                if (kernel < 3) {
                    dw[kx] = one_tap(list, from + kx);
                } else {
                    int32_t first = smaller(kx, kernel - 3); // the last three may overlap others
                    three_taps(dw + first, list, from + first);
                }
            }
            dw += kernel;
            from += width;
        }
        x += plane;
    }
}

int32_t conv2d_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const uint8_t *argmax, const int8_t *x, const uint8_t *w, const uint32_t *select,
    int32_t *scratch, const int32_t *d) {
    int32_t outputs = d[H_OUT] * d[W_OUT], first = product_shift(d);
    layer_t layer = {
        d, scores, scores + n_scores, weff, (uint8_t *)w, select,
        larger(0, d[UPDATE_SHIFT] - first),
    };
    int32_t *dw = scratch, *list = dw + d[N_ROW];
    int32_t largest = 0, in_group = 0;
    x = padded_image((int8_t *)(list + outputs + 1), x, d);
    for (int32_t row = 0; row < d[N_OUT]; row++) {
        if (in_group == d[GROUP_OUT]) {
            in_group = 0;
            x += d[GROUP_IN] * padded_plane(d);
        }
        in_group++;
        if (list_errors(list, g, argmax, d) != 0) {
            filter_gradient(dw, list, x, d);
            for (int32_t i = 0; first != 0 && i < d[N_ROW]; i++) {
                dw[i] = round_half_up(dw[i], first);
            }
            largest = larger(largest, update_row(&layer, row, dw, 1));
        }
        g += outputs;
        argmax += channel_argmax_bytes(d);
    }
    return largest;
}
