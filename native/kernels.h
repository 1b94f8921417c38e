// The contract of the C kernels.
//
// tables.h, which native/tables.py makes of device/priot, has the fields of a layer descriptor
// and a type and a prototype for every kernel that has a form (device/priot/kinds.py); here are
// those that have none. What each kernel computes is defined in device/DESIGN.md ("Kernels"); the
// numpy oracle host_tools/priot/oracle/kernels.py is its executable form. The kernels use nothing
// but their arguments: no allocation, no statics, no division, no 64-bit arithmetic. Lengths and
// the geometry in d are checked by check.c before a kernel runs; scratch holds at least
// scratch_words() words and is aligned to 4 bytes, as is select. weff is NULL where the caller
// passed an empty one.

#ifndef PRIOT_KERNELS_H
#define PRIOT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "tables.h"

// loss.c
int32_t cross_entropy(int8_t *g, const int8_t *z, int32_t *scratch, const int32_t *d,
    int32_t label);

// random.c
int32_t init_scores(uint8_t *scores, int32_t n, uint32_t *state);
int32_t shuffle(uint16_t *order, int32_t n, uint32_t *state);

// plan.c: see dispatch.h
int32_t scratch_words(int32_t kind, int32_t training, const int32_t *d);
int32_t plan(int32_t kind, int32_t *d);
const char *plan_name(int32_t number);

#endif
