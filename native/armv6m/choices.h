// The table of a folder's fast kernels, which its plan.c chooses from.

#ifndef PRIOT_ARMV6M_CHOICES_H
#define PRIOT_ARMV6M_CHOICES_H

#include "dispatch.h"

#ifdef PRIOT_PLAN_ONLY // another processor wants to know what this one would do
#define KERNEL(name) NULL
#else
#define KERNEL(name) (planned_t)name // of fast.h
#endif

// Of a kind and a slot the first whose kernel takes the layer is planned.
typedef struct {
    uint8_t kind;
    uint8_t slot;
    uint8_t name; // forward
    int32_t (*words)(const int32_t *d); // see limited
    planned_t kernel;
} choice_t;

enum {
    MOST_WORDS = 16384, // a kernel with more scratch (64 kB) leaves the layer to priot_portable
    MOST_WORDS_LOW = 4096, // the same with LOW_MEMORY
    MOST_POSITIONS = 786, // whose errors dW adds up: 786 * 127 * 127 * 127 + 2^29 fits int32
    MOST_TERMS = 32768, // of a sum: 32768 * 127 * 127 + 2^30 + 2^29 fits int32
};

#endif
