// Packs inputs and weights into the words that conv3x3_blocks.S multiplies, which also says why.

#include "asm.h"

// void conv3x3_pack_rows(uint32_t *upper, uint32_t *lower, const int8_t *a_end,
//     const int8_t *b_end, int32_t minus_n, uint32_t zero): n > 0 columns of the rows
// that end at a_end and b_end; `zero` is the word of two zeros, -64 each. 17 cycles per column.
//
//   r0  upper: b + (a << 16)    r4  value of a        r6  index of the column, -n .. -1
//   r1  lower: a + (b << 16)    r5  value of b        r7  temporary
//   r2  a_end, r3  b_end                              r8  zero
FUNCTION conv3x3_pack_rows
    push {r4, r5, r6, r7, lr}
    mov r4, r8
    push {r4}
    ldr r6, [sp, #24]
    ldr r7, [sp, #28]
    mov r8, r7
1:  ldrsb r4, [r2, r6]
    ldrsb r5, [r3, r6]
    lsls r7, r4, #16
    adds r7, r7, r5
    add r7, r8
    stmia r0!, {r7}
    lsls r5, r5, #16
    adds r5, r5, r4
    add r5, r8
    stmia r1!, {r5}
    adds r6, #1
    bne 1b
    pop {r4}
    mov r8, r4
    pop {r4, r5, r6, r7, pc}

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

// r6 = 0 where the next two columns are all zeros; r4 zero. Clobbers r5. 15 cycles.
.macro LOOK_AT_TWO_COLUMNS
    ldmia r1!, {r5, r6}
    eors r5, r4
    eors r6, r4
    orrs r6, r5
    ldr r5, [r2]
    eors r5, r4
    orrs r6, r5
    ldr r5, [r2, #4]
    eors r5, r4
    orrs r6, r5
    adds r2, #8
.endm

// uint32_t *conv3x3_list_row(uint32_t *list, const uint32_t *upper, const uint32_t *lower,
//     int32_t columns, uint32_t zero, uint32_t output, uint32_t step): blocks of a row of blocks
// of one channel that see anything but zeros: address of their inputs, index of their output.
// Returns the end of the list. 28 cycles per block.
//
//   r0  list                    r4  zero             r8  the two columns before
//   r1  inputs of phase 1       r5, r6  temporaries  r9  step
//   r2  inputs of phase 2       r7  output
//   r3  columns
FUNCTION conv3x3_list_row
    push {r4, r5, r6, r7, lr}
    mov r4, r8
    mov r5, r9
    push {r4, r5}
    ldr r4, [sp, #28]
    ldr r7, [sp, #32]
    ldr r5, [sp, #36]
    mov r9, r5
    LOOK_AT_TWO_COLUMNS
    mov r8, r6
1:  LOOK_AT_TWO_COLUMNS
    mov r5, r8
    mov r8, r6
    orrs r6, r5
    beq 2f
    mov r5, r1
    subs r5, #16
    stmia r0!, {r5, r7}
2:  add r7, r9
    subs r3, #1
    bne 1b
    pop {r4, r5}
    mov r8, r4
    mov r9, r5
    pop {r4, r5, r6, r7, pc}

// void conv3x3_pack_winners(uint8_t *argmax, const uint32_t *winners, int32_t n): n > 0 bytes of
// two bits per winner from words of a byte per winner. 12 cycles each.
FUNCTION conv3x3_pack_winners
    push {r4, lr}
1:  ldmia r1!, {r3}
    lsrs r4, r3, #6
    orrs r3, r4
    lsrs r4, r3, #12
    orrs r3, r4
    strb r3, [r0]
    adds r0, #1
    subs r2, #1
    bne 1b
    pop {r4, pc}
