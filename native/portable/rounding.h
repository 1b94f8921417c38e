// Rounding and clamping shared by all kernels; see device/DESIGN.md, Kernels.

#ifndef PRIOT_ROUNDING_H
#define PRIOT_ROUNDING_H

#include "kernels.h"

// Signed >> is arithmetic with gcc and clang; C99 leaves it to the compiler.
static inline int32_t round_half_up(int32_t x, int32_t shift) {
    return shift == 0 ? x : ((x >> (shift - 1)) + 1) >> 1; // x + (1 << (shift - 1)) may overflow
}

// NITI's pseudo-stochastic rounding: the low half of the discarded bits is the dice.
static inline int32_t round_pseudo_stochastic(int32_t x, int32_t shift) {
    uint32_t magnitude = x < 0 ? -(uint32_t)x : (uint32_t)x;
    int32_t half = shift >> 1;
    uint32_t discarded = magnitude & ((1u << shift) - 1);
    uint32_t low = (discarded & ((1u << half) - 1)) << (shift & 1);
    uint32_t quotient = (magnitude >> shift) + ((discarded >> half) > low);
    return x < 0 ? -(int32_t)quotient : (int32_t)quotient;
}

static inline int32_t clamp(int32_t x, int32_t low, int32_t high) {
    return x < low ? low : x > high ? high : x;
}

// What a gradient that another stage has left adds to a sum: shifted left by add - 64 (ADD_DX).
static inline int32_t earlier(int32_t x, int32_t add) {
    return add >= 64 ? (int32_t)((uint32_t)x << (add - 64)) : round_half_up(x, 64 - add);
}

static inline int32_t absolute(int32_t x) {
    return x < 0 ? -x : x;
}

// A gradient that no shift follows: that of input x, by MASK_DX and ADD_DX or their twins.
static inline void put_gradient(int8_t *dx, int32_t g, int32_t x, int32_t mask, int32_t add) {
    if (add != 0) {
        g += earlier(*dx, add);
    }
    *dx = mask != 0 && (x <= 0 || x >= mask) ? 0 : clamp(g, -127, 127);
}

static inline int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

static inline int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

#endif
