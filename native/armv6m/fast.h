// The fast kernels of this folder, named by their algorithm; each has the type (tables.h) of the
// kernel that it stands for. plan.c says which layers they take.

#ifndef PRIOT_FAST_H
#define PRIOT_FAST_H

#include "kernels.h"

conv2d_forward_t conv3x3_forward;
conv2d_backward_t conv3x3_backward;
conv2d_update_t conv3x3_update;
linear_forward_t linear_fours_forward; // weights aligned to 4
linear_backward_t linear_fours_backward; // weights aligned to 4
linear_update_t linear_listed_update;
kth_largest_t kth_largest_by_words;
effective_weights_t effective_weights_by_rows;

#endif
