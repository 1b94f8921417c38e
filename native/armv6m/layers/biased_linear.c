// Linear layer forward, of any number of inputs, with a bias and any clamp: two rows share every
// load of an input. 8 cycles per product.

#include "bias.h"
#include "crew.h"
#include "fast.h"
#include "rounding.h"

static int8_t output(int32_t sum, const int32_t *d) {
    return (int8_t)clamp(sum >> d[FORWARD_SHIFT], d[RELU] != 0 ? 0 : -127, d[HIGH]);
}

typedef struct {
    int8_t *y;
    const int8_t *x;
    const uint8_t *w;
    const int32_t *bias;
    const int32_t *d;
} layer_t;

// A part of the rows.
static void rows_share(void *job, int32_t core, int32_t cores) {
    const layer_t *v = job;
    const int32_t *d = v->d, *bias = v->bias;
    const int8_t *x = v->x;
    int8_t *y = v->y;
    int32_t first = crew_start(d[ROWS], 2, core, cores);
    int32_t n = d[N_IN], last = d[ROW] + crew_start(d[ROWS], 2, core + 1, cores) - 1;
    const uint8_t *w = v->w + first * n;
    int32_t offset = 0; // 128 * sum(x)
    for (int32_t i = 0; i < n; i++) {
        offset += 128 * x[i];
    }
    for (int32_t row = d[ROW] + first; row <= last; row += 2) {
        const uint8_t *second = row == last ? w : w + n; // a last row alone: twice the same
        int32_t a = 0, b = 0;
        for (int32_t i = 0; i < n; i++) {
            int32_t value = x[i];
            a += w[i] * value;
            b += second[i] * value;
        }
        y[row] = output(a - offset + sum_start(bias, row, d), d);
        if (row != last) {
            y[row + 1] = output(b - offset + sum_start(bias, row + 1, d), d);
        }
        w += 2 * n;
    }
}

int32_t biased_linear_forward(int8_t *y, const int8_t *x, const uint8_t *w, const int32_t *bias,
    int32_t *scratch, const int32_t *d) {
    (void)scratch;
    layer_t v = { y, x, w, bias, d };
    crew_run(rows_share, &v);
    return 0;
}
