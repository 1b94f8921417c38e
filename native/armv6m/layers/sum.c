// The sum of two tensors, forward: the same as portable C, for speed.

#include "crew.h"
#include "fast.h"
#include "rounding.h"

typedef struct {
    int8_t *y;
    const int8_t *x;
    const int8_t *z;
    const int32_t *d;
} layer_t;

// A part of the values.
static void sum_share(void *job, int32_t core, int32_t cores) {
    const layer_t *v = job;
    const int32_t *d = v->d;
    int32_t n = d[N_OUT] * d[H_OUT] * d[W_OUT], first = crew_start(n, 4, core, cores);
    int8_t *y = v->y + first, *end = v->y + crew_start(n, 4, core + 1, cores);
    const int8_t *x = v->x + first, *z = v->z + first;
    int32_t low = d[RELU] != 0 ? 0 : -127, high = d[HIGH], shift = d[FORWARD_SHIFT];
    int32_t scale_x = 1 << larger(0, -d[Z_SHIFT]), scale_z = 1 << larger(0, d[Z_SHIFT]);
    int32_t half = 1 << shift >> 1; // 2 * 127 * 2^15 + 2^29 fits
    for (; y != end; y++) {
        *y = (int8_t)clamp((*x++ * scale_x + *z++ * scale_z + half) >> shift, low, high);
    }
}

int32_t sum_forward(int8_t *y, const int8_t *x, const int8_t *z, const int32_t *d) {
    layer_t v = { y, x, z, d };
    crew_run(sum_share, &v);
    return 0;
}
