// The fast kernels of this folder, named by their algorithm; each has the type (tables.h) of the
// kernel that it stands for. plan.c says which layers they take.

#ifndef PRIOT_LAYERS_FAST_H
#define PRIOT_LAYERS_FAST_H

#include "kernels.h"

conv2d_forward_t depthwise3x3_forward;
conv2d_forward_t tiles_forward;

#endif
