// Linear layers forward. Two rows share every load of x.

#include "kernels.h"
#include "loops.h"
#include "scratch.h"

// x as dot_two_rows reads it, and in *bias what its sums leave out
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

int32_t linear_forward(int8_t *y, const int8_t *x, const uint8_t *w, int32_t *scratch,
    const int32_t *d) {
    int32_t n = d[N_IN], largest = 0;
    int32_t acc[2], bias;
    const input_t *input = prepare(&bias, scratch, x, n);
    y += d[ROW];
    for (int32_t left = d[ROWS]; left > 0; left -= 2) {
        int32_t rows = smaller(left, 2);
        dot_two_rows(acc, w, rows == 2 ? w + n : w, input, n);
        acc[0] = (int32_t)((uint32_t)acc[0] + (uint32_t)bias);
        acc[1] = (int32_t)((uint32_t)acc[1] + (uint32_t)bias);
        if (d[MEASURE] != 0) {
            largest = larger(largest, measured(acc, 1, rows, d));
        } else {
            put_outputs(y, 1, acc, 1, rows, d);
            y += rows;
        }
        w += 2 * n;
    }
    return largest;
}
