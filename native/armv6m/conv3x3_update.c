// Update of a 3x3 convolution: gradients of a filter by conv3x3_gradient.S, then update_rows.S.
//
// dW goes straight into the list that update_rows.S reads: pairs (edge, dW). Channels are packed
// in pairs; a single channel is paired with itself one row below, so that two rows of taps give
// all three. A pass over the errors does two rows of taps, of whatever channels.

#include <stddef.h>

#include "bytes.h"
#include "conv3x3_errors.h"
#include "fast.h"
#include "layout.h"
#include "rounding.h"
#include "scratch.h"
#include "update.h"

enum {
    LANE_ERRORS = 258, // sum(|e|) of a list: 258 * 127 < 32768
    SPARE = 24, // words behind the list: dW of a row or channel that is not there, LIST_PADDING
    PASS = 4, // words
};

typedef struct {
    const int32_t *d;
    int32_t width; // with borders
    int32_t plane;
    uint32_t *inputs;
    struct conv3x3_errors errors;
    int32_t *gradient; // the list for update_rows.S
    int32_t *list_end;
    int32_t *nobody; // a row of weff where that is not kept
    int32_t *selected; // for select.c
    struct conv3x3_pass *passes;
    struct conv3x3_pass *passes_end;
    int32_t has_spare; // whether dW of what is not there goes behind the list
} parts_t;

static int32_t most_passes(const int32_t *d) {
    return (3 * ((d[N_IN] + 1) >> 1) + 1) >> 1;
}

static void divide(parts_t *v, int32_t *scratch, const int32_t *d) {
    v->d = d;
    v->width = padded_width(d);
    v->plane = padded_plane(d);
    v->inputs = (uint32_t *)scratch;
    scratch += ((d[N_IN] + 1) >> 1) * v->plane;
    v->passes = (struct conv3x3_pass *)scratch;
    scratch += PASS * most_passes(d);
    conv3x3_errors_prepare(&v->errors, scratch, 4, d);
    v->gradient = scratch + 2 * (d[H_OUT] * d[W_OUT] + 1);
    v->list_end = v->gradient + 2 * d[N_ROW];
    v->nobody = v->list_end + SPARE;
    v->selected = v->nobody + words_of(d[N_ROW]);
}

int32_t conv3x3_update_words(const int32_t *d) {
    return ((d[N_IN] + 1) >> 1) * padded_plane(d) + PASS * most_passes(d)
        + 2 * (d[H_OUT] * d[W_OUT] + 1) + 2 * d[N_ROW] + SPARE + words_of(d[N_ROW])
        + selection_words(smaller(d[N_ROW], SELECTED));
}

// Without borders a single channel needs only two passes.
static int32_t is_paired_by_rows(const int32_t *d) {
    return d[N_IN] == 1 && d[PADDING] == 0;
}

static void pack_inputs(const parts_t *v, const int8_t *x) {
    const int32_t *d = v->d;
    int32_t w_in = d[W_IN], size = d[H_IN] * w_in;
    uint32_t *to = v->inputs;
    if (is_paired_by_rows(d)) {
        conv3x3_pack_pair(to, x + size - w_in, x + size, w_in - size);
        to += size - w_in; // what stands beside the last row does not matter
        conv3x3_pack_pair(to, x + size, x + size, -w_in);
        return;
    }
    int32_t n = d[PADDING] == 0 ? size : w_in; // without borders all rows at once
    if (d[PADDING] != 0) {
        clear_bytes((int8_t *)to, 4 * ((d[N_IN] + 1) >> 1) * v->plane);
        to += d[PADDING] * (v->width + 1);
    }
    for (int32_t c = 0; c < d[N_IN]; c += 2) {
        const int8_t *second = c + 1 < d[N_IN] ? x + size : x; // a last channel twice
        for (int32_t done = n; done <= size; done += n) {
            conv3x3_pack_pair(to, x + done, second + done, -n);
            to += d[PADDING] == 0 ? v->plane : v->width;
        }
        to += d[PADDING] == 0 ? 0 : 2 * d[PADDING] * v->width;
        x += 2 * size;
    }
}

