// Depthwise 3x3 convolution, stride 2: two multiply-accumulates per MULS, four outputs of a row at
// a time.
//
// Inputs are bytes, with borders, u = x or, where some are negative, x + 128. The four bytes of a
// word are split into the even and the odd ones, each with 8 zero bits above:
//
//   even = u0 + (u2 << 16)     odd = u1 + (u3 << 16)     and across words   u2 + (u4 << 16)
//
// times the three weights of a row of the kernel is out0 + (out1 << 16) modulo 2^32. Lanes start
// from -64 * sum(w), or -128 * sum(w), of the row, so they hold while the |w| of three taps stay
// below 511, or 258, in sum; depthwise.c leaves filters beyond that to C. 230 cycles per block,
// 6.4 per product.

#include "asm.h"
#include "depthwise_job.h"

// Add the lanes to two sums. Clobbers r4, r5. 6 cycles.
.macro ADD_LANES lanes, low, high
    mov r4, \lanes
    sxth r5, r4
    add \low, r5
    subs r4, r4, r5
    asrs r4, r4, #16
    add \high, r4
.endm

// A row of three taps; r0 inputs, r7 mask, [sp] weights. Clobbers r1 .. r6, r8, r9. 52 cycles.
.macro ROW number
    ldr r4, [sp]
    .if \number
    adds r4, #(16 * \number)
    .endif
    ldmia r4!, {r1, r2, r3, r6}
    mov r8, r6
    mov r9, r6
    ldr r4, [r0, #0]
    lsrs r5, r4, #8
    ands r4, r7
    ands r5, r7
    muls r5, r2, r5
    add r8, r5
    ldr r6, [r0, #4]
    lsrs r5, r6, #8
    ands r5, r7
    ands r6, r7
    muls r5, r2, r5
    add r9, r5
    lsrs r5, r4, #16
    lsls r2, r6, #16
    adds r5, r5, r2
    muls r5, r3, r5
    add r8, r5
    muls r4, r1, r4
    add r8, r4
    ldrb r4, [r0, #8]
    lsls r4, r4, #16
    lsrs r5, r6, #16
    adds r4, r4, r5
    muls r4, r3, r4
    add r9, r4
    muls r6, r1, r6
    add r9, r6
    ADD_LANES r8, r10, r11
    ADD_LANES r9, r12, lr
.endm

// Stores a sum; r1 shift, r2 low, r3 high, r6 address. Clobbers r4. 11 cycles.
.macro STORE_OUTPUT sum, offset
    mov r4, \sum
    asrs r4, r1
    cmp r4, r2
    bge .Lnot_below_\@
    mov r4, r2
.Lnot_below_\@:
    cmp r4, r3
    ble .Lnot_above_\@
    mov r4, r3
.Lnot_above_\@:
    strb r4, [r6, \offset]
.endm

// void depthwise_strided(struct depthwise_job *job): all outputs of a channel. `weights` are those
// of three rows, each followed by what its lanes start from.
//
//   r0  inputs         r8   lanes of outputs 0, 1     r10, r11, r12, lr  sums of the outputs
//   r7  mask           r9   lanes of outputs 2, 3     [sp] weights, bytes of a row of inputs, job
FUNCTION depthwise_strided
    SAVE_REGISTERS
    mov r7, r0
    ldr r1, [r7, #JOB_WEIGHTS]
    ldr r2, [r7, #JOB_PHASE_STEP]
    ldr r0, [r7, #JOB_INPUTS]
    push {r7}
    push {r1, r2}
strided_row:                    // r7 job
    ldr r2, [r7, #JOB_COLUMNS]
    str r2, [r7, #JOB_LEFT]
strided_block:                  // r7 job
    ldr r2, [r7, #JOB_ROUNDING]
    mov r10, r2
    mov r11, r2
    mov r12, r2
    mov lr, r2
    ldr r7, =0x00ff00ff
    ROW 0
    ldr r4, [sp, #4]
    adds r0, r0, r4
    ROW 1
    ldr r4, [sp, #4]
    adds r0, r0, r4
    ROW 2
    ldr r7, [sp, #8]
    ldmia r7!, {r1, r2, r3, r4}
    ldr r6, [r7]
    STORE_OUTPUT r10, #0
    STORE_OUTPUT r11, #1
    STORE_OUTPUT r12, #2
    STORE_OUTPUT lr, #3
    adds r6, #4
    str r6, [r7]
    subs r7, #JOB_Y
    ldr r2, [r7, #JOB_BACK]
    subs r0, r0, r2
    ldr r2, [r7, #JOB_LEFT]
    subs r2, #1
    str r2, [r7, #JOB_LEFT]
    beq 1f
    b strided_block
1:  ldr r2, [r7, #JOB_ROW_STEP]
    adds r0, r0, r2
    ldr r2, [r7, #JOB_ROWS]
    subs r2, #1
    str r2, [r7, #JOB_ROWS]
    beq 1f
    b strided_row
1:  add sp, #12
    RESTORE_AND_RETURN
