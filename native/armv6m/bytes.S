// Loops over bytes that go several words at a time where they can.

#include "asm.h"

// int32_t any_negative(const int8_t *x, int32_t n): 1.1 cycles per byte; 8 where x is not aligned.
FUNCTION any_negative
    push {r4, lr}
    movs r3, #0
    lsls r2, r0, #30
    bne 3f
1:  subs r1, #8
    blo 2f
    ldmia r0!, {r2, r4}
    orrs r3, r2
    orrs r3, r4
    b 1b
2:  adds r1, #8
3:  subs r1, #1
    blo 4f
    ldrb r2, [r0]
    adds r0, #1
    orrs r3, r2
    b 3b
4:  ldr r0, =0x80808080
    ands r0, r3
    beq 5f
    movs r0, #1
5:  pop {r4, pc}

// void clear_bytes(int8_t *to, int32_t n): 0.6 cycles per byte.
FUNCTION clear_bytes
    push {r4, r5, lr}
    movs r2, #0
    movs r3, #0
    movs r4, #0
1:  lsls r5, r0, #30            // 0 at a word
    beq 2f
    subs r1, #1
    blo 5f
    strb r2, [r0]
    adds r0, #1
    b 1b
2:  subs r1, #16
    blo 3f
    stmia r0!, {r2, r3, r4, r5}
    b 2b
3:  adds r1, #16
4:  subs r1, #1
    blo 5f
    strb r2, [r0]
    adds r0, #1
    b 4b
5:  pop {r4, r5, pc}

// void copy_words(void *to, const void *from, int32_t n): 5 cycles per word.
FUNCTION copy_words
    push {r4, lr}
1:  subs r2, #8
    blo 2f
    ldmia r1!, {r3, r4}
    stmia r0!, {r3, r4}
    b 1b
2:  adds r2, #8
    beq 3f
    ldr r3, [r1]
    str r3, [r0]
3:  pop {r4, pc}
