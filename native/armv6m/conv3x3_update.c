// Update of a 3x3 convolution: gradients of a filter by conv3x3_gradient.S, then update_rows.S.
//
// dW goes straight into the list that update_rows.S reads: pairs (edge, dW). Channels are packed
// in pairs, those of the first half with those of the second; a single channel is paired with
// itself one row below, so that two rows of taps give all three. A pass over the errors does two
// rows of taps, of whatever channels.

#include <stddef.h>

#include "bytes.h"
#include "conv3x3_errors.h"
#include "conv3x3_update.h"
#include "crew.h"
#include "fast.h"
#include "rounding.h"
#include "scratch.h"
#include "update.h"

enum {
    // sum of the errors of one sign in a list: 258 * 127 < 32768
    LANE_ERRORS = 258,
    LANE_ERRORS_SIGNED = 129, // where inputs may be negative, too
};

typedef struct {
    uint8_t *scores;
    int32_t n_scores;
    uint8_t *weff;
    const int8_t *g;
    const uint8_t *argmax;
    const int8_t *x;
    const uint8_t *w;
    const uint32_t *select;
    const int32_t *d;
    uint32_t *inputs;
    uint8_t *nobody; // a row of weff where that is not kept
    int32_t *own; // scratch of the first core, behind it that of the others
    int32_t is_signed;
} work_t;

// A core's own.
typedef struct {
    const uint32_t *inputs;
    struct conv3x3_taps *taps;
    int32_t *errors;
    int32_t *gradient; // the list for update_rows.S
    int32_t *list_end;
    int32_t *spare;
    int32_t *selected; // for select.c
} parts_t;

static void divide(parts_t *v, const work_t *work, int32_t core) {
    const int32_t *d = work->d;
    v->inputs = work->inputs;
    v->taps = (struct conv3x3_taps *)(work->own + core * conv3x3_gradient_words(d));
    v->errors = (int32_t *)v->taps + conv3x3_taps_words(d);
    v->gradient = v->errors + conv3x3_filter_errors_words(d);
    v->list_end = v->gradient + 2 * d[N_ROW];
    v->spare = v->list_end + LIST_PADDING;
    v->selected = v->spare + SPARE_WORDS;
}

// Without borders a single channel needs only two rows of taps.
static int32_t is_paired_by_rows(const int32_t *d) {
    return d[N_IN] == 1 && d[PAD_TOP] == 0;
}

// A part of the rows where they are paired, else of the pairs of channels.
static void pack_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    const int8_t *x = v->x;
    int32_t w_in = d[W_IN], size = d[H_IN] * w_in, padding = d[PAD_TOP], pairs = conv3x3_pairs(d);
    if (is_paired_by_rows(d)) {
        int32_t n = size - w_in; // the last row has none below it: beside it does not matter
        int32_t first = crew_start(n, 4, core, cores), end = crew_start(n, 4, core + 1, cores);
        uint32_t *to = v->inputs + first;
        if (first != end) {
            to = conv3x3_pack_pair(to, x + end, x + end + w_in, first - end, v->is_signed);
        }
        if (end == n) {
            conv3x3_pack_pair(to, x + size, x + size, -w_in, v->is_signed);
        }
        return;
    }
    int32_t n = padding == 0 ? size : w_in; // without borders all rows at once
    int32_t first = crew_start(pairs, 1, core, cores);
    int32_t left_pairs = crew_start(pairs, 1, core + 1, cores) - first;
    uint32_t *to = v->inputs + first * padded_plane(d);
    x += first * size;
    if (padding != 0) {
        clear_bytes((int8_t *)to, 4 * left_pairs * padded_plane(d));
        to += padding * (padded_width(d) + 1);
    }
    for (int32_t c = first; left_pairs != 0; left_pairs--, c++) {
        int32_t second = c + pairs < d[N_IN] ? pairs * size : 0; // one without takes itself
        for (int32_t left = size; left != 0; left -= n) {
            x += n;
            to = conv3x3_pack_pair(to, x, x + second, -n, v->is_signed) + 2 * padding;
        }
        to += 2 * padding * padded_width(d);
    }
}

static struct conv3x3_taps *put_taps(struct conv3x3_taps *to, const uint32_t *inputs,
    int32_t *low, int32_t *high) {
    to->inputs = inputs;
    to->low = low;
    to->high = high;
    return to + 1;
}

