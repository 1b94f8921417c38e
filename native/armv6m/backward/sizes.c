// Sizes that the headers of the kernels cannot tell in a line; plan.c asks for them, and the kernels.

#include "depthwise_gradients.h"
#include "gather.h"

// How many of n groups of so many words are packed at once: about as many each time.
static int32_t at_once(int32_t n, int32_t words, const int32_t *d) {
    int32_t most = d[LOW_MEMORY] != 0 ? PACKED_WORDS_LOW : PACKED_WORDS, groups = n;
    for (int32_t times = 2; groups > 1 && groups * words > most; times++) {
        groups = 0; // n / times, rounded up
        for (int32_t left = n; left > 0; left -= times) {
            groups++;
        }
    }
    return groups;
}

int32_t gather_groups_at_once(const int32_t *d) {
    return at_once(gather_groups(d), gather_group_words(d), d);
}

int32_t gather_is_by_rows(const int32_t *d) {
    return d[KERNEL_W] <= GROUP && d[N_IN] < gather_groups(d) * d[KERNEL_W];
}

// Where only some edges are trained a filter is updated at once.
int32_t gather_planes_at_once(const int32_t *d) {
    int32_t planes = gather_is_by_rows(d) ? d[N_IN] : gather_groups(d);
    return d[SELECTION] != ALL ? planes : at_once(planes, gather_plane_words(d), d);
}

int32_t gather_errors_words(const int32_t *d) {
    return gather_is_one_row(d) ? gather_list_words(d[H_OUT] * d[W_OUT])
        : d[H_OUT] * gather_list_words(d[W_OUT]);
}

int32_t depthwise_sums_words(const int32_t *d) {
    int32_t pairs = (padded_height(d) + depthwise_rows_above(d) + 1) >> 1;
    return (pairs * padded_width(d) + 3) & ~3; // fill_words
}

int32_t depthwise_image_width(const int32_t *d) {
    return (depthwise_image_left(d) + d[W_IN] + d[PAD_RIGHT] + 3) & ~3;
}

int32_t depthwise_image_words(const int32_t *d) {
    return (padded_height(d) * (depthwise_image_width(d) >> 2) + 3) & ~3; // fill_words
}
