// Chooses between the portable kernel and the fast one that plan() picked, for module.c alone.
//
// PRIOT_FAST is defined by the Makefile where a folder with fast kernels for the architecture
// exists (armv6m/); how such a folder plugs in stands at the top of plan.c.

#ifndef PRIOT_DISPATCH_H
#define PRIOT_DISPATCH_H

#include "kernels.h"

#ifdef PRIOT_FAST
#include "fast.h"
#endif

#ifndef FAST_CONV2D_FORWARD
#define fast_conv2d_forward conv2d_forward
#endif
#ifndef FAST_LINEAR_FORWARD
#define fast_linear_forward linear_forward
#endif
#ifndef FAST_CONV2D_BACKWARD_INPUT
#define fast_conv2d_backward_input conv2d_backward_input
#endif
#ifndef FAST_LINEAR_BACKWARD_INPUT
#define fast_linear_backward_input linear_backward_input
#endif
#ifndef FAST_CONV2D_UPDATE
#define fast_conv2d_update conv2d_update
#endif
#ifndef FAST_LINEAR_UPDATE
#define fast_linear_update linear_update
#endif
#ifndef FAST_KTH_LARGEST
#define fast_kth_largest kth_largest
#endif
#ifndef FAST_COUNT_BELOW
#define fast_count_below count_below
#endif

#endif
