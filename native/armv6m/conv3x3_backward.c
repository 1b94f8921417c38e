// Gradient of a 3x3 convolution's input: scatters listed errors into lanes of two channels.
//
// The lanes of conv3x3_sparse.S are exact while what they sum up fits int16. Every filter adds
// |error| * largest |w| to the cells of its errors (conv3x3_errors.h); an input lies under 2x2
// cells at most, so as long as no 2x2 cells sum up to 32768 no lane overflows. Before a filter
// would bring one there, the lanes are added to int32 sums and start again from 0; a filter that
// passes the limit alone goes into the sums one product at a time.

#include <stddef.h>

#include "bytes.h"
#include "conv3x3_errors.h"
#include "fast.h"
#include "gradients.h"
#include "layout.h"
#include "rounding.h"
#include "scratch.h"

enum {
    GROUP = 8, // channels that are done at once: four words per pixel
    LANE_LIMIT = 32767,
};

typedef struct {
    const int32_t *d;
    int32_t channels; // of this group
    int32_t words; // per pixel: 2 or 4
    int32_t width; // with borders
    int32_t plane;
    uint32_t *lanes; // [y][x][words]
    uint32_t *weights; // [ky][kx][words]
    int32_t *list;
    int32_t *sums; // [channel][y][x] without borders, where has_sums
    int32_t has_sums;
    conv3x3_cells cells;
} group_t;

static int32_t cells_words(const int32_t *d) {
    return (((d[H_CONV] + 1) >> 1) + 1) * (((d[W_CONV] + 1) >> 1) + 1);
}

static int32_t words_per_pixel(int32_t channels) {
    return channels > GROUP / 2 ? 4 : 2;
}

int32_t conv3x3_backward_words(const int32_t *d) {
    int32_t words = words_per_pixel(d[N_IN]);
    return padded_plane(d) * words + 9 * words + cells_words(d) + 2 * d[H_OUT] * d[W_OUT]
        + smaller(d[N_IN], GROUP) * d[H_IN] * d[W_IN];
}

static void clear_words(void *to, int32_t n) {
    clear_bytes(to, 4 * n);
}

// Packs the group's weights of a filter; returns a bound of |w|.
static int32_t pack_weights(const group_t *v, const uint8_t *w) {
    uint32_t largest = 0;
    clear_words(v->weights, 9 * v->words);
    for (int32_t c = 0; c < v->channels; c += 2) {
        int32_t second = c + 1 < v->channels ? 9 : 0;
        largest = conv3x3_pack_taps(v->weights + (c >> 1), w, v->words, largest, second);
        w += 18;
    }
    return (int32_t)largest + 1;
}

static int32_t cells_fit(const conv3x3_cells *cells) {
    const int32_t *above = cells->sums;
    for (int32_t y = cells->height; y != 0; y--) {
        const int32_t *below = above + cells->width + 1;
        int32_t left = *above++ + *below++;
        for (int32_t x = cells->width; x != 0; x--) {
            int32_t right = *above++ + *below++;
            if (left + right > LANE_LIMIT) {
                return 0;
            }
            left = right;
        }
    }
    return 1;
}

static int32_t lane(uint32_t word, int32_t is_high) {
    return is_high ? (int32_t)(word + 0x8000) >> 16 : (int16_t)word;
}

static const uint32_t *first_lane(const group_t *v, int32_t channel) {
    int32_t padding = v->d[PADDING];
    return v->lanes + (padding * v->width + padding) * v->words + (channel >> 1);
}

// Adds the lanes to the sums and starts them again from 0.
static void flush(group_t *v) {
    const int32_t *d = v->d;
    int32_t *sums = v->sums;
    if (!v->has_sums) {
        clear_words(sums, v->channels * d[H_IN] * d[W_IN]);
        v->has_sums = 1;
    }
    for (int32_t c = 0; c < v->channels; c++) {
        const uint32_t *from = first_lane(v, c);
        for (int32_t y = d[H_IN]; y != 0; y--) {
            for (int32_t *end = sums + d[W_IN]; sums != end; from += v->words) {
                *sums++ += lane(*from, c & 1);
            }
            from += (v->width - d[W_IN]) * v->words;
        }
    }
    clear_words(v->lanes, v->plane * v->words);
}

