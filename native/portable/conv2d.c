// Convolution forward with pooling, requantisation and ReLU; any kernel, stride and padding.
//
// Positions are outermost and filters innermost, so that copying a patch (loops.h) is paid once
// for all filters; four positions go together. Pooling windows are taken one after another, so
// that those that overlap (POOL_STRIDE < POOL) compute the positions they share again. A padded
// image is copied with its borders, some rows of a group's channels at a time.

#include "kernels.h"
#include "loops.h"
#include "scratch.h"

// A call, or the part of it that belongs to one group; a row is a filter.
typedef struct {
    const int32_t *d;
    const int8_t *x; // rows at hand with zero borders, from the group's first channel on
    const uint8_t *w; // of the first row
    const int32_t *bias; // of the first row, NULL where there are none
    int8_t *y; // of the first row
    uint8_t *argmax;
    int32_t *acc; // four per row
    int32_t *best; // two per row: largest accumulator of a window, and where it stood
    int8_t *copy; // of padded rows
    patch_t *patches;
    uint8_t *tail; // the last rows of w, after which dot_rows may read on
    window_t window; // as many channels as fit in PATCH_LENGTH
    int32_t rows;
    int32_t output; // that the next position belongs to
    int32_t largest; // MEASURE
    int32_t n; // positions that wait
    int32_t offsets[4]; // in x
    int32_t places[4]; // in the pooling window
} conv2d_t;

static int32_t channels_per_patch(const int32_t *d) {
    int32_t taps = d[KERNEL_H] * d[KERNEL_W];
    int32_t channels = 1;
    int32_t n = 2 * taps;
    while (channels < d[GROUP_IN] && n <= PATCH_LENGTH) {
        channels++;
        n += taps;
    }
    return channels;
}

void copy_padded(int8_t *copy, const int8_t *x, int32_t channels, int32_t first, int32_t rows,
    const int32_t *d) {
    int32_t height = d[H_IN], w_in = d[W_IN], width = padded_width(d);
    first -= d[PAD_TOP];
    for (; channels != 0; channels--) {
        for (int32_t y = first; y < first + rows; y++) {
            for (int32_t i = 0; i < width; i++) {
                copy[i] = 0;
            }
            if (y >= 0 && y < height) {
                const int8_t *from = x + y * w_in;
                int8_t *to = copy + d[PAD_LEFT];
                for (int32_t i = 0; i < w_in; i++) {
                    to[i] = from[i];
                }
            }
            copy += width;
        }
        x += height * w_in;
    }
}

static void copy_tail(conv2d_t *v) {
    const int32_t *d = v->d;
    int32_t n_tail = tail_rows(v->rows, d) * d[N_ROW];
    const uint8_t *from = v->w + v->rows * d[N_ROW] - n_tail;
    for (int32_t i = 0; i < n_tail; i++) {
        v->tail[i] = from[i];
    }
}

// acc of every row at the four positions
static void accumulate(conv2d_t *v) {
    const int32_t *d = v->d;
    window_t *window = &v->window;
    int32_t channels = window->channels;
    int32_t offset[4]; // what the sums of dot_rows leave out
    int32_t n_tail = tail_rows(v->rows, d), n_row = d[N_ROW];
    int32_t k = 0; // first tap of the channels at hand
    const int8_t *x = v->x;
    bool is_started = v->bias != NULL;
    for (int32_t i = 0; is_started && i < 4 * v->rows; i++) {
        v->acc[i] = v->bias[i >> 2];
    }
    for (int32_t left = d[GROUP_IN]; left > 0; left -= window->channels) {
        window->channels = smaller(left, channels);
        int32_t n = window->channels * window->height * window->across;
        copy_patches(v->patches, offset, x, v->offsets, window);
        const int32_t *start = offset;
        int32_t start_step = 0;
        if (is_started) {
            for (int32_t i = 0; i < 4 * v->rows; i++) {
                v->acc[i] = (int32_t)((uint32_t)v->acc[i] + (uint32_t)offset[i & 3]);
            }
            start = v->acc;
            start_step = 4;
        }
        is_started = true;
        int32_t head = v->rows - n_tail;
        dot_rows(v->acc, start, start_step, v->w + k, n_row, head, v->patches, n);
        if (PRIOT_VECTORS) {
            dot_rows(v->acc + 4 * head, start + start_step * head, start_step, v->tail + k,
                n_row, n_tail, v->patches, n);
        }
        x += window->channels * window->plane;
        k += n;
    }
    window->channels = channels;
}

