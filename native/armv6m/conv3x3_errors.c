// Lists the errors of a filter for conv3x3_sparse.S.

#include <stddef.h>

#include "conv3x3_errors.h"
#include "kernels.h"
#include "rounding.h"
#include "scratch.h"

int32_t *conv3x3_list_errors(int32_t *list, const int8_t *g, const uint8_t *argmax,
    const conv3x3_cells *cells, const int32_t *d) {
    int32_t width = padded_width(d), stride = d[POOL_STRIDE], pooled = d[POOL] == 2;
    int32_t bit = 0;
    for (int32_t y = 0; y < d[H_OUT]; y++) {
        for (int32_t x = 0; x < d[W_OUT]; x++, bit += 2) {
            int32_t error = *g++;
            if (error == 0) {
                continue;
            }
            int32_t top = y * stride, left = x * stride;
            if (pooled) {
                int32_t winner = argmax[bit >> 3] >> (bit & 7);
                left += winner & 1;
                top += winner >> 1 & 1;
            }
            *list++ = error;
            *list++ = 4 * (top * width + left);
            if (cells != NULL) {
                int32_t cell = (top >> 1) * (cells->width + 1) + (left >> 1);
                cells->sums[cell] += absolute(error) * cells->weight;
            }
        }
    }
    return list;
}
