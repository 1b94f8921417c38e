// Dot products of filters with four patches of an image at a time, for conv2d_forward.
//
// A patch is the input under the kernel at one position, copied into a row so that the inner
// loop has neither borders nor strides. Four patches share every load of a weight. Two layouts:
// - where the compiler has vectors of int16, each patch lies by itself as int16 and a dot
//   product becomes a few multiply-add instructions (x86: pmaddwd, 8 products each);
// - elsewhere the four patches are interleaved as int32, so that a Cortex-M0+ reads them with
//   immediate offsets and MULS may destroy what it read: 23 cycles per weight, four products.
//   There the weights stay offset by 128, and -128 * sum(patch) goes into the accumulators.

#ifndef PRIOT_PATCH_H
#define PRIOT_PATCH_H

#include <stdint.h>

#ifdef __SSE2__
#define PRIOT_VECTORS 1
#else
#define PRIOT_VECTORS 0
#endif

#if PRIOT_VECTORS
typedef int16_t patch_t;
enum { PATCH_LENGTH = 1024 }; // longest part of a filter's row that is done at once
#else
typedef int32_t patch_t;
enum { PATCH_LENGTH = 256 }; // 4 kB; one channel of a kernel (15 * 15) has to fit
#endif

// what is copied: `channels` planes, square kernel, rows `width` apart
typedef struct {
    int32_t channels;
    int32_t plane;
    int32_t width;
    int32_t kernel;
} window_t;

// Copies the patch at x; elements lie `step` apart. Returns the sum of its elements.
static inline int32_t copy_patch(patch_t *patch, int32_t step, const int8_t *x,
    const window_t *window) {
    int32_t kernel = window->kernel;
    int32_t next_row = window->width - kernel;
    int32_t next_channel = window->plane - kernel * window->width;
    int32_t sum = 0;
    for (int32_t c = window->channels; c != 0; c--) {
        for (int32_t ky = kernel; ky != 0; ky--) {
            for (int32_t kx = kernel; kx != 0; kx--) {
                int32_t v = *x++;
                *patch = (patch_t)v;
                patch += step;
                sum += v;
            }
            x += next_row;
        }
        x += next_channel;
    }
    return sum;
}

#if PRIOT_VECTORS

// Copies the patches at x + offsets[0..3], n elements each; bias is what dot_rows adds.
static inline void copy_patches(patch_t *patches, int32_t n, int32_t *bias, const int8_t *x,
    const int32_t *offsets, const window_t *window) {
    for (int32_t j = 0; j < 4; j++) {
        copy_patch(patches + j * n, 1, x + offsets[j], window);
        bias[j] = 0;
    }
}

// acc[4 * r + j] += sum over k < n of (w[r * n_row + k] - 128) * patch j [k], plus bias[j]
static inline void dot_rows(int32_t *acc, const int32_t *bias, const uint8_t *w, int32_t n_row,
    int32_t rows, const patch_t *patches, int32_t n) {
    const patch_t *p0 = patches, *p1 = p0 + n, *p2 = p1 + n, *p3 = p2 + n;
    for (int32_t r = 0; r < rows; r++) {
        int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
        for (int32_t k = 0; k < n; k++) {
            int16_t v = (int16_t)(w[k] - 128);
            a0 += v * p0[k];
            a1 += v * p1[k];
            a2 += v * p2[k];
            a3 += v * p3[k];
        }
        acc[0] += a0 + bias[0];
        acc[1] += a1 + bias[1];
        acc[2] += a2 + bias[2];
        acc[3] += a3 + bias[3];
        acc += 4;
        w += n_row;
    }
}

#else

static inline void copy_patches(patch_t *patches, int32_t n, int32_t *bias, const int8_t *x,
    const int32_t *offsets, const window_t *window) {
    (void)n;
    for (int32_t j = 0; j < 4; j++) {
        bias[j] = -128 * copy_patch(patches + j, 4, x + offsets[j], window);
    }
}

// Unsigned: 131072 products of 255 * 127 pass 2^31 and come back with the bias.
static inline void dot_rows(int32_t *acc, const int32_t *bias, const uint8_t *w, int32_t n_row,
    int32_t rows, const patch_t *patches, int32_t n) {
    for (; rows != 0; rows--) {
        uint32_t a0 = (uint32_t)acc[0] + (uint32_t)bias[0];
        uint32_t a1 = (uint32_t)acc[1] + (uint32_t)bias[1];
        uint32_t a2 = (uint32_t)acc[2] + (uint32_t)bias[2];
        uint32_t a3 = (uint32_t)acc[3] + (uint32_t)bias[3];
        const uint32_t *p = (const uint32_t *)patches;
        const uint8_t *end = w + n;
        do {
            uint32_t v = *w++;
            a0 += v * p[0];
            a1 += v * p[1];
            a2 += v * p[2];
            a3 += v * p[3];
            p += 4;
        } while (w != end);
        acc[0] = (int32_t)a0;
        acc[1] = (int32_t)a1;
        acc[2] = (int32_t)a2;
        acc[3] = (int32_t)a3;
        acc += 4;
        w += n_row - n;
    }
}

#endif

#endif
