// The sum of two tensors: what closes a residual block.

#include "kernels.h"
#include "rounding.h"

int32_t add_forward(int8_t *y, const int8_t *x, const int8_t *z, const int32_t *d) {
    int32_t low = d[RELU] != 0 ? 0 : -127, high = d[HIGH];
    int32_t left_x = larger(0, -d[Z_SHIFT]), left_z = larger(0, d[Z_SHIFT]);
    for (int32_t i = d[N_OUT] * d[H_OUT] * d[W_OUT]; i != 0; i--) {
        int32_t sum = *x++ * (1 << left_x) + *z++ * (1 << left_z);
        *y++ = clamp(round_half_up(sum, d[FORWARD_SHIFT]), low, high);
    }
    return 0;
}

int32_t add_backward(int8_t *dx, int8_t *dz, const int8_t *g, const int8_t *x, const int8_t *z,
    const int32_t *d) {
    for (int32_t i = 0; i < d[N_OUT] * d[H_OUT] * d[W_OUT]; i++) {
        if (dx != NULL) {
            put_gradient(dx + i, g[i], x[i], d[MASK_DX], d[ADD_DX]);
        }
        if (dz != NULL) {
            put_gradient(dz + i, g[i], z[i], d[MASK_DZ], d[ADD_DZ]);
        }
    }
    return 0;
}
