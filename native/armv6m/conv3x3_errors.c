// Positions of the errors of a filter.

#include "conv3x3_errors.h"
#include "kernels.h"
#include "scratch.h"

void conv3x3_errors_prepare(struct conv3x3_errors *v, int32_t *scratch, const int8_t *g,
    const uint8_t *argmax, int32_t position_bytes, const int32_t *d) {
    int32_t pool = d[POOL_H], width = padded_width(d), columns = d[W_OUT];
    int32_t outputs = d[H_OUT] * columns, left = columns, position = 0;
    uint16_t *to = (uint16_t *)scratch;
    v->list = scratch + ((outputs + 1) >> 1);
    v->g = g;
    v->argmax = (const uint8_t *)g;
    v->argmax_bytes = v->lower = v->right = 0;
    v->outputs = outputs;
    if (pool == 2) {
        v->argmax = argmax;
        v->argmax_bytes = (outputs + 3) >> 2;
        v->lower = position_bytes * width;
        v->right = position_bytes;
    }
    do {
        *to++ = (uint16_t)position;
        position += pool;
        if (--left == 0) {
            left = columns;
            position += pool * (width - columns);
        }
    } while (--outputs != 0);
    v->positions_end = to;
}
