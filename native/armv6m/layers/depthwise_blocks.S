// Depthwise 3x3 convolution, stride 1; the lane arithmetic is that of conv3x3_blocks.S.
//
// A channel is all that a filter sees: two phases per block of 2x2 outputs, added up once both are
// read out, as in conv3x3_one.S. So a lane sums up six taps at most, and where their |w| are too
// large for it, every MULS is read out. An odd last column is half a block.
//
// 126 cycles per block, 3.5 per product, 80 per half; 195 where weights are too large.

#include "asm.h"
#include "conv3x3_lanes.h"
#include "depthwise_job.h"

// on the stack
.set FRAME_LOW, 0       // two words, loaded together
.set FRAME_SHIFT, 4
.set FRAME_Y, 8         // of the next block
.set FRAME_LOWER, 12    // bytes to the output below; 0 where the last row has none below
.set FRAME_Y_END, 16    // of the whole blocks of this row
.set FRAME_JOB, 20
.set FRAME_SIZE, 24

// \upper, \lower = sums of an output column: of the lanes of phase 2 in \lower, of phase 1 in
// \first, a high register. Clobbers r5, r6. 9 cycles.
.macro ADD_PHASES upper, lower, first
    SPLIT \lower, \upper
    mov r5, \first
    SPLIT r5, r6
    adds \upper, \upper, r5
    adds \lower, \lower, r6
.endm

// Round and clamp a sum; r1 low, r5 shift, r10 rounding, r11 high. What few are goes to ABOVE with
// the same number. 7 cycles.
.macro FINISH sum, number
    add \sum, r10
    asrs \sum, r5
    cmp \sum, r1
    bge .Lnot_below_\@
    mov \sum, r1
.Lnot_below_\@:
    cmp \sum, r11
    bgt .Labove_\number
.Lfinished_\number:
.endm

// A sum that is too large.
.macro ABOVE sum, number
.Labove_\number:
    mov \sum, r11
    b .Lfinished_\number
.endm

// The only column of a phase: r2 its lane sum. Clobbers r3 .. r7. 14 cycles.
.macro HALF_PHASE
    ldmia r1!, {r4, r5, r6}
    ldmia r0!, {r2, r3, r7}
    muls r2, r4, r2
    muls r3, r5, r3
    adds r2, r2, r3
    muls r7, r6, r7
    adds r2, r2, r7
.endm

