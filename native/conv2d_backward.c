// Gradient of a convolution's input: every error scatters its filter over int32 sums.
//
// Max-pooling lets one error through per window and ReLU kills errors, so that most of them
// are 0: the work is KERNEL * KERNEL products per live error and input channel.

#include "kernels.h"
#include "scratch.h"

int32_t list_errors(int32_t *list, const int8_t *g, const uint8_t *argmax, const int32_t *d) {
    int32_t pool = d[POOL], stride = d[STRIDE], bits = d[ARGMAX_BITS];
    int32_t width = padded_width(d);
    int32_t step = d[POOL_STRIDE] * stride;
    int32_t *to = list;
    int32_t bit = 0, first = 0;
    for (int32_t py = d[H_OUT]; py != 0; py--) {
        int32_t position = first;
        for (int32_t px = d[W_OUT]; px != 0; px--) {
            int32_t error = *g++;
            if (error != 0) {
                int32_t at = position;
                if (pool > 1) {
                    int32_t winner = argmax[bit >> 3] >> (bit & 7) & ((1 << bits) - 1);
                    int32_t wy = 0;
                    while (winner >= pool && wy < pool - 1) {
                        winner -= pool;
                        wy++;
                    }
                    at += (wy * width + (winner < pool ? winner : 0)) * stride;
                }
                *to++ = (int32_t)((uint32_t)at << 8) | (error & 255);
            }
            bit += bits;
            position += step;
        }
        first += step * width;
    }
    return (int32_t)(to - list);
}

// sums += error * filter, over `channels` planes; w is at the first of them
static void scatter(int32_t *sums, const uint8_t *w, int32_t error, int32_t channels,
    const int32_t *d) {
    int32_t kernel = d[KERNEL];
    int32_t next_row = padded_width(d);
    int32_t next_channel = padded_plane(d) - kernel * next_row;
    for (int32_t c = channels; c != 0; c--) {
        for (int32_t ky = kernel; ky != 0; ky--) {
            for (int32_t kx = 0; kx < kernel; kx++) {
                sums[kx] += (w[kx] - 128) * error;
            }
            w += kernel;
            sums += next_row;
        }
        sums += next_channel;
    }
}

// The same for 3x3: 9 cycles per product on a Cortex-M0+.
static void scatter3(int32_t *sums, const uint8_t *w, int32_t error, int32_t channels,
    const int32_t *d) {
    int32_t next_row = padded_width(d);
    int32_t next_channel = padded_plane(d) - 3 * next_row;
    int32_t offset = 128 * error;
    for (int32_t c = channels; c != 0; c--) {
        for (int32_t ky = 3; ky != 0; ky--) {
            sums[0] += w[0] * error - offset;
            sums[1] += w[1] * error - offset;
            sums[2] += w[2] * error - offset;
            w += 3;
            sums += next_row;
        }
        sums += next_channel;
    }
}

// dx of one channel from its padded sums; returns the largest absolute sum for MEASURE
static int32_t put_channel(int8_t *dx, const int8_t *x, const int32_t *sums, const int32_t *d) {
    int32_t x_relu = d[X_RELU], measure = d[MEASURE], shift = d[BACKWARD_SHIFT];
    int32_t largest = 0;
    sums += d[PADDING] * padded_width(d) + d[PADDING];
    for (int32_t y = d[H_IN]; y != 0; y--) {
        for (int32_t i = d[W_IN]; i != 0; i--) {
            int32_t v = *sums++;
            if (x_relu != 0 && *x <= 0) {
                v = 0;
            }
            x++;
            if (measure != 0) {
                largest = larger(largest, absolute(v));
            } else {
                *dx = clamp(round_half_up(v, shift), -127, 127);
            }
            dx++;
        }
        sums += 2 * d[PADDING];
    }
    return largest;
}

int32_t conv2d_backward_input(int8_t *dx, const int8_t *g, const uint8_t *argmax,
    const int8_t *x, const uint8_t *w, int32_t *scratch, const int32_t *d) {
    int32_t outputs = d[H_OUT] * d[W_OUT];
    int32_t taps = d[KERNEL] * d[KERNEL];
    int32_t plane = padded_plane(d);
    int32_t channels = channels_at_once(d);
    int32_t *list = scratch, *sums = scratch + outputs;
    int32_t largest = 0;
    for (int32_t c = 0; c < d[N_IN]; c += channels) {
        if (channels > d[N_IN] - c) {
            channels = d[N_IN] - c;
        }
        for (int32_t i = 0; i < channels * plane; i++) {
            sums[i] = 0;
        }
        for (int32_t f = 0; f < d[N_OUT]; f++) {
            int32_t n = list_errors(list, g + f * outputs, argmax + f * channel_argmax_bytes(d), d);
            const uint8_t *wf = w + f * d[N_ROW] + c * taps;
            for (int32_t i = 0; i < n; i++) {
                int32_t *at = sums + (list[i] >> 8);
                if (d[KERNEL] == 3) {
                    scatter3(at, wf, (int8_t)list[i], channels, d);
                } else {
                    scatter(at, wf, (int8_t)list[i], channels, d);
                }
            }
        }
        for (int32_t i = 0; i < channels; i++) {
            largest = larger(largest, put_channel(dx, x, sums + i * plane, d));
            dx += d[H_IN] * d[W_IN];
            x += d[H_IN] * d[W_IN];
        }
    }
    return largest;
}
