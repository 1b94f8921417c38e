// Linear layers forward. Two rows share every load of x.

#include "kernels.h"
#include "loops.h"
#include "scratch.h"

// x as dot_two_rows reads it, and in *offset what its sums leave out
static const input_t *prepare(int32_t *offset, int32_t *scratch, const int8_t *x, int32_t n) {
    #if PRIOT_VECTORS
    int16_t *copy = (int16_t *)scratch;
    for (int32_t i = 0; i < n; i++) {
        copy[i] = x[i];
    }
    *offset = 0;
    return copy;
    #else
    (void)scratch;
    int32_t sum = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += x[i];
    }
    *offset = -128 * sum;
    return x;
    #endif
}

int32_t linear_forward(int8_t *y, const int8_t *x, const uint8_t *w, const int32_t *bias,
    int32_t *scratch, const int32_t *d) {
    int32_t n = d[N_IN], largest = 0;
    int32_t acc[2], offset;
    const input_t *input = prepare(&offset, scratch, x, n);
    bias = bias == NULL ? NULL : bias + d[ROW];
    y += d[ROW];
    for (int32_t left = d[ROWS]; left > 0; left -= 2) {
        int32_t rows = smaller(left, 2);
        dot_two_rows(acc, w, rows == 2 ? w + n : w, input, n);
        for (int32_t i = 0; i < rows; i++) {
            uint32_t start = (uint32_t)offset + (bias == NULL ? 0 : (uint32_t)*bias++);
            acc[i] = (int32_t)((uint32_t)acc[i] + start);
        }
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
