// Convolution of any kernel, stride and padding, without pooling: ten positions at a time, for
// all filters (tiles_lanes.S).
//
// Scratch: the image with its borders, a tile, where each tap lies, the filters with what their
// sums start from and the segments of their taps, those of each core apart, the list of segments for
// the largest weights, and the outputs of a tile that is not whole. Each core packs some taps of a
// tile, and then has some of the filters go over it.

#include <stddef.h>

#include "bias.h"
#include "bytes.h"
#include "crew.h"
#include "fast.h"
#include "rounding.h"
#include "scratch.h"
#include "tiles.h"

enum {
    CENTRE = 64, // inputs of 0..127 are stored less this much
    LANE_WEIGHTS = 511, // sum(|w|) of the taps in a lane: 511 * 64 < 32768
    LANE_WEIGHTS_SIGNED = 258, // the same for inputs of -127..127: 258 * 127 < 32768
    LANE_START = 32768, // of the low lanes
};

typedef struct {
    const int32_t *d;
    const int8_t *x; // with borders
    int8_t *image; // where these are added
    const uint8_t *w;
    const int32_t *bias;
    int32_t is_signed;
    int32_t is_row; // 1: the positions of a tile lie side by side
    int32_t output; // the first of the tile
    uint32_t *tile;
    int32_t *offsets; // of the taps in x
    struct tiles_filter *filters;
    uint8_t *segments;
    uint8_t *common; // segments of as few taps as any weights need
    int32_t n_common;
    int8_t *outputs;
    struct tiles_job job; // of all filters
} layer_t;

static void divide(layer_t *v, int32_t *scratch, const int32_t *d) {
    v->d = d;
    v->image = (int8_t *)scratch;
    v->tile = (uint32_t *)scratch + tiles_image_words(d);
    v->offsets = (int32_t *)v->tile + TAP_WORDS * d[N_ROW];
    v->filters = (struct tiles_filter *)(v->offsets + d[N_ROW]);
    int32_t *segments = (int32_t *)(v->filters + d[N_OUT]);
    v->segments = (uint8_t *)segments;
    int32_t *common = segments + tiles_segments_words(d);
    v->common = (uint8_t *)common;
    v->outputs = (int8_t *)(common + tiles_common_words(d));
}

// A part of the rows of each channel, into the image with borders.
static void image_share(void *job, int32_t core, int32_t cores) {
    const layer_t *v = job;
    const int32_t *d = v->d;
    int32_t width = tiles_width(d), w_in = d[W_IN], h_in = d[H_IN];
    int32_t first = crew_start(h_in, 1, core, cores), end = crew_start(h_in, 1, core + 1, cores);
    const int8_t *x = v->x + first * w_in;
    int8_t *to = v->image + tiles_start(d) + first * width;
    for (int32_t c = d[N_IN]; c != 0; c--) {
        int8_t *row = to;
        const int8_t *from = x;
        for (int32_t y = first; y < end; y++) {
            for (int32_t i = 0; i < w_in; i++) {
                row[i] = from[i];
            }
            from += w_in;
            row += width;
        }
        x += h_in * w_in;
        to += tiles_plane(d);
    }
}

static void add_borders(layer_t *v) {
    int32_t n = 4 * tiles_image_words(v->d);
    if (n != 0) {
        clear_bytes(v->image, n);
        crew_run(image_share, v);
        v->x = v->image;
    }
}

static void list_taps(int32_t *to, const int32_t *d) {
    int32_t plane = 0;
    for (int32_t c = d[GROUP_IN]; c != 0; c--) {
        int32_t row = plane;
        for (int32_t ky = d[KERNEL_H]; ky != 0; ky--) {
            for (int32_t kx = 0; kx < d[KERNEL_W]; kx++) {
                *to++ = row + kx;
            }
            row += tiles_width(d);
        }
        plane += tiles_plane(d);
    }
}

// Segments of n taps of whatever weights.
static void list_common(layer_t *v) {
    int32_t most = v->is_signed ? 2 : 4, number = 0; // 2 * 127 <= 258, 4 * 127 <= 511
    uint8_t *to = v->common;
    for (int32_t left = v->d[N_ROW]; left > 0; left -= most) {
        *to++ = smaller(left, most);
        number++;
    }
    *to = 0;
    v->n_common = number;
}

// The segments of a filter, and what its sums start from: `start`, and more. They are written to
// `segments`, where there is room for every tap; if they are too many they do not stay there.
// Returns where those of the next filter go.
static uint8_t *cut_filter(const layer_t *v, struct tiles_filter *filter, const uint8_t *w,
    int32_t start, uint8_t *segments) {
    const int32_t *d = v->d;
    uint8_t *to = segments;
    int32_t sum = tiles_cut(w + d[N_ROW], d[N_ROW], &to,
        v->is_signed ? LANE_WEIGHTS_SIGNED : LANE_WEIGHTS);
    int32_t number = (int32_t)(to - segments);
    filter->segments = segments;
    if (number < tiles_segments(d)) {
        *to++ = 0;
        segments = to;
    } else {
        filter->segments = v->common;
        number = v->n_common;
    }
    filter->high_start = start + (v->is_signed ? 0 : CENTRE * sum);
    filter->low_start = (int32_t)((uint32_t)filter->high_start - LANE_START * (uint32_t)number);
    return segments;
}

