// 3x3 convolution, stride 1: three multiply-accumulates per MULS, pooling and rounding fused.
//
// A block is 2x2 neighbouring outputs of one filter; it sees 4x4 inputs of each channel. Two
// rows of inputs a (upper) and b (lower) are packed column by column as two halves of a word,
// and so are two of the three weights w0, w1, w2 of a kernel column (conv3x3.c packs both):
//
//   phase 1   A = b + (a << 16)   rows 0, 1 of the block    W = w0 + (w1 << 16)
//             A * W = (a*w0 + b*w1) << 16 + b*w0            high: upper output, low: lower
//   phase 2   A = a + (b << 16)   rows 2, 3 of the block    W = w2 + (w1 << 16)
//             A * W = (a*w1 + b*w2) << 16 + a*w2            high: lower output, low: upper
//
// So a MULS is 3 useful products and the 12 MULS of the two phases are 2x2 outputs * 9 taps.
// The high half of a lane sum is exact because the low half is subtracted before it is shifted
// down (FLUSH). Both halves are exact while they fit int16. Inputs are stored less 64, -64..63,
// and 64 * sum(w) is part of `rounding`, so a lane holds while the |w| of the taps it sums up
// stay below 32767 / 64 = 511 in sum. (Inputs that may be negative are stored as they are: 258.)
// The high lane sums six taps of a channel, the low lane three. Three ways to walk the channels,
// conv3x3.c picks one per filter, from its weights:
//
//   pairs     flush once per two channels:  12 taps of sum(|w|) <= 511, 1.57 cycles per product
//   singles   flush once per channel:        6 taps,                    2.03
//   exact     flush after every MULS:        2 taps, 2 * 127 <= 258: any weights, 3.6
//
// Each costs about 47 cycles more per block (maximum, rounding, stores).

#include "asm.h"
#include "conv3x3_lanes.h"

// struct conv3x3_job (conv3x3.h)
.set JOB_SHIFT, 0       // three words, loaded together: shift, low, to_winner
.set JOB_Y, 12
.set JOB_WEIGHTS, 16    // four words, loaded together: weights, rounding, back, walk
.set JOB_WALK, 28
.set JOB_LEFT, 32       // blocks left in this row of blocks
.set JOB_COLUMNS, 36    // three words, loaded together: columns, next_row, y_skip
.set JOB_ROWS, 48
.set JOB_STEP, 52
.set JOB_WEIGHTS_END, 56
.set JOB_INPUTS, 60
.set JOB_POOL, 64
.set JOB_ODD, 76

// The same added to r2 and r4. 23 cycles.
.macro PHASE_ADD
    ldmia r1!, {r6, r7}
    ldmia r0!, {r3, r5}
    muls r3, r6, r3
    adds r2, r2, r3
    muls r6, r5, r6
    adds r4, r4, r6
    ldmia r0!, {r3, r6}
    muls r5, r7, r5
    adds r2, r2, r5
    muls r7, r3, r7
    adds r4, r4, r7
    ldmia r1!, {r7}
    muls r3, r7, r3
    adds r2, r2, r3
    muls r6, r7, r6
    adds r4, r4, r6
.endm

// Store a clamped and rounded accumulator; r3 shift, r5 low. Clobbers r2. 11 cycles.
.macro STORE_OUTPUT accumulator, address, offset
    mov r2, \accumulator
    asrs r2, r3
    CLAMP r2, r5
    strb r2, [\address, \offset]
.endm

