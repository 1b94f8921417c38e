// Convolutions backward with the channels innermost: see channels_last.h.

#include "channels_last.h"
#include "scratch.h"

#if PRIOT_VECTORS

void filter_channels_last(int16_t *to, const uint8_t *w, const int32_t *d) {
    int32_t taps = d[KERNEL_H] * d[KERNEL_W];
    for (int32_t k = 0; k < taps; k++) {
        const uint8_t *from = w++;
        for (int32_t c = d[GROUP_IN]; c != 0; c--) {
            *to++ = (int16_t)(*from - 128);
            from += taps;
        }
    }
}

void image_channels_last(int16_t *to, const int8_t *x, const int32_t *d) {
    int32_t channels = d[GROUP_IN];
    for (int32_t i = 0; i < channels * padded_plane(d); i++) {
        to[i] = 0;
    }
    to += padded_start(d) * channels;
    for (int32_t c = 0; c < channels; c++) {
        int16_t *row = to + c;
        for (int32_t y = d[H_IN]; y != 0; y--) {
            for (int32_t i = 0; i < d[W_IN]; i++) {
                row[i * channels] = *x++;
            }
            row += padded_width(d) * channels;
        }
    }
}

// A product of two int8 fits int16.
static inline void add_products(int32_t *restrict sums, const int16_t *restrict values,
    int16_t error, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        sums[i] += (int16_t)(values[i] * error);
    }
}

void add_inputs(int32_t *sums, const int16_t *w, const int32_t *list, const int32_t *d) {
    int32_t run = d[KERNEL_W] * d[GROUP_IN], next_row = padded_width(d) * d[GROUP_IN];
    for (; *list != 0; list++) {
        int32_t *to = sums + (*list >> 8) * d[GROUP_IN];
        const int16_t *from = w;
        for (int32_t ky = d[KERNEL_H]; ky != 0; ky--) {
            add_products(to, from, (int8_t)*list, run);
            to += next_row;
            from += run;
        }
    }
}

void add_weights(int32_t *dw, const int16_t *x, const int32_t *list, const int32_t *d) {
    int32_t run = d[KERNEL_W] * d[GROUP_IN], next_row = padded_width(d) * d[GROUP_IN];
    for (; *list != 0; list++) {
        const int16_t *from = x + (*list >> 8) * d[GROUP_IN];
        int32_t *to = dw;
        for (int32_t ky = d[KERNEL_H]; ky != 0; ky--) {
            add_products(to, from, (int8_t)*list, run);
            to += run;
            from += next_row;
        }
    }
}

#endif
