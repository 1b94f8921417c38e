// Gradient of a convolution's input, of any kernel, stride 1 or 2, without pooling: for every
// input the errors of the outputs that it is under, eight channels at a time (gather.S).
//
// Scratch: weights of some groups of channels, packed; the errors of the rows of outputs that a row
// of inputs is under, listed position by position; of each core the lists under an input. Rows of
// inputs are done one by one, and rows of outputs listed when the first input under them comes.

#include <stddef.h>

#include "bytes.h"
#include "crew.h"
#include "fast.h"
#include "gather.h"
#include "rounding.h"
#include "scratch.h"

typedef struct {
    const int32_t *d;
    int8_t *dx; // of the first channel that is packed
    const int8_t *g;
    const int8_t *x;
    const uint8_t *w; // of its first tap
    int32_t channels; // that are packed
    uint32_t *weights;
    int32_t *lists; // of the rows of outputs, by turns
    int32_t *own; // of the first core
    int32_t y; // row of inputs
    int32_t row; // of outputs, to list
    int32_t slot; // where that goes
    int32_t first; // row of outputs under y,
    int32_t first_slot; // where that lies
    int32_t ky; // the tap that it is under
    int32_t rows; // of outputs, of which there are lists
    int32_t list_words; // of a position
    int32_t row_words; // of a row of lists
    int32_t tap_words; // of weights
} work_t;

// Every cores-th pair of channels: a place for each filter, tap by tap, group by group. Where a pair
// has no second channel, and behind it, is anything.
static void pack_weights(const work_t *v, int32_t core, int32_t cores) {
    const int32_t *d = v->d;
    int32_t taps = gather_taps(d);
    for (int32_t pair = core; 2 * pair < v->channels; pair += cores) {
        struct gather_pack pack = { d[N_ROW], 2 * pair + 1 < v->channels ? taps : 0, 0 };
        uint32_t *to = v->weights + (pair >> 2) * v->tap_words * taps + (pair & 3);
        const uint8_t *w = v->w + 2 * pair * taps;
        for (const uint8_t *end = w + taps; w != end; w++) {
            gather_pack(to, w, d[N_OUT], &pack);
            to += v->tap_words;
        }
    }
}

// A core's part of what comes before the inputs: weights, and zeros where nothing is added to dx.
static void pack_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t n = v->channels * d[H_IN] * d[W_IN], first = crew_start(n, 4, core, cores);
    if (d[ADD_DX] == 0) {
        clear_bytes(v->dx + first, crew_start(n, 4, core + 1, cores) - first);
    }
    pack_weights(v, core, cores);
}

// The errors of a part of the positions of a row of outputs.
static void list_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t outputs = d[H_OUT] * d[W_OUT];
    int32_t i = crew_start(d[W_OUT], 1, core, cores), end = crew_start(d[W_OUT], 1, core + 1, cores);
    struct gather_steps steps = { outputs, PLACE_BYTES << 8, 0 };
    int32_t *to = v->lists + v->slot * v->row_words + i * v->list_words;
    const int8_t *g = v->g + v->row * d[W_OUT] + d[N_OUT] * outputs;
    for (; i < end; i++) {
        *gather_list(to, g + i, -d[N_OUT] * outputs, &steps) = GATHER_END;
        to += v->list_words;
    }
}

// The first lists and weights of the rows of outputs that row y of the inputs is under.
static void find_rows(struct gather_list *to, const work_t *v) {
    const int32_t *d = v->d;
    int32_t stride = d[STRIDE_H], slot = v->first_slot, oy = v->first;
    int32_t row_step = d[KERNEL_W] * v->tap_words;
    for (int32_t ky = v->ky; ky >= 0 && oy < d[H_OUT]; ky -= stride) {
        to->list = v->lists + slot * v->row_words;
        to->base = v->weights + ky * row_step;
        to++;
        oy++;
        slot = slot + 1 == v->rows ? 0 : slot + 1;
    }
    to->list = NULL;
}

// Lists under an input of column ix of the padded image.
static void find_lists(struct gather_list *to, const struct gather_list *row, const work_t *v,
    int32_t ix) {
    const int32_t *d = v->d;
    int32_t stride = d[STRIDE_H], shift = stride - 1, ox = ix >> shift, kx = ix & shift;
    int32_t n = smaller((d[KERNEL_W] - kx + shift) >> shift, ox + 1);
    int32_t excess = larger(0, ox - d[W_OUT] + 1); // taps to the right of the outputs
    int32_t step = v->list_words, tap_step = stride * v->tap_words;
    int32_t first = (ox - excess) * step, last = (ox - n) * step;
    int32_t base_first = kx * v->tap_words + excess * tap_step;
    for (; row->list != NULL; row++) {
        const uint32_t *base = row->base + base_first;
        for (const int32_t *list = row->list + first, *end = row->list + last; list > end;
            list -= step) {
            to->list = list;
            to->base = base;
            to++;
            base += tap_step;
        }
    }
    to->list = NULL;
}

