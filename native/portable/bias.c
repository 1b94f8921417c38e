// Learning: the biases of a layer.

#include "kernels.h"
#include "rounding.h"

// Signs are taken off and put back: a sum of gradients below 0 raises a bias as one above 0
// lowers its negative. The step is at most 2^30.
int32_t bias_update(int32_t *bias, const int8_t *g, const int32_t *d) {
    int32_t most = (int32_t)(INT32_MAX - 127u * 127u * (uint32_t)d[N_ROW]);
    int32_t shift = d[UPDATE_SHIFT];
    for (int32_t *end = bias + d[N_OUT]; bias != end; bias++) {
        int32_t sum = 0;
        for (int32_t n = d[H_OUT] * d[W_OUT]; n != 0; n--) {
            sum += *g++;
        }
        int32_t step = absolute(sum), b = sum < 0 ? -*bias : *bias;
        step = shift < 0 ? smaller(step, 1 << (30 + shift)) << -shift
            : round_pseudo_stochastic(step, shift);
        b = b < step - most ? -most : b - step;
        *bias = sum < 0 ? -b : b;
    }
    return 0;
}
