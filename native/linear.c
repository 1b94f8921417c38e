// Linear layers: forward, and the gradient of their input. Two rows share every load of x.

#include "kernels.h"
#include "patch.h"
#include "scratch.h"

// The dot products read x as it suits the target, see patch.h: where there are vectors, a copy
// of x as int16; elsewhere x itself and weights still offset by 128, at 14 cycles per two
// products on a Cortex-M0+.
#if PRIOT_VECTORS
typedef int16_t input_t;
#define WEIGHT(byte) ((int16_t)((byte) - 128))
#else
typedef int8_t input_t;
#define WEIGHT(byte) ((uint32_t)(byte))
#endif

int32_t linear_scratch_words(int32_t training, const int32_t *d) {
    if (training != 0) {
        return d[N_IN]; // backward_input: sums; update: x as int32; forward: half of that
    }
    return PRIOT_VECTORS ? words_of(2 * d[N_IN]) : 0;
}

// x for dot_two_rows, and in *bias what it leaves out of every sum
static const input_t *prepare(int32_t *bias, int32_t *scratch, const int8_t *x, int32_t n) {
    #if PRIOT_VECTORS
    int16_t *copy = (int16_t *)scratch;
    for (int32_t i = 0; i < n; i++) {
        copy[i] = x[i];
    }
    *bias = 0;
    return copy;
    #else
    (void)scratch;
    int32_t sum = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += x[i];
    }
    *bias = -128 * sum;
    return x;
    #endif
}

// acc[0], acc[1]: dot products of two rows with x, less the bias
static inline void dot_two_rows(int32_t *acc, const uint8_t *w0, const uint8_t *w1,
    const input_t *x, int32_t n) {
    int32_t a0 = 0, a1 = 0;
    for (int32_t i = 0; i < n; i++) {
        a0 += WEIGHT(w0[i]) * x[i];
        a1 += WEIGHT(w1[i]) * x[i];
    }
    acc[0] = a0;
    acc[1] = a1;
}

int32_t linear_forward(int8_t *y, const int8_t *x, const uint8_t *w, int32_t *scratch,
    const int32_t *d) {
    int32_t n = d[N_IN], low = d[RELU] != 0 ? 0 : -127;
    int32_t largest = 0;
    int32_t acc[2], bias;
    const input_t *input = prepare(&bias, scratch, x, n);
    y += d[ROW];
    for (int32_t left = d[ROWS]; left > 0; left -= 2) {
        int32_t rows = left > 1 ? 2 : 1;
        dot_two_rows(acc, w, rows == 2 ? w + n : w, input, n);
        for (int32_t j = 0; j < rows; j++) {
            int32_t v = (int32_t)((uint32_t)acc[j] + (uint32_t)bias);
            if (d[MEASURE] != 0) {
                largest = larger(largest, low != 0 ? absolute(v) : v);
            } else {
                *y++ = clamp(round_half_up(v, d[FORWARD_SHIFT]), low, 127);
            }
        }
        w += 2 * n;
    }
    return largest;
}

// sums += g0 * row w0 + g1 * row w1
static void add_two_rows(int32_t *sums, const uint8_t *w0, int16_t g0, const uint8_t *w1,
    int16_t g1, int32_t n) {
    int32_t offset = 128 * (g0 + g1);
    for (int32_t i = 0; i < n; i++) {
        sums[i] += w0[i] * g0 + w1[i] * g1 - offset;
    }
}

static int32_t put_input_gradient(int8_t *dx, const int8_t *x, const int32_t *sums,
    const int32_t *d) {
    int32_t shift = d[BACKWARD_SHIFT];
    int32_t largest = 0;
    for (int32_t i = 0; i < d[N_IN]; i++) {
        int32_t v = d[X_RELU] != 0 && x[i] <= 0 ? 0 : sums[i];
        if (d[MEASURE] != 0) {
            largest = larger(largest, absolute(v));
        } else {
            dx[i] = clamp(round_half_up(v, shift), -127, 127);
        }
    }
    return largest;
}

int32_t linear_backward_input(int8_t *dx, const int8_t *g, const int8_t *x, const uint8_t *w,
    int32_t *scratch, const int32_t *d) {
    int32_t n = d[N_IN];
    const uint8_t *waiting = w; // a row with an error, until there is a second one
    int32_t waiting_error = 0;
    if (d[ROW] == 0) {
        for (int32_t i = 0; i < n; i++) {
            scratch[i] = 0;
        }
    }
    g += d[ROW];
    for (int32_t left = d[ROWS]; left > 0; left--) {
        int32_t error = *g++;
        if (error != 0 && waiting_error != 0) {
            add_two_rows(scratch, waiting, waiting_error, w, error, n);
            waiting_error = 0;
        } else if (error != 0) {
            waiting = w;
            waiting_error = error;
        }
        w += n;
    }
    if (waiting_error != 0) {
        add_two_rows(scratch, waiting, waiting_error, waiting, 0, n);
    }
    return d[ROW] + d[ROWS] == d[N_OUT] ? put_input_gradient(dx, x, scratch, d) : 0;
}
