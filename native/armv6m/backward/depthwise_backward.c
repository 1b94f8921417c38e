// Gradients of a depthwise 3x3 convolution and its update, channel by channel
// (depthwise_gradients.S), of stride 1 or 2.
//
// Scratch of each core: for x 32-bit sums of a channel with its borders; for w the inputs of a
// channel with theirs, and what update_rows.S and select.c need.

#include <stddef.h>

#include "bytes.h"
#include "copy_row.h"
#include "crew.h"
#include "depthwise_gradients.h"
#include "edges.h"
#include "fast.h"
#include "gather.h"
#include "rounding.h"
#include "scratch.h"

enum { TAPS = 9 };

typedef struct {
    int8_t *dx;
    const int8_t *g;
    const int8_t *x;
    const uint8_t *w;
    const int32_t *d;
    int32_t *own; // scratch of the first core
    const struct edges *edges;
    int32_t is_signed;
} work_t;

// A walk over the errors of a channel whose places have so many bytes.
static void prepare_walk(struct depthwise_walk *v, int32_t bytes, const int32_t *d) {
    int32_t width = bytes * padded_width(d);
    v->step = bytes * d[STRIDE_W];
    v->width = width;
    v->columns = d[W_OUT];
    v->skip = d[STRIDE_H] * width - d[W_OUT] * v->step;
}

// Gradients of x of a part of the channels.
static void inputs_share(void *job, int32_t core, int32_t cores) {
    const work_t *work = job;
    const int32_t *d = work->d;
    int32_t plane = padded_plane(d), size = d[H_IN] * d[W_IN], weights[TAPS];
    int32_t *sums = work->own + core * plane;
    struct depthwise_walk walk;
    struct gather_put put;
    prepare_walk(&walk, 4, d);
    gather_prepare_put(&put, 1, d);
    walk.place = sums;
    walk.values = weights;
    int32_t c = crew_start(d[N_OUT], 1, core, cores), end = crew_start(d[N_OUT], 1, core + 1, cores);
    for (; c < end; c++) {
        for (int32_t i = 0; i < TAPS; i++) {
            weights[i] = work->w[TAPS * c + i] - 128;
        }
        clear_bytes((int8_t *)sums, 4 * plane);
        walk.g = work->g + c * d[H_OUT] * d[W_OUT];
        walk.rows = d[H_OUT];
        depthwise_scatter(&walk);
        int8_t *dx = work->dx + c * size;
        const int8_t *x = work->x + c * size;
        int32_t *row = sums + padded_start(d);
        for (int32_t left = d[H_IN]; left != 0; left--) {
            gather_put(dx, x, row, &put, d[W_IN]);
            dx += d[W_IN];
            x += d[W_IN];
            row += padded_width(d);
        }
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
    v.own = scratch;
    crew_run(inputs_share, &v);
    return 0;
}

// The update of a part of the channels.
static void weights_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t size = d[H_IN] * d[W_IN], plane = words_of(padded_plane(d)), values[TAPS + 1];
    uint32_t *image = (uint32_t *)v->own + core * depthwise_core_update_words(d);
    uint32_t flip = v->is_signed ? 0x80808080u : 0;
    struct depthwise_walk walk;
    struct edges_job update;
    prepare_walk(&walk, 1, d);
    walk.place = image;
    walk.values = values;
    edges_prepare(&update, (int32_t *)image + plane, TAPS, v->edges);
    for (int32_t i = 0; i < plane; i++) {
        image[i] = flip;
    }
    int32_t f = crew_start(d[N_OUT], 1, core, cores), last = crew_start(d[N_OUT], 1, core + 1, cores);
    for (; f < last; f++) {
        int8_t *to = (int8_t *)image + padded_start(d);
        const int8_t *x = v->x + f * size;
        for (int32_t left = d[H_IN]; left != 0; left--) {
            copy_row(to, x, d[W_IN], flip);
            to += padded_width(d);
            x += d[W_IN];
        }
        walk.g = v->g + f * d[H_OUT] * d[W_OUT];
        walk.rows = d[H_OUT];
        depthwise_gradient(&walk);
        for (int32_t i = 0; i < TAPS; i++) {
            update.pairs[2 * i + 1] = values[i] - (v->is_signed ? 128 * values[TAPS] : 0);
        }
        edges_update(&update, f, 0, v->edges);
    }
}

int32_t depthwise3x3_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const uint8_t *argmax, const int8_t *x, const uint8_t *w, const uint32_t *select,
    int32_t *scratch, const int32_t *d) {
    (void)argmax;
    struct edges edges = { scores, n_scores, weff, w, select, d };
    work_t v = { NULL, g, x, w, d, scratch, &edges, 0 };
    v.is_signed = d[NONNEGATIVE] == 0 && any_negative(x, d[N_IN] * d[H_IN] * d[W_IN]);
    crew_run(weights_share, &v);
    return 0;
}
