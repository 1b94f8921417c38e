// Loops over bytes, see bytes.S; quick where the bytes are aligned to 4.

#ifndef PRIOT_BYTES_H
#define PRIOT_BYTES_H

#include <stdint.h>

// 1 where a byte is negative.
int32_t any_negative(const int8_t *x, int32_t n);

void clear_bytes(int8_t *to, int32_t n);

#endif
