// Packs weights into the words that conv3x3_blocks.S multiplies, which also says why.

#include "asm.h"

// value = |value|. Clobbers r7.
.macro ABSOLUTE value
    asrs r7, \value, #31
    eors \value, r7
    subs \value, \value, r7
.endm

// \largest = max(\largest, r2)
.macro KEEP_LARGER largest
    cmp r2, \largest
    ble .Lnot_larger_\@
    mov \largest, r2
.Lnot_larger_\@:
.endm

// int32_t conv3x3_pack_weights(uint32_t *to, const uint8_t *w, int32_t n, int32_t lanes[2]): the
// weights of n > 0 channels, twelve words per pair: phase 1 of the first, of the second, phase 2
// of the first, of the second. Where n is odd, the first channel is the second of a pair whose first
// is not there: its words are to[3 .. 5] and to[9 .. 11]. lanes[0] and lanes[1] become the largest
// sum of |w| that a lane of one channel and of a pair adds up. Returns the sum of w. 150 cycles per
// channel.
//
//   r0  to                   r8   sum of |w|, rows 0 and 1     r12  channels and gaps done
//   r1  w                    r9   sum of |w|, rows 1 and 2     lr   end of a channel's words
//   r6  sum of w             r10  lanes[0]                     [sp] both sums of the first of a
//   r2 .. r5, r7  temporary  r11  lanes[1]                          pair, else 0; n, even, lanes
FUNCTION conv3x3_pack_weights
    SAVE_REGISTERS
    movs r4, #1
    ands r4, r2
    mov r12, r4
    adds r2, r2, r4
    push {r2, r3}
    movs r3, #12
    muls r4, r3, r4
    adds r0, r0, r4
    movs r3, #0
    movs r4, #0
    movs r6, #0
    mov r10, r3
    mov r11, r3
next_channel:                   // r3, r4: what goes to [sp]
    push {r3, r4}
    movs r2, #0
    mov r8, r2
    mov r9, r2
    mov r2, r0
    adds r2, #12
    mov lr, r2
1:  ldrb r2, [r1, #0]           // a column of the kernel
    ldrb r3, [r1, #3]
    ldrb r4, [r1, #6]
    adds r1, #1
    subs r2, #128
    subs r3, #128
    subs r4, #128
    adds r6, r6, r2
    adds r6, r6, r3
    adds r6, r6, r4
    lsls r7, r3, #16
    adds r5, r7, r4
    str r5, [r0, #24]           // phase 2
    adds r5, r7, r2
    stmia r0!, {r5}             // phase 1
    ABSOLUTE r2
    ABSOLUTE r3
    ABSOLUTE r4
    adds r2, r2, r3
    add r8, r2
    adds r4, r4, r3
    add r9, r4
    cmp r0, lr
    bne 1b
    adds r1, #6
    pop {r3, r4}
    mov r2, r8
    KEEP_LARGER r10
    adds r3, r3, r2
    mov r2, r9
    KEEP_LARGER r10
    adds r4, r4, r2
    mov r2, r3
    KEEP_LARGER r11
    mov r2, r4
    KEEP_LARGER r11
    mov r7, r12
    adds r7, #1
    mov r12, r7
    lsrs r5, r7, #1
    bcs next_channel
    ldr r2, [sp]
    adds r0, #24
    movs r3, #0
    movs r4, #0
    cmp r7, r2
    bne next_channel
    pop {r2, r3}
    mov r4, r10
    mov r5, r11
    stmia r3!, {r4, r5}
    mov r0, r6
    RESTORE_AND_RETURN
