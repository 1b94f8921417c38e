// Packs inputs into the words that conv3x3_blocks.S multiplies, which also says why, and winners.

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
