// Gradient of a linear layer's input: rows with an error are added up, two at a time.

#include "kernels.h"
#include "loops.h"

// Adds the rows of this call that have an error, two at a time.
static void add_rows(int32_t *sums, const int8_t *g, const uint8_t *w, const int32_t *d) {
    int32_t n = d[N_IN];
    const uint8_t *waiting = w; // a row with an error, until there is a second one
    int32_t waiting_error = 0;
    for (int32_t left = d[ROWS]; left > 0; left--) {
        int32_t error = *g++;
        if (error != 0 && waiting_error != 0) {
            add_two_rows(sums, waiting, waiting_error, w, error, n);
            waiting_error = 0;
        } else if (error != 0) {
            waiting = w;
            waiting_error = error;
        }
        w += n;
    }
    if (waiting_error != 0) {
        add_two_rows(sums, waiting, waiting_error, waiting, 0, n);
    }
}

int32_t linear_backward(int8_t *dx, const int8_t *g, const int8_t *x, const uint8_t *w,
    int32_t *scratch, const int32_t *d) {
    g += d[ROW];
    int32_t offset = 0; // what weights offset by 128 add too much
    for (int32_t i = 0; i < d[ROWS]; i++) {
        offset += 128 * g[i];
    }
    for (int32_t i = 0; i < d[N_IN]; i++) {
        scratch[i] = (d[ROW] == 0 ? 0 : scratch[i]) - offset;
    }
    add_rows(scratch, g, w, d);
    if (d[ROW] + d[ROWS] < d[N_OUT]) {
        return 0;
    }
    return put_gradients(dx, x, scratch, d[N_IN], d);
}
