// Weights that lie in flash, in pieces: rows or columns of a layer's effective weights into RAM.

#ifndef PRIOT_FLASH_ROWS_H
#define PRIOT_FLASH_ROWS_H

#include "kernels.h"

typedef struct {
    const int32_t *d;
    const uint8_t *flash;
    const uint32_t *pieces; // pairs: offset in the flash, bytes; both multiples of 4
    const uint8_t *scores;
    const uint8_t *scores_end;
    const uint32_t *select;
} flash_layer_t;

enum { CHECKS = 4 }; // sums of the words so far and of those sums; what they have to be in the end

// Rows ROW .. ROW + ROWS - 1 of the effective weights. Returns 1 where these are the last and the
// weights of the layer are not those that they were, else 0.
int32_t flash_rows(uint8_t *weff, uint32_t *checks, const flash_layer_t *layer);

// Columns first .. first + columns - 1 of every row. Where not all edges have a score, `cursors`
// has two words for each row: the number of scores before the next columns, then before these.
// Calls take the columns in their order, from 0 on.
int32_t flash_columns(uint8_t *weff, int32_t *cursors, const flash_layer_t *layer, int32_t first,
    int32_t columns);

#endif
