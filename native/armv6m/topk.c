// The k-th largest score, counting whole words where the scores are aligned to 4.
//
// Each core counts a part of the scores in a histogram of its own.

#include "bytes.h"
#include "crew.h"
#include "fast.h"
#include "scratch.h"

enum { SHARED = 512 }; // scores from which on two histograms and their sum take less time than one

typedef struct {
    const uint8_t *scores;
    int32_t n;
    int32_t *histograms;
    int32_t cores; // that count
} count_t;

void count_bytes(int32_t histogram[256], const uint32_t *words, int32_t n); // count_bytes.S

static void count_share(void *job, int32_t core, int32_t cores) {
    count_t *v = job;
    int32_t first = crew_start(v->n, 4, core, cores);
    int32_t n = crew_start(v->n, 4, core + 1, cores) - first;
    int32_t *histogram = v->histograms + core * HISTOGRAM_WORDS;
    const uint8_t *scores = v->scores + first;
    v->cores = cores;
    clear_bytes((int8_t *)histogram, 4 * HISTOGRAM_WORDS);
    if (n >= 4 && ((uintptr_t)scores & 3) == 0) {
        count_bytes(histogram, (const uint32_t *)scores, n >> 2);
        scores += n & ~3;
        n &= 3;
    }
    for (; n != 0; n--) {
        histogram[*scores++]++;
    }
}

int32_t kth_largest_by_words(const void *values, int32_t n, int32_t *scratch, int32_t k) {
    count_t v = { values, n, scratch, 1 };
    if (n < SHARED) {
        count_share(&v, 0, 1);
    } else {
        crew_run(count_share, &v);
    }
    if (v.cores == CREW) {
        for (int32_t *to = scratch, *end = scratch + HISTOGRAM_WORDS; to != end; to++) {
            *to += to[HISTOGRAM_WORDS];
        }
    }
    return kth_of(scratch, k);
}
