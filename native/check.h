// Fetches the operands of a kernel call and checks all that the kernel would use without looking.
//
// Exact lengths, access, alignment (operands.h), and that d describes one consistent geometry: no
// operand makes a kernel leave its buffers.

#ifndef PRIOT_CHECK_H
#define PRIOT_CHECK_H

#include "operands.h"

enum { MAX_OPERANDS = 9, MAX_ARGUMENTS = MAX_OPERANDS + 1 };

// What the letters of a form (device/priot/kinds.py) stand for: native/tables.py writes these.
enum {
    // how long an operand is
    INPUT = 1,
    OUTPUT,
    WINNERS,
    ROWS_OF_W, // ROWS rows of weights
    EVERY_W, // the whole layer
    EVERY_W_OR_NONE,
    SELECT,
    BIASES,
    HISTOGRAM,
    SCRATCH, // at least so many words as scratch_words says; + 1, + 2: in training
    // of these the kernel is told the length, too
    SCORES = SCRATCH + 3, // any number where some edges have none
    ANY,
    LENGTHS = 15, // bits of the above
    // whether it is written to
    WRITTEN = 16,
    WRITTEN_BY_RULE = 32, // where RULE is WEIGHTS or WIDE
    // the last of a form
    DESCRIPTOR = 64,
    NUMBER = 65, // beside the tuple
};

typedef int32_t words_t(int32_t kind, int32_t training, const int32_t *d);

// What a call found out, for later calls with the same objects: those check nothing.
typedef struct {
    uintptr_t seal; // tells whose memo it is
    uintptr_t kernel;
    uintptr_t arguments[MAX_ARGUMENTS];
} memo_t;

// The objects of a tuple or list, one for each of `form`, which ends with DESCRIPTOR, NUMBER or
// 0. Without a NUMBER one more may follow, a buffer of sizeof(memo_t) bytes: `memo` is set to
// that, else left as it is.
const mp_obj_t *objects_and_memo(mp_obj_t tuple, const uint8_t *form, memo_t **memo);

// Fetches the operands that these objects are. `arguments` get their addresses in the order of
// the C kernels, 0 for empty ones, and the length of scores and values after their address. d is
// checked to describe a layer of that kind, unless that is 0. scratch_words: the module's. Returns
// d, NULL without one.
const int32_t *fetch(uintptr_t *arguments, const mp_obj_t *objects, mp_obj_t number,
    const uint8_t *form, int32_t kind, words_t *scratch_words);

// Object i of a tuple's as a descriptor for a layer of that kind; 0: its fields are not checked.
const int32_t *descriptor(const mp_obj_t *objects, int i, int32_t kind);

#endif
