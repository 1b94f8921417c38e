// Macros of conv3x3_blocks.S, conv3x3_one.S and layers/depthwise_blocks.S; the first explains the
// lane arithmetic.

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

// lane sums -> \low and \sum = high. 3 cycles.
.macro SPLIT sum, low
    sxth \low, \sum
    subs \sum, \sum, \low
    asrs \sum, \sum, #16
.endm

// Add the lanes of `sum` to two accumulators (high registers). Clobbers r3. 5 cycles.
.macro FLUSH sum, high, low
    sxth r3, \sum
    add \low, r3
    subs \sum, \sum, r3
    asrs \sum, \sum, #16
    add \high, \sum
.endm

// A phase that flushes every product. 43 cycles.
.macro PHASE_EXACT
    ldmia r1!, {r4, r5, r6}
    ldmia r0!, {r2, r7}
    muls r2, r4, r2
    FLUSH r2, r8, r9
    muls r4, r7, r4
    FLUSH r4, r10, r11
    ldmia r0!, {r2, r4}
    muls r7, r5, r7
    FLUSH r7, r8, r9
    muls r5, r2, r5
    FLUSH r5, r10, r11
    muls r2, r6, r2
    FLUSH r2, r8, r9
    muls r4, r6, r4
    FLUSH r4, r10, r11
.endm

// Exchanges two high registers. Clobbers r2, r3. 4 cycles.
.macro SWAP a, b
    mov r2, \a
    mov r3, \b
    mov \b, r2
    mov \a, r3
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
