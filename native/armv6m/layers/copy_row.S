// Copies rows of images into images with borders.

#include "asm.h"

// void copy_row(int8_t *to, const int8_t *x, int32_t n, uint32_t flip): n > 0 bytes, each
// EXOR that of flip. 2 cycles per byte where both lie at words, else 8.
FUNCTION copy_row
    push {r4, r5, lr}
    mov r4, r0
    orrs r4, r1
    lsls r4, r4, #30
    bne 3f
1:  subs r2, #8
    blo 2f
    ldmia r1!, {r4, r5}
    eors r4, r3
    eors r5, r3
    stmia r0!, {r4, r5}
    b 1b
2:  adds r2, #8
3:  subs r2, #1
    blo 4f
    ldrb r4, [r1]
    adds r1, #1
    eors r4, r3
    strb r4, [r0]
    adds r0, #1
    b 3b
4:  pop {r4, r5, pc}
