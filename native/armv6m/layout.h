// What the files of this folder need from each other.

#ifndef PRIOT_ARMV6M_LAYOUT_H
#define PRIOT_ARMV6M_LAYOUT_H

#include <stdint.h>

int32_t conv3x3_forward_words(const int32_t *d);
int32_t conv3x3_backward_words(const int32_t *d);
int32_t conv3x3_update_words(const int32_t *d);
int32_t linear_fast_words(int32_t training, const int32_t *d);
int32_t update_words(const int32_t *d);

#endif
