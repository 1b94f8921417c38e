// What update.c and conv3x3_update.c hand to update_rows.S, which knows the offsets.

#ifndef PRIOT_ARMV6M_UPDATE_H
#define PRIOT_ARMV6M_UPDATE_H

#include <stdint.h>

enum { RULE_PRUNE_NEAREST, RULE_PRUNE, RULE_GAIN, RULE_WEIGHTS }; // but the first, PSR

struct update_job {
    int32_t rule; // RULE_*
    int32_t threshold;
    uint8_t *weff; // of the row, as w and scores
    uint32_t granule; // power of two that divides the threshold, at most 256
    int32_t constants[4]; // of the rounding, see update_rows.S
    const int32_t *list_end;
    const int32_t *list; // pairs (edge of the row, factor); three pairs (0, 0) follow the end
    uint8_t *w; // WEIGHTS writes it
    uint8_t *scores;
    int32_t error;
};

enum {
    LIST_PADDING = 6, // words behind the end of a list
    SELECTED = 1024, // longest row where only some edges have a score
};

// Edges with a score of a layer where not all have one.
struct selection {
    const uint8_t *w;
    const uint32_t *select;
    uint8_t *scores;
    int32_t n_scores;
    int32_t *list; // the row's edges with a score and a gradient
    uint8_t **places; // where their scores belong
    uint8_t *gathered; // their scores, at the place of the edge
};

void update_row(const struct update_job *job);
int32_t *list_inputs(int32_t *list, const int8_t *x, int32_t n);

// update.c
int32_t update_is_supported(const int32_t *d);
void update_prepare(struct update_job *job, const int32_t *d);

// select.c
int32_t selection_words(int32_t n_row);
void selection_divide(struct selection *v, int32_t *scratch, int32_t n_row);
void update_selected(const struct selection *v, struct update_job *job, int32_t row,
    const int8_t *x, const int32_t *d);

#endif
