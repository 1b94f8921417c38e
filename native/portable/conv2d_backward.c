// Gradient of a convolution's input: every error scatters its filter over int32 sums.
//
// Max-pooling lets one error through per window and ReLU kills errors, so that most of them
// are 0: the work is KERNEL * KERNEL products per live error and input channel.

#include "channels_last.h"
#include "kernels.h"
#include "loops.h"
#include "scratch.h"

int32_t list_errors(int32_t *list, const int8_t *g, const uint8_t *argmax, const int32_t *d) {
    int32_t pool = d[POOL_W], bits = d[ARGMAX_BITS];
    int32_t width = padded_width(d);
    int32_t step = d[POOL_STRIDE_W] * d[STRIDE_W];
    int32_t *to = list;
    int32_t bit = 0, first = 0;
    for (int32_t py = d[H_OUT]; py != 0; py--) {
        int32_t position = first;
        for (int32_t px = d[W_OUT]; px != 0; px--) {
            int32_t error = *g++;
            if (error != 0) {
                int32_t at = position;
                if (bits != 0) {
                    int32_t winner = argmax[bit >> 3] >> (bit & 7) & ((1 << bits) - 1);
                    int32_t wy = 0;
                    while (winner >= pool && wy < d[POOL_H] - 1) {
                        winner -= pool;
                        wy++;
                    }
                    at += wy * width * d[STRIDE_H] + (winner < pool ? winner : 0) * d[STRIDE_W];
                }
                *to++ = (int32_t)((uint32_t)at << 8) | (error & 255);
            }
            bit += bits;
            position += step;
        }
        first += d[POOL_STRIDE_H] * d[STRIDE_H] * width;
    }
    *to = 0;
    return (int32_t)(to - list);
}

// dx of the channels at hand from their padded sums; returns the largest sum for MEASURE
static int32_t put_channels(int8_t *dx, const int8_t *x, const int32_t *sums, int32_t channels,
    const int32_t *d) {
    int32_t width = padded_width(d), w_in = d[W_IN];
    int32_t largest = 0;
    for (int32_t c = channels; c != 0; c--) {
        const int32_t *row = sums + padded_start(d);
        for (int32_t y = d[H_IN]; y != 0; y--) {
            largest = larger(largest, put_gradients(dx, x, row, w_in, d));
            dx += w_in;
            x += w_in;
            row += width;
        }
        sums += padded_plane(d);
    }
    return largest;
}

// dx of the channels of one group, some at once; all pointers are at the group's first.
static int32_t group_backward(int8_t *dx, const int8_t *g, const uint8_t *argmax,
    const int8_t *x, const uint8_t *w, int32_t *scratch, const int32_t *d) {
    int32_t outputs = d[H_OUT] * d[W_OUT];
    int32_t taps = d[KERNEL_H] * d[KERNEL_W];
    int32_t *sums = scratch, largest = 0;
    window_t window = {
        channels_at_once(d), padded_plane(d), padded_width(d), d[KERNEL_H], d[KERNEL_W],
    };
    int32_t *list = sums + window.channels * window.plane;
    for (int32_t c = 0; c < d[GROUP_IN]; c += window.channels) {
        window.channels = smaller(window.channels, d[GROUP_IN] - c);
        for (int32_t i = 0; i < window.channels * window.plane; i++) {
            sums[i] = 0;
        }
        for (int32_t f = 0; f < d[GROUP_OUT]; f++) {
            list_errors(list, g + f * outputs, argmax + f * channel_argmax_bytes(d), d);
            const uint8_t *filter = w + f * d[N_ROW] + c * taps;
            for (const int32_t *item = list; *item != 0; item++) {
                scatter(sums + (*item >> 8), filter, (int8_t)*item, &window);
            }
        }
        int32_t done = c * d[H_IN] * d[W_IN];
        largest = larger(largest, put_channels(dx + done, x + done, sums, window.channels, d));
    }
    return largest;
}

// The same with the channels of the group innermost.
static int32_t group_backward_channels_last(int8_t *dx, const int8_t *g, const uint8_t *argmax,
    const int8_t *x, const uint8_t *w, int32_t *scratch, const int32_t *d) {
    int32_t channels = d[GROUP_IN], plane = padded_plane(d), outputs = d[H_OUT] * d[W_OUT];
    int32_t *sums = scratch, *row = sums + channels * plane, *list = row + d[W_IN];
    int16_t *filter = (int16_t *)(list + outputs + 1);
    int32_t largest = 0;
    for (int32_t i = 0; i < channels * plane; i++) {
        sums[i] = 0;
    }
    for (int32_t f = 0; f < d[GROUP_OUT]; f++) {
        if (list_errors(list, g, argmax, d) != 0) {
            filter_channels_last(filter, w, d);
            add_inputs(sums, filter, list, d);
        }
        g += outputs;
        argmax += channel_argmax_bytes(d);
        w += d[N_ROW];
    }
    for (int32_t c = 0; c < channels; c++) {
        const int32_t *from = sums + padded_start(d) * channels + c;
        for (int32_t y = d[H_IN]; y != 0; y--) {
            for (int32_t i = 0; i < d[W_IN]; i++) {
                row[i] = from[i * channels];
            }
            largest = larger(largest, put_gradients(dx, x, row, d[W_IN], d));
            dx += d[W_IN];
            x += d[W_IN];
            from += padded_width(d) * channels;
        }
    }
    return largest;
}

int32_t conv2d_backward(int8_t *dx, const int8_t *g, const uint8_t *argmax,
    const int8_t *x, const uint8_t *w, int32_t *scratch, const int32_t *d) {
    int32_t largest = 0, inputs = d[GROUP_IN] * d[H_IN] * d[W_IN];
    for (int32_t group = d[GROUPS]; group != 0; group--) {
        int32_t of_group = has_channels_last(d)
            ? group_backward_channels_last(dx, g, argmax, x, w, scratch, d)
            : group_backward(dx, g, argmax, x, w, scratch, d);
        largest = larger(largest, of_group);
        dx += inputs;
        x += inputs;
        g += d[GROUP_OUT] * d[H_OUT] * d[W_OUT];
        argmax += d[GROUP_OUT] * channel_argmax_bytes(d);
        w += d[GROUP_OUT] * d[N_ROW];
    }
    return largest;
}
