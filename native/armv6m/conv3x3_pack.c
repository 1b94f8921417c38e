// Packs an image for conv3x3_blocks.S, and lists the blocks that are not zero.

#include "conv3x3.h"
#include "kernels.h"
#include "rounding.h"
#include "scratch.h"

static uint32_t *fill(uint32_t *to, uint32_t value, int32_t n) {
    for (uint32_t *end = to + n; to != end;) {
        *to++ = value;
    }
    return to;
}

void conv3x3_pack_inputs(uint32_t *inputs, const int8_t *x, uint32_t zero,
    const conv3x3_geometry *v, const int32_t *d) {
    int32_t left = d[PAD_TOP], n = smaller(d[W_IN], v->width - left);
    int32_t right = v->width - left - n;
    uint32_t *nobody = inputs + v->rows * v->row_words;
    int8_t *zeros = (int8_t *)fill(nobody, 0, v->width);
    fill((uint32_t *)zeros, 0, words_of(d[W_IN]));
    for (int32_t c = 0; c < d[N_IN]; c++) {
        uint32_t *upper = inputs + (2 * (c & ~1) + (c & 1)) * v->width;
        uint32_t *lower = upper + 2 * v->width - v->row_words; // of the row of blocks above
        const int8_t *a = x + n - left * d[W_IN]; // behind the columns of image row -left
        int32_t y = -left;
        for (int32_t row = 0; row <= v->rows; row++) {
            // the last rows have no block below them, the first none above
            uint32_t *to_upper = row < v->rows ? upper : nobody;
            uint32_t *to_lower = row > 0 ? lower : nobody;
            const int8_t *b = a + d[W_IN];
            if (left + right != 0) {
                fill(fill(to_upper, zero, left) + n, zero, right);
                fill(fill(to_lower, zero, left) + n, zero, right);
            }
            conv3x3_pack_rows(to_upper + left, to_lower + left,
                (uint32_t)y < (uint32_t)d[H_IN] ? a : zeros + n,
                (uint32_t)(y + 1) < (uint32_t)d[H_IN] ? b : zeros + n, -n, zero);
            a = b + d[W_IN];
            y += 2;
            upper += v->row_words;
            lower += v->row_words;
        }
        x += d[H_IN] * d[W_IN];
    }
}

// Blocks with an input that is not zero: the address of their packed inputs and the index of
// their (first) output. `zero` is the word of zeros. Returns the end of the list.
uint32_t *conv3x3_list_blocks(uint32_t *list, const uint32_t *inputs, uint32_t zero,
    const conv3x3_geometry *v, const int32_t *d) {
    uint32_t step = d[POOL_H] == 2 ? 1 : 2, output = 0;
    for (int32_t row = v->rows; row != 0; row--) {
        list = conv3x3_list_row(list, inputs, inputs + 2 * v->width, v->columns, zero, output,
            step);
        inputs += v->row_words;
        output += step * step * (uint32_t)v->columns;
    }
    return list;
}
