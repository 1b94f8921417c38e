// Geometry of the lists of errors, and where those of a filter lie.

#include <stddef.h>

#include "conv3x3_errors.h"
#include "kernels.h"
#include "scratch.h"

void conv3x3_errors_prepare(struct conv3x3_errors *v, int32_t *list, int32_t position_bytes,
    const int32_t *d) {
    v->list = list;
    v->columns = d[W_OUT];
    v->below = position_bytes * padded_width(d);
    v->step = position_bytes * d[POOL];
    v->skip = v->below * d[POOL] - v->step * d[W_OUT];
}

void conv3x3_errors_of(struct conv3x3_errors *v, const int8_t *g, const uint8_t *argmax,
    int32_t filter, const int32_t *d) {
    int32_t outputs = d[H_OUT] * d[W_OUT];
    v->g = g + filter * outputs;
    v->g_end = v->g + outputs;
    v->argmax = d[POOL] == 2 ? argmax + filter * channel_argmax_bytes(d) : NULL;
}
