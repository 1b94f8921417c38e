// Convolutions backward with the channels innermost, for processors with vectors.
//
// dX and dW add one error at a time: a run of KERNEL_W * GROUP_IN products, which lie one after
// another once images and filters are [y][x][channel] and [ky][kx][channel]. Sums are exact, so
// that their order does not matter: the bytes are those of the other loops.

#ifndef PRIOT_CHANNELS_LAST_H
#define PRIOT_CHANNELS_LAST_H

#include <stdbool.h>

#include "kernels.h"
#include "loops.h"

// Fewer channels fill no vector.
enum { FEWEST_CHANNELS_LAST = 8 };

static inline bool has_channels_last(const int32_t *d) {
    return PRIOT_VECTORS && d[LOW_MEMORY] == 0 && d[GROUP_IN] >= FEWEST_CHANNELS_LAST;
}

// The weights of one filter, and the padded image of its group.
void filter_channels_last(int16_t *to, const uint8_t *w, const int32_t *d);
void image_channels_last(int16_t *to, const int8_t *x, const int32_t *d);

// Sums of one filter, for every error of its list: those of the gradient of x that lie under the
// kernel, or the filter's own gradient. `w`, `x`, `sums` and `dw` have their channels last.
void add_inputs(int32_t *sums, const int16_t *w, const int32_t *list, const int32_t *d);
void add_weights(int32_t *dw, const int16_t *x, const int32_t *list, const int32_t *d);

#endif