// A part of the inputs of a row.
static void inputs_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t size = d[H_IN] * d[W_IN], row = v->y * d[W_IN];
    struct gather_list *lists = (struct gather_list *)(v->own + core * gather_under_words(d));
    struct gather_list *rows = lists + gather_taps(d) + 1;
    struct gather_input input;
    find_rows(rows, v);
    input.lists = lists;
    input.group = 4 * gather_group_words(d);
    input.group_size = GROUP * size;
    input.end = v->channels * size;
    gather_prepare_put(&input.put, size, d);
    int32_t ix = crew_start(d[W_IN], 1, core, cores), end = crew_start(d[W_IN], 1, core + 1, cores);
    input.dx = v->dx + row + ix;
    input.x = v->x + row + ix;
    int32_t is_point = gather_taps(d) == 1 && d[STRIDE_H] == 1 && !is_padded(d);
    lists[0].list = v->lists + ix * v->list_words;
    lists[0].base = v->weights;
    lists[1].list = NULL;
    for (; ix < end; ix++) {
        if (!is_point) {
            find_lists(lists, rows, v, ix + d[PAD_LEFT]);
        }
        input.at = 0;
        gather_input(&input);
        lists[0].list += v->list_words; // of a 1x1 convolution the next input's
        input.dx++;
        input.x++;
    }
}

// The rows of outputs that row y of the inputs is under: from the lowest tap on, upwards.
static void walk_rows(work_t *v) {
    const int32_t *d = v->d;
    int32_t stride = d[STRIDE_H], shift = stride - 1, rows = v->rows;
    v->row = 0;
    v->slot = 0;
    v->first = 0;
    v->first_slot = 0;
    for (v->y = 0; v->y < d[H_IN]; v->y++) {
        int32_t y = v->y + d[PAD_TOP];
        while (v->row < d[H_OUT] && v->row << shift <= y) {
            crew_run(list_share, v);
            v->row++;
            v->slot = v->slot + 1 == rows ? 0 : v->slot + 1;
        }
        while ((v->first << shift) + d[KERNEL_H] <= y) { // too far above
            v->first++;
            v->first_slot = v->first_slot + 1 == rows ? 0 : v->first_slot + 1;
        }
        v->ky = y - (v->first << shift);
        crew_run(inputs_share, v);
    }
}

void gather_prepare_put(struct gather_put *v, int32_t size, const int32_t *d) {
    int32_t add = d[ADD_DX], shift = d[BACKWARD_SHIFT];
    v->size = size;
    v->limit = (uint32_t)(d[MASK_DX] != 0 ? d[MASK_DX] - 2 : -1);
    v->half = 1 << shift >> 1;
    v->shift = shift;
    v->add_right = larger(0, 64 - add);
    v->add_half = 1 << v->add_right >> 1;
    v->add_left = add == 0 ? -1 : larger(0, add - 64);
}

int32_t gather_backward(int8_t *dx, const int8_t *g, const uint8_t *argmax, const int8_t *x,
    const uint8_t *w, int32_t *scratch, const int32_t *d) {
    (void)argmax;
    work_t v;
    int32_t groups = gather_groups_at_once(d), at_once = GROUP * groups, size = d[H_IN] * d[W_IN];
    v.d = d;
    v.g = g;
    v.weights = (uint32_t *)scratch;
    v.lists = scratch + groups * gather_group_words(d);
    v.rows = gather_rows(d);
    v.list_words = gather_list_words(d[N_OUT]);
    v.row_words = d[W_OUT] * v.list_words;
    v.tap_words = PLACE_WORDS * d[N_OUT];
    v.own = v.lists + v.rows * v.row_words;
    for (int32_t c = 0; c < d[N_IN]; c += at_once) {
        v.channels = smaller(at_once, d[N_IN] - c);
        v.dx = dx + c * size;
        v.x = x + c * size;
        v.w = w + c * gather_taps(d);
        crew_run(pack_share, &v);
        walk_rows(&v);
    }
    return 0;
}
