// Gradients of a sum of two tensors: the same as portable C, for speed.

#include "crew.h"
#include "fast.h"
#include "rounding.h"

typedef struct {
    int8_t *dx;
    int8_t *dz;
    const int8_t *g;
    const int8_t *x;
    const int8_t *z;
    const int32_t *d;
} gradient_t;

static void put_gradients_of(int8_t *to, const int8_t *g, const int8_t *x, int32_t n, int32_t mask,
    int32_t add) {
    for (const int8_t *end = g + n; g != end; g++) {
        put_gradient(to++, *g, *x++, mask, add);
    }
}

static void gradients_share(void *job, int32_t core, int32_t cores) {
    const gradient_t *v = job;
    const int32_t *d = v->d;
    int32_t n = d[N_OUT] * d[H_OUT] * d[W_OUT], i = crew_start(n, 4, core, cores);
    n = crew_start(n, 4, core + 1, cores) - i;
    if (v->dx != NULL) {
        put_gradients_of(v->dx + i, v->g + i, v->x + i, n, d[MASK_DX], d[ADD_DX]);
    }
    if (v->dz != NULL) {
        put_gradients_of(v->dz + i, v->g + i, v->z + i, n, d[MASK_DZ], d[ADD_DZ]);
    }
}

int32_t sum_backward(int8_t *dx, int8_t *dz, const int8_t *g, const int8_t *x, const int8_t *z,
    const int32_t *d) {
    gradient_t v = { dx, dz, g, x, z, d };
    crew_run(gradients_share, &v);
    return 0;
}
