// How depthwise_backward.c divides its scratch, in words (more of it in sizes.c), and what it hands to
// depthwise_gradients.S, which knows the offsets of the fields.

#ifndef PRIOT_DEPTHWISE_GRADIENTS_H
#define PRIOT_DEPTHWISE_GRADIENTS_H

#include "crew.h"
#include "edges.h"
#include "kernels.h"
#include "scratch.h"

// ---- gradient of x: a word for each column of two rows ------------------------------------------

// Rows above the padded image, so that its first row of inputs is the upper one of two.
static inline int32_t depthwise_rows_above(const int32_t *d) {
    return d[PAD_TOP] & 1;
}

int32_t depthwise_sums_words(const int32_t *d);

// Of each core sums of a channel, and as many more for what does not fit half a word.
static inline int32_t depthwise_backward_words(const int32_t *d) {
    return CREW * 2 * depthwise_sums_words(d);
}

// ---- update: the inputs of a channel, with their borders, at words where the image's may be ------

static inline int32_t depthwise_image_left(const int32_t *d) {
    return (d[PAD_LEFT] + 3) & ~3;
}

int32_t depthwise_image_width(const int32_t *d);
int32_t depthwise_image_words(const int32_t *d);

// Those, and what edges.c needs.
static inline int32_t depthwise_core_update_words(const int32_t *d) {
    return depthwise_image_words(d) + edges_words(9, d);
}

static inline int32_t depthwise_update_words(const int32_t *d) {
    return CREW * depthwise_core_update_words(d);
}

// Some rows of the errors of a channel.
struct depthwise_walk {
    const int8_t *g; // four words, loaded together; end of the first row
    int32_t minus_n; // columns
    char *place; // of the upper left tap of the column behind the first row: a word, or an input
    int32_t step; // bytes from a place to that of the next column
    int32_t width; // bytes from (behind) the places of a row of taps to those of the next row
    const int32_t *weights; // four rows of three
    int32_t *values; // where nine sums go, to every second word
    int32_t g_step; // from a row to the next
    int32_t place_step;
    int32_t rows; // counted down
};

// How words become gradients.
struct depthwise_put {
    int32_t skip; // five words, loaded together; bytes from behind a row of words to the next
    uint32_t limit; // MASK_DX - 2, or what lets every x through
    int32_t last_lower; // bytes from a row to the lower one of the last pair: 0 where it has none
    int32_t minus_bias; // what the words begin with, shifted
    int32_t w_in;
    int8_t *dx; // four words, loaded together
    const int8_t *x;
    uint32_t *words;
    int32_t shift; // of the high half
};

// An image's rows.
struct depthwise_copy {
    uint32_t flip; // four words, loaded together; of every byte
    int32_t n; // bytes of a row
    int32_t rows;
    int32_t skip; // bytes from behind a row to where the next goes
};

// depthwise_gradients.S
void depthwise_scatter(struct depthwise_walk *v);
void depthwise_gradient(struct depthwise_walk *v);
void depthwise_put(const struct depthwise_put *v, int32_t pairs);
void depthwise_copy(char *to, const int8_t *x, const struct depthwise_copy *v);
void fill_words(uint32_t *to, uint32_t value, int32_t n);

#endif
