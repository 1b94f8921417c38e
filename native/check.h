// Checks between MicroPython objects and kernels: operands, buffers, the layer descriptor.
//
// Everything that a kernel would use without looking is checked here, on every call: exact
// lengths, access, alignment, and that d describes one consistent geometry, so that no operand
// makes a kernel leave its buffers. Errors are ValueError, TypeError where an operand is no
// buffer or is read-only; the text names the operand by its place in the tuple, from 0.

#ifndef PRIOT_CHECK_H
#define PRIOT_CHECK_H

#include "py/dynruntime.h"

// Elements of the largest tensor; products are compared with it before they are used. A
// position in a plane times 256 fits int32 (list_errors).
enum { MAX_ELEMENTS = 1 << 23 };

// The operands of a kernel call, exactly n of them in a tuple or list.
const mp_obj_t *operands_of(mp_obj_t tuple, size_t n);

// Operand i as memory of exactly n_bytes, of at least n_words aligned words (writable, for
// scratch), or of any length, which goes into *n_bytes.
void *readable(const mp_obj_t *operands, int i, size_t n_bytes);
void *writable(const mp_obj_t *operands, int i, size_t n_bytes);
void *words_at_least(const mp_obj_t *operands, int i, size_t n_words);
void *any_length(const mp_obj_t *operands, int i, size_t *n_bytes, mp_uint_t access);

void check_length(int i, size_t n_bytes, size_t expected);
void check_alignment(int i, const void *buf, size_t size);
void check(bool good, const char *text);

// Operand i as a layer descriptor, of whose fields only those below are checked.
const int32_t *descriptor(const mp_obj_t *operands, int i);
void check_conv2d(const int32_t *d);
void check_pool(const int32_t *d);
void check_linear(const int32_t *d);
void check_edges(const int32_t *d); // N_OUT and N_ROW alone
void check_rows(const int32_t *d);
void check_shift(int32_t shift);

// lengths in bytes, for a checked descriptor
size_t input_bytes(const int32_t *d);
size_t output_bytes(const int32_t *d);
size_t argmax_bytes(const int32_t *d);
size_t select_bytes(const int32_t *d);

#endif
