// Objects that Python gives as buffers: of exact lengths, access and alignment. Errors are
// ValueError, TypeError where an operand is no buffer or is read-only; the text names the operand
// by its place in the tuple, from 0.

#ifndef PRIOT_OPERANDS_H
#define PRIOT_OPERANDS_H

#include "py/dynruntime.h"

typedef struct {
    void *buf;
    size_t n; // bytes
} operand_t;

// The n objects of a tuple or list.
const mp_obj_t *objects_of(mp_obj_t tuple, size_t n);

// Object i of them as a buffer: of any length; exactly n bytes long; at least so many words.
operand_t buffer_of(const mp_obj_t *objects, int i, mp_uint_t access);
void *exactly(const mp_obj_t *objects, int i, size_t n_bytes, mp_uint_t access);
void *at_least(const mp_obj_t *objects, int i, size_t n_words);

void check(bool good, const char *text);
void check_alignment(const void *buf, size_t size);
void refuse_length(int i, size_t found, size_t expected);

#endif
