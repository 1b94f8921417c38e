// Linear layers: packs x and lists errors for linear_rows.S and linear_columns.S.

#include "linear.h"
#include "bytes.h"
#include "fast.h"
#include "layout.h"
#include "rounding.h"
#include "scratch.h"
#include "update.h"

enum {
    LANE_ERRORS = 258, // sum(|e|) of a list of rows: 258 * 127 < 32768
    ROWS_AT_ONCE = 255, // a list of so many and its padding take 2 * LANE_ERRORS words
};

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

typedef struct {
    int32_t *sums;
    const uint8_t *w; // of the rows listed
    int32_t n_in;
    int32_t is_first; // no sums yet
} gradient_t;

// The start of the lanes is -128 * sum of the errors, in both.
static void add_list(gradient_t *v, const int32_t *list, const int32_t *end, int32_t sum) {
    if (list != end) {
        linear_columns(v->sums, v->w, list, end, v->n_in, (uint32_t)sum * (uint32_t)-0x800080,
            v->is_first);
        v->is_first = 0;
    }
}

// Lists rows with an error, as many at a time as the lanes allow.
static void add_rows(gradient_t *v, const int8_t *g, int32_t n) {
    int32_t *list = v->sums + v->n_in, *end = list_inputs(list, g, n);
    int32_t size = 0, sum = 0;
    for (int32_t *row = list; row != end; row += 2) {
        int32_t error = row[1], magnitude = absolute(error);
        if (size + magnitude > LANE_ERRORS) {
            add_list(v, list, row, sum);
            list = row;
            size = sum = 0;
        }
        row[0] *= v->n_in;
        size += magnitude;
        sum += error;
    }
    add_list(v, list, end, sum);
}

int32_t fast_linear_backward_input(int8_t *dx, const int8_t *g, const int8_t *x,
    const uint8_t *w, int32_t *scratch, const int32_t *d) {
    if (!is_aligned(w)) {
        return linear_backward_input(dx, g, x, w, scratch, d);
    }
    gradient_t v = { scratch, w, d[N_IN], d[ROW] == 0 };
    for (int32_t row = 0; row < d[ROWS]; row += ROWS_AT_ONCE) {
        add_rows(&v, g + d[ROW] + row, smaller(ROWS_AT_ONCE, d[ROWS] - row));
        v.w += ROWS_AT_ONCE * d[N_IN];
    }
    if (v.is_first) {
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
