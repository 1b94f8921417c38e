// Score and weight updates by update_rows.S: constants of the rules, and linear layers.

#include <stddef.h>

#include "update.h"
#include "fast.h"
#include "layout.h"
#include "rounding.h"
#include "scratch.h"

enum { CHUNK = 512 }; // columns that are listed at once

// Gains and weights that round to nearest die, so nobody does that.
int32_t update_is_supported(const int32_t *d) {
    int32_t rule = d[RULE];
    if (d[SELECTION] != ALL && d[N_ROW] > SELECTED) {
        return 0;
    }
    return rule == PRUNE || ((rule == GAIN || rule == WEIGHTS) && d[ROUNDING] == PSR);
}

void update_prepare(struct update_job *job, const int32_t *d) {
    int32_t shift = d[UPDATE_SHIFT], threshold = d[THRESHOLD] | 256;
    job->rule = d[ROUNDING] == RHU ? RULE_PRUNE_NEAREST : d[RULE];
    job->threshold = d[THRESHOLD];
    job->granule = (uint32_t)(threshold & -threshold);
    job->constants[1] = shift;
    if (d[ROUNDING] == RHU) {
        job->constants[0] = 1 << shift >> 1;
    } else {
        job->constants[0] = (1 << shift) - (1 << (shift >> 1));
        job->constants[2] = shift - (shift >> 1);
        job->constants[3] = (1 << shift) - 1;
    }
}

// Columns in chunks: their inputs are listed once for all rows.
static void update_all(struct update_job *job, uint8_t *scores, uint8_t *weff, const int8_t *g,
    const int8_t *x, const uint8_t *w, int32_t *scratch, const int32_t *d) {
    int32_t columns = smaller(CHUNK, d[N_IN]);
    uint8_t *nobody = (uint8_t *)(scratch + 2 * columns + LIST_PADDING); // where weff is not kept
    job->list = scratch;
    for (int32_t column = 0; column < d[N_IN]; column += CHUNK) {
        int32_t edge = column;
        job->list_end = list_inputs(scratch, x + column, smaller(CHUNK, d[N_IN] - column));
        for (int32_t row = 0; row < d[N_OUT]; row++) {
            if (g[row] != 0 && job->list_end != job->list) {
                job->error = g[row];
                job->w = (uint8_t *)w + edge;
                job->scores = scores + edge;
                job->weff = weff != NULL ? weff + edge : nobody;
                update_row(job);
            }
            edge += d[N_IN];
        }
    }
}

int32_t fast_linear_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const int8_t *x, const uint8_t *w, const uint32_t *select, int32_t *scratch,
    const int32_t *d) {
    struct update_job job;
    update_prepare(&job, d);
    if (d[SELECTION] == ALL) {
        update_all(&job, scores, weff, g, x, w, scratch, d);
        return 0;
    }
    struct selection selection = { w, select, scores, n_scores, NULL, NULL, NULL };
    selection_divide(&selection, scratch, d[N_ROW]);
    uint8_t *nobody = (uint8_t *)(scratch + selection_words(d[N_ROW]));
    for (int32_t row = 0; row < d[N_OUT]; row++) {
        if (g[row] != 0) {
            job.error = g[row];
            job.w = (uint8_t *)w + row * d[N_ROW];
            job.weff = weff != NULL ? weff + row * d[N_ROW] : nobody;
            update_selected(&selection, &job, row, x, d);
        }
    }
    return 0;
}

// Whatever edges will have a score.
int32_t update_words(const int32_t *d) {
    int32_t columns = smaller(CHUNK, d[N_IN]), words = 2 * columns + LIST_PADDING;
    if (d[N_ROW] <= SELECTED) {
        words = larger(words, selection_words(d[N_ROW]));
    }
    return words + words_of(d[N_ROW]);
}
