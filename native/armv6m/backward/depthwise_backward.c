// Gradients of a depthwise 3x3 convolution and its update, channel by channel
// (depthwise_gradients.S).
//
// Scratch of each core: for x sums of a channel with its borders; for w the inputs of a channel with
// theirs, and what update_rows.S and select.c need.

#include <stddef.h>

#include "bytes.h"
#include "crew.h"
#include "depthwise_gradients.h"
#include "edges.h"
#include "fast.h"
#include "gather.h"
#include "rounding.h"
#include "scratch.h"

enum {
    TAPS = 9,
    HALF_WORD = 1 << 15, // what a half begins with, besides what rounds
};

typedef struct {
    int8_t *dx;
    const int8_t *g;
    const int8_t *x;
    const uint8_t *w;
    const int32_t *d;
    uint32_t *own; // scratch of the first core
    const struct edges *edges;
    int32_t is_signed;
} work_t;

// The bits `mask` of a channel's weights, shifted.
static void find_weights(int32_t *to, const uint8_t *w, int32_t shift, int32_t mask) {
    for (int32_t i = 0; i < TAPS; i++) {
        *to++ = (*w++ - 128) >> shift & mask;
    }
}

// Adds the products of a channel's errors with w, from a row of zeros on, to words that begin with
// `first`, twice.
static void add_products(uint32_t *words, int32_t first, const int8_t *g, const int32_t *w,
    const int32_t *d) {
    struct depthwise_walk walk;
    int32_t width = 4 * padded_width(d), stride = d[STRIDE_H], n = d[W_OUT];
    int32_t phases = 1 + (stride & 1); // errors fall on even and odd rows, by turns
    int32_t row = depthwise_rows_above(d), left = d[H_OUT];
    fill_words(words, (uint32_t)first * 65537u, depthwise_sums_words(d));
    walk.minus_n = -n;
    walk.step = 4 * d[STRIDE_W];
    walk.width = width - 12;
    walk.g_step = phases * n;
    walk.place_step = (phases * stride >> 1) * width;
    for (int32_t rows = (left + phases - 1) >> (phases - 1); left != 0; rows = left) {
        g += n;
        walk.g = g;
        walk.place = (char *)words + (row >> 1) * width + n * walk.step;
        walk.weights = w + ((row & 1) != 0 ? 0 : 3);
        walk.rows = rows;
        depthwise_scatter(&walk);
        left -= rows;
        row += stride;
    }
}

// Whether sums of errors times w, and what rounds, fit half a word, and rounded a byte.
static int32_t fits(const int8_t *g, const int32_t *w, const struct gather_put *put, const int32_t *d) {
    int32_t size = 0, largest = 127, n = d[H_OUT] * d[W_OUT];
    int32_t most = (128 << smaller(put->shift, 8)) - 1 - put->half;
    for (int32_t i = 0; i < TAPS; i++) {
        size += absolute(w[i]);
    }
    if (127 * size > most) {
        largest = 0;
        while (n != 0) {
            largest = larger(largest, absolute(g[--n]));
        }
    }
    return largest * size <= most;
}

// Gradients of a channel from sums of errors times w & 15 and, `high` words behind those, times
// w >> 4. Of two rows the sums of 32 bits take their places: the upper one's those of the first.
static void put_sums(int8_t *dx, const int8_t *x, uint32_t *low, int32_t high,
    const struct gather_put *put, const int32_t *d) {
    int32_t w_in = d[W_IN];
    for (int32_t left = d[H_IN]; left > 0; left -= 2) {
        uint32_t *end = low + w_in;
        for (; low != end; low++) {
            uint32_t a = low[0], b = low[high];
            low[0] = (a >> 16) + 16 * (b >> 16) - 17 * HALF_WORD;
            low[high] = (a & 65535) + 16 * (b & 65535) - 17 * HALF_WORD;
        }
        for (int32_t rows = smaller(left, 2), *sums = (int32_t *)low - w_in; rows != 0; rows--) {
            gather_put(dx, x, sums, put, w_in);
            dx += w_in;
            x += w_in;
            sums += high;
        }
        low += d[PAD_LEFT] + d[PAD_RIGHT];
    }
}

