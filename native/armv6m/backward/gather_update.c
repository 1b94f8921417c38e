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
} work_t;

// Of every cores-th channel; a place holds the inputs of eight columns from its own on.
static void pack_rows_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t size = d[H_IN] * d[W_IN], words = gather_plane_words(d);
    for (int32_t c = core; c < v->channels; c += cores) {
        uint32_t *plane = v->inputs + c * words;
        const int8_t *x = v->x + c * size;
        clear_bytes((int8_t *)plane, 4 * words);
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

// Every cores-th pair of channels, of which there may be none for the last words of a place.
static void pack_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t w_in = d[W_IN], size = d[H_IN] * w_in, n_in = v->channels;
    int32_t skip = PLACE_WORDS * (d[PAD_LEFT] + d[PAD_RIGHT]);
    for (int32_t pair = core; pair < ((n_in + GROUP - 1) >> 3) * PLACE_WORDS; pair += cores) {
        uint32_t *to = v->inputs + (pair >> 2) * gather_plane_words(d) + (pair & 3);
        const int8_t *x = v->x + 2 * pair * size;
        int32_t has_second = 2 * pair + 1 < n_in;
        for (int32_t left = padded_plane(d); left != 0; left--) {
            *to = 0;
            to += PLACE_WORDS;
        }
        if (2 * pair >= n_in) {
            continue;
        }
        to += PLACE_WORDS * (padded_start(d) - padded_plane(d));
        for (int32_t y = d[H_IN]; y != 0; y--) {
            for (int32_t i = w_in; i != 0; i--) {
                int32_t word = *x;
                if (has_second) {
                    word += x[size] * 65536;
                }
                *to = (uint32_t)word;
                to += PLACE_WORDS;
                x++;
            }
            to += skip;
        }
    }
}

// Lists the errors of a filter, whose places are those of the kernel's upper left corner; returns
// whether there are any.
static int32_t list_errors_of(int32_t *list, const int8_t *g, const int32_t *d) {
    struct gather_steps steps = { 1, (PLACE_BYTES * d[STRIDE_W]) << 8, 0 };
    int32_t row_step = (PLACE_BYTES * d[STRIDE_H] * padded_width(d)) << 8, *to = list;
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

// dW of a filter into the second words of pairs.
static void find_gradient(int32_t *pairs, const int32_t *list, const work_t *v) {
    const int32_t *d = v->d;
    int32_t taps = gather_taps(d), by_rows = gather_is_by_rows(d), sums[GROUP];
    int32_t channels = by_rows ? 1 : GROUP, columns = by_rows ? d[KERNEL_W] : 1;
    int32_t edge_step = by_rows ? 2 : 2 * taps;
    struct gather_list lists[2] = { { list, NULL }, { NULL, NULL } };
    const uint32_t *plane = v->inputs;
    int32_t *to = pairs + 1;
    for (int32_t left = v->channels; left > 0; left -= channels) {
        int32_t *first = to, n = by_rows ? columns : smaller(left, GROUP);
        for (int32_t ky = 0; ky < d[KERNEL_H]; ky++) {
            for (int32_t kx = 0; kx < d[KERNEL_W]; kx += columns) {
                lists[0].base = plane + PLACE_WORDS * (ky * padded_width(d) + kx);
                gather(lists, sums);
                int32_t *edge = first;
                for (int32_t i = 0; i < n; i++) {
                    *edge = sums[i];
                    edge += edge_step;
                }
                first += 2 * columns;
            }
        }
        plane += gather_plane_words(d);
        to += 2 * channels * taps;
    }
}

// Every cores-th filter.
static void filters_share(void *job, int32_t core, int32_t cores) {
    const work_t *v = job;
    const int32_t *d = v->d;
    int32_t *errors = v->own + core * gather_filter_words(d);
    int32_t outputs = d[H_OUT] * d[W_OUT];
    struct edges_job update;
    edges_prepare(&update, errors + gather_errors_words(d), v->channels * gather_taps(d), v->edges);
    for (int32_t f = core; f < d[N_OUT]; f += cores) {
        if (list_errors_of(errors, v->g + f * outputs, d)) {
            find_gradient(update.pairs, errors, v);
            edges_update(&update, f, v->first, v->edges);
        }
    }
}

int32_t gather_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const uint8_t *argmax, const int8_t *x, const uint8_t *w, const uint32_t *select,
    int32_t *scratch, const int32_t *d) {
    (void)argmax;
    int32_t by_rows = gather_is_by_rows(d), planes = gather_planes_at_once(d);
    int32_t at_once = by_rows ? planes : GROUP * planes;
    struct edges edges = { scores, n_scores, weff, w, select, d };
    work_t v = { g, x, d, &edges, 0, 0, (uint32_t *)scratch,
                 scratch + planes * gather_plane_words(d) };
    for (int32_t c = 0; c < d[N_IN]; c += at_once) {
        v.channels = smaller(at_once, d[N_IN] - c);
        crew_run(by_rows ? pack_rows_share : pack_share, &v);
        if (gather_update_cores(d) == CREW) {
            crew_run(filters_share, &v);
        } else {
            filters_share(&v, 0, 1);
        }
        v.first += v.channels * gather_taps(d);
        v.x += v.channels * d[H_IN] * d[W_IN];
    }
    return 0;
}
