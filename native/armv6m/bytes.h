// Loops over bytes that go a word at a time where they can.

#ifndef PRIOT_BYTES_H
#define PRIOT_BYTES_H

#include <stdint.h>

// 1 where a byte is negative. 1 cycle per byte.
int32_t any_negative(const int8_t *x, int32_t n);

// 0.6 cycles per byte.
void clear_bytes(int8_t *to, int32_t n);

#endif
