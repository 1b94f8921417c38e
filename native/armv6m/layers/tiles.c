// Convolution of any kernel, stride and padding, without pooling: ten positions at a time, for
// all filters (tiles_lanes.S).
//
// Scratch: the image with its borders, a tile, where each tap lies, the filters with what their
// sums start from and the segments of their taps, the list of segments for the largest weights, and
// the outputs of a tile that is not whole.

#include <stddef.h>

#include "bias.h"
#include "bytes.h"
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
    int32_t is_signed;
    int32_t is_row; // 1: the positions of a tile lie side by side
    uint32_t *tile;
    int32_t *offsets; // of the taps in x
    struct tiles_filter *filters;
    uint8_t *segments;
    uint8_t *common; // segments of as few taps as any weights need
    int8_t *outputs;
} layer_t;

static void divide(layer_t *v, int32_t *scratch, const int32_t *d) {
    v->d = d;
    v->tile = (uint32_t *)scratch + tiles_image_words(d);
    v->offsets = (int32_t *)v->tile + TAP_WORDS * d[N_ROW];
    v->filters = (struct tiles_filter *)(v->offsets + d[N_ROW]);
    int32_t *segments = (int32_t *)(v->filters + d[N_OUT]);
    v->segments = (uint8_t *)segments;
    int32_t *common = segments + tiles_segments_words(d);
    v->common = (uint8_t *)common;
    v->outputs = (int8_t *)(common + tiles_common_words(d));
}

static const int8_t *with_borders(int8_t *to, const int8_t *x, const int32_t *d) {
    int32_t n = 4 * tiles_image_words(d), width = tiles_width(d), w_in = d[W_IN];
    if (n == 0) {
        return x;
    }
    clear_bytes(to, n);
    const int8_t *image = to;
    to += tiles_start(d);
    for (int32_t c = d[N_IN]; c != 0; c--) {
        int8_t *row = to;
        for (int32_t y = d[H_IN]; y != 0; y--) {
            for (int32_t i = 0; i < w_in; i++) {
                row[i] = x[i];
            }
            x += w_in;
            row += width;
        }
        to += tiles_plane(d);
    }
    return image;
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

// Segments of n taps of whatever weights; returns how many.
static int32_t list_common(const layer_t *v) {
    int32_t most = v->is_signed ? 2 : 4, number = 0; // 2 * 127 <= 258, 4 * 127 <= 511
    uint8_t *to = v->common;
    for (int32_t left = v->d[N_ROW]; left > 0; left -= most) {
        *to++ = smaller(left, most);
        number++;
    }
    *to = 0;
    return number;
}

// The segments of a filter, and what its sums start from: `start`, and more. They are written behind those of the
// others, where there is room for every tap; if they are too many they do not stay there.
static void cut_filter(layer_t *v, struct tiles_filter *filter, const uint8_t *w, int32_t start,
    int32_t common) {
    const int32_t *d = v->d;
    uint8_t *to = v->segments;
    int32_t sum = tiles_cut(w + d[N_ROW], d[N_ROW], &to,
        v->is_signed ? LANE_WEIGHTS_SIGNED : LANE_WEIGHTS);
    int32_t number = (int32_t)(to - v->segments);
    filter->segments = v->segments;
    if (number < tiles_segments(d)) {
        *to++ = 0;
        v->segments = to;
    } else {
        filter->segments = v->common;
        number = common;
    }
    filter->high_start = start + (v->is_signed ? 0 : CENTRE * sum);
    filter->low_start = (int32_t)((uint32_t)filter->high_start - LANE_START * (uint32_t)number);
}

// The inputs of the tile that begins with an output; what lies beyond the last output is that.
static void pack_tile(const layer_t *v, int32_t output) {
    const int32_t *d = v->d;
    int32_t column = output, row = 0, last = d[W_OUT] - 1, outputs = d[H_OUT] * d[W_OUT];
    uint32_t zero = v->is_signed ? 0 : 0 - ((uint32_t)CENTRE << 16) - CENTRE;
    if (v->is_row) {
        const int8_t *x = v->x + output;
        tiles_pack_row(v->tile, x, outputs, x + d[N_IN] * outputs, zero);
        return;
    }
    for (; column > last; column -= d[W_OUT]) {
        row++;
    }
    int32_t step = d[STRIDE_H] * tiles_width(d), down = step - d[STRIDE_W] * last;
    const int8_t *at = v->x + row * step + column * d[STRIDE_W], *before = at;
    for (int32_t i = 0; i < TILE; i++) {
        if ((i & 1) != 0) {
            tiles_pack(v->tile + (i >> 1), before, at, v->offsets, v->offsets + d[N_ROW], zero);
        }
        before = at;
        if (output + i + 1 < outputs) {
            at += column == last ? down : d[STRIDE_W];
            column = column == last ? 0 : column + 1;
        }
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
    v.is_signed = d[NONNEGATIVE] == 0 && any_negative(x, d[N_IN] * d[H_IN] * d[W_IN]);
    v.x = with_borders((int8_t *)scratch, x, d);
    v.is_row = !v.is_signed && d[N_ROW] == d[N_IN] && d[H_OUT] * d[W_OUT] == d[H_IN] * d[W_IN]
        && d[H_OUT] * d[W_OUT] >= TILE;
    if (!v.is_row) {
        list_taps(v.offsets, d);
    }
    int32_t common = list_common(&v), outputs = d[H_OUT] * d[W_OUT];
    for (int32_t i = 0; i < d[ROWS]; i++) {
        cut_filter(&v, &v.filters[i], w + i * d[N_ROW], sum_start(bias, d[ROW] + i, d), common);
    }
    y += d[ROW] * outputs;
    struct tiles_job job = {
        v.tile, v.filters, w, v.outputs, TILE, d[FORWARD_SHIFT], d[RELU] != 0 ? 0 : -127, d[HIGH],
        v.filters + d[ROWS],
    };
    if (outputs < TILE) {
        pack_tile(&v, 0);
        tiles_filters(&job);
        copy_outputs(&v, y);
        return 0;
    }
    job.y_step = outputs;
    for (int32_t output = 0; output < outputs; output += TILE) {
        int32_t first = smaller(output, outputs - TILE); // the last may do some outputs again
        pack_tile(&v, first);
        job.y = y + first;
        tiles_filters(&job);
    }
    return 0;
}
