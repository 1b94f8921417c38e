// Pooling stages on int8: maximum and average, forward and backward.

#include "kernels.h"
#include "scratch.h"

int32_t max_pool_forward(int8_t *y, uint8_t *argmax, const int8_t *x, const int32_t *d) {
    int32_t pool = d[POOL], bits = d[ARGMAX_BITS], w_in = d[W_IN];
    int32_t low = d[RELU] != 0 ? 0 : -128;
    for (int32_t c = d[N_IN]; c != 0; c--) {
        int32_t bit = 0;
        for (int32_t py = 0; py < d[H_OUT]; py++) {
            const int8_t *window = x + py * d[POOL_STRIDE] * w_in;
            for (int32_t px = d[W_OUT]; px != 0; px--) {
                int32_t best = -129, winner = 0, at = 0;
                for (int32_t wy = 0; wy < pool; wy++) {
                    for (int32_t wx = 0; wx < pool; wx++) {
                        int32_t v = window[wy * w_in + wx];
                        if (v > best) {
                            best = v;
                            winner = at;
                        }
                        at++;
                    }
                }
                *y++ = larger(best, low);
                uint8_t *byte = argmax + (bit >> 3);
                int32_t shift = bit & 7;
                *byte = (shift == 0 ? 0 : *byte) | winner << shift;
                bit += bits;
                window += d[POOL_STRIDE];
            }
        }
        argmax += channel_argmax_bytes(d);
        x += d[H_IN] * w_in;
    }
    return 0;
}

// The windows that cover one row or column of the input, followed as `at` grows.
typedef struct {
    int32_t first;
    int32_t count; // windows of the output
    int32_t pool;
    int32_t stride;
} cover_t;

static inline void follow(cover_t *cover, int32_t at) {
    while (cover->first < cover->count && cover->first * cover->stride + cover->pool <= at) {
        cover->first++;
    }
}

// Sum of the gradients of all windows over (iy, ix) that (iy, ix) won; argmax is NULL where
// all positions of a window win.
static int32_t gather(const int8_t *g, const uint8_t *argmax, int32_t iy, int32_t ix,
    const cover_t *rows, const cover_t *columns, int32_t bits) {
    int32_t sum = 0;
    for (int32_t py = rows->first; py < rows->count; py++) {
        int32_t wy = iy - py * rows->stride;
        if (wy < 0) {
            break;
        }
        for (int32_t px = columns->first; px < columns->count; px++) {
            int32_t wx = ix - px * columns->stride;
            if (wx < 0) {
                break;
            }
            int32_t output = py * columns->count + px;
            if (argmax != 0) {
                int32_t bit = output * bits;
                int32_t winner = argmax[bit >> 3] >> (bit & 7) & ((1 << bits) - 1);
                if (winner != wy * rows->pool + wx) {
                    continue;
                }
            }
            sum += g[output];
        }
    }
    return sum;
}

static void pool_backward(int8_t *dx, const int8_t *g, const uint8_t *argmax, const int8_t *x,
    const int32_t *d) {
    cover_t rows, columns;
    rows.count = d[H_OUT];
    columns.count = d[W_OUT];
    rows.pool = columns.pool = d[POOL];
    rows.stride = columns.stride = d[POOL_STRIDE];
    for (int32_t c = d[N_IN]; c != 0; c--) {
        rows.first = 0;
        for (int32_t iy = 0; iy < d[H_IN]; iy++) {
            follow(&rows, iy);
            columns.first = 0;
            for (int32_t ix = 0; ix < d[W_IN]; ix++) {
                follow(&columns, ix);
                int32_t v = 0;
                if (d[X_RELU] == 0 || *x > 0) {
                    v = gather(g, argmax, iy, ix, &rows, &columns, d[ARGMAX_BITS]);
                }
                x++;
                *dx++ = clamp(v, -127, 127);
            }
        }
        g += d[H_OUT] * d[W_OUT];
        if (argmax != 0) {
            argmax += channel_argmax_bytes(d);
        }
    }
}

int32_t max_pool_backward(int8_t *dx, const int8_t *g, const uint8_t *argmax, const int8_t *x,
    const int32_t *d) {
    pool_backward(dx, g, argmax, x, d);
    return 0;
}

int32_t avg_pool_forward(int8_t *y, const int8_t *x, const int32_t *d) {
    int32_t pool = d[POOL], w_in = d[W_IN];
    int32_t low = d[RELU] != 0 ? 0 : -128;
    for (int32_t c = d[N_IN]; c != 0; c--) {
        for (int32_t py = 0; py < d[H_OUT]; py++) {
            const int8_t *window = x + py * d[POOL_STRIDE] * w_in;
            for (int32_t px = d[W_OUT]; px != 0; px--) {
                int32_t sum = 0;
                for (int32_t wy = 0; wy < pool; wy++) {
                    for (int32_t wx = 0; wx < pool; wx++) {
                        sum += window[wy * w_in + wx];
                    }
                }
                // at most 225 * 128 * 291: fits
                *y++ = larger(round_half_up(sum * d[MULTIPLIER], 16), low);
                window += d[POOL_STRIDE];
            }
        }
        x += d[H_IN] * w_in;
    }
    return 0;
}

int32_t avg_pool_backward(int8_t *dx, const int8_t *g, const int8_t *x, const int32_t *d) {
    pool_backward(dx, g, 0, x, d);
    return 0;
}
