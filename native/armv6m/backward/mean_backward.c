// Back through a global average pool: the same as portable C, for speed.

#include "crew.h"
#include "fast.h"
#include "rounding.h"

typedef struct {
    int8_t *dx;
    const int8_t *g;
    const int8_t *x;
    const int32_t *d;
} gradient_t;

// Gradients of a part of the channels.
static void spread_share(void *job, int32_t core, int32_t cores) {
    const gradient_t *v = job;
    const int32_t *d = v->d;
    int32_t c = crew_start(d[N_IN], 1, core, cores), end = crew_start(d[N_IN], 1, core + 1, cores);
    int32_t n = d[H_IN] * d[W_IN], mask = d[MASK_DX], add = d[ADD_DX];
    const int8_t *x = v->x + c * n;
    int8_t *dx = v->dx + c * n;
    for (; c < end; c++) {
        int32_t g = v->g[c];
        int8_t alone = (int8_t)clamp(g, -127, 127);
        for (int8_t *last = dx + n; dx != last; dx++) {
            if (add != 0) {
                put_gradient(dx, g, *x++, mask, add);
            } else {
                int32_t value = *x++;
                *dx = mask != 0 && (value <= 0 || value >= mask) ? 0 : alone;
            }
        }
    }
}

int32_t mean_backward(int8_t *dx, const int8_t *g, const int8_t *x, const int32_t *d) {
    gradient_t v = { dx, g, x, d };
    crew_run(spread_share, &v);
    return 0;
}
