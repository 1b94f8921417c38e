// Linear layers: packs x and lists errors for linear_rows.S and linear_columns.S.

#include "linear.h"
#include "bytes.h"
#include "crew.h"
#include "fast.h"
#include "rounding.h"
#include "scratch.h"
#include "update.h"

enum {
    LANE_ERRORS = 258, // sum(|e|) of a first list of rows: 258 * 127 < 32768
    MORE_ERRORS = 193, // of each that follows: 8192 + 193 * 127 < 32768
};

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

// Inputs below 0, which the lanes do not take: about 11 cycles a product.
static void exact_rows(int8_t *y, const int8_t *x, const uint8_t *w, const int32_t *d) {
    int32_t low = d[RELU] != 0 ? 0 : -127;
    for (int32_t rows = d[ROWS]; rows != 0; rows--) {
        int32_t sum = 0;
        for (int32_t i = 0; i < d[N_IN]; i++) {
            sum += (*w++ - 128) * x[i];
        }
        *y++ = clamp(round_half_up(sum, d[FORWARD_SHIFT]), low, 127);
    }
}

// A part of the pairs of rows.
static void rows_share(void *all, int32_t core, int32_t cores) {
    struct linear_rows_job job;
    copy_words(&job, all, sizeof(job));
    int32_t first = crew_start(job.rows, 2, core, cores);
    job.rows = crew_start(job.rows, 2, core + 1, cores) - first;
    job.y += first;
    job.w += first * job.n_in;
    if (job.rows != 0) {
        linear_rows(&job);
    }
}

int32_t linear_fours_forward(int8_t *y, const int8_t *x, const uint8_t *w,
    const int32_t *bias, int32_t *scratch,
    const int32_t *d) {
    (void)bias;
    if (d[NONNEGATIVE] == 0 && any_negative(x, d[N_IN])) {
        exact_rows(y + d[ROW], x, w, d);
        return 0;
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
    crew_run(rows_share, &job);
    return 0;
}

// Quads with an input that is not 0, behind a ReLU; the first always, and again where that makes
// their number even. Returns it. Inlined it would lack registers: 400 cycles more.
static __attribute__((noinline)) int32_t list_quads(uint16_t *quads, const int8_t *x,
    const int32_t *d) {
    int32_t is_sparse = d[MASK_DX] != 0 && ((uintptr_t)x & 3) == 0, n_in = d[N_IN];
    uint16_t *to = quads;
    *to++ = 0;
    for (int32_t column = 4; column < n_in; column += 4) {
        if (!is_sparse || *(const int32_t *)(x + column) != 0) {
            *to++ = (uint16_t)column;
        }
    }
    *to = 0;
    return (to - quads + 1) & ~1;
}

static int32_t *end_list(int32_t *list, int32_t *to, int32_t sum) {
    list[0] = (int32_t)to;
    list[1] = (int32_t)((uint32_t)sum * (uint32_t)-0x800080);
    return to;
}

typedef struct {
    struct columns_job columns;
    int8_t *dx;
    const int8_t *x;
} gradient_t;

// A core's pairs of quads; returns whether there are any.
static int32_t take_quads(struct columns_job *v, const struct columns_job *all, int32_t core,
    int32_t cores) {
    copy_words(v, all, sizeof(*v));
    int32_t n = v->quads_end - v->quads;
    int32_t first = crew_start(n, 2, core, cores), end = crew_start(n, 2, core + 1, cores);
    v->quads_end = v->quads + end;
    v->quads += first;
    v->sums += 4 * first;
    return first != end;
}

static void columns_share(void *all, int32_t core, int32_t cores) {
    struct columns_job job;
    if (take_quads(&job, all, core, cores)) {
        linear_columns(&job);
    }
}

static void gradient_share(void *all, int32_t core, int32_t cores) {
    const gradient_t *v = all;
    struct columns_job job;
    if (take_quads(&job, &v->columns, core, cores)) {
        linear_gradient(v->dx, v->x, &job);
    }
}

// Lists rows with an error, as many at a time as the lanes allow.
static void add_rows(struct columns_job *job, int32_t *lists, const int8_t *g, const uint8_t *w,
    int32_t n, int32_t n_in) {
    int32_t *row = lists + 2 * ROWS_AT_ONCE, *list = lists, *to = lists + 2;
    const int32_t *end = list_inputs(row, g, n);
    int32_t left = LANE_ERRORS, sum = 0;
    if (row == end) {
        return;
    }
    for (; row != end; row += 2) {
        int32_t address = (int32_t)(w + row[0] * n_in), error = row[1];
        left -= absolute(error);
        if (left < 0) {
            list = end_list(list, to, sum);
            to += 2;
            left = MORE_ERRORS - absolute(error);
            sum = 0;
        }
        *to++ = address;
        *to++ = error;
        sum += error;
    }
    *end_list(list, to, sum) = 0;
    job->lists = lists;
    crew_run(columns_share, job);
    job->is_first = 0;
}

// Scratch: the sums, kept from call to call; quads; the lists of rows.
int32_t linear_fours_backward(int8_t *dx, const int8_t *g, const int8_t *x,
    const uint8_t *w, int32_t *scratch, const int32_t *d) {
    gradient_t v;
    struct columns_job *job = &v.columns;
    job->sums = scratch;
    uint16_t *quads = (uint16_t *)(scratch + linear_sums_words(d));
    job->quads = quads;
    job->quads_end = quads + list_quads(quads, x, d);
    int32_t row = d[ROW], end = row + d[ROWS];
    job->is_first = row == 0;
    for (; row < end; row += ROWS_AT_ONCE) {
        add_rows(job, (int32_t *)quads + linear_quads_words(d), g + row, w,
            smaller(ROWS_AT_ONCE, end - row), d[N_IN]);
        w += ROWS_AT_ONCE * d[N_IN];
    }
    if (end != d[N_OUT]) {
        if (job->is_first != 0) {
            clear_bytes((int8_t *)scratch, 4 * linear_sums_words(d));
        }
    } else {
        clear_bytes(dx, d[N_IN]);
        if (job->is_first == 0) {
            job->shift = d[BACKWARD_SHIFT];
            job->half = 1 << job->shift >> 1;
            job->cut = d[MASK_DX] != 0 ? 0 : -129;
            v.dx = dx;
            v.x = x;
            crew_run(gradient_share, &v);
        }
    }
    return 0;
}
