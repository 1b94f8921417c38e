// The inner loops of conv2d and linear layers; what each computes stands in loops.h.

#include "loops.h"
#include "rounding.h"

// Copies the patch at x; elements lie `step` apart. Returns the sum of its elements.
static inline int32_t copy_patch(patch_t *patch, int32_t step, const int8_t *x,
    const window_t *window) {
    int32_t across = window->across;
    int32_t next_row = window->width;
    int32_t next_channel = window->plane - window->height * next_row;
    int32_t sum = 0;
    for (int32_t c = window->channels; c != 0; c--) {
        for (int32_t ky = window->height; ky != 0; ky--) {
            for (int32_t kx = 0; kx < across; kx++) {
                int32_t v = x[kx];
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

void copy_patches(patch_t *patches, int32_t *bias, const int8_t *x, const int32_t *offsets,
    const window_t *window) {
    #if PRIOT_VECTORS
    int32_t n = window->channels * window->height * window->across;
    for (int32_t j = 0; j < 4; j++) {
        copy_patch(patches, 1, x + offsets[j], window);
        for (int32_t k = n; k < patch_elements(n); k++) {
            patches[k] = 0;
        }
        patches += patch_elements(n);
        bias[j] = 0;
    }
    #else
    for (int32_t j = 0; j < 4; j++) {
        bias[j] = -128 * copy_patch(patches + j, 4, x + offsets[j], window);
    }
    #endif
}

#if PRIOT_VECTORS

void dot_rows(int32_t *acc, const int32_t *start, int32_t start_step, const uint8_t *w,
    int32_t n_row, int32_t rows, const patch_t *patches, int32_t n) {
    n = patch_elements(n);
    const patch_t *p0 = patches, *p1 = p0 + n, *p2 = p1 + n, *p3 = p2 + n;
    for (; rows > 0; rows--) {
        int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
        for (int32_t k = 0; k < n; k++) {
            int16_t v = (int16_t)(w[k] - 128);
            a0 += v * p0[k];
            a1 += v * p1[k];
            a2 += v * p2[k];
            a3 += v * p3[k];
        }
        acc[0] = start[0] + a0;
        acc[1] = start[1] + a1;
        acc[2] = start[2] + a2;
        acc[3] = start[3] + a3;
        acc += 4;
        start += start_step;
        w += n_row;
    }
}

#define WEIGHT(byte) ((int16_t)((byte) - 128))

#else

// Unsigned: 131072 products of 255 * 127 pass 2^31 and come back with the bias.
void dot_rows(int32_t *acc, const int32_t *start, int32_t start_step, const uint8_t *w,
    int32_t n_row, int32_t rows, const patch_t *patches, int32_t n) {
    int32_t next_row = n_row - n;
    for (; rows > 0; rows--) {
        uint32_t a0 = (uint32_t)start[0], a1 = (uint32_t)start[1];
        uint32_t a2 = (uint32_t)start[2], a3 = (uint32_t)start[3];
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
        start += start_step;
        w += next_row;
    }
}

#define WEIGHT(byte) ((uint32_t)(byte))

#endif

void dot_two_rows(int32_t *acc, const uint8_t *w0, const uint8_t *w1, const input_t *x,
    int32_t n) {
    int32_t a0 = 0, a1 = 0;
    w0 += n;
    w1 += n;
    x += n;
    for (int32_t i = -n; i != 0; i++) { // up to 0: one register and one comparison less
        int32_t v = x[i];
        a0 += WEIGHT(w0[i]) * v;
        a1 += WEIGHT(w1[i]) * v;
    }
    acc[0] = a0;
    acc[1] = a1;
}

void add_two_rows(int32_t *sums, const uint8_t *w0, int16_t g0, const uint8_t *w1, int16_t g1,
    int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        sums[i] += w0[i] * g0 + w1[i] * g1;
    }
}

int32_t put_gradients(int8_t *dx, const int8_t *x, const int32_t *sums, int32_t n,
    const int32_t *d) {
    int32_t shift = d[BACKWARD_SHIFT], measure = d[MEASURE];
    int32_t mask = d[MASK_DX], add = d[ADD_DX];
    int32_t largest = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t v = sums[i];
        if (add != 0) {
            v += earlier(dx[i], add);
        }
        if (mask != 0 && (x[i] <= 0 || x[i] >= mask)) {
            v = 0;
        }
        if (measure != 0) {
            largest = larger(largest, absolute(v));
        } else {
            dx[i] = clamp(round_half_up(v, shift), -127, 127);
        }
    }
    return largest;
}

void take_largest(int32_t *best, const int32_t *acc, int32_t place, int32_t rows) {
    for (; rows != 0; rows--) {
        if (place == 0 || *acc > best[0]) {
            best[0] = *acc;
            best[1] = place;
        }
        acc += 4;
        best += 2;
    }
}

void put_outputs(int8_t *y, int32_t step, const int32_t *acc, int32_t acc_step, int32_t n,
    const int32_t *d) {
    int32_t shift = d[FORWARD_SHIFT], low = d[RELU] != 0 ? 0 : -127, high = d[HIGH];
    for (; n != 0; n--) {
        *y = clamp(round_half_up(*acc, shift), low, high);
        y += step;
        acc += acc_step;
    }
}

void scatter(int32_t *sums, const uint8_t *w, int32_t error, const window_t *window) {
    int32_t across = window->across, offset = 128 * error;
    for (int32_t c = window->channels; c != 0; c--) {
        int32_t *row = sums;
        for (int32_t ky = window->height; ky != 0; ky--) {
            int32_t *to = row, *end = row + across;
            do {
                *to++ += *w++ * error - offset;
            } while (to != end);
            row += window->width;
        }
        sums += window->plane;
    }
}

int32_t one_tap(const int32_t *list, const int8_t *x) {
    int32_t item, sum = 0;
    while ((item = *list++) != 0) {
        sum += x[item >> 8] * (int8_t)item;
    }
    return sum;
}

void three_taps(int32_t *dw, const int32_t *list, const int8_t *x) {
    int32_t a0 = 0, a1 = 0, a2 = 0;
    int32_t item;
    while ((item = *list++) != 0) {
        const int8_t *at = x + (item >> 8);
        int32_t error = (int8_t)item;
        a0 += at[0] * error;
        a1 += at[1] * error;
        a2 += at[2] * error;
    }
    dw[0] = a0;
    dw[1] = a1;
    dw[2] = a2;
}

void prune_edges(uint8_t *scores, uint8_t *weff, const uint8_t *w, const int32_t *dw, int32_t n,
    const prune_t *rule) {
    int32_t factor = rule->factor, shift = rule->shift - 1, threshold = rule->threshold;
    for (int32_t i = 0; i < n; i++) {
        int32_t step = dw[i] * factor;
        if (step == 0) {
            continue;
        }
        int32_t weight = w[i] - 128;
        step = ((step * weight >> shift) + 1) >> 1;
        if (step != 0) {
            int32_t score = clamp(scores[i] - step, 0, 255);
            scores[i] = score;
            weff[i] = (score >= threshold ? weight : 0) + 128;
        }
    }
}
