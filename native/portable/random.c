// Numbers from xorshift32 (Marsaglia 2003, shifts 13, 17, 5): first scores and sample order.

#include "kernels.h"

static inline uint32_t xorshift32(uint32_t x) {
    x ^= x << 13;
    x ^= x >> 17;
    return x ^ x << 5;
}

int32_t init_scores(uint8_t *scores, int32_t n, uint32_t *state) {
    uint32_t x = state[0] == 0 ? 1 : state[0];
    for (; n != 0; n--) {
        x = xorshift32(x);
        int32_t sum = (x & 255) + (x >> 8 & 255) + (x >> 16 & 255) + (x >> 24);
        *scores++ = (((sum - 510) * 111 + 256) >> 9) + 128; // mean 0, standard deviation 32
    }
    state[0] = x;
    return 0;
}

int32_t shuffle(uint16_t *order, int32_t n, uint32_t *state) {
    uint32_t x = state[0] == 0 ? 1 : state[0];
    for (int32_t i = n - 1; i > 0; i--) {
        x = xorshift32(x);
        uint32_t j = (x >> 17) * (uint32_t)(i + 1) >> 15; // 15 random bits: no division
        uint16_t v = order[i];
        order[i] = order[j];
        order[j] = v;
    }
    state[0] = x;
    return 0;
}
