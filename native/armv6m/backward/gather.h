// Lists of errors and sums over them (gather.S), and how gather_backward.c and gather_update.c
// divide their scratch, in words.

#ifndef PRIOT_GATHER_H
#define PRIOT_GATHER_H

#include "crew.h"
#include "kernels.h"
#include "rounding.h"
#include "scratch.h"
#include "update.h"

enum {
    GROUP = 8, // channels of a place; those that are not there cost as much
    PLACE_WORDS = GROUP / 2,
    PLACE_BYTES = 4 * PLACE_WORDS,
    PACKED_WORDS = 4096, // of weights that are packed at once, or those of a group
    LIST_WORDS = 2, // a struct gather_list
};

struct gather_list {
    const int32_t *list; // NULL behind the last
    const uint32_t *base; // of its places
};

struct gather_steps {
    int32_t step; // bytes from one error to the next
    int32_t place_step; // times 256, from its place to that of the next
    int32_t place; // of the first, times 256
};

// How sums become gradients.
struct gather_put {
    int32_t size; // bytes from one to the next
    uint32_t limit; // MASK_DX - 2; what lets every x through where there is no mask
    int32_t half; // 2^(shift - 1), or 0
    int32_t shift;
    int32_t add_left; // what dx holds is shifted so far; below 0: it is not added
    int32_t add_half; // and rounded so
    int32_t add_right;
};

static inline void gather_prepare_put(struct gather_put *v, int32_t size, const int32_t *d) {
    int32_t add = d[ADD_DX], shift = d[BACKWARD_SHIFT];
    v->size = size;
    v->limit = (uint32_t)(d[MASK_DX] != 0 ? d[MASK_DX] - 2 : -1);
    v->half = 1 << shift >> 1;
    v->shift = shift;
    v->add_right = larger(0, 64 - add);
    v->add_half = 1 << v->add_right >> 1;
    v->add_left = add == 0 ? -1 : larger(0, add - 64);
}

// All channels of an input that are packed.
struct gather_input {
    const struct gather_list *lists;
    int32_t group; // bytes from a place to that of the next eight channels
    const int8_t *x; // of the first channel; moves on, as dx
    int8_t *dx;
    int32_t channels; // at least 1; counted down
    struct gather_put put;
};

// gather.S
void gather_input(struct gather_input *v);
void gather_put(int8_t *dx, const int8_t *x, int32_t *sums, const struct gather_put *v, int32_t n);
void gather(const struct gather_list *lists, int32_t sums[GROUP]);
int32_t *gather_list(int32_t *to, const int8_t *g_end, int32_t minus_n,
    const struct gather_steps *steps);

// Longest list of n errors and its end: a segment has two at least, but for the last.
static inline int32_t gather_list_words(int32_t n) {
    return 2 * n + 2;
}

static inline int32_t gather_groups(const int32_t *d) {
    return (d[N_IN] + GROUP - 1) >> 3;
}

static inline int32_t gather_taps(const int32_t *d) {
    return d[KERNEL_H] * d[KERNEL_W];
}

// ---- gradient of x --------------------------------------------------------------------------

static inline int32_t gather_group_words(const int32_t *d) {
    return PLACE_WORDS * d[N_OUT] * gather_taps(d);
}

// Groups whose weights are packed at once.
static inline int32_t gather_groups_at_once(const int32_t *d) {
    int32_t words = gather_group_words(d), groups = 1;
    while (groups < gather_groups(d) && (groups + 1) * words <= PACKED_WORDS) {
        groups++;
    }
    return groups;
}

// Rows of outputs that a row of inputs is under, at most.
static inline int32_t gather_rows(const int32_t *d) {
    return d[STRIDE_H] == 1 ? d[KERNEL_H] : (d[KERNEL_H] + 1) >> 1;
}

static inline int32_t gather_row_words(const int32_t *d) {
    return d[W_OUT] * gather_list_words(d[N_OUT]);
}

// Each core's own: the lists under an input.
static inline int32_t gather_under_words(const int32_t *d) {
    return LIST_WORDS * (gather_taps(d) + 1);
}

// Packed weights, lists of some rows of outputs, and those of each core.
static inline int32_t gather_backward_words(const int32_t *d) {
    return gather_groups_at_once(d) * gather_group_words(d) + gather_rows(d) * gather_row_words(d)
        + CREW * gather_under_words(d);
}

// ---- gradient of w --------------------------------------------------------------------------

// Whether a place is eight taps of a row, rather than of as many channels: fewer places then.
static inline int32_t gather_is_by_rows(const int32_t *d) {
    return d[KERNEL_W] <= GROUP && d[N_IN] < gather_groups(d) * d[KERNEL_W];
}

static inline int32_t gather_planes(const int32_t *d) {
    return gather_is_by_rows(d) ? d[N_IN] : gather_groups(d);
}

// Packed inputs of eight channels, or of one, with borders.
static inline int32_t gather_plane_words(const int32_t *d) {
    return PLACE_WORDS * padded_plane(d);
}

static inline int32_t gather_errors_words(const int32_t *d) {
    return d[H_OUT] * gather_list_words(d[W_OUT]);
}

// Each core's own: the errors of a filter, the list for update_rows.S, what select.c needs.
static inline int32_t gather_filter_words(const int32_t *d) {
    return gather_errors_words(d) + 2 * d[N_ROW] + LIST_PADDING + selection_words(d);
}

// Packed inputs, a row of weff where that is not kept, and those of each core.
static inline int32_t gather_update_words(const int32_t *d) {
    return gather_planes(d) * gather_plane_words(d) + words_of(d[N_ROW])
        + CREW * gather_filter_words(d);
}

#endif