// Gradients of x of a part of the channels.
static void inputs_share(void *job, int32_t core, int32_t cores) {
    const work_t *work = job;
    const int32_t *d = work->d;
    int32_t n = depthwise_sums_words(d), size = d[H_IN] * d[W_IN];
    int32_t weights[TAPS + 6]; // a row of zeros above and below
    uint32_t *words = work->own + 2 * core * n;
    struct gather_put put;
    struct depthwise_put v;
    for (int32_t i = 0; i < TAPS + 6; i++) {
        weights[i] = 0;
    }
    gather_prepare_put(&put, 1, d);
    v.skip = 4 * (d[PAD_LEFT] + d[PAD_RIGHT]);
    v.limit = put.limit;
    v.last_lower = (d[H_IN] & 1) != 0 ? 0 : d[W_IN];
    v.minus_bias = -(HALF_WORD >> put.shift);
    v.w_in = d[W_IN];
    v.words = words + ((d[PAD_TOP] + 1) >> 1) * padded_width(d) + d[PAD_LEFT];
    v.shift = 16 + put.shift;
    int32_t c = crew_start(d[N_OUT], 1, core, cores), end = crew_start(d[N_OUT], 1, core + 1, cores);
    for (; c < end; c++) {
        const int8_t *g = work->g + c * d[H_OUT] * d[W_OUT];
        const uint8_t *w = work->w + TAPS * c;
        v.dx = work->dx + c * size;
        v.x = work->x + c * size;
        find_weights(weights + 3, w, 0, -1);
        if (put.add_left < 0 && fits(g, weights + 3, &put, d)) {
            add_products(words, HALF_WORD + put.half, g, weights, d);
            clear_bytes(v.dx, size);
            depthwise_put(&v, (d[H_IN] + 1) >> 1);
            continue;
        }
        find_weights(weights + 3, w, 0, 15);
        add_products(words, HALF_WORD, g, weights, d);
        find_weights(weights + 3, w, 4, -1);
        add_products(words + n, HALF_WORD, g, weights, d);
        put_sums(v.dx, v.x, v.words, n, &put, d);
    }
}

int32_t depthwise3x3_backward(int8_t *dx, const int8_t *g, const uint8_t *argmax, const int8_t *x,
    const uint8_t *w, int32_t *scratch, const int32_t *d) {
    (void)argmax;
    work_t v;
    v.dx = dx;
    v.g = g;
    v.x = x;
    v.w = w;
    v.d = d;
    v.own = (uint32_t *)scratch;
    crew_run(inputs_share, &v);
    return 0;
}

// The update of a part of the channels.
static void weights_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t size = d[H_IN] * d[W_IN], outputs = d[H_OUT] * d[W_OUT], n = d[W_OUT];
    int32_t words = depthwise_image_words(d), width = depthwise_image_width(d);
    uint32_t *image = v->own + core * depthwise_core_update_words(d);
    char *start = (char *)image + depthwise_image_left(d);
    struct depthwise_copy copy = { v->is_signed ? 0x80808080u : 0, d[W_IN], d[H_IN], width - d[W_IN] };
    struct depthwise_walk walk;
    struct edges_job update;
    edges_prepare(&update, (int32_t *)image + words, TAPS, v->edges);
    fill_words(image, copy.flip, words);
    walk.minus_n = -n;
    walk.step = d[STRIDE_W];
    walk.width = width;
    walk.values = update.pairs + 1;
    walk.g_step = n;
    walk.place_step = d[STRIDE_H] * width;
    int32_t f = crew_start(d[N_OUT], 1, core, cores), last = crew_start(d[N_OUT], 1, core + 1, cores);
    for (; f < last; f++) {
        const int8_t *g = v->g + f * outputs;
        depthwise_copy(start + d[PAD_TOP] * width, v->x + f * size, &copy);
        walk.g = g + n;
        walk.place = start - d[PAD_LEFT] + n * walk.step;
        walk.rows = d[H_OUT];
        depthwise_gradient(&walk);
        if (v->is_signed) {
            int32_t sum = 0; // of the errors, whose inputs were 128 too large
            for (int32_t i = 0; i < outputs; i++) {
                sum += g[i];
            }
            for (int32_t i = 0; i < TAPS; i++) {
                walk.values[2 * i] -= 128 * sum;
            }
        }
        edges_update(&update, f, 0, v->edges);
    }
}

int32_t depthwise3x3_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const uint8_t *argmax, const int8_t *x, const uint8_t *w, const uint32_t *select,
    int32_t *scratch, const int32_t *d) {
    (void)argmax;
    struct edges edges = { scores, n_scores, weff, w, select, d };
    work_t v = { NULL, g, x, w, d, (uint32_t *)scratch, &edges, 0 };
    v.is_signed = d[NONNEGATIVE] == 0 && any_negative(x, d[N_IN] * d[H_IN] * d[W_IN]);
    crew_run(weights_share, &v);
    return 0;
}
