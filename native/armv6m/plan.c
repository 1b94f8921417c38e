// Which layers the kernels of this folder take, and why not the others.

#include <stddef.h>

#include "fast.h"
#include "layout.h"
#include "rounding.h"

int32_t fast_plan(int32_t kind, const uint8_t *w, int32_t *d) {
    (void)w;
    if (kind == CONV2D && d[KERNEL] == 3 && d[STRIDE] == 1 && d[N_ROW] <= 65536
        && (d[POOL] == 1 || (d[POOL] == 2 && d[POOL_STRIDE] == 2))) {
        d[PLAN_FORWARD] = d[PLAN_BACKWARD] = d[PLAN_UPDATE] = 1;
        return 1;
    }
    if (kind == LINEAR && (d[N_IN] & 3) == 0) {
        d[PLAN_FORWARD] = d[PLAN_BACKWARD] = d[PLAN_UPDATE] = 2;
        return 2;
    }
    return 0;
}

const char *fast_plan_name(int32_t number) {
    return number == 1 ? "armv6m 3x3" : number == 2 ? "armv6m linear" : NULL;
}

int32_t fast_scratch_words(int32_t kind, int32_t training, const int32_t *d) {
    if (kind == CONV2D && d[KERNEL] == 3 && d[STRIDE] == 1) {
        int32_t words = conv3x3_forward_words(d);
        if (training == 1) {
            words = larger(words, conv3x3_backward_words(d));
        }
        if (training != 0) {
            words = larger(words, conv3x3_update_words(d));
        }
        return words;
    }
    if (kind == LINEAR) {
        return larger(linear_fast_words(training, d), training != 0 ? update_words(d) : 0);
    }
    return 0;
}
