// Histogram of bytes, for the k-th largest score.

#include "asm.h"

// Counts byte r5 / 4 of r0. 5 cycles.
.macro COUNT
    ldr r6, [r0, r5]
    adds r6, #1
    str r6, [r0, r5]
.endm

// void count_bytes(int32_t histogram[256], const uint32_t *words, int32_t n): the bytes of n > 0
// words. 8.25 cycles per byte.
//
//   r0  histogram    r2  n           r4  word     r6  count
//   r1  words        r3  mask        r5  4 * byte
FUNCTION count_bytes
    push {r4, r5, r6, lr}
    movs r3, #255
    lsls r3, r3, #2
1:  ldmia r1!, {r4}
    lsls r5, r4, #2
    ands r5, r3
    COUNT
    lsrs r5, r4, #6
    ands r5, r3
    COUNT
    lsrs r5, r4, #14
    ands r5, r3
    COUNT
    lsrs r5, r4, #24
    lsls r5, r5, #2
    COUNT
    subs r2, #1
    bne 1b
    pop {r4, r5, r6, pc}
