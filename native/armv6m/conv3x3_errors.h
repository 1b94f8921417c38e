// What the files of the 3x3 convolution's backward kernels hand to each other.

#ifndef PRIOT_CONV3X3_ERRORS_H
#define PRIOT_CONV3X3_ERRORS_H

#include <stdint.h>

// Bounds of what the errors listed so far add up to: a cell is 2x2 outputs of the convolution,
// one border cell to the right and below. Every input lies under at most 2x2 cells.
typedef struct {
    int32_t *sums; // of |error| * largest |w|
    int32_t width;
    int32_t height;
    int32_t weight; // largest |w| of the filter at hand
} conv3x3_cells;

// The errors of a filter that are not 0, as pairs (error, 4 * position in the bordered image);
// adds them to the cells where there are some. Returns the end of the list.
int32_t *conv3x3_list_errors(int32_t *list, const int8_t *g, const uint8_t *argmax,
    const conv3x3_cells *cells, const int32_t *d);

// conv3x3_sparse.S
void conv3x3_gradient(uint32_t *lanes, const int32_t *list, const int32_t *list_end,
    const uint32_t *inputs, int32_t passes, int32_t step);
void conv3x3_scatter_two(const int32_t *list, const int32_t *list_end, const uint32_t *weights,
    uint32_t *lanes, int32_t row_skip);
void conv3x3_scatter_four(const int32_t *list, const int32_t *list_end, const uint32_t *weights,
    uint32_t *lanes, int32_t row_skip);
uint32_t conv3x3_pack_taps(uint32_t *to, const uint8_t *w, int32_t words, uint32_t largest,
    int32_t second);

#endif
