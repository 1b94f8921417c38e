// Score and weight updates by update_rows.S: constants of the rules, and linear layers.

#include <stddef.h>

#include "update.h"
#include "fast.h"
#include "layout.h"
#include "rounding.h"
#include "scratch.h"

enum { CHUNK = 512 }; // columns that are listed at once

// Every edge has a score; gains and weights that round to nearest die, so nobody does that.
int32_t update_is_supported(const int32_t *d) {
    int32_t rule = d[RULE];
    return (rule == WEIGHTS && d[ROUNDING] == PSR) || (rule == PRUNE && d[SELECTION] == ALL)
        || (rule == GAIN && d[SELECTION] == ALL && d[ROUNDING] == PSR);
}

void update_prepare(struct update_job *job, const int32_t *d) {
    int32_t shift = d[UPDATE_SHIFT], threshold = d[THRESHOLD] | 256;
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

void update_row(const struct update_job *job, const int32_t *d) {
    if (d[RULE] == WEIGHTS) {
        update_weights(job);
    } else if (d[RULE] == GAIN) {
        update_gain(job);
    } else if (d[ROUNDING] == PSR) {
        update_prune_stochastic(job);
    } else {
        update_prune_nearest(job);
    }
}

int32_t fast_linear_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const int8_t *x, const uint8_t *w, const uint32_t *select, int32_t *scratch,
    const int32_t *d) {
    if (!update_is_supported(d)) {
        return linear_update(scores, n_scores, weff, g, x, w, select, scratch, d);
    }
    struct update_job job;
    int32_t columns = smaller(CHUNK, d[N_IN]);
    uint8_t *nobody = (uint8_t *)(scratch + 2 * columns + LIST_PADDING); // where weff is not kept
    update_prepare(&job, d);
    job.list = scratch;
    for (int32_t column = 0; column < d[N_IN]; column += CHUNK) {
        int32_t edge = column;
        job.list_end = list_inputs(scratch, x + column, smaller(CHUNK, d[N_IN] - column));
        for (int32_t row = 0; row < d[N_OUT]; row++) {
            if (g[row] != 0 && job.list_end != job.list) {
                job.error = g[row];
                job.w = (uint8_t *)w + edge;
                job.scores = scores + edge;
                job.weff = weff != NULL ? weff + edge : nobody;
                update_row(&job, d);
            }
            edge += d[N_IN];
        }
    }
    return 0;
}

int32_t update_words(const int32_t *d) {
    int32_t columns = smaller(CHUNK, d[N_IN]);
    return 2 * columns + LIST_PADDING + words_of(columns);
}