// Rows of taps, two by two; with an odd number the last goes once more, to behind the list.
static void list_passes(parts_t *v) {
    const int32_t *d = v->d;
    const uint32_t *inputs = v->inputs, *first = NULL;
    int32_t by_rows = is_paired_by_rows(d), row = by_rows ? 2 : 1;
    int32_t *dw = v->gradient + 1;
    struct conv3x3_pass *pass = v->passes;
    for (int32_t c = 0; c < d[N_IN]; c += 2) {
        for (int32_t ky = 0; ky < 3; ky += row) {
            const uint32_t *taps = inputs + ky * v->width;
            if (first == NULL) {
                first = taps;
                pass->inputs = taps;
                pass->to_second = -12;
                pass->dw = dw;
                pass->dw_second = v->list_end + 1;
            } else {
                pass->to_second = 4 * (int32_t)(taps - first) - 12;
                pass->dw_second = dw;
                pass++;
                first = NULL;
            }
            dw += 6 * row;
        }
        inputs += v->plane;
        dw += 18;
    }
    v->passes_end = first == NULL ? pass : pass + 1;
    v->has_spare = first != NULL || (d[N_IN] & 1) != 0;
}

// dW of a filter: lists of errors as long as the lanes allow.
static void filter_gradient(const parts_t *v, int32_t *errors_end) {
    int32_t size = 0;
    struct conv3x3_gradient_job job;
    job.passes = v->passes;
    job.passes_end = v->passes_end;
    job.high = is_paired_by_rows(v->d) ? 24 : 72;
    job.keep = 0;
    job.list = v->errors.list;
    errors_end[0] = errors_end[1] = 0; // errors go by two
    if (v->errors.sum > LANE_ERRORS) {
        for (const int32_t *error = job.list; error < errors_end; error += 4) {
            int32_t magnitude = absolute(error[0]) + absolute(error[2]);
            size += magnitude;
            if (size > LANE_ERRORS) {
                job.list_end = error;
                conv3x3_gradient(&job);
                job.list = error;
                job.keep = 1;
                size = magnitude;
            }
        }
    }
    job.list_end = errors_end;
    conv3x3_gradient(&job);
    if (v->has_spare) {
        clear_bytes((int8_t *)v->list_end, 4 * LIST_PADDING);
    }
}

int32_t fast_conv2d_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const uint8_t *argmax, const int8_t *x, const uint8_t *w, const uint32_t *select,
    int32_t *scratch, const int32_t *d) {
    parts_t v;
    struct update_job job;
    divide(&v, scratch, d);
    pack_inputs(&v, x);
    list_passes(&v);
    update_prepare(&job, d);
    for (int32_t edge = 0; edge < d[N_ROW]; edge++) {
        v.gradient[2 * edge] = edge;
    }
    clear_bytes((int8_t *)v.list_end, 4 * LIST_PADDING);
    job.error = 1;
    struct selection selection = { w, select, scores, n_scores, NULL, NULL, NULL };
    selection_divide(&selection, v.selected, d[N_ROW]);
    for (int32_t f = 0, row = 0; f < d[N_OUT]; f++, row += d[N_ROW]) {
        conv3x3_errors_of(&v.errors, g, argmax, f, d);
        int32_t *errors_end = conv3x3_list(&v.errors);
        if (errors_end != v.errors.list) {
            filter_gradient(&v, errors_end);
            job.list = v.gradient;
            job.list_end = v.list_end;
            job.w = (uint8_t *)w + row;
            job.scores = scores + row;
            job.weff = weff != NULL ? weff + row : (uint8_t *)v.nobody;
            if (d[SELECTION] == ALL) {
                update_row(&job);
            } else {
                update_selected(&selection, &job, f, NULL, d);
            }
        }
    }
    return 0;
}
