// The update of a filter's edges from their dW.

#include "edges.h"

#include <stddef.h>

void edges_prepare(struct edges_job *v, int32_t *scratch, int32_t n, const struct edges *edges) {
    const int32_t *d = edges->d;
    int32_t *to = scratch;
    v->pairs = scratch;
    for (int32_t i = 0; i < n; i++) {
        *to = i;
        to += 2;
    }
    v->update.list = scratch;
    v->update.list_end = to;
    for (int32_t i = 0; i < LIST_PADDING; i++) {
        *to++ = 0;
    }
    v->nobody = (uint8_t *)to;
    v->selection.w = edges->w;
    v->selection.select = edges->select;
    v->selection.scores = edges->scores;
    v->selection.n_scores = edges->n_scores;
    selection_prepare(&v->selection, to + words_of(n), d);
    update_prepare(&v->update, d);
    v->update.error = 1;
}

void edges_update(struct edges_job *v, int32_t f, int32_t first, const struct edges *edges) {
    const int32_t *d = edges->d;
    first += f * d[N_ROW];
    v->update.w = (uint8_t *)edges->w + first;
    v->update.scores = edges->scores + first;
    v->update.weff = edges->weff != NULL ? edges->weff + first : v->nobody;
    if (d[SELECTION] == ALL) {
        update_row(&v->update);
    } else {
        update_selected(&v->selection, &v->update, f, NULL, d);
    }
}
