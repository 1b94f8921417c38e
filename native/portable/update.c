// Learning: dW of a layer row by row, and the update rules.

#include "channels_last.h"
#include "effective.h"
#include "loops.h"
#include "scratch.h"
#include "update_vectors.h"

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
    if (PRIOT_VECTORS && every && d[MEASURE] == 0
        && (!has_scores(d) || layer->scores_end - score >= d[N_ROW])) {
        update_edges(layer, edge, score, dw, factor, d[N_ROW]);
        return 0;
    }
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

// dW of a filter from the list of its errors; x with zero borders, or copied so by channels
static void filter_gradient(int32_t *dw, const int32_t *list, const int8_t *x, int8_t *copy,
    const int32_t *d) {
    int32_t kernel = d[KERNEL_W], width = padded_width(d);
    int32_t plane = copy != NULL ? d[H_IN] * d[W_IN] : padded_plane(d);
    for (int32_t c = d[GROUP_IN]; c != 0; c--) {
        const int8_t *from = x;
        if (copy != NULL) {
            copy_padded(copy, x, 1, 0, padded_height(d), d);
            from = copy;
        }
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

// The same, x with its channels innermost; `sums` has room for a filter.
static void filter_gradient_channels_last(int32_t *dw, int32_t *sums, const int32_t *list,
    const int16_t *x, const int32_t *d) {
    int32_t channels = d[GROUP_IN], taps = d[KERNEL_H] * d[KERNEL_W];
    for (int32_t i = 0; i < d[N_ROW]; i++) {
        sums[i] = 0;
    }
    add_weights(sums, x, list, d);
    for (int32_t c = 0; c < channels; c++) {
        for (int32_t k = 0; k < taps; k++) {
            *dw++ = sums[k * channels + c];
        }
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
    int32_t *dw = scratch, *list = dw + d[N_ROW], *rest = list + outputs + 1;
    int8_t *copy = (int8_t *)rest;
    int16_t *x_last = (int16_t *)(rest + d[N_ROW]); // behind sums
    bool is_last = has_channels_last(d);
    bool by_channel = !is_last && is_padded(d) && update_channels(d) < d[GROUP_IN];
    bool by_group = !is_last && is_padded(d) && !by_channel;
    int32_t largest = 0, in_group = 0;
    for (int32_t row = 0; row < d[N_OUT]; row++) {
        if (by_group && in_group == 0) {
            copy_padded(copy, x, d[GROUP_IN], 0, padded_height(d), d);
        }
        if (is_last && in_group == 0) {
            image_channels_last(x_last, x, d);
        }
        if (list_errors(list, g, argmax, d) != 0) {
            if (is_last) {
                filter_gradient_channels_last(dw, rest, list, x_last, d);
            } else {
                filter_gradient(dw, list, by_group ? copy : x, by_channel ? copy : NULL, d);
            }
            for (int32_t i = 0; first != 0 && i < d[N_ROW]; i++) {
                dw[i] = round_half_up(dw[i], first);
            }
            largest = larger(largest, update_row(&layer, row, dw, 1));
        }
        g += outputs;
        argmax += channel_argmax_bytes(d);
        in_group++;
        if (in_group == d[GROUP_OUT]) {
            in_group = 0;
            x += d[GROUP_IN] * d[H_IN] * d[W_IN];
        }
    }
    return largest;
}
