// Updates of linear layers by update_rows.S.

#include <stddef.h>

#include "bytes.h"
#include "crew.h"
#include "fast.h"
#include "rounding.h"
#include "scratch.h"
#include "update.h"

typedef struct {
    struct update_job job; // w, scores and weff of the first row; without its error
    const int8_t *g;
    const int8_t *x;
    int32_t weff_step; // N_ROW, 0 where weff is not kept
    const struct selection *selection; // without its scratch; NULL: all edges
    int32_t *scratch; // of the selection of the first core
    const int32_t *d;
} rows_t;

// Every cores-th of the rows with an error.
static void rows_share(void *all, int32_t core, int32_t cores) {
    const rows_t *v = all;
    const int32_t *d = v->d;
    int32_t n_row = d[N_ROW], others = core; // rows of other cores before the next of this one
    struct update_job job;
    struct selection selection;
    copy_words(&job, &v->job, sizeof(job));
    if (v->selection != NULL) {
        copy_words(&selection, v->selection, sizeof(selection));
        selection_prepare(&selection, v->scratch + core * selection_words(d), d);
    }
    for (int32_t row = 0; row < d[N_OUT]; row++) {
        if (v->g[row] != 0) {
            if (--others < 0) {
                others += cores;
                job.error = v->g[row];
                if (v->selection == NULL) {
                    update_row(&job);
                } else {
                    update_selected(&selection, &job, row, v->x, d);
                }
            }
        }
        job.w += n_row;
        job.scores += n_row;
        job.weff += v->weff_step;
    }
}

// Rows of all edges go COLUMNS at a time: their inputs are listed once for all rows.
int32_t linear_listed_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const int8_t *x, const uint8_t *w, const uint32_t *select, int32_t *scratch,
    const int32_t *d) {
    int32_t n_in = d[N_IN];
    rows_t v;
    struct update_job *job = &v.job;
    update_prepare(job, d);
    v.g = g;
    v.x = x;
    v.weff_step = weff != NULL ? n_in : 0;
    v.selection = NULL;
    v.scratch = scratch + words_of(n_in);
    v.d = d;
    job->w = (uint8_t *)w;
    job->scores = scores;
    job->weff = weff != NULL ? weff : (uint8_t *)scratch;
    if (d[SELECTION] != ALL) {
        struct selection selection = { w, select, scores, n_scores, NULL, 0, NULL, NULL, NULL };
        v.selection = &selection;
        crew_run(rows_share, &v);
        return 0;
    }
    job->list = v.scratch;
    for (int32_t column = 0; column < n_in; column += COLUMNS) {
        job->list_end = list_inputs(v.scratch, x + column, smaller(COLUMNS, n_in - column));
        if (job->list_end != job->list) {
            crew_run(rows_share, &v);
        }
        job->w += COLUMNS;
        job->scores += COLUMNS;
        job->weff += weff != NULL ? COLUMNS : 0;
    }
    return 0;
}
