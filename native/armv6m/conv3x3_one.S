// 3x3 convolution of a single input channel; the lane arithmetic is that of conv3x3_blocks.S.
//
// With one channel a block is only two phases, so its lane sums stay in registers and the lanes
// of both phases are added at the end. Images are often black at the borders: conv3x3.c lists
// the blocks that see anything but zeros, once for all filters, and fills in the others' zeros.
// Six taps of sum(|w|) <= 511 as for "singles".
//
// 106 cycles per listed block, 2.9 per product where every block is listed.

#include "asm.h"
#include "conv3x3_lanes.h"

// struct conv3x3_job (conv3x3.h)
.set JOB_SHIFT, 0       // three words, loaded together: shift, low, to_winner
.set JOB_Y, 12
.set JOB_WEIGHTS, 16
.set JOB_ROUNDING, 20
.set JOB_POOL, 64
.set JOB_LIST, 68
.set JOB_LIST_END, 72
.set JOB_STEP, 52

// Round, clamp and store a sum; r0 shift, r1 low, r2 rounding, r6 address. 10 cycles.
.macro STORE_SUM sum, offset
    adds \sum, \sum, r2
    asrs \sum, r0
    CLAMP \sum, r1
    strb \sum, [r6, \offset]
.endm

// void conv3x3_one_blocks(struct conv3x3_one_job *job): the listed blocks of one filter.
//
//   r0  inputs of the block, walking     r8   phase 1, left column
//   r1  weights, walking                 r9   phase 1, right column
//   r2  lane sum, left column            r10  bytes from the end of four columns to phase 2
//   r4  lane sum, right column           r11  outputs of the filter
//   r3, r5, r6, r7  temporaries          r12  index of the block's output
//   [sp]  job                            lr   list: address of inputs, index of output
FUNCTION conv3x3_one_blocks
    SAVE_REGISTERS
    push {r0}
    ldr r1, [r0, #JOB_WEIGHTS]
    ldr r2, [r0, #JOB_STEP]
    mov r10, r2
    ldr r2, [r0, #JOB_Y]
    mov r11, r2
    ldr r2, [r0, #JOB_LIST]
    mov lr, r2
next_listed:
    mov r3, lr
    ldmia r3!, {r0, r7}
    mov lr, r3
    mov r12, r7
    PHASE
    mov r8, r2
    mov r9, r4
    add r0, r10
    adds r1, #12                // the other of a pair is not there
    PHASE
    subs r1, #36
    SPLIT r2, r3                // phase 2, left: r3 upper, r2 lower
    mov r5, r8
    SPLIT r5, r6                // phase 1, left: r5 upper, r6 lower
    adds r3, r3, r5             // upper left
    adds r2, r2, r6             // lower left
    SPLIT r4, r7
    mov r5, r9
    SPLIT r5, r6
    adds r7, r7, r5             // upper right
    adds r4, r4, r6             // lower right
    ldr r6, [sp]
    ldr r5, [r6, #JOB_POOL]
    cmp r5, #0
    beq store_sums
    MAXIMUM r3, r7, r2, r4, r5
    ldr r4, [r6, #JOB_ROUNDING]
    ldmia r6!, {r0, r2, r7}     // shift, low, to_winner
    adds r3, r3, r4
    asrs r3, r0
    CLAMP r3, r2
    mov r4, r11
    add r4, r12
    strb r3, [r4]
    strb r5, [r4, r7]
end_listed:                     // r6 behind to_winner
    ldr r7, [r6, #(JOB_LIST_END - JOB_Y)]
    cmp lr, r7
    bne next_listed
    pop {r0}
    RESTORE_AND_RETURN

store_sums:                     // without pooling: to_winner is the width of the output
    mov r9, r2                  // lower left
    mov r8, r4                  // lower right
    ldr r2, [r6, #JOB_ROUNDING]
    ldmia r6!, {r0, r1, r5}
    mov r6, r11
    add r6, r12
    STORE_SUM r3, #0
    STORE_SUM r7, #1
    adds r6, r6, r5
    mov r3, r9
    STORE_SUM r3, #0
    mov r3, r8
    STORE_SUM r3, #1
    ldr r6, [sp]
    ldr r1, [r6, #JOB_WEIGHTS]
    adds r6, #JOB_Y
    b end_listed
