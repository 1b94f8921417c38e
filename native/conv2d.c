// Convolution forward with pooling, requantisation and ReLU; any kernel, stride and padding.
//
// Positions are outermost and filters innermost, so that copying a patch (patch.h) is paid once
// for all filters. Four positions go together: a 2x2 pooling window, four outputs where there is
// no pooling, or four of a larger window. Windows that overlap (POOL_STRIDE < POOL) compute the
// positions they share again.

#include "kernels.h"
#include "patch.h"
#include "scratch.h"

// one call, unpacked; "row" below is a filter counted from d[ROW]
typedef struct {
    const int32_t *d;
    const int8_t *x; // with zero borders
    const uint8_t *w;
    int8_t *y; // of the first row
    uint8_t *argmax;
    int32_t *acc; // four per row
    int32_t *best; // largest accumulator so far, and where it stood: two per row, POOL > 2
    patch_t *patches;
    window_t window; // as many channels as fit in PATCH_LENGTH
    int32_t rows;
    int32_t outputs; // per channel
    int32_t argmax_bytes; // per channel
    int32_t largest; // MEASURE
} conv2d_t;

static int32_t channels_per_patch(const int32_t *d) {
    int32_t taps = d[KERNEL] * d[KERNEL];
    int32_t channels = 1;
    int32_t n = 2 * taps;
    while (channels < d[N_IN] && n <= PATCH_LENGTH) {
        channels++;
        n += taps;
    }
    return channels;
}

static int32_t patches_words(const int32_t *d) {
    return words_of(4 * smaller(d[N_ROW], PATCH_LENGTH) * (int32_t)sizeof(patch_t));
}

static int32_t forward_words(const int32_t *d) {
    return 6 * d[N_OUT] + patches_words(d) + words_of(padded_bytes(d));
}

int32_t conv2d_scratch_words(int32_t training, const int32_t *d) {
    int32_t words = forward_words(d);
    if (training != 0) {
        int32_t outputs = d[H_OUT] * d[W_OUT];
        words = larger(words, outputs + sums_words(d)); // backward_input
        words = larger(words, outputs + d[N_ROW] + words_of(padded_bytes(d))); // update
    }
    return words;
}

const int8_t *padded_image(int8_t *copy, const int8_t *x, const int32_t *d) {
    int32_t padding = d[PADDING], w_in = d[W_IN];
    if (padding == 0) {
        return x;
    }
    int8_t *to = copy;
    for (int32_t i = padded_bytes(d); i != 0; i--) {
        *to++ = 0;
    }
    int32_t width = padded_width(d);
    for (int32_t c = 0; c < d[N_IN]; c++) {
        to = copy + padding * width + padding;
        for (int32_t y = d[H_IN]; y != 0; y--) {
            for (int32_t i = 0; i < w_in; i++) {
                to[i] = *x++;
            }
            to += width;
        }
        copy += padded_plane(d);
    }
    return copy - padded_bytes(d);
}

// acc of every row at the four positions x + offsets[0..3]
static void accumulate(const conv2d_t *v, const int32_t *offsets) {
    const int32_t *d = v->d;
    int32_t taps = d[KERNEL] * d[KERNEL];
    window_t window = v->window;
    const int8_t *x = v->x;
    const uint8_t *w = v->w;
    int32_t bias[4];
    for (int32_t i = 0; i < 4 * v->rows; i++) {
        v->acc[i] = 0;
    }
    for (int32_t left = d[N_IN]; left > 0; left -= window.channels) {
        if (window.channels > left) {
            window.channels = left;
        }
        int32_t n = window.channels * taps;
        copy_patches(v->patches, n, bias, x, offsets, &window);
        dot_rows(v->acc, bias, w, d[N_ROW], v->rows, v->patches, n);
        x += window.channels * window.plane;
        w += n;
    }
}

// y[output] and argmax of one row from its accumulator, or only the measurement of it
static inline void put(conv2d_t *v, int32_t row, int32_t output, int32_t acc, int32_t winner) {
    const int32_t *d = v->d;
    int32_t low = d[RELU] != 0 ? 0 : -127;
    if (d[MEASURE] != 0) {
        v->largest = larger(v->largest, low != 0 ? absolute(acc) : acc);
        return;
    }
    v->y[row * v->outputs + output] = clamp(round_half_up(acc, d[FORWARD_SHIFT]), low, 127);
    if (d[POOL] > 1) {
        int32_t bit = output * d[ARGMAX_BITS];
        uint8_t *byte = v->argmax + row * v->argmax_bytes + (bit >> 3);
        bit &= 7;
        *byte = (bit == 0 ? 0 : *byte) | winner << bit; // the first of a byte clears the rest
    }
}

