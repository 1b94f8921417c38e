// The k-th largest score, by a histogram.

#include "kernels.h"
#include "scratch.h"

int32_t kth_largest(const uint8_t *scores, int32_t n, int32_t *scratch, const int32_t *d) {
    for (int32_t i = 0; i < HISTOGRAM_WORDS; i++) {
        scratch[i] = 0;
    }
    for (; n != 0; n--) {
        scratch[*scores++]++;
    }
    int32_t left = d[KEEP_COUNT];
    int32_t value = HISTOGRAM_WORDS - 1;
    while (value > 0 && left > scratch[value]) {
        left -= scratch[value];
        value--;
    }
    return value;
}
