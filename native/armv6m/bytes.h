// Loops over bytes and words, see bytes.S; those over bytes are quick where they are aligned to 4.

#ifndef PRIOT_BYTES_H
#define PRIOT_BYTES_H

#include <stdint.h>

// 1 where a byte is negative.
int32_t any_negative(const int8_t *x, int32_t n);

void clear_bytes(int8_t *to, int32_t n);

// A core's own copy of what it changes in a job, n bytes of whole words. An assignment of structs
// would be a call of memcpy, which a native module has not got.
void copy_words(void *to, const void *from, int32_t n);

#endif