// Without pooling: `n` outputs, 1..4, the last of them `last`.
static void put_outputs(conv2d_t *v, int32_t *offsets, int32_t n, int32_t last) {
    for (int32_t j = n; j < 4; j++) {
        offsets[j] = offsets[0];
    }
    accumulate(v, offsets);
    for (int32_t row = 0; row < v->rows; row++) {
        for (int32_t j = 0; j < n; j++) {
            put(v, row, last + 1 - n + j, v->acc[4 * row + j], 0);
        }
    }
}

// Compares `n` positions of a window, 1..4, of which the first is its `start`-th.
static void compare_positions(conv2d_t *v, int32_t *offsets, int32_t n, int32_t start) {
    for (int32_t j = n; j < 4; j++) {
        offsets[j] = offsets[0];
    }
    accumulate(v, offsets);
    const int32_t *acc = v->acc;
    int32_t *best = v->best;
    for (int32_t row = 0; row < v->rows; row++) {
        if (start == 0) {
            best[0] = acc[0];
            best[1] = 0;
        }
        for (int32_t j = 0; j < n; j++) {
            if (acc[j] > best[0]) {
                best[0] = acc[j];
                best[1] = start + j;
            }
        }
        acc += 4;
        best += 2;
    }
}

// The pooling window whose first position is at `first`.
static void put_window(conv2d_t *v, int32_t first, int32_t output) {
    const int32_t *d = v->d;
    int32_t offsets[4];
    int32_t n = 0, start = 0;
    for (int32_t wy = 0; wy < d[POOL]; wy++) {
        int32_t position = first;
        for (int32_t wx = 0; wx < d[POOL]; wx++) {
            offsets[n++] = position;
            position += d[STRIDE];
            if (n == 4) {
                compare_positions(v, offsets, n, start);
                start += n;
                n = 0;
            }
        }
        first += d[STRIDE] * v->window.width;
    }
    if (n != 0) {
        compare_positions(v, offsets, n, start);
    }
    for (int32_t row = 0; row < v->rows; row++) {
        put(v, row, output, v->best[2 * row], v->best[2 * row + 1]);
    }
}

static void put_all(conv2d_t *v) {
    const int32_t *d = v->d;
    int32_t step = d[POOL_STRIDE] * d[STRIDE];
    int32_t offsets[4];
    int32_t n = 0, output = 0, first = 0;
    for (int32_t py = 0; py < d[H_OUT]; py++) {
        int32_t position = first;
        for (int32_t px = 0; px < d[W_OUT]; px++) {
            if (d[POOL] > 1) {
                put_window(v, position, output);
            } else {
                offsets[n++] = position;
                if (n == 4 || output + 1 == v->outputs) {
                    put_outputs(v, offsets, n, output);
                    n = 0;
                }
            }
            position += step;
            output++;
        }
        first += step * v->window.width;
    }
}

int32_t conv2d_forward(int8_t *y, uint8_t *argmax, const int8_t *x, const uint8_t *w,
    int32_t *scratch, const int32_t *d) {
    conv2d_t v;
    v.d = d;
    v.w = w;
    v.rows = d[ROWS];
    v.outputs = d[H_OUT] * d[W_OUT];
    v.argmax_bytes = channel_argmax_bytes(d);
    v.y = y + d[ROW] * v.outputs;
    v.argmax = argmax + d[ROW] * v.argmax_bytes;
    v.window.channels = channels_per_patch(d);
    v.window.plane = padded_plane(d);
    v.window.width = padded_width(d);
    v.window.kernel = d[KERNEL];
    v.acc = scratch;
    v.best = v.acc + 4 * v.rows;
    v.patches = (patch_t *)(v.best + 2 * v.rows);
    v.x = padded_image((int8_t *)(v.best + 2 * v.rows + patches_words(d)), x, d);
    v.largest = 0;
    put_all(&v);
    return v.largest;
}
