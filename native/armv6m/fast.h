// The fast kernels of this folder; what each does stands in ../kernels.h, the rest in
// ../dispatch.h. Weights of linear layers are aligned to 4.

#ifndef PRIOT_FAST_H
#define PRIOT_FAST_H

#include "kernels.h"

int32_t fast_conv2d_forward(int8_t *y, uint8_t *argmax, const int8_t *x, const uint8_t *w,
    int32_t *scratch, const int32_t *d);

int32_t fast_linear_forward(int8_t *y, const int8_t *x, const uint8_t *w, int32_t *scratch,
    const int32_t *d);

int32_t fast_linear_backward_input(int8_t *dx, const int8_t *g, const int8_t *x,
    const uint8_t *w, int32_t *scratch, const int32_t *d);

int32_t fast_conv2d_backward_input(int8_t *dx, const int8_t *g, const uint8_t *argmax,
    const int8_t *x, const uint8_t *w, int32_t *scratch, const int32_t *d);

int32_t fast_conv2d_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const uint8_t *argmax, const int8_t *x, const uint8_t *w, const uint32_t *select,
    int32_t *scratch, const int32_t *d);

int32_t fast_linear_update(uint8_t *scores, int32_t n_scores, uint8_t *weff, const int8_t *g,
    const int8_t *x, const uint8_t *w, const uint32_t *select, int32_t *scratch,
    const int32_t *d);

int32_t fast_kth_largest(const uint8_t *scores, int32_t n, int32_t *scratch, const int32_t *d);

int32_t fast_plan(int32_t kind, int32_t *d);
int32_t fast_is_planned(int32_t kind, int32_t slot, const int32_t *d);
const char *fast_plan_name(int32_t number);
int32_t fast_scratch_words(int32_t kind, int32_t training, const int32_t *d);

#endif
