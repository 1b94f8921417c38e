// What the portable kernels ask of a layer: scratch, and no plan. dispatch.h has the contract.

#include "kernels.h"
#include "scratch.h"

int32_t scratch_words(int32_t kind, int32_t training, const int32_t *d) {
    if (kind == CONV2D) {
        return conv2d_scratch_words(training, d);
    }
    return kind == LINEAR ? linear_scratch_words(training, d) : 0;
}

int32_t plan(int32_t kind, int32_t *d) {
    (void)kind;
    for (int32_t i = PLAN_FORWARD; i < PLAN_END; i++) {
        d[i] = 0;
    }
    return 0;
}

const char *plan_name(int32_t number) {
    return number == 0 ? "portable C" : NULL;
}
