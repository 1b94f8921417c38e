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

// Behind the packed inputs: the row that conv3x3_pack_inputs reads for one outside of the image.
void conv3x3_clear_zeros(uint32_t *inputs, const conv3x3_geometry *v, const int32_t *d) {
    fill(inputs + v->rows * v->row_words + v->width, 0, words_of(d[W_IN]));
}

// Packs pairs of image rows, first .. end - 1 of rows + 1, for a band with `above` rows of blocks
// above it. Each is phase 1 of the row of blocks with its number and phase 2 of the one before.
void conv3x3_pack_inputs(uint32_t *inputs, const int8_t *x, uint32_t zero,
    const conv3x3_geometry *v, int32_t above, int32_t first, int32_t end, const int32_t *d) {
    int32_t left = d[PAD_TOP], n = smaller(d[W_IN], v->width - left);
    int32_t right = v->width - left - n;
    uint32_t *nobody = inputs + v->rows * v->row_words;
    const int8_t *zeros = (const int8_t *)(nobody + v->width);
    int32_t top = 2 * (above + first) - left, phase = v->width; // words from phase 1 to phase 2
    x += n + top * d[W_IN]; // behind the columns of the first row
    inputs += first * v->row_words;
    if ((d[N_IN] & 1) == 0) {
        phase += phase;
    }
    for (int32_t c = d[N_IN]; c != 0; c--) {
        uint32_t *upper = inputs;
        uint32_t *lower = upper + phase - v->row_words; // of the row of blocks above
        const int8_t *a = x;
        int32_t y = top;
        for (int32_t row = first; row < end; row++) {
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
        inputs += (c & 1) != 0 ? phase + v->width : v->width;
        phase = 2 * v->width;
    }
}

// Blocks with an input that is not zero, of rows first .. end - 1 of blocks: the address of their
// packed inputs and the index of their (first) output. `zero` is the word of zeros. Returns the
// end of the list.
uint32_t *conv3x3_list_blocks(uint32_t *list, const uint32_t *inputs, uint32_t zero,
    const conv3x3_geometry *v, int32_t first, int32_t end, const int32_t *d) {
    uint32_t step = d[POOL_H] == 2 ? 1 : 2, output = step * step * (uint32_t)(first * v->columns);
    inputs += first * v->row_words;
    for (; first < end; first++) {
        list = conv3x3_list_row(list, inputs, inputs + v->width, v->columns, zero, output,
            step);
        inputs += v->row_words;
        output += step * step * (uint32_t)v->columns;
    }
    return list;
}
