// Average pooling, forward: the same as portable C, for speed.

#include "crew.h"
#include "fast.h"
#include "rounding.h"

typedef struct {
    int8_t *y;
    const int8_t *x;
    const int32_t *d;
} layer_t;

// Sum of a window: rows of n values, `skip` bytes from behind one to the next. 5 cycles a value.
static int32_t sum_of(const int8_t *x, int32_t rows, int32_t n, int32_t skip) {
    int32_t sum = 0;
    for (; rows != 0; rows--) {
        int32_t left = n;
        for (; left >= 4; left -= 4) {
            sum += x[0] + x[1] + x[2] + x[3];
            x += 4;
        }
        for (; left != 0; left--) {
            sum += *x++;
        }
        x += skip;
    }
    return sum;
}

// Shares are a part of the channels.
static void average_share(void *job, int32_t core, int32_t cores) {
    const layer_t *v = job;
    const int32_t *d = v->d;
    int32_t c = crew_start(d[N_IN], 1, core, cores), end = crew_start(d[N_IN], 1, core + 1, cores);
    int8_t *y = v->y + c * d[H_OUT] * d[W_OUT];
    const int8_t *x = v->x + c * d[H_IN] * d[W_IN];
    int32_t low = d[RELU] != 0 ? 0 : -127, high = d[HIGH], skip = d[W_IN] - d[POOL_W];
    for (; c < end; c++) {
        const int8_t *row = x;
        for (int32_t py = d[H_OUT]; py != 0; py--) {
            const int8_t *at = row;
            for (int32_t px = d[W_OUT]; px != 0; px--) {
                // at most 225 * 128 * 291: fits
                int32_t sum = sum_of(at, d[POOL_H], d[POOL_W], skip) * d[MULTIPLIER];
                *y++ = (int8_t)clamp(round_half_up(sum, 16), low, high);
                at += d[POOL_STRIDE_W];
            }
            row += d[POOL_STRIDE_H] * d[W_IN];
        }
        x += d[H_IN] * d[W_IN];
    }
}

static void mean_share(void *job, int32_t core, int32_t cores) {
    const layer_t *v = job;
    const int32_t *d = v->d;
    int32_t c = crew_start(d[N_IN], 1, core, cores), end = crew_start(d[N_IN], 1, core + 1, cores);
    int32_t low = d[RELU] != 0 ? 0 : -127, high = d[HIGH], n = d[H_IN] * d[W_IN];
    const int8_t *x = v->x + c * n;
    for (; c < end; c++) {
        v->y[c] = (int8_t)clamp(round_half_up(sum_of(x, 1, n, 0), d[FORWARD_SHIFT]), low, high);
        x += n;
    }
}

int32_t average_forward(int8_t *y, const int8_t *x, const int32_t *d) {
    layer_t v = { y, x, d };
    crew_run(average_share, &v);
    return 0;
}

int32_t mean_forward(int8_t *y, const int8_t *x, const int32_t *d) {
    layer_t v = { y, x, d };
    crew_run(mean_share, &v);
    return 0;
}
