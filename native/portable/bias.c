// Learning: the biases of a layer.

#include "kernels.h"
#include "rounding.h"

enum { MAX_PRODUCTS = 131072 }; // of 127 * 127 in a row

// A sum of gradients times 2^-shift, within +-2^30.
static int32_t bias_step(int32_t sum, int32_t shift) {
    if (shift >= 0) {
        return round_pseudo_stochastic(sum, shift);
    }
    int32_t limit = 1 << (30 + shift);
    return clamp(sum, -limit, limit) * (1 << -shift);
}

int32_t bias_update(int32_t *bias, const int8_t *g, const int32_t *d) {
    int32_t most = INT32_MAX - 127 * 127 * smaller(d[N_ROW], MAX_PRODUCTS);
    for (int32_t o = 0; o < d[N_OUT]; o++) {
        int32_t sum = 0;
        for (int32_t n = d[H_OUT] * d[W_OUT]; n != 0; n--) {
            sum += *g++;
        }
        int32_t step = bias_step(sum, d[UPDATE_SHIFT]);
        if (step < 0) {
            bias[o] = bias[o] > most + step ? most : bias[o] - step;
        } else {
            bias[o] = bias[o] < step - most ? -most : bias[o] - step;
        }
    }
    return 0;
}
