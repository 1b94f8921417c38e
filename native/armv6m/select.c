// Rows where only some edges are trained: lists those, gathers their scores for update_rows.S and
// scatters them again.

#include <stddef.h>

#include "effective.h"
#include "rounding.h"
#include "update.h"

void selection_prepare(struct selection *v, int32_t *scratch, const int32_t *d) {
    int32_t n = d[N_ROW];
    v->bitmap = d[SELECTION] == LARGEST ? NULL : (const uint8_t *)(v->select + d[N_OUT]);
    v->tau = (uint32_t)d[TAU];
    v->list = scratch;
    v->places = (uint16_t *)(scratch + 2 * n + LIST_PADDING);
    v->gathered = (uint8_t *)((int32_t *)v->places + words_of(2 * n));
}

// The first trained edge from `edge` on, or one not before `end`.
static int32_t next_selected(const struct selection *v, int32_t edge, int32_t end) {
    const uint8_t *bitmap = v->bitmap;
    if (bitmap == NULL) {
        uint32_t tau = v->tau;
        while (edge < end && v->w[edge] - 128u + tau - 1 < 2 * tau - 1) { // -tau < w < tau
            edge++;
        }
        return edge;
    }
    while (edge < end) {
        uint32_t bits = (uint32_t)bitmap[edge >> 3] >> (edge & 7);
        if (bits != 0) {
            for (; (bits & 1) == 0; bits >>= 1) {
                edge++;
            }
            return edge;
        }
        edge = (edge | 7) + 1;
    }
    return edge;
}

// The update of a row; its factors are x[i], or those of the job's list of all edges where x is
// NULL. The job's scores change.
void update_selected(const struct selection *v, struct update_job *job, int32_t row,
    const int8_t *x, const int32_t *d) {
    int32_t first = row * d[N_ROW], end = first + d[N_ROW], has_scores = d[RULE] != WEIGHTS;
    uint8_t *score = v->scores, *scores_end = score + v->n_scores;
    const int32_t *dw = job->list, *dw_end = job->list_end;
    int32_t *to = v->list;
    uint16_t *place = v->places;
    if (has_scores) {
        score += scores_before(v->select, row, (uint32_t)v->n_scores);
    }
    uint8_t *scores = score;
    for (int32_t edge = next_selected(v, first, end); edge < end;
        edge = next_selected(v, edge + 1, end)) {
        int32_t i = edge - first, value = x != NULL ? x[i] : dw[2 * i + 1];
        if (has_scores && score == scores_end) {
            break;
        }
        if (value != 0) {
            *to++ = i;
            *to++ = value;
            if (has_scores) {
                *place++ = (uint16_t)(uintptr_t)score;
                v->gathered[i] = *score;
            }
        }
        score += has_scores;
    }
    for (int32_t i = 0; i < LIST_PADDING; i++) {
        to[i] = 0;
    }
    if (to == v->list) {
        return;
    }
    job->list = v->list;
    job->list_end = to;
    job->scores = v->gathered;
    update_row(job);
    job->list = dw;
    job->list_end = dw_end;
    if (has_scores) {
        place = v->places;
        for (const int32_t *from = v->list; from != to; from += 2) {
            scores[(uint16_t)(*place++ - (uint16_t)(uintptr_t)scores)] = v->gathered[*from];
        }
    }
}
