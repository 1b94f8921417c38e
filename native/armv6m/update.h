// What update.c and conv3x3_update.c hand to update_rows.S, which knows the offsets.

#ifndef PRIOT_ARMV6M_UPDATE_H
#define PRIOT_ARMV6M_UPDATE_H

#include "crew.h"
#include "kernels.h"
#include "scratch.h"

enum { RULE_PRUNE_NEAREST, RULE_PRUNE, RULE_GAIN, RULE_WEIGHTS, RULE_WIDE }; // but the first, PSR

struct update_job {
    int32_t rule; // RULE_*
    int32_t threshold;
    uint8_t *weff; // of the row, as w and scores
    uint32_t granule; // power of two that divides the threshold, at most 256
    int32_t constants[4]; // of the rounding, see update_rows.S
    const int32_t *list_end;
    const int32_t *list; // pairs (edge of the row, factor); three pairs (0, 0) follow the end
    uint8_t *w; // WEIGHTS and WIDE write it
    uint8_t *scores;
    int32_t error;
};

enum {
    LIST_PADDING = 6, // words behind the end of a list
    SELECTED = 1024, // longest row where only some edges have a score
    COLUMNS = 512, // that linear_listed_update lists at once
};

// Edges with a score of a layer where not all have one.
struct selection {
    const uint8_t *w;
    const uint32_t *select;
    uint8_t *scores;
    int32_t n_scores;
    const uint8_t *bitmap; // NULL: the largest weights
    uint32_t tau;
    int32_t *list; // the row's edges with a score and a gradient
    uint16_t *places; // where their scores belong: the lower half of the address
    uint8_t *gathered; // their scores, at the place of the edge
};

void update_row(const struct update_job *job);
int32_t *list_inputs(int32_t *list, const int8_t *x, int32_t n);

// Whether the rules of update_rows.S include that of d. Gains and weights that round to nearest
// die, so nobody does that.
static inline int32_t update_is_supported(const int32_t *d) {
    return (d[SELECTION] == ALL || d[N_ROW] <= SELECTED)
        && (d[RULE] == PRUNE || (d[RULE] != FROZEN && d[ROUNDING] == PSR));
}

// Scratch of select.c for a row where not all edges have a score.
static inline int32_t selection_words(const int32_t *d) {
    int32_t n = d[N_ROW];
    return d[SELECTION] == ALL ? 0 : 2 * n + LIST_PADDING + words_of(2 * n) + words_of(n);
}

// Of a linear layer: a list of columns, or each core's selection, and a row of weff where that is
// not kept.
static inline int32_t linear_update_words(const int32_t *d) {
    return words_of(d[N_ROW]) + (d[SELECTION] == ALL
        ? 2 * smaller(COLUMNS, d[N_IN]) + LIST_PADDING : CREW * selection_words(d));
}

// update_prepare.c
void update_prepare(struct update_job *job, const int32_t *d);

// select.c
void selection_prepare(struct selection *v, int32_t *scratch, const int32_t *d);
void update_selected(const struct selection *v, struct update_job *job, int32_t row,
    const int8_t *x, const int32_t *d);

#endif
