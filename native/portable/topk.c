// The k-th largest score, by a histogram.

#include "kernels.h"
#include "scratch.h"

int32_t kth_largest(const void *values, int32_t n, int32_t *scratch, int32_t k) {
    const uint8_t *scores = values;
    for (int32_t i = 0; i < HISTOGRAM_WORDS; i++) {
        scratch[i] = 0;
    }
    for (; n != 0; n--) {
        scratch[*scores++]++;
    }
    return kth_of(scratch, k);
}
