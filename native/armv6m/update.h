// What update.c and conv3x3_update.c hand to update_rows.S, which knows the offsets.

#ifndef PRIOT_ARMV6M_UPDATE_H
#define PRIOT_ARMV6M_UPDATE_H

#include <stdint.h>

struct update_job {
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

enum { LIST_PADDING = 6 }; // words behind the end of a list

void update_prune_nearest(const struct update_job *job);
void update_prune_stochastic(const struct update_job *job);
void update_gain(const struct update_job *job);
void update_weights(const struct update_job *job);
int32_t *list_inputs(int32_t *list, const int8_t *x, int32_t n);

// update.c
int32_t update_is_supported(const int32_t *d);
void update_prepare(struct update_job *job, const int32_t *d);
void update_row(const struct update_job *job, const int32_t *d);

#endif
