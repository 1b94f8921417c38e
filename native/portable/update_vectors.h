// The update of a row whose edges are all trained, for processors with vectors.

#ifndef PRIOT_UPDATE_VECTORS_H
#define PRIOT_UPDATE_VECTORS_H

#include "effective.h"

// dW = dw[i] * factor for the n edges from `edge` on; score: that of the first.
void update_edges(const layer_t *layer, int32_t edge, uint8_t *score, const int32_t *dw,
    int32_t factor, int32_t n);

#endif
