// The inner loops of conv2d and linear layers: where the time goes when nothing faster applies.
//
// Compiled for speed, everything else for size (Makefile). Cycles are those of a Cortex-M0+ with
// code and data in SRAM, per multiply-accumulate, overheads of a usual layer included.

#ifndef PRIOT_LOOPS_H
#define PRIOT_LOOPS_H

#include "kernels.h"

// Where the compiler has vectors, activations are copied as int16: a dot product becomes a few
// multiply-add instructions (x86: pmaddwd, 8 products each). Elsewhere weights stay offset by
// 128 and -128 * sum(x) is added once.
#ifdef __SSE2__
#define PRIOT_VECTORS 1
typedef int16_t input_t;
#else
#define PRIOT_VECTORS 0
typedef int8_t input_t;
#endif

// ---- conv2d_forward: four patches of the image at a time -----------------------------------
//
// A patch is the input under the kernel at one position, copied so that the inner loop has
// neither borders nor strides; four patches share every load of a weight. With vectors each
// patch lies by itself, zero up to a multiple of PATCH_STEP elements. Without, the four are
// interleaved as int32, so that loads have immediate offsets and MULS may destroy what they
// read: 23 cycles per weight and four products.

#if PRIOT_VECTORS
typedef int16_t patch_t;
enum { PATCH_LENGTH = 1024, PATCH_STEP = 16 };
#else
typedef int32_t patch_t;
enum { PATCH_LENGTH = 256, PATCH_STEP = 1 }; // 4 kB; 15 * 15 taps have to fit
#endif

// elements of a patch of n taps
static inline int32_t patch_elements(int32_t n) {
    return (n + PATCH_STEP - 1) & -PATCH_STEP;
}

// what a patch covers: some channels of an image whose rows are `width` apart
typedef struct {
    int32_t channels;
    int32_t plane;
    int32_t width;
    int32_t height; // of the kernel
    int32_t across; // width of the kernel
} window_t;

// Copies the patches at x + offsets[0..3], and into bias[0..3] what dot_rows has to start with.
void copy_patches(patch_t *patches, int32_t *bias, const int8_t *x, const int32_t *offsets,
    const window_t *window);

// acc[4 * r + j] = start[r * start_step + j] + sum over k < n of w[r * n_row + k] * patch j [k]
// for `rows` rows r and j < 4. Reads up to PATCH_STEP - 1 bytes beyond a row of w.
// 7.5 cycles in a 3x3 convolution of 8 channels, 16 of one channel; 7.0 in 5x5, 11 in 1x1.
void dot_rows(int32_t *acc, const int32_t *start, int32_t start_step, const uint8_t *w,
    int32_t n_row, int32_t rows, const patch_t *patches, int32_t n);

// Keeps the largest accumulator of a window for each of `rows` rows: where acc[4 * r] is larger
// than best[2 * r], or the first (place 0), it goes there and its place into best[2 * r + 1].
void take_largest(int32_t *best, const int32_t *acc, int32_t place, int32_t rows);

// n outputs of any layer, `step` apart, from accumulators `acc_step` apart.
void put_outputs(int8_t *y, int32_t step, const int32_t *acc, int32_t acc_step, int32_t n,
    const int32_t *d);

// ---- linear layers -------------------------------------------------------------------------

// acc[0], acc[1] = dot products of rows w0 and w1 with x, without vectors still less the bias.
// 7.4 cycles.
void dot_two_rows(int32_t *acc, const uint8_t *w0, const uint8_t *w1, const input_t *x,
    int32_t n);

// sums[i] += w0[i] * g0 + w1[i] * g1, weights offset by 128; 11 cycles
void add_two_rows(int32_t *sums, const uint8_t *w0, int16_t g0, const uint8_t *w1, int16_t g1,
    int32_t n);

// dx[0..n-1] of any layer from its sums; with MEASURE instead returns the largest of them.
int32_t put_gradients(int8_t *dx, const int8_t *x, const int32_t *sums, int32_t n,
    const int32_t *d);

// ---- convolutions backward: lists of errors, see list_errors in scratch.h ------------------

// sums += error * filter over the planes of the window; w is at the first of them. 19 to 22
// cycles.
void scatter(int32_t *sums, const uint8_t *w, int32_t error, const window_t *window);

// Sum of error * x[position] over a list; dw[0..2] = those of x[position + 0..2].
// 13 cycles where kernels are 5x5.
int32_t one_tap(const int32_t *list, const int8_t *x);
void three_taps(int32_t *dw, const int32_t *list, const int8_t *x);

// ---- updates -------------------------------------------------------------------------------

// The usual update: rule PRUNE, nearest rounding by a shift of at least 1, a score for every
// edge, weff kept. dW of edge i of n is dw[i] * factor; those of 0 stay.
typedef struct {
    int32_t factor;
    int32_t shift;
    int32_t threshold;
} prune_t;

void prune_edges(uint8_t *scores, uint8_t *weff, const uint8_t *w, const int32_t *dw, int32_t n,
    const prune_t *rule);

#endif
