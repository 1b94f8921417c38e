// The update of a filter's edges from their dW, by update_rows.S or, where only some edges have a
// score, select.c.

#ifndef PRIOT_EDGES_H
#define PRIOT_EDGES_H

#include "kernels.h"
#include "update.h"

// The operands of an update.
struct edges {
    uint8_t *scores;
    int32_t n_scores;
    uint8_t *weff;
    const uint8_t *w;
    const uint32_t *select;
    const int32_t *d;
};

// A core's own: how it updates n edges of a filter.
struct edges_job {
    struct update_job update;
    struct selection selection;
    uint8_t *nobody; // takes weff where that is not kept
    int32_t *pairs; // (edge, dW) for each
};

// Scratch of n edges at once.
static inline int32_t edges_words(int32_t n, const int32_t *d) {
    return 2 * n + LIST_PADDING + words_of(n) + selection_words(d);
}

// edges.c
void edges_prepare(struct edges_job *v, int32_t *scratch, int32_t n, const struct edges *edges);

// The n edges of filter f from edge `first` on.
void edges_update(struct edges_job *v, int32_t f, int32_t first, const struct edges *edges);

#endif
