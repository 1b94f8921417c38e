// The k-th largest score, counting whole words where the scores are aligned to 4.

#include "bytes.h"
#include "fast.h"
#include "scratch.h"

void count_bytes(int32_t histogram[256], const uint32_t *words, int32_t n); // count_bytes.S

int32_t kth_largest_by_words(const void *values, int32_t n, int32_t *scratch, int32_t k) {
    const uint8_t *scores = values;
    clear_bytes((int8_t *)scratch, 4 * HISTOGRAM_WORDS);
    if (n >= 4 && ((uintptr_t)scores & 3) == 0) {
        count_bytes(scratch, (const uint32_t *)scores, n >> 2);
        scores += n & ~3;
        n &= 3;
    }
    for (; n != 0; n--) {
        scratch[*scores++]++;
    }
    return kth_of(scratch, k);
}