// A part of the filters.
static void cut_share(void *job, int32_t core, int32_t cores) {
    const layer_t *v = job;
    const int32_t *d = v->d;
    int32_t i = crew_start(d[ROWS], 1, core, cores), end = crew_start(d[ROWS], 1, core + 1, cores);
    uint8_t *segments = v->segments + i * tiles_segments(d) + core * (d[N_ROW] + 1);
    for (; i < end; i++) {
        segments = cut_filter(v, &v->filters[i], v->w + i * d[N_ROW],
            sum_start(v->bias, d[ROW] + i, d), segments);
    }
}

// A part of the taps of a tile; what lies beyond the last output is that.
static void pack_share(void *job, int32_t core, int32_t cores) {
    const layer_t *v = job;
    const int32_t *d = v->d;
    int32_t column = v->output, row = 0, last = d[W_OUT] - 1, outputs = d[H_OUT] * d[W_OUT];
    int32_t output = column, n = d[N_ROW];
    int32_t tap = crew_start(n, 1, core, cores), end = crew_start(n, 1, core + 1, cores);
    uint32_t *to = v->tile + TAP_WORDS * tap;
    if (tap == end) {
        return;
    }
    uint32_t zero = v->is_signed ? 0 : 0 - ((uint32_t)CENTRE << 16) - CENTRE;
    if (v->is_row) {
        const int8_t *x = v->x + output;
        tiles_pack_row(to, x + tap * outputs, outputs, x + end * outputs, zero);
        return;
    }
    for (; column > last; column -= d[W_OUT]) {
        row++;
    }
    int32_t step = d[STRIDE_H] * tiles_width(d), down = step - d[STRIDE_W] * last;
    const int8_t *at = v->x + row * step + column * d[STRIDE_W], *before = at;
    for (int32_t i = 0; i < TILE; i++) {
        if ((i & 1) != 0) {
            tiles_pack(to + (i >> 1), before, at, v->offsets + tap, v->offsets + end, zero);
        }
        before = at;
        if (output + i + 1 < outputs) {
            at += column == last ? down : d[STRIDE_W];
            column = column == last ? 0 : column + 1;
        }
    }
}

// A part of the filters on a tile.
static void filters_share(void *job, int32_t core, int32_t cores) {
    const layer_t *v = job;
    const int32_t *d = v->d;
    int32_t first = crew_start(d[ROWS], 1, core, cores);
    struct tiles_job own;
    copy_words(&own, &v->job, sizeof(own));
    own.filters += first;
    own.filters_end = v->filters + crew_start(d[ROWS], 1, core + 1, cores);
    own.w += first * d[N_ROW];
    own.y += first * own.y_step;
    if (own.filters != own.filters_end) {
        tiles_filters(&own);
    }
}

// The outputs of a tile that is not whole.
static void copy_outputs(const layer_t *v, int8_t *y) {
    const int32_t *d = v->d;
    int32_t outputs = d[H_OUT] * d[W_OUT];
    const int8_t *from = v->outputs;
    for (int32_t row = d[ROWS]; row != 0; row--) {
        for (int32_t i = 0; i < outputs; i++) {
            y[i] = from[i];
        }
        y += outputs;
        from += TILE;
    }
}

int32_t tiles_forward(int8_t *y, uint8_t *argmax, const int8_t *x, const uint8_t *w,
    const int32_t *bias, int32_t *scratch, const int32_t *d) {
    (void)argmax;
    layer_t v;
    divide(&v, scratch, d);
    v.w = w;
    v.bias = bias;
    v.is_signed = d[NONNEGATIVE] == 0 && any_negative(x, d[N_IN] * d[H_IN] * d[W_IN]);
    v.x = x;
    add_borders(&v);
    v.is_row = !v.is_signed && d[N_ROW] == d[N_IN] && d[H_OUT] * d[W_OUT] == d[H_IN] * d[W_IN]
        && d[H_OUT] * d[W_OUT] >= TILE;
    if (!v.is_row) {
        list_taps(v.offsets, d);
    }
    list_common(&v);
    crew_run(cut_share, &v);
    int32_t outputs = d[H_OUT] * d[W_OUT], is_small = outputs < TILE;
    y += d[ROW] * outputs;
    struct tiles_job *job = &v.job;
    job->inputs = v.tile;
    job->filters = v.filters;
    job->w = w;
    job->y_step = is_small ? TILE : outputs;
    job->shift = d[FORWARD_SHIFT];
    job->low = d[RELU] != 0 ? 0 : -127;
    job->high = d[HIGH];
    for (int32_t output = 0; output < outputs; output += TILE) {
        // the last may do some outputs again
        v.output = is_small ? 0 : smaller(output, outputs - TILE);
        job->y = is_small ? v.outputs : y + v.output;
        crew_run(pack_share, &v);
        crew_run(filters_share, &v);
    }
    if (is_small) {
        copy_outputs(&v, y);
    }
    return 0;
}
