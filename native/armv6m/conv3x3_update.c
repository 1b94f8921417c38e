// Update of a 3x3 convolution: gradients of a filter by conv3x3_sparse.S, then update_rows.S.
//
// dW goes straight into the list that update_rows.S reads: pairs (edge, dW). Channels are packed
// in pairs; a single channel is paired with itself one row below, so that two passes over the
// errors give the three rows of taps instead of three.

#include <stddef.h>

#include "bytes.h"
#include "conv3x3_errors.h"
#include "fast.h"
#include "layout.h"
#include "rounding.h"
#include "scratch.h"
#include "update.h"

enum { LANE_ERRORS = 258 }; // sum(|e|) of a list: 258 * 127 < 32768

typedef struct {
    const int32_t *d;
    int32_t width; // with borders
    int32_t plane;
    uint32_t *inputs;
    int32_t *errors;
    int32_t *gradient; // the list for update_rows.S
    int32_t *nobody; // takes what is not wanted: a channel's dW, a row of weff that is not kept
} parts_t;

static parts_t divide(int32_t *scratch, const int32_t *d) {
    parts_t v;
    v.d = d;
    v.width = padded_width(d);
    v.plane = padded_plane(d);
    v.inputs = (uint32_t *)scratch;
    v.errors = scratch + ((d[N_IN] + 1) >> 1) * v.plane;
    v.gradient = v.errors + 2 * d[H_OUT] * d[W_OUT];
    v.nobody = v.gradient + 2 * d[N_ROW] + LIST_PADDING;
    return v;
}

int32_t conv3x3_update_words(const int32_t *d) {
    return ((d[N_IN] + 1) >> 1) * padded_plane(d) + 2 * d[H_OUT] * d[W_OUT] + 2 * d[N_ROW]
        + LIST_PADDING + larger(18, words_of(d[N_ROW]));
}

// Without borders a single channel needs only two passes.
static int32_t is_paired_by_rows(const int32_t *d) {
    return d[N_IN] == 1 && d[PADDING] == 0;
}

static void pack_inputs(const parts_t *v, const int8_t *x) {
    const int32_t *d = v->d;
    int32_t w_in = d[W_IN], size = d[H_IN] * w_in, rows = is_paired_by_rows(d);
    uint32_t *to = v->inputs + d[PADDING] * (v->width + 1);
    if (d[PADDING] != 0) {
        clear_bytes((int8_t *)v->inputs, 4 * ((d[N_IN] + 1) >> 1) * v->plane);
    }
    for (int32_t c = 0; c < d[N_IN]; c += 2) {
        // what stands beside a last channel alone, or a last row, does not matter
        const int8_t *second = c + 1 < d[N_IN] ? x + size : rows ? x + w_in : x;
        uint32_t *row = to;
        for (int32_t y = d[H_IN]; y != 0; y--) {
            if (rows && y == 1) {
                second = x;
            }
            for (uint32_t *end = row + w_in; row != end;) {
                *row++ = (uint32_t)*x++ + ((uint32_t)*second++ << 16);
            }
            row += v->width - w_in;
        }
        x = second;
        to += v->plane;
    }
}

// Low and high lanes into the dW of the list; keep: -1 adds to what is there, 0 replaces it.
static void put_lanes(int32_t *low_dw, int32_t *high_dw, const uint32_t *lanes, int32_t n,
    int32_t keep) {
    for (const uint32_t *end = lanes + n; lanes != end; lanes++) {
        *low_dw = (*low_dw & keep) + (int16_t)*lanes;
        *high_dw = (*high_dw & keep) + ((int32_t)(*lanes + 0x8000) >> 16);
        low_dw += 2;
        high_dw += 2;
    }
}

// dW of a filter from some of its errors.
static void add_gradient(const parts_t *v, const int32_t *errors, const int32_t *errors_end,
    int32_t keep) {
    const int32_t *d = v->d;
    int32_t row = 4 * v->width;
    uint32_t lanes[9], *inputs = v->inputs;
    int32_t *dw = v->gradient + 1;
    if (is_paired_by_rows(d)) {
        conv3x3_gradient(lanes, errors, errors_end, inputs, 2, 2 * row);
        put_lanes(dw, dw + 6, lanes, 3, keep);
        put_lanes(dw + 12, v->nobody, lanes + 3, 3, keep); // there is no fourth row
        return;
    }
    for (int32_t c = 0; c < d[N_IN]; c += 2) {
        conv3x3_gradient(lanes, errors, errors_end, inputs, 3, row);
        put_lanes(dw, c + 1 < d[N_IN] ? dw + 18 : v->nobody, lanes, 9, keep);
        inputs += v->plane;
        dw += 36;
    }
}

// dW of a filter: lists of errors as long as the lanes allow.
static void filter_gradient(const parts_t *v, const int32_t *errors_end) {
    const int32_t *first = v->errors;
    int32_t size = 0, keep = 0;
    for (const int32_t *error = first; error != errors_end; error += 2) {
        int32_t magnitude = absolute(*error);
        size += magnitude;
        if (size > LANE_ERRORS) {
            add_gradient(v, first, error, keep);
            first = error;
            size = magnitude;
            keep = -1;
        }
    }
    add_gradient(v, first, errors_end, keep);
}

int32_t fast_conv2d_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const uint8_t *argmax, const int8_t *x, const uint8_t *w, const uint32_t *select,
    int32_t *scratch, const int32_t *d) {
    if (!update_is_supported(d)) {
        return conv2d_update(scores, n_scores, weff, g, argmax, x, w, select, scratch, d);
    }
    parts_t v = divide(scratch, d);
    struct update_job job;
    pack_inputs(&v, x);
    update_prepare(&job, d);
    clear_bytes((int8_t *)v.gradient, 4 * (2 * d[N_ROW] + LIST_PADDING));
    for (int32_t edge = 0; edge < d[N_ROW]; edge++) {
        v.gradient[2 * edge] = edge;
    }
    job.list = v.gradient;
    job.list_end = v.gradient + 2 * d[N_ROW];
    job.error = 1;
    for (int32_t f = 0, row = 0; f < d[N_OUT]; f++, row += d[N_ROW]) {
        const int32_t *errors_end = conv3x3_list_errors(v.errors, g, argmax, NULL, d);
        if (errors_end != v.errors) {
            filter_gradient(&v, errors_end);
            job.w = (uint8_t *)w + row;
            job.scores = scores + row;
            job.weff = weff != NULL ? weff + row : (uint8_t *)v.nobody;
            update_row(&job, d);
        }
        g += d[H_OUT] * d[W_OUT];
        argmax += channel_argmax_bytes(d);
    }
    return 0;
}