// void conv3x3_blocks(struct conv3x3_job *job): all blocks of one filter.
//
//   r0  inputs of the block, walking     r8   upper left    accumulators, from `rounding`
//   r1  weights, walking                 r9   lower left
//   r2  lane sum, left column            r10  upper right
//   r4  lane sum, right column           r11  lower right
//   r3, r5, r6, r7  temporaries          r12  bytes from the end of four columns of a row of
//   [sp]  job                                 inputs to the same columns of the next row
//                                        lr   end of the weights
FUNCTION conv3x3_blocks
    SAVE_REGISTERS
    push {r0}
    mov r7, r0
    ldr r2, [r7, #JOB_STEP]
    mov r12, r2
    ldr r2, [r7, #JOB_WEIGHTS_END]
    mov lr, r2
    ldr r0, [r7, #JOB_INPUTS]
    ldr r3, [r7, #JOB_WALK]     // a number; from here on an address
    adr r2, walk_pairs
    cmp r3, #1
    blo 1f
    adr r2, walk_singles
    beq 1f
    adr r2, walk_exact
1:  ldr r4, [r7, #JOB_ODD]
    cmp r4, #0
    beq 3f
    str r2, [r7, #JOB_ODD]      // where to go on behind the first channel
    adr r2, walk_odd
    cmp r3, #1
    bls 3f
    adr r2, walk_odd_exact
3:  str r2, [r7, #JOB_WALK]

next_row:                       // r7 job
    ldr r2, [r7, #JOB_COLUMNS]
    str r2, [r7, #JOB_LEFT]
    adds r7, #JOB_WEIGHTS
    ldmia r7!, {r1, r2, r3, r4}
next_block:                     // r1 weights, r2 rounding, r4 walk
    mov r8, r2
    mov r9, r2
    mov r10, r2
    mov r11, r2
    mov pc, r4

finish_block:
    ldr r7, [sp]
    ldr r2, [r7, #JOB_POOL]
    cmp r2, #0
    beq store_four
    mov r2, r8
    MAXIMUM r2, r10, r9, r11, r4
    ldmia r7!, {r1, r3, r5}     // shift, low, to_winner
    asrs r2, r1
    CLAMP r2, r3
    ldr r6, [r7]
    strb r2, [r6]
    strb r4, [r6, r5]
    adds r6, #1
    stmia r7!, {r6}
end_block:                      // r7 at weights; to the next block of this row
    ldmia r7!, {r1, r2, r3, r4}
    subs r0, r0, r3
    ldr r3, [r7]
    subs r3, #1
    str r3, [r7]
    bne next_block
    adds r7, #(JOB_COLUMNS - JOB_LEFT)
    ldmia r7!, {r2, r3, r4}     // columns, next_row, y_skip
    adds r0, r0, r3
    ldr r7, [sp]
    ldr r2, [r7, #JOB_Y]
    adds r2, r2, r4
    str r2, [r7, #JOB_Y]
    ldr r2, [r7, #JOB_ROWS]
    subs r2, #1
    str r2, [r7, #JOB_ROWS]
    bne next_row
    pop {r0}
    RESTORE_AND_RETURN

store_four:                     // without pooling: to_winner is the width of the output
    ldmia r7!, {r3, r5, r6}
    ldr r4, [r7]
    STORE_OUTPUT r8, r4, #0
    STORE_OUTPUT r10, r4, #1
    adds r6, r6, r4
    STORE_OUTPUT r9, r6, #0
    STORE_OUTPUT r11, r6, #1
    adds r4, #2
    stmia r7!, {r4}
    b end_block

.align 2
walk_pairs:
    PHASE
    add r0, r12
    PHASE_ADD
    add r0, r12
    FLUSH r2, r8, r9
    FLUSH r4, r10, r11
    PHASE
    add r0, r12
    PHASE_ADD
    add r0, r12
    FLUSH r2, r9, r8
    FLUSH r4, r11, r10
    cmp r1, lr
    bne walk_pairs
    b finish_block

.align 2
walk_singles:                   // two channels' phase 1 or 2; 16 cycles a pair for 96 bytes less
    .rept 2
    PHASE
    add r0, r12
    FLUSH r2, r8, r9
    FLUSH r4, r10, r11
    .endr
    SWAP r8, r9                 // the next phase has upper and lower the other way round
    SWAP r10, r11
    cmp r1, lr
    bne walk_singles
    b finish_block

.align 2
walk_exact:                     // two channels' phase 1 or 2
    movs r3, #24
exact_phase:
    adds r3, r3, r1
    push {r3}
1:  PHASE_EXACT
    add r0, r12
    ldr r3, [sp]
    cmp r1, r3
    bne 1b
    pop {r3}
    SWAP r8, r9                 // the next phase has upper and lower the other way round
    SWAP r10, r11
    ldr r3, [sp]
    ldr r3, [r3, #JOB_WEIGHTS]
    subs r3, r1, r3
    cmp r3, #12
    beq odd_exact_lower
    cmp r1, lr
    bne walk_exact
    b finish_block
odd_exact_lower:                // phase 2 of a channel that is not one of a pair
    adds r1, #12
.align 2
walk_odd_exact:
    movs r3, #12
    b exact_phase

.align 2
walk_odd:                       // a channel that is not one of a pair, then the others
    PHASE
    add r0, r12
    FLUSH r2, r8, r9
    FLUSH r4, r10, r11
    adds r1, #12                // its place in a pair
    PHASE
    add r0, r12
    FLUSH r2, r9, r8
    FLUSH r4, r11, r10
    cmp r1, lr
    beq 1f
    ldr r7, [sp]
    ldr r2, [r7, #JOB_ODD]
    mov pc, r2
1:  b finish_block
