// Pooling stages on int8: maximum and average, forward and backward.

#include <stddef.h>

#include "kernels.h"
#include "scratch.h"

// One window: its largest value and where it stands, or its sum.
typedef struct {
    int32_t best;
    int32_t winner;
    int32_t sum;
} seen_t;

static seen_t look(const int8_t *x, const int32_t *d) {
    seen_t window = { -129, 0, 0 };
    int32_t at = 0;
    for (int32_t wy = d[POOL_H]; wy != 0; wy--) {
        for (int32_t wx = 0; wx < d[POOL_W]; wx++) {
            int32_t v = x[wx];
            window.sum += v;
            if (v > window.best) {
                window.best = v;
                window.winner = at;
            }
            at++;
        }
        x += d[W_IN];
    }
    return window;
}

// Maximum where argmax is there, average where it is NULL.
static int32_t forward(int8_t *y, uint8_t *argmax, const int8_t *x, const int32_t *d) {
    int32_t low = d[RELU] != 0 ? 0 : -127, high = d[HIGH];
    for (int32_t c = d[N_IN]; c != 0; c--) {
        int32_t bit = 0;
        for (int32_t py = 0; py < d[H_OUT]; py++) {
            const int8_t *at = x + py * d[POOL_STRIDE_H] * d[W_IN];
            for (int32_t px = d[W_OUT]; px != 0; px--) {
                seen_t window = look(at, d);
                at += d[POOL_STRIDE_W];
                if (argmax == NULL) {
                    // at most 225 * 128 * 291: fits
                    window.best = round_half_up(window.sum * d[MULTIPLIER], 16);
                } else {
                    uint8_t *byte = argmax + (bit >> 3);
                    int32_t kept = (1 << (bit & 7)) - 1; // the first of a byte clears the rest
                    *byte = (*byte & kept) | window.winner << (bit & 7);
                    bit += d[ARGMAX_BITS];
                }
                *y++ = clamp(window.best, low, high);
            }
        }
        if (argmax != NULL) {
            argmax += channel_argmax_bytes(d);
        }
        x += d[H_IN] * d[W_IN];
    }
    return 0;
}

// First window of those along one side, `stride` apart, that reaches `at` or beyond.
static int32_t first_over(int32_t at, int32_t first, int32_t stride, int32_t window) {
    while (first * stride + window <= at) {
        first++;
    }
    return first;
}

// Sum of the gradients of all windows over (iy, ix), or of those that it won.
static int32_t gather(const int8_t *g, const uint8_t *argmax, int32_t iy, int32_t ix,
    int32_t first_y, int32_t first_x, const int32_t *d) {
    int32_t down = d[POOL_STRIDE_H], across = d[POOL_STRIDE_W], bits = d[ARGMAX_BITS], sum = 0;
    for (int32_t py = first_y; py < d[H_OUT] && py * down <= iy; py++) {
        for (int32_t px = first_x; px < d[W_OUT] && px * across <= ix; px++) {
            int32_t output = py * d[W_OUT] + px;
            int32_t place = (iy - py * down) * d[POOL_W] + ix - px * across;
            int32_t bit = output * bits;
            if (argmax == NULL
                || (argmax[bit >> 3] >> (bit & 7) & ((1 << bits) - 1)) == place) {
                sum += g[output];
            }
        }
    }
    return sum;
}

static int32_t backward(int8_t *dx, const int8_t *g, const uint8_t *argmax, const int8_t *x,
    const int32_t *d) {
    for (int32_t c = d[N_IN]; c != 0; c--) {
        int32_t first_y = 0;
        for (int32_t iy = 0; iy < d[H_IN]; iy++) {
            int32_t first_x = 0;
            first_y = first_over(iy, first_y, d[POOL_STRIDE_H], d[POOL_H]);
            for (int32_t ix = 0; ix < d[W_IN]; ix++) {
                first_x = first_over(ix, first_x, d[POOL_STRIDE_W], d[POOL_W]);
                int32_t v = gather(g, argmax, iy, ix, first_y, first_x, d);
                put_gradient(dx++, v, *x++, d[MASK_DX], d[ADD_DX]);
            }
        }
        g += d[H_OUT] * d[W_OUT];
        if (argmax != NULL) {
            argmax += channel_argmax_bytes(d);
        }
    }
    return 0;
}

int32_t max_pool_forward(int8_t *y, uint8_t *argmax, const int8_t *x, const int32_t *d) {
    return forward(y, argmax, x, d);
}

int32_t max_pool_backward(int8_t *dx, const int8_t *g, const uint8_t *argmax, const int8_t *x,
    const int32_t *d) {
    return backward(dx, g, argmax, x, d);
}

int32_t avg_pool_forward(int8_t *y, const int8_t *x, const int32_t *d) {
    return forward(y, NULL, x, d);
}

int32_t avg_pool_backward(int8_t *dx, const int8_t *g, const int8_t *x, const int32_t *d) {
    return backward(dx, g, NULL, x, d);
}
