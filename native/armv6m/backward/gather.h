// Lists of errors and sums over them (gather.S), and how gather_backward.c and gather_update.c
// divide their scratch, in words (more of it in sizes.c).

#ifndef PRIOT_GATHER_H
#define PRIOT_GATHER_H

#include "crew.h"
#include "edges.h"
#include "kernels.h"
#include "rounding.h"
#include "scratch.h"

enum {
    GROUP = 8, // channels of a place; those that are not there cost as much
    PLACE_WORDS = GROUP / 2,
    PLACE_BYTES = 4 * PLACE_WORDS,
    PACKED_WORDS = 4608, // of what is packed at once, if that is not a single group of channels
    PACKED_WORDS_LOW = 0, // the same with LOW_MEMORY: a single one
    LIST_WORDS = 2, // a struct gather_list
    GATHER_END = -1, // of a list
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

// All channels of an input that are packed; bytes of dx and x count from the first channel on.
struct gather_input {
    const struct gather_list *lists;
    int32_t group; // bytes from a place to that of the next eight channels
    int32_t group_size; // bytes of eight channels of dx and x
    int32_t end; // behind the last
    int32_t at; // of the next group
    int8_t *dx;
    const int8_t *x;
    struct gather_put put;
};

// Pairs of bytes, of which the first words of places are made, or their second ...
struct gather_pack {
    int32_t step; // bytes from one to the next
    int32_t second; // bytes from the first of a pair to the second
    uint32_t flip; // of both: 128, twice, where they are signed
};

// gather_backward.c
void gather_prepare_put(struct gather_put *v, int32_t size, const int32_t *d);

// gather.S
void gather_input(struct gather_input *v);
void gather_put(int8_t *dx, const int8_t *x, int32_t *sums, const struct gather_put *v, int32_t n);
void gather_sums(const struct gather_list *lists, int32_t *to, int32_t step, int32_t n,
    int32_t group);
void gather_pack(uint32_t *to, const void *x, int32_t n, const struct gather_pack *v);
int32_t *gather_list(int32_t *to, const int8_t *g_end, int32_t minus_n,
    const struct gather_steps *steps);

// Longest list of n errors and its end: a segment has two at least, but for the last.
static inline int32_t gather_list_words(int32_t n) {
    return n + ((n + 1) >> 1) + 1;
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
int32_t gather_groups_at_once(const int32_t *d);

// Rows of outputs that a row of inputs is under, at most.
static inline int32_t gather_rows(const int32_t *d) {
    return d[STRIDE_H] == 1 ? d[KERNEL_H] : (d[KERNEL_H] + 1) >> 1;
}

static inline int32_t gather_row_words(const int32_t *d) {
    return d[W_OUT] * gather_list_words(d[N_OUT]);
}

// Each core's own: the lists under an input, and of the rows.
static inline int32_t gather_under_words(const int32_t *d) {
    return LIST_WORDS * (gather_taps(d) + 1 + gather_rows(d) + 1);
}

// Packed weights, lists of some rows of outputs, and those of each core.
static inline int32_t gather_backward_words(const int32_t *d) {
    return gather_groups_at_once(d) * gather_group_words(d) + gather_rows(d) * gather_row_words(d)
        + CREW * gather_under_words(d);
}

// ---- gradient of w --------------------------------------------------------------------------

// Whether a place is eight taps of a row, rather than of as many channels: fewer places then.
int32_t gather_is_by_rows(const int32_t *d);

// Planes that are packed at once.
int32_t gather_planes_at_once(const int32_t *d);

// Packed inputs of eight channels, or of one, with borders.
static inline int32_t gather_plane_words(const int32_t *d) {
    return PLACE_WORDS * padded_plane(d);
}

// Whether the errors of a filter are listed all at once, not row by row: a 1x1 convolution.
static inline int32_t gather_is_one_row(const int32_t *d) {
    return d[W_OUT] * d[STRIDE_W] == d[STRIDE_H] * padded_width(d);
}

int32_t gather_errors_words(const int32_t *d);

// Edges of a row that are updated at once.
static inline int32_t gather_edges(const int32_t *d) {
    int32_t channels = gather_planes_at_once(d) * (gather_is_by_rows(d) ? 1 : GROUP);
    return smaller(channels, d[N_IN]) * gather_taps(d);
}

// Each core's own: the errors of a filter, what edges.c needs.
static inline int32_t gather_filter_words(const int32_t *d) {
    return gather_errors_words(d) + edges_words(gather_edges(d), d);
}

// With LOW_MEMORY one core does all of an update.
static inline int32_t gather_update_cores(const int32_t *d) {
    return d[LOW_MEMORY] != 0 ? 1 : CREW;
}

// Packed inputs, and those of each core.
static inline int32_t gather_update_words(const int32_t *d) {
    return gather_planes_at_once(d) * gather_plane_words(d)
        + gather_update_cores(d) * gather_filter_words(d);
}

#endif
