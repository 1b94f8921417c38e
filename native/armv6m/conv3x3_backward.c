// Gradient of a 3x3 convolution's input, eight channels at a time by conv3x3_gather.S.
//
// Scratch: a bucket (head of a chain of errors, bound of what they add up to) per position of the
// kernel with two rows and columns of empty ones around, the errors, the weights of all filters,
// and the list of inputs whose lanes may have overflowed.

#include <stddef.h>

#include "bytes.h"
#include "conv3x3_backward.h"
#include "conv3x3_errors.h"
#include "fast.h"
#include "rounding.h"
#include "scratch.h"

enum {
    GROUP = 8, // channels that are done at once; those that are not there cost as much
    LANE_LIMIT = 32767,
};

typedef struct {
    const int32_t *d;
    int32_t channels; // of this group
    int32_t width; // of a row of positions, which is that of the image with borders
    uint32_t *table; // buckets
    int32_t *list;
    uint32_t *weights;
    const int8_t **too_large;
} group_t;

static void divide(group_t *v, int32_t *scratch, const int32_t *d) {
    v->d = d;
    v->width = padded_width(d);
    v->table = (uint32_t *)scratch;
    v->list = scratch + conv3x3_buckets_words(d);
    v->weights = (uint32_t *)(v->list + conv3x3_chains_words(d));
    v->too_large = (const int8_t **)(v->weights + conv3x3_filters_words(d));
}

// Packs the group's weights of a filter, last tap first; returns a bound of |w|.
static int32_t pack_weights(uint32_t *to, const group_t *v, const uint8_t *w) {
    uint32_t largest = 0;
    for (int32_t c = 0; c < v->channels; c += 2) {
        int32_t second = c + 1 < v->channels ? 9 : 0;
        largest = conv3x3_pack_taps(to + 8 * TAP_WORDS + (c >> 1), w, second, largest);
        w += 18;
    }
    return (int32_t)largest + 1;
}

// Chains the errors of all filters by their positions.
static void link_errors(const group_t *v, const int8_t *g, const uint8_t *argmax,
    const uint8_t *w) {
    const int32_t *d = v->d;
    uint32_t *weights = v->weights;
    struct conv3x3_errors errors;
    conv3x3_errors_prepare(&errors, v->list, g, argmax, 4 * BUCKET_WORDS, d);
    errors.buckets = v->table + BUCKET_WORDS * (2 * v->width + 2);
    clear_bytes((int8_t *)v->table, 4 * conv3x3_buckets_words(d));
    for (int32_t f = 0; f < d[N_OUT]; f++) {
        errors.bound = pack_weights(weights, v, w);
        errors.weights = weights;
        errors.list = conv3x3_link(&errors);
        weights += 9 * TAP_WORDS;
        w += d[N_ROW];
    }
}

// Bytes from behind three buckets to those one row below.
static int32_t row_step(const group_t *v) {
    return 4 * BUCKET_WORDS * (v->width - 3);
}

// dx of all inputs; returns the end of the list of those whose lanes may have overflowed.
static const int8_t **gather(const group_t *v, int8_t *dx, const int8_t *x) {
    const int32_t *d = v->d;
    int32_t rows = d[PAD_TOP] == 0 ? 1 : d[H_IN]; // without borders all rows at once
    struct conv3x3_gather_job job;
    job.channels = v->channels;
    job.x = x;
    job.size = d[H_IN] * d[W_IN];
    job.dx = dx;
    job.shift = d[BACKWARD_SHIFT];
    job.half = 1 << job.shift >> 1;
    job.row_step = row_step(v);
    job.limit = LANE_LIMIT;
    job.too_large = v->too_large;
    clear_bytes(dx, v->channels * job.size);
    const uint32_t *row = v->table + BUCKET_WORDS * d[PAD_TOP] * (v->width + 1);
    for (; rows != 0; rows--) {
        job.buckets = row;
        job.left = d[PAD_TOP] == 0 ? job.size : d[W_IN];
        conv3x3_gather(&job);
        row += BUCKET_WORDS * v->width;
    }
    return job.too_large;
}

static void put_exactly(const group_t *v, int8_t *dx, const int8_t *x, const int8_t **end) {
    const int32_t *d = v->d;
    int32_t sums[2];
    for (const int8_t **at = v->too_large; at != end; at++) {
        int32_t i = (int32_t)(*at - x), position = i + d[PAD_TOP] * (v->width + 1);
        for (int32_t left = i; left >= d[W_IN]; left -= d[W_IN]) {
            position += v->width - d[W_IN];
        }
        for (int32_t c = 0; c < v->channels; c++, i += d[H_IN] * d[W_IN]) {
            if ((c & 1) == 0) {
                conv3x3_sum_pair(v->table + BUCKET_WORDS * position, row_step(v), 2 * c, sums);
            }
            if (x[i] > 0) {
                dx[i] = clamp(round_half_up(sums[c & 1], d[BACKWARD_SHIFT]), -127, 127);
            }
        }
    }
}

int32_t conv3x3_backward(int8_t *dx, const int8_t *g, const uint8_t *argmax,
    const int8_t *x, const uint8_t *w, int32_t *scratch, const int32_t *d) {
    group_t v;
    divide(&v, scratch, d);
    for (int32_t c = 0; c < d[N_IN]; c += GROUP) {
        v.channels = smaller(GROUP, d[N_IN] - c);
        link_errors(&v, g, argmax, w);
        put_exactly(&v, dx, x, gather(&v, dx, x));
        dx += GROUP * d[H_IN] * d[W_IN];
        x += GROUP * d[H_IN] * d[W_IN];
        w += 9 * GROUP;
    }
    return 0;
}
