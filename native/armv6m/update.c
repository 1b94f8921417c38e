// Score and weight updates by update_rows.S: constants of the rules, and linear layers.

#include <stddef.h>

#include "update.h"
#include "fast.h"
#include "rounding.h"
#include "scratch.h"

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

// COLUMNS at a time: their inputs are listed once for all rows.
static void update_all(struct update_job *job, uint8_t *scores, uint8_t *weff, const int8_t *g,
    const int8_t *x, const uint8_t *w, int32_t *scratch, const int32_t *d) {
    int32_t columns = smaller(COLUMNS, d[N_IN]);
    uint8_t *nobody = (uint8_t *)(scratch + 2 * columns + LIST_PADDING); // where weff is not kept
    job->list = scratch;
    for (int32_t column = 0; column < d[N_IN]; column += COLUMNS) {
        int32_t edge = column;
        job->list_end = list_inputs(scratch, x + column, smaller(COLUMNS, d[N_IN] - column));
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

int32_t linear_listed_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const int8_t *x, const uint8_t *w, const uint32_t *select, int32_t *scratch,
    const int32_t *d) {
    struct update_job job;
    update_prepare(&job, d);
    if (d[SELECTION] == ALL) {
        update_all(&job, scores, weff, g, x, w, scratch, d);
        return 0;
    }
    struct selection selection = { w, select, scores, n_scores, NULL, 0, NULL, NULL, NULL };
    selection_prepare(&selection, scratch, d);
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
