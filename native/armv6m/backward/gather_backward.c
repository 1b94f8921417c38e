// Gradient of a convolution's input, of any kernel, stride 1 or 2, without pooling: for every
// input the errors of the outputs that it is under, eight channels at a time (gather.S).
//
// Scratch: weights of some groups of channels, packed; the errors of the rows of outputs that a row
// of inputs is under, listed position by position; of each core the lists under an input. Rows of
// inputs are done one by one, and rows of outputs listed when the first input under them comes.

#include <stddef.h>

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
} work_t;

// The weights of some filters: a place of four words for each filter, tap by tap, group by group.
static void pack_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t taps = gather_taps(d), n_out = d[N_OUT], tap_words = PLACE_WORDS * n_out;
    for (int32_t f = core; f < n_out; f += cores) {
        uint32_t *group = v->weights + PLACE_WORDS * f;
        const uint8_t *w = v->w + f * d[N_ROW];
        for (int32_t left = v->channels; left > 0; left -= GROUP) {
            for (int32_t i = 0; i < PLACE_WORDS; i++) {
                int32_t there = left - 2 * i; // channels
                uint32_t *to = group + i;
                for (int32_t tap = taps; tap != 0; tap--) {
                    uint32_t word = 0;
                    if (there > 0) {
                        word = *w - 128u;
                    }
                    if (there > 1) {
                        word += (w[taps] - 128u) << 16;
                    }
                    *to = word;
                    to += tap_words;
                    w++;
                }
                w += taps;
            }
            group += gather_group_words(d);
        }
    }
}

// The errors of a part of the positions of a row of outputs.
static void list_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t outputs = d[H_OUT] * d[W_OUT], words = gather_list_words(d[N_OUT]);
    int32_t i = crew_start(d[W_OUT], 1, core, cores), end = crew_start(d[W_OUT], 1, core + 1, cores);
    struct gather_steps steps = { outputs, PLACE_BYTES << 8, 0 };
    int32_t *to = v->lists + v->slot * gather_row_words(d) + i * words;
    const int8_t *g = v->g + v->row * d[W_OUT] + d[N_OUT] * outputs;
    for (; i < end; i++) {
        *gather_list(to, g + i, -d[N_OUT] * outputs, &steps) = GATHER_END;
        to += words;
    }
}

// Lists under an input of column ix.
static void find_lists(struct gather_list *to, const work_t *v, int32_t ix) {
    const int32_t *d = v->d;
    int32_t stride = d[STRIDE_H], kernel = d[KERNEL_W], shift = stride - 1;
    int32_t words = gather_list_words(d[N_OUT]), tap_words = PLACE_WORDS * d[N_OUT];
    int32_t slot = v->first_slot, kx_first = (ix + d[PAD_LEFT]) & shift;
    const uint32_t *row_base = v->weights + v->ky * kernel * tap_words;
    int32_t oy = v->first;
    for (int32_t ky = v->ky; ky >= 0 && oy < d[H_OUT]; ky -= stride) {
        const int32_t *row = v->lists + slot * gather_row_words(d);
        const uint32_t *base = row_base + kx_first * tap_words;
        int32_t ox = (ix + d[PAD_LEFT] - kx_first) >> shift;
        for (int32_t kx = kx_first; kx < kernel; kx += stride) {
            if ((uint32_t)ox < (uint32_t)d[W_OUT]) {
                to->list = row + ox * words;
                to->base = base;
                to += *to->list != GATHER_END;
            }
            base += stride * tap_words;
            ox--;
        }
        row_base -= stride * kernel * tap_words;
        oy++;
        slot = slot + 1 == gather_rows(d) ? 0 : slot + 1;
    }
    to->list = NULL;
}

// A part of the inputs of a row.
static void inputs_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t row = v->y * d[W_IN];
    struct gather_list *lists = (struct gather_list *)(v->own + core * gather_under_words(d));
    struct gather_input input;
    input.lists = lists;
    input.group = 4 * gather_group_words(d);
    gather_prepare_put(&input.put, d[H_IN] * d[W_IN], d);
    int32_t ix = crew_start(d[W_IN], 1, core, cores), end = crew_start(d[W_IN], 1, core + 1, cores);
    for (; ix < end; ix++) {
        find_lists(lists, v, ix);
        input.dx = v->dx + row + ix;
        input.x = v->x + row + ix;
        input.channels = v->channels;
        gather_input(&input);
    }
}

// The rows of outputs that row y of the inputs is under: from the lowest tap on, upwards.
static void walk_rows(work_t *v) {
    const int32_t *d = v->d;
    int32_t stride = d[STRIDE_H], shift = stride - 1, rows = gather_rows(d);
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

int32_t gather_backward(int8_t *dx, const int8_t *g, const uint8_t *argmax, const int8_t *x,
    const uint8_t *w, int32_t *scratch, const int32_t *d) {
    (void)argmax;
    work_t v;
    int32_t at_once = GROUP * gather_groups_at_once(d), size = d[H_IN] * d[W_IN];
    v.d = d;
    v.g = g;
    v.weights = (uint32_t *)scratch;
    v.lists = scratch + gather_groups_at_once(d) * gather_group_words(d);
    v.own = v.lists + gather_rows(d) * gather_row_words(d);
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
