// Fetches the operands of a kernel call and checks all that the kernel would use without looking.
//
// Exact lengths, access, alignment, and that d describes one consistent geometry: no operand
// makes a kernel leave its buffers. Errors are ValueError, TypeError where an operand is no
// buffer or is read-only; the text names the operand by its place in the tuple, from 0.

#ifndef PRIOT_CHECK_H
#define PRIOT_CHECK_H

#include "py/dynruntime.h"

enum { MAX_OPERANDS = 9, MAX_ARGUMENTS = MAX_OPERANDS + 1 };

typedef struct {
    void *buf;
    size_t n; // bytes
} operand_t;

// Fetches the operands of a tuple or list, one per letter of `form`. `arguments` get their
// addresses in the order of the C kernels, 0 for empty ones, and the length of scores and values
// after their address. Capitals are written to.
//   x X  image or features of the input       y Y  of the output
//   A a  argmax                               r R  ROWS rows of weights
//   w    weights of the whole layer           W    written to where RULE is WEIGHTS
//   s S  scores, of any length where SELECTION leaves some edges without
//   E    effective weights of the whole layer, or empty
//   b    select                               v V  values, of any length
//   0 1 2  scratch as scratch_words asks for with training = 0, 1 or 2; 3: for a histogram
//   d    the descriptor of a layer of that kind, the last if at all; kind 0: not checked
// Returns the descriptor, NULL without one.
const int32_t *fetch(uintptr_t *arguments, mp_obj_t tuple, const char *form, int32_t kind);

// The n objects of a tuple or list.
const mp_obj_t *objects_of(mp_obj_t tuple, size_t n);

// Object i of them as a buffer: of any length; exactly n bytes long; at least so many words.
operand_t buffer_of(const mp_obj_t *objects, int i, mp_uint_t access);
void *exactly(const mp_obj_t *objects, int i, size_t n_bytes, mp_uint_t access);
void *at_least(const mp_obj_t *objects, int i, size_t n_words);

// Object i of them as a descriptor for a layer of that kind; 0: its fields are not checked.
const int32_t *descriptor(const mp_obj_t *objects, int i, int32_t kind);

void check(bool good, const char *text);

#endif
