// Linear layers: packs x and lists errors for linear_rows.S and linear_columns.S.

#include "linear.h"
#include "bytes.h"
#include "fast.h"
#include "layout.h"
#include "rounding.h"

enum { LANE_ERRORS = 258 }; // sum(|e|) of a list of rows: 258 * 127 < 32768

static int32_t is_aligned(const uint8_t *w) {
    return ((uintptr_t)w & 3) == 0;
}

// Words x2 + (x0 << 16), x3 + (x1 << 16) for every four inputs. Returns the sum of x.
static int32_t pack_inputs(uint32_t *to, const int8_t *x, int32_t n) {
    uint32_t sum = 0;
    for (const uint8_t *from = (const uint8_t *)x, *end = from + n; from != end; from += 4) {
        uint32_t even = from[2] | (uint32_t)from[0] << 16;
        uint32_t odd = from[3] | (uint32_t)from[1] << 16;
        *to++ = even;
        *to++ = odd;
        even += odd;
        sum += (even & 0xffff) + (even >> 16);
    }
    return (int32_t)sum;
}

int32_t fast_linear_forward(int8_t *y, const int8_t *x, const uint8_t *w, int32_t *scratch,
    const int32_t *d) {
    if (!is_aligned(w) || (d[X_RELU] == 0 && any_negative(x, d[N_IN]))) {
        return linear_forward(y, x, w, scratch, d);
    }
    struct linear_rows_job job;
    int32_t sum = pack_inputs((uint32_t *)scratch, x, d[N_IN]);
    job.shift = d[FORWARD_SHIFT];
    job.low = d[RELU] != 0 ? 0 : -127;
    job.rounding = (1 << job.shift >> 1) - 128 * sum;
    job.y = y + d[ROW];
    job.rows = d[ROWS];
    job.x = (uint32_t *)scratch;
    job.x_end = job.x + (d[N_IN] >> 1);
    job.w = w;
    job.n_in = d[N_IN];
    linear_rows(&job);
    return 0;
}

static void put_sums(int8_t *dx, const int8_t *x, const int32_t *sums, const int32_t *d) {
    int32_t n = d[N_IN];
    struct gradient_job job;
    job.shift = d[BACKWARD_SHIFT];
    job.half = 1 << job.shift >> 1;
    job.cut = d[X_RELU] != 0 ? 0 : -129;
    clear_bytes(dx, n);
    gradients_of_sums(dx + n, x + n, sums, -n, &job);
}

// Adds up the rows of a list; `is_first` where there are no sums yet.
static void add_rows(int32_t *sums, const uint8_t *w, const int32_t *list,
    const int32_t *list_end, int32_t sum, int32_t is_first, const int32_t *d) {
    uint32_t start = (uint32_t)sum * (uint32_t)-0x800080;
    if (is_first) {
        linear_columns(sums, w, list, list_end, d[N_IN], start);
    } else {
        linear_columns_more(sums, w, list, list_end, d[N_IN], start);
    }
}

int32_t fast_linear_backward_input(int8_t *dx, const int8_t *g, const int8_t *x,
    const uint8_t *w, int32_t *scratch, const int32_t *d) {
    if (!is_aligned(w)) {
        return linear_backward_input(dx, g, x, w, scratch, d);
    }
    int32_t *list = scratch + d[N_IN], *end = list;
    int32_t size = 0, sum = 0, row = 0, is_first = d[ROW] == 0;
    g += d[ROW];
    for (const int8_t *g_end = g + d[ROWS]; g != g_end; row += d[N_IN]) {
        int32_t error = *g++;
        if (error == 0) {
            continue;
        }
        int32_t magnitude = absolute(error);
        size += magnitude;
        if (size > LANE_ERRORS) {
            add_rows(scratch, w, list, end, sum, is_first, d);
            is_first = 0;
            end = list;
            size = magnitude;
            sum = 0;
        }
        *end++ = error;
        *end++ = row;
        sum += error;
    }
    if (end != list) {
        add_rows(scratch, w, list, end, sum, is_first, d);
    } else if (is_first) {
        clear_bytes((int8_t *)scratch, 4 * d[N_IN]);
    }
    if (d[ROW] + d[ROWS] == d[N_OUT]) {
        put_sums(dx, x, scratch, d);
    }
    return 0;
}

int32_t linear_fast_words(int32_t training, const int32_t *d) {
    return training != 0 ? d[N_IN] + 2 * LANE_ERRORS : d[N_IN] >> 1;
}
