// Depthwise 3x3 convolution, stride 1; the lane arithmetic is that of conv3x3_blocks.S.
//
// A channel is all that a filter sees: two phases per block of 2x2 outputs, each read out at once.
// So a lane sums up six taps at most, and where their |w| are too large for it, every MULS is read
// out. 143 cycles per block, 4.0 per product; 188 where they are too large.

#include "asm.h"
#include "conv3x3_lanes.h"
#include "depthwise_job.h"

// Stores an accumulator; r1 shift, r3 low, r5 high. Clobbers r2. 11 cycles.
.macro STORE_OUTPUT accumulator, address, offset
    mov r2, \accumulator
    asrs r2, r1
    cmp r2, r3
    bge .Lnot_below_\@
    mov r2, r3
.Lnot_below_\@:
    cmp r2, r5
    ble .Lnot_above_\@
    mov r2, r5
.Lnot_above_\@:
    strb r2, [\address, \offset]
.endm

// void depthwise_blocks(struct depthwise_job *job): all blocks of a channel.
//
//   r0  inputs of the block, walking     r8   upper left    sums, from `rounding`
//   r1  weights, walking                 r9   lower left
//   r2  lane sum, left column            r10  upper right
//   r4  lane sum, right column           r11  lower right
//   r3, r5, r6, r7  temporaries          r12  phase_step
//   [sp]  job                            lr   weights, plus is_exact
FUNCTION depthwise_blocks
    SAVE_REGISTERS
    push {r0}
    mov r7, r0
    ldr r0, [r7, #JOB_PHASE_STEP]
    mov r12, r0
    ldr r0, [r7, #JOB_WEIGHTS]
    ldr r1, [r7, #JOB_EXACT]
    adds r0, r0, r1
    mov lr, r0
    ldr r0, [r7, #JOB_INPUTS]
next_row:                       // r7 job
    movs r2, #1
    str r2, [r7, #JOB_RIGHT]
    ldr r2, [r7, #JOB_ROWS]
    subs r2, #1
    str r2, [r7, #JOB_ROWS]
    bne 1f
    ldr r2, [r7, #(JOB_RIGHT + 8)]
    str r2, [r7, #JOB_LOWER]
1:  ldr r2, [r7, #JOB_COLUMNS]
    subs r2, #1
next_block:                     // r7 job, r2 blocks left behind this one, zero flag
    str r2, [r7, #JOB_LEFT]
    bne 1f
    ldr r2, [r7, #(JOB_RIGHT + 4)]
    str r2, [r7, #JOB_RIGHT]
1:
    ldr r2, [r7, #JOB_ROUNDING]
    mov r8, r2
    mov r9, r2
    mov r10, r2
    mov r11, r2
    mov r1, lr
    lsrs r2, r1, #1
    bcs exactly
    PHASE
    FLUSH r2, r8, r9
    FLUSH r4, r10, r11
    add r0, r12
    adds r1, #12                // conv3x3_pack_weights
    PHASE
    FLUSH r2, r9, r8
    FLUSH r4, r11, r10
store_four:                     // an output that is not there goes where another will lie
    ldr r7, [sp]
    ldmia r7!, {r1, r3, r5, r6}
    ldr r4, [r7]
    ldr r7, [r7, #(JOB_RIGHT - JOB_Y)]
    adds r6, r6, r4
    STORE_OUTPUT r11, r6, r7
    STORE_OUTPUT r9, r6, #0
    STORE_OUTPUT r10, r4, r7
    STORE_OUTPUT r8, r4, #0
    adds r4, #2
    ldr r7, [sp]
    str r4, [r7, #JOB_Y]
    ldr r2, [r7, #JOB_BACK]
    subs r0, r0, r2
    ldr r2, [r7, #JOB_LEFT]
    subs r2, #1
    bmi 1f
    b next_block
1:  ldr r2, [r7, #JOB_ROW_STEP]
    adds r0, r0, r2
    ldr r2, [r7, #JOB_Y_SKIP]
    adds r4, r4, r2
    str r4, [r7, #JOB_Y]
    ldr r2, [r7, #JOB_ROWS]
    cmp r2, #0
    beq 1f
    b next_row
1:  pop {r0}
    RESTORE_AND_RETURN

exactly:
    subs r1, #1
    PHASE_EXACT
    add r0, r12
    SWAP r8, r9                 // the next phase has upper and lower the other way round
    SWAP r10, r11
    adds r1, #12
    PHASE_EXACT
    SWAP r8, r9
    SWAP r10, r11
    b store_four
