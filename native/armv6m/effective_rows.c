// Effective weights by both cores, a part of the rows each.

#include "effective.h"

#include "crew.h"
#include "fast.h"

static void rows_share(void *job, int32_t core, int32_t cores) {
    const layer_t *layer = job;
    const int32_t *d = layer->d;
    int32_t first = crew_start(d[ROWS], 1, core, cores);
    effective_rows(layer->weff + first * d[N_ROW], layer, d[ROW] + first,
        crew_start(d[ROWS], 1, core + 1, cores) - first);
}

int32_t effective_weights_by_rows(uint8_t *weff, const uint8_t *w, const uint8_t *scores,
    int32_t n_scores, const uint32_t *select, const int32_t *d) {
    layer_t layer = { d, (uint8_t *)scores, (uint8_t *)scores + n_scores, weff, (uint8_t *)w,
                      select, 0 };
    crew_run(rows_share, &layer);
    return 0;
}
