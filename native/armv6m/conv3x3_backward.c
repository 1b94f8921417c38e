// Gradient of a 3x3 convolution's input, eight channels at a time by conv3x3_gather.S.
//
// Scratch: a bucket (head of a chain of errors, bound of what they add up to) per position of the
// kernel with two rows and columns of empty ones around, the errors, the weights of all filters,
// lanes for each input and the list of inputs whose lanes may have overflowed.

#include <stddef.h>

#include "bytes.h"
#include "conv3x3_errors.h"
#include "fast.h"
#include "gradients.h"
#include "layout.h"
#include "rounding.h"
#include "scratch.h"

enum {
    GROUP = 8, // channels that are done at once; those that are not there cost as much
    WORDS = 4, // of two channels each, per input and per tap
    BUCKET = 2, // words: first error, bound
    ERROR = 3, // words: error, weights of its filter, next error
    LANE_LIMIT = 32767,
};

typedef struct {
    const int32_t *d;
    int32_t channels; // of this group
    int32_t width; // of a row of positions, which is that of the image with borders
    uint32_t *table; // buckets
    int32_t *list;
    uint32_t *weights;
    uint32_t *lanes;
    uint32_t **too_large;
} group_t;

static int32_t table_words(const int32_t *d) {
    return BUCKET * (padded_plane(d) + 2 * padded_width(d) + 3);
}

static int32_t list_words(const int32_t *d) {
    return ERROR * d[N_OUT] * d[H_OUT] * d[W_OUT];
}

int32_t conv3x3_backward_words(const int32_t *d) {
    return table_words(d) + list_words(d) + d[N_OUT] * 9 * WORDS + d[H_IN] * d[W_IN] * (WORDS + 1);
}

static void divide(group_t *v, int32_t *scratch, const int32_t *d) {
    v->d = d;
    v->width = padded_width(d);
    v->table = (uint32_t *)scratch;
    v->list = scratch + table_words(d);
    v->weights = (uint32_t *)(v->list + list_words(d));
    v->lanes = v->weights + d[N_OUT] * 9 * WORDS;
    v->too_large = (uint32_t **)(v->lanes + d[H_IN] * d[W_IN] * WORDS);
}

// Packs the group's weights of a filter, last tap first; returns a bound of |w|.
static int32_t pack_weights(uint32_t *to, const group_t *v, const uint8_t *w) {
    uint32_t largest = 0;
    for (int32_t c = 0; c < v->channels; c += 2) {
        int32_t second = c + 1 < v->channels ? 9 : 0;
        largest = conv3x3_pack_taps(to + 8 * WORDS + (c >> 1), w, second, largest);
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
    conv3x3_errors_prepare(&errors, v->list, 4 * BUCKET, d);
    errors.buckets = v->table + BUCKET * (2 * v->width + 2);
    clear_bytes((int8_t *)v->table, 4 * table_words(d));
    for (int32_t f = 0; f < d[N_OUT]; f++) {
        errors.bound = pack_weights(weights, v, w);
        errors.weights = weights;
        conv3x3_errors_of(&errors, g, argmax, f, d);
        errors.list = conv3x3_link(&errors);
        weights += 9 * WORDS;
        w += d[N_ROW];
    }
}

// Lanes of all inputs; returns the end of the list of those that are too large.
static uint32_t **gather(const group_t *v, const int8_t *x) {
    const int32_t *d = v->d;
    int32_t rows = d[PADDING] == 0 ? 1 : d[H_IN]; // without borders all rows at once
    struct conv3x3_gather_job job;
    job.channels = d[X_RELU] != 0 ? v->channels : 0;
    job.x = x;
    job.size = d[H_IN] * d[W_IN];
    job.row_step = 4 * BUCKET * (v->width - 3);
    job.limit = LANE_LIMIT;
    job.lanes = v->lanes;
    job.too_large = v->too_large;
    const uint32_t *row = v->table + BUCKET * d[PADDING] * (v->width + 1);
    for (; rows != 0; rows--) {
        job.buckets = row;
        job.left = d[PADDING] == 0 ? job.size : d[W_IN];
        conv3x3_gather(&job);
        row += BUCKET * v->width;
    }
    return job.too_large;
}

static const uint32_t *at(uint32_t address) {
    return (const uint32_t *)(uintptr_t)address;
}

// The sums of one input for two channels, exactly.
static void sum_pair(const group_t *v, int32_t input, int32_t pair, int32_t sums[2]) {
    const int32_t *d = v->d;
    int32_t position = d[PADDING] * (v->width + 1), low = 0, high = 0;
    for (; input >= d[W_IN]; input -= d[W_IN]) {
        position += v->width;
    }
    const uint32_t *bucket = v->table + BUCKET * (position + input);
    for (int32_t tap = 0; tap < 9; tap++) {
        for (const uint32_t *error = at(*bucket); error != NULL; error = at(error[2])) {
            uint32_t word = at(error[1])[tap * WORDS + pair];
            low += (int32_t)*error * (int16_t)word;
            high += (int32_t)*error * ((int32_t)(word + 0x8000) >> 16);
        }
        bucket += BUCKET * (tap == 2 || tap == 5 ? v->width - 2 : 1);
    }
    sums[0] = low;
    sums[1] = high;
}

// Inputs whose lanes may have overflowed: about 5,000 cycles each.
static void put_exactly(const group_t *v, int8_t *dx, const int8_t *x, uint32_t **end) {
    const int32_t *d = v->d;
    int32_t sums[2];
    for (uint32_t **lanes = v->too_large; lanes != end; lanes++) {
        int32_t input = (int32_t)(*lanes - v->lanes) >> 2;
        for (int32_t c = 0, i = input; c < v->channels; c++, i += d[H_IN] * d[W_IN]) {
            if ((c & 1) == 0) {
                sum_pair(v, input, c >> 1, sums);
            }
            if (x[i] > 0 || d[X_RELU] == 0) {
                dx[i] = clamp(round_half_up(sums[c & 1], d[BACKWARD_SHIFT]), -127, 127);
            }
        }
    }
}

static void put_lanes(const group_t *v, int8_t *dx, const int8_t *x) {
    const int32_t *d = v->d;
    int32_t size = d[H_IN] * d[W_IN];
    struct gradient_job job;
    gradients_prepare(&job, d);
    job.stride = 4 * WORDS;
    clear_bytes(dx, v->channels * size);
    for (int32_t c = 0; c < v->channels; c++) {
        job.bias = c & 1 ? 0x8000 : 0;
        job.left = c & 1 ? 0 : 16;
        dx += size;
        x += size;
        gradients_of_lanes(dx, x, v->lanes + (c >> 1), -size, &job);
    }
}

int32_t fast_conv2d_backward_input(int8_t *dx, const int8_t *g, const uint8_t *argmax,
    const int8_t *x, const uint8_t *w, int32_t *scratch, const int32_t *d) {
    group_t v;
    divide(&v, scratch, d);
    for (int32_t c = 0; c < d[N_IN]; c += GROUP) {
        v.channels = smaller(GROUP, d[N_IN] - c);
        link_errors(&v, g, argmax, w);
        uint32_t **end = gather(&v, x);
        put_lanes(&v, dx, x);
        put_exactly(&v, dx, x, end);
        dx += GROUP * d[H_IN] * d[W_IN];
        x += GROUP * d[H_IN] * d[W_IN];
        w += 9 * GROUP;
    }
    return 0;
}
