// The fast kernels of this folder, named by their algorithm; each has the type (tables.h) of the
// kernel that it stands for. plan.c says which layers they take.

#ifndef PRIOT_LAYERS_FAST_H
#define PRIOT_LAYERS_FAST_H

#include "kernels.h"

conv2d_forward_t depthwise3x3_forward;
conv2d_forward_t tiles_forward;
linear_forward_t biased_linear_forward;
avg_pool_forward_t average_forward;
global_pool_forward_t mean_forward;
add_forward_t sum_forward;

#endif