// All rows of taps; an even number, so there may be one more, for the spare words.
static void list_taps(const parts_t *v, const int32_t *d) {
    const uint32_t *inputs = v->inputs;
    int32_t *low = v->gradient + 1, width = padded_width(d);
    struct conv3x3_taps *to = v->taps;
    if (is_paired_by_rows(d)) {
        to = put_taps(to, inputs, low, low + 6);
        to = put_taps(to, inputs + 2 * width, low + 12, v->spare);
    } else {
        int32_t pairs = conv3x3_pairs(d), skip = padded_plane(d) - 3 * width;
        for (int32_t left = pairs; left != 0; left--) {
            for (int32_t ky = 3; ky != 0; ky--) {
                to = put_taps(to, inputs, low, low + 18 * pairs);
                inputs += width;
                low += 6;
            }
            inputs += skip;
        }
        if ((d[N_IN] & 1) != 0) {
            to[-1].high = to[-2].high = to[-3].high = v->spare;
        }
        if ((pairs & 1) != 0) {
            to = put_taps(to, v->inputs, v->spare, v->spare);
        }
    }
    to->inputs = NULL;
}

// dW of a filter whose errors do not fit the lanes: from several lists.
static void add_lists(struct conv3x3_errors *v, const int32_t *end) {
    int32_t sizes[2] = { 0, 0 }, keep = 0;
    for (int32_t *pair = v->list; pair != end; pair += 2) {
        int32_t error = pair[0], position = pair[1], *size = &sizes[error < 0];
        *size += absolute(error);
        if (*size > v->limit || position < 0) {
            pair[0] = keep;
            pair[1] = -1;
            conv3x3_gradient(&v->gradient);
            pair[0] = error;
            pair[1] = position;
            v->gradient.list = pair;
            keep = 1;
            sizes[0] = sizes[1] = 0;
            *size = absolute(error);
        }
    }
    v->gradient.list = v->list;
}

// Every cores-th filter.
static void filters_share(void *job, int32_t core, int32_t cores) {
    const work_t *work = job;
    const int32_t *d = work->d;
    parts_t v;
    struct update_job update;
    struct conv3x3_errors errors;
    divide(&v, work, core);
    conv3x3_errors_prepare(&errors, v.errors, work->g, work->argmax, 4, d);
    errors.limit = work->is_signed ? LANE_ERRORS_SIGNED : LANE_ERRORS;
    errors.gradient.list = errors.list;
    errors.gradient.taps = v.taps;
    list_taps(&v, d);
    update_prepare(&update, d);
    update.error = 1;
    int32_t edge = d[N_ROW], *to = v.list_end;
    do {
        to -= 2;
        *to = --edge;
    } while (edge != 0);
    for (int32_t i = 0; i < LIST_PADDING; i++) {
        v.list_end[i] = 0;
    }
    struct selection selection = { work->w, work->select, work->scores, work->n_scores,
                                   NULL, 0, NULL, NULL, NULL };
    selection_prepare(&selection, v.selected, d);
    update.list = v.gradient;
    update.list_end = v.list_end;
    int32_t first = core * d[N_ROW], step = cores * d[N_ROW];
    int32_t weff_step = work->weff != NULL ? step : 0;
    update.w = (uint8_t *)work->w + first;
    update.scores = work->scores + first;
    update.weff = work->weff != NULL ? work->weff + first : work->nobody;
    errors.g += core * errors.outputs;
    errors.argmax += core * errors.argmax_bytes;
    for (int32_t f = core; f < d[N_OUT]; f += cores) {
        const int32_t *end = conv3x3_list(&errors);
        if (end != errors.list) {
            if (end != NULL) {
                add_lists(&errors, end);
            }
            if (d[SELECTION] == ALL) {
                update_row(&update);
            } else {
                update_selected(&selection, &update, f, NULL, d);
            }
        }
        errors.g += (cores - 1) * errors.outputs;
        errors.argmax += (cores - 1) * errors.argmax_bytes;
        update.w += step;
        update.scores += step;
        update.weff += weff_step;
    }
}

int32_t conv3x3_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const uint8_t *argmax, const int8_t *x, const uint8_t *w, const uint32_t *select,
    int32_t *scratch, const int32_t *d) {
    uint32_t *inputs = (uint32_t *)scratch;
    int32_t *nobody = scratch + conv3x3_pairs_words(d);
    work_t v = { scores, n_scores, weff, g, argmax, x, w, select, d, inputs, (uint8_t *)nobody,
                 nobody + words_of(d[N_ROW]), 0 };
    v.is_signed = d[NONNEGATIVE] == 0 && any_negative(x, d[N_IN] * d[H_IN] * d[W_IN]);
    crew_run(pack_share, &v);
    crew_run(filters_share, &v);
    return 0;
}
