// Linear layer forward: two multiply-accumulates per MULS, two rows share every load of x.
//
// Weights stay bytes b = w + 128, 1..255. Of the word of four weights of a row and the words of
// the four inputs x0 .. x3 that linear.c has packed:
//
//   even = b0 + (b2 << 16)     X = x2 + (x0 << 16)     even * X = (b0*x0 + b2*x2) << 16 + b0*x2
//   odd  = b1 + (b3 << 16)     X = x3 + (x1 << 16)     likewise
//
// modulo 2^32. The high half is exact for x in 0..127: 2 * 255 * 127 = 64770 < 65536, and the
// low half, at most 32385, does not reach it. 128 * sum(x) is taken off once per row, by
// `rounding`. 3.3 cycles per product, 40 more per row.

#include "asm.h"

// struct linear_rows_job (linear.h)
.set JOB_SHIFT, 0       // four words, loaded together: shift, low, rounding, y
.set JOB_Y, 12
.set JOB_ROWS, 16
.set JOB_X, 20
.set JOB_X_END, 24
.set JOB_W, 28
.set JOB_N_IN, 32

.set QUAD_BYTES, 42     // of code

// Four products of a row; r3, r4: packed inputs, r7: mask. Clobbers r5, r6. 11 cycles.
.macro FOUR_PRODUCTS w, sum
    ldmia \w!, {r5}
    lsrs r6, r5, #8
    ands r6, r7
    ands r5, r7
    muls r6, r4, r6
    muls r5, r3, r5
    lsrs r6, r6, #16
    lsrs r5, r5, #16
    adds r5, r5, r6
    add \sum, r5
.endm

// Round, clamp and store a sum: r3 shift, r4 low, r5 rounding, r6 address. Clobbers r2.
.macro STORE_ROW sum
    mov r2, \sum
    adds r2, r2, r5
    asrs r2, r3
    CLAMP r2, r4
    strb r2, [r6]
    adds r6, #1
.endm

// void linear_rows(struct linear_rows_job *job): y of `rows` rows, n_in a multiple of 4.
//
//   r0  weights of the first row     r8   sum of the first row      r11  entry into the loop
//   r1  weights of the second        r9   sum of the second         r12  packed inputs
//   r2  packed inputs, walking       r10  end of packed inputs      lr   n_in
//   r3, r4  packed inputs            r5, r6  temporaries            r7   mask 0x00ff00ff
FUNCTION linear_rows
    SAVE_REGISTERS
    push {r0}
    mov r7, r0
    ldr r1, [r7, #JOB_W]        // the row behind the last pair of rows
    ldr r2, [r7, #JOB_N_IN]
    mov lr, r2
    ldr r3, [r7, #JOB_X_END]
    mov r10, r3
    ldr r3, [r7, #JOB_X]
    mov r12, r3
    adr r4, two_quads
    lsrs r3, r2, #3             // an odd number of quads: the first round is half
    bcc 1f
    adds r4, #QUAD_BYTES
1:  mov r11, r4
next_rows:
    mov r0, r1
    ldr r2, [sp]
    ldr r3, [r2, #JOB_ROWS]
    cmp r3, #1
    beq 1f                      // a last row alone: twice the same
    add r1, lr
1:  movs r3, #0
    mov r8, r3
    mov r9, r3
    mov r2, r12
    ldr r7, =0x00ff00ff
    mov pc, r11
.align 2
two_quads:
    .rept 2
    ldmia r2!, {r3, r4}
    FOUR_PRODUCTS r0, r8
    FOUR_PRODUCTS r1, r9
    .endr
    cmp r2, r10
    bne two_quads
    ldr r7, [sp]
    ldmia r7!, {r3, r4, r5, r6}
    STORE_ROW r8
    ldr r2, [r7]                // rows
    subs r2, #1
    beq 1f
    STORE_ROW r9
    ldr r2, [r7]
    subs r2, #2
    str r2, [r7]
    subs r7, #4
    str r6, [r7]
    cmp r2, #0
    beq 1f
    b next_rows
1:  pop {r0}
    RESTORE_AND_RETURN