// Output and argmax of every row, or the measurement of them, from `best`.
static void put_best(conv2d_t *v) {
    const int32_t *d = v->d, *best = v->best;
    int32_t output = v->output++;
    if (d[MEASURE] != 0) {
        v->largest = larger(v->largest, measured(best, 2, v->rows, d));
        return;
    }
    put_outputs(v->y + output, d[H_OUT] * d[W_OUT], best, 2, v->rows, d);
    if (d[ARGMAX_BITS] != 0) {
        int32_t bit = output * d[ARGMAX_BITS];
        int32_t step = channel_argmax_bytes(d);
        uint8_t *argmax = v->argmax + (bit >> 3);
        bit &= 7;
        int32_t kept = (1 << bit) - 1; // the first of a byte clears the rest
        for (int32_t row = v->rows; row != 0; row--) {
            *argmax = (*argmax & kept) | best[1] << bit;
            argmax += step;
            best += 2;
        }
    }
}

// Computes the positions that wait; the last group of a layer may have fewer than four.
static void flush(conv2d_t *v) {
    for (int32_t j = v->n; j < 4; j++) {
        v->offsets[j] = v->offsets[0];
    }
    accumulate(v);
    for (int32_t j = 0; j < v->n; j++) {
        take_largest(v->best, v->acc + j, v->places[j], v->rows);
        if (v->places[j] + 1 == v->d[POOL_H] * v->d[POOL_W]) {
            put_best(v);
        }
    }
    v->n = 0;
}

// All positions of the pooling window that begins at `first`.
static void put_window(conv2d_t *v, int32_t first) {
    const int32_t *d = v->d;
    int32_t place = 0;
    for (int32_t wy = d[POOL_H]; wy != 0; wy--) {
        int32_t at = first;
        for (int32_t wx = d[POOL_W]; wx != 0; wx--) {
            v->offsets[v->n] = at;
            v->places[v->n] = place++;
            v->n++;
            if (v->n == 4) {
                flush(v);
            }
            at += d[STRIDE_W];
        }
        first += d[STRIDE_H] * v->window.width;
    }
}

// All positions of the next rows of outputs, of which v->x begins with the first.
static void put_band(conv2d_t *v, int32_t outputs) {
    const int32_t *d = v->d;
    int32_t down = d[POOL_STRIDE_H] * d[STRIDE_H] * v->window.width;
    int32_t across = d[POOL_STRIDE_W] * d[STRIDE_W], first = 0;
    for (; outputs != 0; outputs--) {
        int32_t at = first;
        for (int32_t px = d[W_OUT]; px != 0; px--) {
            put_window(v, at);
            at += across;
        }
        first += down;
    }
    if (v->n != 0) {
        flush(v);
    }
}

// All positions of the filters at hand; x is the image, from their group's first channel on.
static void put_rows(conv2d_t *v, const int8_t *x) {
    const int32_t *d = v->d;
    int32_t most = band_rows(d), outputs, first = 0;
    v->output = v->n = 0;
    v->x = is_padded(d) ? v->copy : x;
    copy_tail(v);
    for (int32_t left = d[H_OUT]; left != 0; left -= outputs) {
        outputs = smaller(most, left);
        if (is_padded(d)) {
            int32_t rows = rows_under(outputs, d);
            copy_padded(v->copy, x, d[GROUP_IN], first, rows, d);
            v->window.plane = rows * v->window.width;
        }
        put_band(v, outputs);
        first += outputs * d[POOL_STRIDE_H] * d[STRIDE_H];
    }
}

int32_t conv2d_forward(int8_t *y, uint8_t *argmax, const int8_t *x, const uint8_t *w,
    const int32_t *bias, int32_t *scratch, const int32_t *d) {
    conv2d_t v;
    v.d = d;
    v.w = w;
    v.bias = bias == NULL ? NULL : bias + d[ROW];
    v.y = y + d[ROW] * d[H_OUT] * d[W_OUT];
    v.argmax = argmax + d[ROW] * channel_argmax_bytes(d);
    v.window.channels = channels_per_patch(d);
    v.window.plane = padded_plane(d);
    v.window.width = padded_width(d);
    v.window.height = d[KERNEL_H];
    v.window.across = d[KERNEL_W];
    v.largest = 0;
    v.acc = scratch;
    v.best = v.acc + 4 * d[GROUP_OUT];
    int32_t *patches = scratch + accumulators_words(d), *tail = patches + patches_words(d);
    v.patches = (patch_t *)patches;
    v.tail = (uint8_t *)tail;
    v.copy = (int8_t *)(tail + tail_words(d));
    int32_t group = d[GROUP_IN] * d[H_IN] * d[W_IN];
    int32_t in_group = d[ROW]; // of the first row
    while (in_group >= d[GROUP_OUT]) {
        in_group -= d[GROUP_OUT];
        x += group;
    }
    for (int32_t left = d[ROWS]; left > 0; left -= v.rows) {
        v.rows = smaller(left, d[GROUP_OUT] - in_group);
        put_rows(&v, x);
        v.w += v.rows * d[N_ROW];
        v.bias = v.bias == NULL ? NULL : v.bias + v.rows;
        v.y += v.rows * d[H_OUT] * d[W_OUT];
        v.argmax += v.rows * channel_argmax_bytes(d);
        x += group;
        in_group = 0;
    }
    return v.largest;
}
