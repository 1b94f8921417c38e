// Macros of conv3x3_blocks.S and conv3x3_one.S; the former explains the lane arithmetic.

// The first three columns of a phase: r2 and r4 become the lane sums of the left and the right
// output column. r0: inputs, r1: weights, both move on. Clobbers r3, r5, r6, r7. 20 cycles.
.macro PHASE
    ldmia r1!, {r4, r5, r6}     // weights of the three kernel columns
    ldmia r0!, {r2, r3, r7}     // inputs of columns 0, 1, 2
    muls r2, r4, r2
    muls r4, r3, r4
    muls r3, r5, r3
    adds r2, r2, r3
    muls r5, r7, r5
    adds r4, r4, r5
    ldmia r0!, {r3}             // column 3
    muls r7, r6, r7
    adds r2, r2, r7
    muls r3, r6, r3
    adds r4, r4, r3
.endm

// first = the largest of four registers, index = which it was; of equals the first. The second to
// the fourth may be high registers. 10..13 cycles.
.macro MAXIMUM first, second, third, fourth, index
    movs \index, #0
    cmp \second, \first
    ble .Lnot_second_\@
    mov \first, \second
    movs \index, #1
.Lnot_second_\@:
    cmp \third, \first
    ble .Lnot_third_\@
    mov \first, \third
    movs \index, #2
.Lnot_third_\@:
    cmp \fourth, \first
    ble .Lnot_fourth_\@
    mov \first, \fourth
    movs \index, #3
.Lnot_fourth_\@:
.endm
