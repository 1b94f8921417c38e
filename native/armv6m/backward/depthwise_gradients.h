// How depthwise_backward.c divides its scratch, in words, and what it hands to
// depthwise_gradients.S, which knows the offsets of the fields.

#ifndef PRIOT_DEPTHWISE_GRADIENTS_H
#define PRIOT_DEPTHWISE_GRADIENTS_H

#include "crew.h"
#include "edges.h"
#include "kernels.h"
#include "scratch.h"

// Gradient of x: of each core sums of a channel.
static inline int32_t depthwise_backward_words(const int32_t *d) {
    return CREW * padded_plane(d);
}

// Update: inputs of a channel, and what edges.c needs.
static inline int32_t depthwise_core_update_words(const int32_t *d) {
    return words_of(padded_plane(d)) + edges_words(9, d);
}

static inline int32_t depthwise_update_words(const int32_t *d) {
    return CREW * depthwise_core_update_words(d);
}

// The errors of a channel, for depthwise_gradients.S, which knows the offsets of the fields.
struct depthwise_walk {
    const int8_t *g;
    void *place; // of the upper left tap of the first error: a sum, or an input
    int32_t step; // bytes from it to that of the next column
    int32_t width; // bytes from one row of places to the next
    int32_t *values; // nine weights; nine sums and the sum of the errors
    int32_t columns;
    int32_t skip; // bytes from behind the last column to the next row
    int32_t rows; // counted down
};

// depthwise_gradients.S
void depthwise_scatter(struct depthwise_walk *v);
void depthwise_gradient(struct depthwise_walk *v);

#endif
