// Global average pooling: a channel becomes one value. The mean is a sum and a shift; what is left
// of the division, 2^k / area, lies in the weights behind it (priot/backbone/quantize.py).

#include "kernels.h"
#include "rounding.h"

int32_t global_pool_forward(int8_t *y, const int8_t *x, const int32_t *d) {
    int32_t low = d[RELU] != 0 ? 0 : -127, high = d[HIGH];
    for (int32_t c = d[N_IN]; c != 0; c--) {
        int32_t sum = 0;
        for (int32_t i = d[H_IN] * d[W_IN]; i != 0; i--) {
            sum += *x++;
        }
        *y++ = clamp(round_half_up(sum, d[FORWARD_SHIFT]), low, high);
    }
    return 0;
}

int32_t global_pool_backward(int8_t *dx, const int8_t *g, const int8_t *x, const int32_t *d) {
    for (int32_t c = d[N_IN]; c != 0; c--) {
        for (int32_t i = d[H_IN] * d[W_IN]; i != 0; i--) {
            put_gradient(dx++, *g, *x++, d[MASK_DX], d[ADD_DX]);
        }
        g++;
    }
    return 0;
}
