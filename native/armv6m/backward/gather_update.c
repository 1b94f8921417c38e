// Update of a convolution of any kernel and stride, without pooling: gradients of a filter from
// the list of its errors, eight channels at a time (gather.S), then update_rows.S.
//
// Scratch: the image with its borders, eight channels to a place; of each core the errors of a
// filter and the list of pairs (edge, dW) that update_rows.S reads. Where there are few channels a
// place holds the inputs under a row of taps instead, of one channel.

#include <stddef.h>

#include "bytes.h"
#include "crew.h"
#include "edges.h"
#include "fast.h"
#include "gather.h"
#include "rounding.h"
#include "scratch.h"

typedef struct {
    const int8_t *g;
    const int8_t *x; // of the first channel that is packed
    const int32_t *d;
    const struct edges *edges;
    int32_t channels; // whose inputs are packed
    int32_t first; // edge of a row that is theirs
    uint32_t *inputs;
    int32_t *own; // scratch of the first core, behind it that of the others
    int32_t by_rows;
    int32_t planes; // that are packed at once
    int32_t plane_words;
    int32_t row_words;
    int32_t taps;
} work_t;

// A part of what is packed, which has borders.
static void clear_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    int32_t n = 4 * v->planes * v->plane_words;
    int32_t first = crew_start(n, 4, core, cores);
    clear_bytes((int8_t *)v->inputs + first, crew_start(n, 4, core + 1, cores) - first);
}

// Of every cores-th channel; a place holds the inputs of eight columns from its own on.
static void pack_rows_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t size = d[H_IN] * d[W_IN];
    for (int32_t c = core; c < v->channels; c += cores) {
        uint32_t *plane = v->inputs + c * v->plane_words;
        const int8_t *x = v->x + c * size;
        int32_t place = padded_start(d);
        for (int32_t y = d[H_IN]; y != 0; y--) {
            for (int32_t i = 0; i < d[W_IN]; i++) {
                uint32_t value = (uint32_t)(int32_t)*x++;
                for (int32_t k = 0; k < d[KERNEL_W] && k <= place; k++) {
                    plane[PLACE_WORDS * (place - k) + (k >> 1)] += value << (16 * (k & 1));
                }
                place++;
            }
            place += d[PAD_LEFT] + d[PAD_RIGHT];
        }
    }
}

// Of every cores-th pair of channels. Where a pair has no second channel, and behind it, is anything.
static void pack_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t size = d[H_IN] * d[W_IN], rows = d[H_IN], w_in = d[W_IN];
    uint32_t *start = v->inputs + PLACE_WORDS * padded_start(d);
    if (!is_padded(d)) {
        rows = 1;
        w_in = size;
    }
    for (int32_t pair = core; 2 * pair < v->channels; pair += cores) {
        struct gather_pack pack = { 1, 2 * pair + 1 < v->channels ? size : 0, 0x800080 };
        uint32_t *to = start + (pair >> 2) * v->plane_words + (pair & 3);
        const int8_t *x = v->x + 2 * pair * size;
        for (int32_t left = rows; left != 0; left--) {
            gather_pack(to, x, w_in, &pack);
            to += v->row_words;
            x += w_in;
        }
    }
}

// Lists the errors of a filter, whose places are those of the kernel's upper left corner; returns
// whether there are any.
static int32_t list_errors_of(int32_t *list, const int8_t *g, const work_t *v) {
    const int32_t *d = v->d;
    struct gather_steps steps = { 1, (PLACE_BYTES * d[STRIDE_W]) << 8, 0 };
    int32_t row_step = (4 * d[STRIDE_H] * v->row_words) << 8, *to = list;
    int32_t n = d[W_OUT], rows = d[H_OUT];
    if (gather_is_one_row(d)) {
        n *= rows;
        rows = 1;
    }
    for (; rows != 0; rows--) {
        g += n;
        to = gather_list(to, g, -n, &steps);
        steps.place += row_step;
    }
    *to = GATHER_END;
    return to != list;
}

// dW of a filter into the second words of pairs: tap by tap, or row by row of taps.
static void find_gradient(int32_t *pairs, const int32_t *list, const work_t *v) {
    const int32_t *d = v->d;
    struct gather_list lists[2] = { { list, v->inputs }, { NULL, NULL } };
    int32_t *to = pairs + 1, group = 4 * v->plane_words, kernel = d[KERNEL_W];
    int32_t channels = v->by_rows ? v->channels : 1, columns = v->by_rows ? kernel : 1;
    for (int32_t c = 0; c < channels; c++) {
        const uint32_t *row = v->inputs + c * v->plane_words;
        for (int32_t ky = d[KERNEL_H]; ky != 0; ky--) {
            lists[0].base = row;
            for (int32_t kx = 0; kx < kernel; kx += columns) {
                if (v->by_rows) {
                    gather_sums(lists, to, 8, kernel, 0);
                } else {
                    gather_sums(lists, to, 8 * v->taps, v->channels, group);
                }
                to += 2 * columns;
                lists[0].base += PLACE_WORDS;
            }
            row += v->row_words;
        }
    }
}

// Every cores-th filter.
static void filters_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t *errors = v->own + core * gather_filter_words(d);
    int32_t outputs = d[H_OUT] * d[W_OUT];
    struct edges_job update;
    edges_prepare(&update, errors + gather_errors_words(d), v->channels * v->taps, v->edges);
    for (int32_t f = core; f < d[N_OUT]; f += cores) {
        if (list_errors_of(errors, v->g + f * outputs, v)) {
            find_gradient(update.pairs, errors, v);
            edges_update(&update, f, v->first, v->edges);
        }
    }
}

int32_t gather_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const uint8_t *argmax, const int8_t *x, const uint8_t *w, const uint32_t *select,
    int32_t *scratch, const int32_t *d) {
    (void)argmax;
    struct edges edges = { scores, n_scores, weff, w, select, d };
    work_t v;
    v.g = g;
    v.x = x;
    v.d = d;
    v.edges = &edges;
    v.first = 0;
    v.inputs = (uint32_t *)scratch;
    v.by_rows = gather_is_by_rows(d);
    v.planes = gather_planes_at_once(d);
    v.row_words = PLACE_WORDS * padded_width(d);
    v.plane_words = padded_height(d) * v.row_words;
    v.taps = gather_taps(d);
    v.own = scratch + v.planes * v.plane_words;
    int32_t at_once = v.by_rows ? v.planes : GROUP * v.planes;
    for (int32_t c = 0; c < d[N_IN]; c += at_once) {
        v.channels = smaller(at_once, d[N_IN] - c);
        if (v.by_rows || is_padded(d)) {
            crew_run(clear_share, &v);
        }
        crew_run(v.by_rows ? pack_rows_share : pack_share, &v);
        if (gather_update_cores(d) == CREW) {
            crew_run(filters_share, &v);
        } else {
            filters_share(&v, 0, 1);
        }
        v.first += v.channels * v.taps;
        v.x += v.channels * d[H_IN] * d[W_IN];
    }
    return 0;
}