// One filter straight into the sums.
static void scatter_exactly(const group_t *v, const int32_t *list, const int32_t *list_end,
    const uint8_t *w) {
    const int32_t *d = v->d;
    for (; list != list_end; list += 2) {
        int32_t error = list[0], at = list[1] >> 2, top = -d[PADDING];
        for (; at >= v->width; at -= v->width) {
            top++;
        }
        int32_t left = at - d[PADDING];
        int32_t *sums = v->sums;
        for (int32_t c = 0; c < v->channels; c++) {
            for (int32_t tap = 0, y = top; y < top + 3; y++) {
                for (int32_t x = left; x < left + 3; x++, tap++) {
                    if ((uint32_t)y < (uint32_t)d[H_IN] && (uint32_t)x < (uint32_t)d[W_IN]) {
                        sums[y * d[W_IN] + x] += error * (w[9 * c + tap] - 128);
                    }
                }
            }
            sums += d[H_IN] * d[W_IN];
        }
    }
}

static void add_filter(group_t *v, const int8_t *g, const uint8_t *argmax, const uint8_t *w) {
    int32_t row_skip = 4 * (v->width - 3) * v->words;
    v->cells.weight = pack_weights(v, w);
    int32_t *end = conv3x3_list_errors(v->list, g, argmax, &v->cells, v->d);
    if (end == v->list) {
        return;
    }
    if (!cells_fit(&v->cells)) {
        flush(v);
        clear_words(v->cells.sums, cells_words(v->d));
        conv3x3_list_errors(v->list, g, argmax, &v->cells, v->d);
        if (!cells_fit(&v->cells)) {
            scatter_exactly(v, v->list, end, w);
            clear_words(v->cells.sums, cells_words(v->d));
            return;
        }
    }
    if (v->words == 4) {
        conv3x3_scatter_four(v->list, end, v->weights, v->lanes, row_skip);
    } else {
        conv3x3_scatter_two(v->list, end, v->weights, v->lanes, row_skip);
    }
}

// dx of the group from its lanes, at once where there are no borders.
static void put_lanes(const group_t *v, int8_t *dx, const int8_t *x) {
    const int32_t *d = v->d;
    int32_t n = d[W_IN], rows = d[H_IN];
    struct gradient_job job;
    gradients_prepare(&job, d);
    job.stride = 4 * v->words;
    clear_bytes(dx, v->channels * n * rows);
    if (d[PADDING] == 0) {
        n *= rows;
        rows = 1;
    }
    for (int32_t c = 0; c < v->channels; c++) {
        const uint32_t *from = first_lane(v, c);
        job.bias = c & 1 ? 0x8000 : 0;
        job.left = c & 1 ? 0 : 16;
        for (int32_t row = rows; row != 0; row--) {
            dx += n;
            x += n;
            gradients_of_lanes(dx, x, from, -n, &job);
            from += v->width * v->words;
        }
    }
}

static group_t divide(int32_t *scratch, const int32_t *d) {
    group_t v;
    v.d = d;
    v.width = padded_width(d);
    v.plane = padded_plane(d);
    v.cells.width = (d[W_CONV] + 1) >> 1;
    v.cells.height = (d[H_CONV] + 1) >> 1;
    v.words = words_per_pixel(d[N_IN]);
    v.lanes = (uint32_t *)scratch;
    v.weights = v.lanes + v.plane * v.words;
    v.cells.sums = (int32_t *)(v.weights + 9 * v.words);
    v.list = v.cells.sums + cells_words(d);
    v.sums = v.list + 2 * d[H_OUT] * d[W_OUT];
    return v;
}

int32_t fast_conv2d_backward_input(int8_t *dx, const int8_t *g, const uint8_t *argmax,
    const int8_t *x, const uint8_t *w, int32_t *scratch, const int32_t *d) {
    group_t v = divide(scratch, d);
    int32_t size = d[H_IN] * d[W_IN], outputs = d[H_OUT] * d[W_OUT];
    for (int32_t c = 0; c < d[N_IN]; c += GROUP) {
        v.channels = smaller(GROUP, d[N_IN] - c);
        v.words = words_per_pixel(v.channels);
        v.has_sums = 0;
        clear_words(v.lanes, v.plane * v.words);
        clear_words(v.cells.sums, cells_words(d));
        for (int32_t f = 0; f < d[N_OUT]; f++) {
            add_filter(&v, g + f * outputs, argmax + f * channel_argmax_bytes(d),
                w + f * d[N_ROW] + 9 * c);
        }
        if (v.has_sums) {
            flush(&v);
            put_sums(dx + c * size, x + c * size, v.sums, v.channels * size, d);
        } else {
            put_lanes(&v, dx + c * size, x + c * size);
        }
    }
    return 0;
}
