// Gradient of a 3x3 convolution's input, eight channels at a time by conv3x3_gather.S.
//
// Scratch: a bucket (head of a chain of errors, bound of what they add up to) per position of the
// kernel with two rows and columns of empty ones around, the errors, the weights of all filters,
// bounds of these, and the list of inputs whose lanes may have overflowed. Errors are chained by
// one core, all else is shared. Where errors and weights of all filters would want much scratch,
// some filters come after the others, and int32 sums keep what the inputs have got so far.

#include <stddef.h>

#include "bytes.h"
#include "conv3x3_backward.h"
#include "conv3x3_errors.h"
#include "crew.h"
#include "fast.h"
#include "rounding.h"
#include "scratch.h"

enum {
    GROUP = 8, // channels that are done at once; those that are not there cost as much
    LANE_LIMIT = 32767,
};

typedef struct {
    const int32_t *d;
    int8_t *dx; // of this group of channels, as x and w
    const int8_t *x;
    const uint8_t *w;
    int32_t channels;
    int32_t listed; // filters, at most
    int32_t filters; // that are listed now
    int32_t *sums; // eight of each input
    int32_t n_sums; // 0 where all filters are listed at once
    int32_t width; // of a row of positions, which is that of the image with borders
    uint32_t *table; // buckets
    int32_t *list;
    uint32_t *weights;
    int32_t *bounds; // of |w|, of each filter
    const int8_t **too_large; // the place of an input's number is its own
} group_t;

static void divide(group_t *v, int32_t *scratch, const int32_t *d) {
    int32_t listed = v->listed = conv3x3_listed(d);
    v->d = d;
    v->width = padded_width(d);
    v->table = (uint32_t *)scratch;
    v->list = scratch + conv3x3_buckets_words(d);
    v->weights = (uint32_t *)(v->list + conv3x3_chains_words(listed, d));
    v->bounds = (int32_t *)(v->weights + conv3x3_filters_words(listed));
    v->too_large = (const int8_t **)(v->bounds + listed);
    v->sums = (int32_t *)v->too_large + d[H_IN] * d[W_IN];
    v->n_sums = conv3x3_sums_words(listed, d);
}

// Packs the group's weights of a filter, last tap first; returns a bound of |w|.
static int32_t pack_weights(uint32_t *to, int32_t channels, const uint8_t *w) {
    uint32_t largest = 0;
    to += 8 * TAP_WORDS;
    for (int32_t left = channels; left > 0; left -= 2) {
        largest = conv3x3_pack_taps(to++, w, left > 1 ? 9 : 0, largest);
        w += 18;
    }
    return (int32_t)largest + 1;
}

static void clear_part(void *bytes, int32_t n, int32_t core, int32_t cores) {
    int32_t start = crew_start(n, 4, core, cores);
    clear_bytes((int8_t *)bytes + start, crew_start(n, 4, core + 1, cores) - start);
}

// Clears a part of dx, and of the sums.
static void clear_share(void *job, int32_t core, int32_t cores) {
    const group_t *v = job;
    clear_part(v->dx, v->channels * v->d[H_IN] * v->d[W_IN], core, cores);
    clear_part(v->sums, 4 * v->n_sums, core, cores);
}

// Packs the weights of every cores-th filter, clears a part of the buckets.
static void prepare_share(void *job, int32_t core, int32_t cores) {
    const group_t *v = job;
    const int32_t *d = v->d;
    clear_part(v->table, 4 * conv3x3_buckets_words(d), core, cores);
    uint32_t *to = v->weights + core * 9 * TAP_WORDS;
    const uint8_t *w = v->w + core * d[N_ROW];
    int32_t step = cores * d[N_ROW];
    for (int32_t f = core; f < v->filters; f += cores) {
        v->bounds[f] = pack_weights(to, v->channels, w);
        to += cores * 9 * TAP_WORDS;
        w += step;
    }
}

// Chains the errors of the filters by their positions.
static void link_errors(const group_t *v, const int8_t *g, const uint8_t *argmax) {
    const int32_t *d = v->d;
    struct conv3x3_errors errors;
    conv3x3_errors_prepare(&errors, v->list, g, argmax, 4 * BUCKET_WORDS, d);
    errors.buckets = v->table + BUCKET_WORDS * (2 * v->width + 2);
    errors.weights = v->weights;
    for (int32_t f = 0; f < v->filters; f++) {
        errors.bound = v->bounds[f];
        errors.list = conv3x3_link(&errors);
        errors.weights += 9 * TAP_WORDS;
    }
}

// Bytes from behind three buckets to those one row below.
static int32_t row_step(const group_t *v) {
    return 4 * BUCKET_WORDS * (v->width - 3);
}

