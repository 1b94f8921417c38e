// The fast kernels of this folder, named by their algorithm; each has the type (tables.h) of the
// kernel that it stands for. plan.c says which layers they take.

#ifndef PRIOT_BACKWARD_FAST_H
#define PRIOT_BACKWARD_FAST_H

#include "kernels.h"

conv2d_backward_t depthwise3x3_backward;
conv2d_update_t depthwise3x3_update;
conv2d_backward_t gather_backward;
conv2d_update_t gather_update;
global_pool_backward_t mean_backward;
add_backward_t sum_backward;

#endif
