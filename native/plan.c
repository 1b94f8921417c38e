// Chooses the implementation of each layer, and says how much scratch it needs.
//
// How fast kernels plug in. A folder named after the architecture (armv6m/) holds them: *.S, *.c
// and fast.h; the Makefile finds them by wildcard and defines PRIOT_FAST. x64 has no such folder.
// Its C is compiled for size, unless the folder's flags.mk sets ARCH_CFLAGS.
// fast.h declares, with the signatures of kernels.h,
//   int32_t fast_plan(int32_t kind, const uint8_t *w, int32_t *d);
//   const char *fast_plan_name(int32_t number);
//   int32_t fast_scratch_words(int32_t kind, int32_t training, const int32_t *d);
// and, for each fast kernel that exists, e.g.
//   #define FAST_CONV2D_FORWARD
//   int32_t fast_conv2d_forward(...as conv2d_forward...);
// The names that may be replaced are in dispatch.h.
//
// plan() clears d[PLAN] .. d[LOW_MEMORY - 1]; fast_plan then writes a number other than 0 into
// d[PLAN_FORWARD], d[PLAN_BACKWARD], d[PLAN_UPDATE] where its preconditions hold (shape, lane
// bounds of w, X_RELU: activations in 0..127). module.c calls fast_conv2d_forward and
// fast_linear_forward where d[PLAN_FORWARD] is set, the fast *_backward_input where
// d[PLAN_BACKWARD] is, the fast *_update where d[PLAN_UPDATE] is, and the portable kernel
// otherwise and wherever MEASURE is set (dispatch.h, module.c); which of several fast variants
// runs is up to the fast function, which may also fall back to the portable kernel.
// fast_kth_largest and fast_count_below replace the portable kernel for good.
// d[PLAN_PARAMETERS] and the words after it belong to the fast kernels.
// fast_plan returns the number that fast_plan_name explains, 0 for all portable.
// fast_scratch_words returns what the fast kernels need; what the portable ones need is added
// here (the larger of the two), because MEASURE and fallbacks use them.

#include <stddef.h>

#include "dispatch.h"
#include "scratch.h"

int32_t scratch_words(int32_t kind, int32_t training, const int32_t *d) {
    int32_t words = 0;
    if (kind == CONV2D) {
        words = conv2d_scratch_words(training, d);
    } else if (kind == LINEAR) {
        words = linear_scratch_words(training, d);
    }
    #ifdef PRIOT_FAST
    words = larger(words, fast_scratch_words(kind, training, d));
    #endif
    return words;
}

int32_t plan(int32_t kind, const uint8_t *w, int32_t *d) {
    for (int32_t i = PLAN; i < LOW_MEMORY; i++) {
        d[i] = 0;
    }
    #ifdef PRIOT_FAST
    return fast_plan(kind, w, d);
    #else
    (void)kind;
    (void)w;
    return 0;
    #endif
}

const char *plan_name(int32_t number) {
    #ifdef PRIOT_FAST
    if (number != 0) {
        return fast_plan_name(number);
    }
    #endif
    return number == 0 ? "portable C" : NULL;
}