// void depthwise_blocks(struct depthwise_job *job): all blocks of a channel.
//
//   r0  inputs of the block, walking     r8, r9  lane sums of phase 1
//   r1  weights, walking                 r10  rounding
//   r2  left column: lanes, lower sum    r11  high
//   r3  left column: upper sum           r12  phase_step
//   r4, r7  right column                 lr   weights, plus is_exact
//   r5, r6  temporaries
FUNCTION depthwise_blocks
    SAVE_REGISTERS
    sub sp, #FRAME_SIZE
    str r0, [sp, #FRAME_JOB]
    mov r7, r0
    ldmia r7!, {r1, r2, r3, r4, r5, r6} // shift, low, high, lower, y, rounding
    mov r11, r3
    mov r10, r6
    mov r0, r2
    mov r2, r5
    mov r3, r4
    mov r6, sp
    stmia r6!, {r0, r1, r2, r3}
    subs r7, #JOB_BACK
    ldr r0, [r7, #JOB_PHASE_STEP]
    mov r12, r0
    ldr r0, [r7, #JOB_WEIGHTS]
    ldr r1, [r7, #JOB_EXACT]
    adds r0, r0, r1
    mov lr, r0
    ldr r0, [r7, #JOB_INPUTS]
    b next_row

go_exactly:
    b exactly

next_row:                       // r7 job
    ldr r2, [r7, #JOB_ROWS]
    subs r2, #1
    str r2, [r7, #JOB_ROWS]
    bne 1f
    ldr r2, [r7, #JOB_LAST_LOWER]
    str r2, [sp, #FRAME_LOWER]
1:  ldr r6, [sp, #FRAME_Y]
    ldr r2, [r7, #JOB_COLUMNS]
    lsls r2, r2, #1
    adds r2, r2, r6
    str r2, [sp, #FRAME_Y_END]
    cmp r2, r6
    beq row_done
next_block:
    mov r1, lr
    lsrs r2, r1, #1
    bcs go_exactly
    PHASE
    mov r8, r2
    mov r9, r4
    add r0, r12
    adds r1, #12                // conv3x3_pack_weights
    PHASE
    ADD_PHASES r3, r2, r8
    ADD_PHASES r7, r4, r9
finish_four:                    // the sums in r3, r7, r2, r4
    add r5, sp, #FRAME_LOW
    ldmia r5, {r1, r5}
    FINISH r3, 1
    FINISH r7, 2
    FINISH r2, 3
    FINISH r4, 4
    ldr r6, [sp, #FRAME_Y]
    ldr r5, [sp, #FRAME_LOWER]
    strb r2, [r6, r5]           // one that is not there goes where another will lie
    adds r5, #1
    strb r4, [r6, r5]
    strb r3, [r6, #0]
    strb r7, [r6, #1]
    adds r6, #2
    str r6, [sp, #FRAME_Y]
    mov r5, r12
    subs r0, r0, r5
    subs r0, #24
    ldr r5, [sp, #FRAME_Y_END]
    cmp r6, r5
    beq row_done
    b next_block
    ABOVE r3, 1
    ABOVE r7, 2
    ABOVE r2, 3
    ABOVE r4, 4

row_done:                       // of the whole blocks
    ldr r7, [sp, #FRAME_JOB]
    ldr r2, [r7, #JOB_ODD]
    cmp r2, #0
    beq end_row
    mov r1, lr
    lsrs r2, r1, #1
    bcs exactly
    HALF_PHASE
    mov r8, r2
    add r0, r12
    adds r0, #4
    adds r1, #12
    HALF_PHASE
    ADD_PHASES r3, r2, r8
    mov r5, r12
    subs r0, r0, r5
    subs r0, #28
finish_two:                     // the sums in r3, r2
    add r5, sp, #FRAME_LOW
    ldmia r5, {r1, r5}
    FINISH r3, 5
    FINISH r2, 6
    ldr r6, [sp, #FRAME_Y]
    ldr r5, [sp, #FRAME_LOWER]
    strb r2, [r6, r5]
    strb r3, [r6, #0]
    adds r6, #1
    str r6, [sp, #FRAME_Y]
    ldr r7, [sp, #FRAME_JOB]
end_row:                        // r7 job
    ldr r2, [r7, #JOB_ROW_STEP]
    adds r0, r0, r2
    ldr r2, [r7, #JOB_LOWER]
    ldr r6, [sp, #FRAME_Y]
    adds r6, r6, r2
    str r6, [sp, #FRAME_Y]
    ldr r2, [r7, #JOB_ROWS]
    cmp r2, #0
    beq 1f
    b next_row
    ABOVE r3, 5
    ABOVE r2, 6
1:  add sp, #FRAME_SIZE
    RESTORE_AND_RETURN

exactly:                        // r1 weights + 1; a half block, too, is done as a whole one
    subs r1, #1
    mov r2, r10
    mov r3, r11
    push {r2, r3}
    movs r2, #0
    mov r8, r2
    mov r9, r2
    mov r10, r2
    mov r11, r2
    PHASE_EXACT
    add r0, r12
    adds r1, #12
    SWAP r8, r9                 // the next phase has upper and lower the other way round
    SWAP r10, r11
    PHASE_EXACT
    mov r3, r9
    mov r2, r8
    mov r7, r11
    mov r4, r10
    pop {r5, r6}
    mov r10, r5
    mov r11, r6
    ldr r6, [sp, #FRAME_Y]
    ldr r5, [sp, #FRAME_Y_END]
    cmp r6, r5
    beq 1f
    b finish_four
1:  mov r5, r12
    subs r0, r0, r5
    subs r0, #32
    b finish_two

// void depthwise_pack(const struct depthwise_pack *job): a channel for depthwise_blocks. 17 cycles per
// column and pair of rows, 28 per pair.
//
//   r0  lower: a + (b << 16)    r4  value of a, r5 of b    r8  zero     r11  step
//   r1  upper: b + (a << 16)    r6  column, -n .. -1       r9  first    r12  w_in
//   r2  a, r3  b                r7  temporary              r10  size    lr   zeros
//   [sp] a, left, minus_n
FUNCTION depthwise_pack
    SAVE_REGISTERS
    ldmia r0!, {r1, r2, r3, r4, r5}
    push {r1, r2}
    push {r3, r4, r5}
    ldmia r0!, {r1, r2, r3, r4, r5, r6}
    mov r8, r1
    mov r9, r2
    mov r10, r3
    mov r11, r4
    mov r12, r5
    mov lr, r6
    ldr r0, [sp, #12]
    ldr r1, [sp, #16]
next_pair:
    ldr r2, [sp]
    mov r3, r2
    add r3, r12
    mov r4, r3
    add r4, r12
    str r4, [sp]
    mov r5, r9
    subs r4, r2, r5
    cmp r4, r10
    blo 1f
    mov r2, lr
1:  subs r4, r3, r5
    cmp r4, r10
    blo 1f
    mov r3, lr
1:  ldr r6, [sp, #8]
1:  ldrsb r4, [r2, r6]
    ldrsb r5, [r3, r6]
    lsls r7, r4, #16
    adds r7, r7, r5
    add r7, r8
    stmia r1!, {r7}
    lsls r5, r5, #16
    adds r5, r5, r4
    add r5, r8
    stmia r0!, {r5}
    adds r6, #1
    bne 1b
    add r0, r11
    add r1, r11
    ldr r2, [sp, #4]
    subs r2, #1
    str r2, [sp, #4]
    bne next_pair
    add sp, #20
    RESTORE_AND_RETURN