// dx of the listed inputs, or what is added to their sums.
static void put_exactly(const group_t *v, const int8_t **at, const int8_t **end) {
    const int32_t *d = v->d;
    const int8_t *x = v->x;
    int8_t *dx = v->dx;
    int32_t sums[2];
    for (; at != end; at++) {
        int32_t i = (int32_t)(*at - x), position = i + d[PAD_TOP] * (v->width + 1);
        for (int32_t left = i; left >= d[W_IN]; left -= d[W_IN]) {
            position += v->width - d[W_IN];
        }
        for (int32_t c = 0; c < v->channels; c++, i += d[H_IN] * d[W_IN]) {
            if ((c & 1) == 0) {
                conv3x3_sum_pair(v->table + BUCKET_WORDS * position, row_step(v), 2 * c, sums);
            }
            if (v->n_sums != 0) {
                v->sums[8 * (*at - x) + c] += sums[c & 1];
            } else if (x[i] > 0) {
                dx[i] = clamp(round_half_up(sums[c & 1], d[BACKWARD_SHIFT]), -127, 127);
            }
        }
    }
}

// dx of a core's part of the inputs.
static void gather_share(void *job, int32_t core, int32_t cores) {
    const group_t *v = job;
    const int32_t *d = v->d;
    int32_t size = d[H_IN] * d[W_IN], gap = v->width - d[W_IN];
    int32_t first = crew_start(size, 1, core, cores);
    int32_t left = crew_start(size, 1, core + 1, cores) - first;
    int32_t column = first, position = first + d[PAD_TOP] * (v->width + 1);
    for (; column >= d[W_IN]; column -= d[W_IN]) {
        position += gap;
    }
    struct conv3x3_gather_job gather;
    gather.channels = v->channels;
    gather.x = v->x + first;
    gather.size = size;
    gather.dx = v->dx + first;
    gather.shift = d[BACKWARD_SHIFT];
    gather.half = 1 << gather.shift >> 1;
    gather.row_step = row_step(v);
    gather.limit = v->n_sums != 0 ? 0 : LANE_LIMIT;
    gather.sums = v->n_sums != 0 ? (uintptr_t)v->sums - 32 * (uintptr_t)v->x : 0;
    gather.too_large = v->too_large + first;
    while (left != 0) { // without borders all rows at once
        int32_t n = gap == 0 ? left : smaller(left, d[W_IN] - column);
        gather.buckets = v->table + BUCKET_WORDS * position;
        gather.left = n;
        conv3x3_gather(&gather);
        position += n + gap;
        column = 0;
        left -= n;
    }
    put_exactly(v, v->too_large + first, gather.too_large);
}

// dx of a core's part of the inputs, of the sums.
static void round_share(void *job, int32_t core, int32_t cores) {
    const group_t *v = job;
    const int32_t *d = v->d;
    int32_t size = d[H_IN] * d[W_IN], end = crew_start(size, 1, core + 1, cores);
    for (int32_t i = crew_start(size, 1, core, cores); i < end; i++) {
        const int8_t *x = v->x + i;
        int8_t *dx = v->dx + i;
        for (int32_t c = 0; c < v->channels; c++, x += size, dx += size) {
            if (*x > 0) {
                *dx = clamp(round_half_up(v->sums[8 * i + c], d[BACKWARD_SHIFT]), -127, 127);
            }
        }
    }
}

int32_t conv3x3_backward(int8_t *dx, const int8_t *g, const uint8_t *argmax,
    const int8_t *x, const uint8_t *w, int32_t *scratch, const int32_t *d) {
    int32_t outputs = d[H_OUT] * d[W_OUT];
    int32_t argmax_bytes = d[POOL_H] == 2 ? (outputs + 3) >> 2 : 0;
    group_t v;
    divide(&v, scratch, d);
    v.dx = dx;
    v.x = x;
    for (int32_t left = d[N_IN]; left > 0; left -= GROUP) {
        v.channels = smaller(GROUP, left);
        crew_run(clear_share, &v);
        for (int32_t f = 0; f < d[N_OUT]; f += v.listed) {
            v.filters = smaller(v.listed, d[N_OUT] - f);
            v.w = w + f * d[N_ROW];
            crew_run(prepare_share, &v);
            link_errors(&v, g + f * outputs, argmax + f * argmax_bytes);
            crew_run(gather_share, &v);
        }
        if (v.n_sums != 0) {
            crew_run(round_share, &v);
        }
        v.dx += GROUP * d[H_IN] * d[W_IN];
        v.x += GROUP * d[H_IN] * d[W_IN];
        w += 9 * GROUP;
    }
    return 0;
}
