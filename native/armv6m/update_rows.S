// The update rules on a row of edges: product, one rounding, saturating subtraction, new
// effective weight, without storing anything in between.
//
// A row comes as a list of pairs (index of the edge, factor); dW = error * factor. A linear
// layer lists its inputs that are not 0 and passes each row's error; a convolution lists dW and
// passes 1. The list ends with three pairs (0, 0): loops that do several pairs at a time may run
// into them, and they change nothing.
//
// Pseudo-stochastic rounding of a magnitude m by s bits, with h = s / 2 (rounded down) and
// low = m mod 2^h: device/DESIGN.md rounds up where the other dropped bits exceed low (doubled
// where s is odd), that is where m mod 2^s >= (low << (s - h)) + 2^h. So
//
//   PSR(m, s) = (m - ((m << (s - h)) mod 2^s) + 2^s - 2^h) >> s
//
// because m << (s - h) keeps, modulo 2^s, just low << (s - h), and 2^s minus what is taken off
// is 0..2^s: the sum carries into the quotient exactly in that case.
//
// Cycles per pair: PRUNE 19 (nearest), 37 (pseudo-stochastic); GAIN 47; WEIGHTS 32; WIDE 39. Less
// where the rounded step is 0 (not PRUNE, nearest); PRUNE about 20 more where a weight is pruned,
// comes back or saturates. 65 per row.

#include "asm.h"

// struct update_job (update.h)
.set JOB_RULE, 0        // four words, loaded together: rule, threshold, weff, granule
.set JOB_CONSTANTS, 16  // nearest: half, shift; pseudo-stochastic: carry, shift, s - h, mask
.set JOB_LIST_END, 32
.set JOB_LIST, 36       // four words, loaded together: list, w, scores, error

// r5 = dW * w of the next pair, r4 = its index; r3 error. Clobbers r6. 8 cycles.
.macro NEXT_PRODUCT
    ldmia r0!, {r4, r5}
    muls r5, r3, r5
    ldrb r6, [r1, r4]
    subs r6, #128
    muls r5, r6, r5
.endm

// r5 = PSR(r5); r8 shift, r9 s - h, r10 mask 2^s - 1, r11 carry 2^s - 2^h. To \zero where the
// result is 0. Clobbers r3, r6, r7. 15 cycles.
.macro ROUND_PSEUDO_STOCHASTIC zero
    asrs r3, r5, #31
    eors r5, r3
    subs r5, r5, r3
    mov r6, r5
    mov r7, r9
    lsls r6, r7
    mov r7, r10
    ands r6, r7
    subs r5, r5, r6
    add r5, r11
    mov r7, r8
    lsrs r5, r7
    beq \zero
    eors r5, r3
    subs r5, r5, r3
.endm

// PRUNE: the score less r5. A score that keeps all bits from `granule` (a power of two that
// divides the threshold, at most 256) upwards stays on its side of the threshold and in 0..255.
// r5 = new score, clobbers r6. 8 cycles.
.macro SUBTRACT_FROM_SCORE granule, another
    ldrb r6, [r2, r4]
    subs r5, r6, r5
    eors r6, r5
    cmp r6, \granule
    bhs \another
    strb r5, [r2, r4]
.endm

// A new score r5 that may be outside 0..255, and the effective weight. Clobbers r5, r6. 16 cycles
// or so.
.macro SATURATE_AND_PRUNE threshold, weff
    asrs r6, r5, #31
    bics r5, r6
    cmp r5, #255
    ble .Lfits_\@
    movs r5, #255
.Lfits_\@:
    strb r5, [r2, r4]
    movs r6, #128
    cmp r5, \threshold
    blo .Lpruned_\@
    ldrb r6, [r1, r4]
.Lpruned_\@:
    mov r5, \weff
    strb r6, [r5, r4]
.endm

// A weight byte outside 1..255 becomes 1 or 255; r7 = value - 1.
.macro CLAMP_WEIGHT value
    asrs r7, r7, #31
    movs \value, #254
    bics \value, r7
    adds \value, #1
.endm

// void update_row(const struct update_job *job), PRUNE, nearest:
//
//   r0  list, walking     r4  index of the edge     r8   half: 2^(s - 1), or 0
//   r1  w of the row      r5  dW * w, step, score   r9   granule     r11  weff
//   r2  scores            r6  temporary             r12  end of the list
//   r3  error             r7  shift s               lr   threshold
FUNCTION update_row
    SAVE_REGISTERS
    ldmia r0!, {r4, r5, r6, r7}
    cmp r4, #0
    bne pseudo_stochastic
    mov lr, r5
    mov r11, r6
    mov r9, r7
    ldmia r0!, {r6, r7}
    mov r8, r6
    adds r0, #(JOB_LIST_END - JOB_CONSTANTS - 8)
    ldmia r0!, {r6}
    mov r12, r6
    ldmia r0, {r0, r1, r2, r3}
prune_four:
    .rept 4
    NEXT_PRODUCT
    add r5, r8
    asrs r5, r7
    SUBTRACT_FROM_SCORE r9, another_granule
    .endr
prune_next:
    cmp r0, r12
    blo prune_four
row_done:
    RESTORE_AND_RETURN
another_granule:                // often still in 0..255 and kept, as before
    cmp r5, #255
    bhi side_changes
    cmp r5, lr
    blo side_changes
    eors r6, r5                 // the score before
    cmp r6, lr
    blo side_changes
    strb r5, [r2, r4]
    cmp r0, r12
    blo prune_four
    b row_done
side_changes:
    SATURATE_AND_PRUNE lr, r11
    b prune_next

// The other rules:
//
//   r0  list, walking     r4  index of the edge     r8   shift s     r11  carry
//   r1  w of the row      r5  dW * w, step, score   r9   s - h       r12  error
//   r2  scores            r3, r6, r7  temporaries   r10  mask        lr   end of the list
//   [sp] threshold, weff, granule
pseudo_stochastic:
    push {r5, r6, r7}
    mov r7, r4                  // rule
    ldmia r0!, {r1, r2, r3, r4, r5}
    mov r11, r1
    mov r8, r2
    mov r9, r3
    mov r10, r4
    mov lr, r5
    ldmia r0, {r0, r1, r2, r3}
    mov r12, r3
    cmp r7, #3
    beq next_weight
    bhi next_wide
    cmp r7, #2
    beq next_gain

next_score:
    mov r3, r12
    NEXT_PRODUCT
    ROUND_PSEUDO_STOCHASTIC 1f
    ldr r7, [sp, #8]
    SUBTRACT_FROM_SCORE r7, side_changes_stochastic
1:  cmp r0, lr
    blo next_score
    b row_done_stochastic
side_changes_stochastic:
    ldr r3, [sp, #0]
    ldr r7, [sp, #4]
    SATURATE_AND_PRUNE r3, r7
    b 1b

// WEIGHTS: w itself is trained; r2 unused.
next_weight:
    mov r3, r12
    ldmia r0!, {r4, r5}
    muls r5, r3, r5
    ROUND_PSEUDO_STOCHASTIC 1f
    ldrb r6, [r1, r4]
    subs r6, r6, r5
    subs r7, r6, #1
    cmp r7, #254
    bhi clamp_trained
store_trained:
    strb r6, [r1, r4]
1:  cmp r0, lr
    blo next_weight
row_done_stochastic:
    add sp, #12
    b row_done
clamp_trained:
    CLAMP_WEIGHT r6
    b store_trained

// WIDE: w is the upper byte of what is trained, the score the lower one; 256..65535.
next_wide:
    mov r3, r12
    ldmia r0!, {r4, r5}
    muls r5, r3, r5
    ROUND_PSEUDO_STOCHASTIC 1f
    ldrb r6, [r1, r4]
    lsls r6, r6, #8
    ldrb r7, [r2, r4]
    adds r6, r6, r7
    subs r6, r6, r5
    asrs r7, r6, #8
    subs r7, #1
    cmp r7, #254
    bhi clamp_wide
store_wide:
    strb r6, [r2, r4]
    lsrs r6, r6, #8
    strb r6, [r1, r4]
1:  cmp r0, lr
    blo next_wide
    b row_done_stochastic
clamp_wide:
    asrs r7, r7, #31
    movs r6, #255
    lsls r6, r6, #8
    adds r6, #255               // 65535
    bics r6, r7
    lsls r7, r7, #8
    lsrs r7, r7, #31
    lsls r7, r7, #8             // 256 where it was less, else 0
    orrs r6, r7
    b store_wide

// GAIN: effective weight (w * (64 + score) + 32) >> 6.
next_gain:
    mov r3, r12
    NEXT_PRODUCT
    ROUND_PSEUDO_STOCHASTIC 1f
    ldrb r6, [r2, r4]
    subs r6, r6, r5
    lsrs r7, r6, #8
    bne saturate_gain
store_gain:
    strb r6, [r2, r4]
    subs r6, #64                // a score byte is score + 128
    ldrb r5, [r1, r4]
    subs r5, #128
    muls r5, r6, r5
    adds r5, #32
    asrs r5, r5, #6
    adds r5, #128
    subs r7, r5, #1
    cmp r7, #254
    bhi clamp_gain
store_effective:
    ldr r6, [sp, #4]
    strb r5, [r6, r4]
1:  cmp r0, lr
    blo next_gain
    b row_done_stochastic
saturate_gain:
    asrs r6, r6, #31
    mvns r6, r6
    uxtb r6, r6
    b store_gain
clamp_gain:
    CLAMP_WEIGHT r5
    b store_effective

// int32_t *list_inputs(int32_t *list, const int8_t *x, int32_t n): pairs (index, x) of those of
// n > 0 inputs that are not 0, the last first, then three pairs of zeros. Returns the end before
// those. 8 cycles per input that is 0, 10 per other.
FUNCTION list_inputs
    push {r4, lr}
    subs r2, #1
1:  ldrsb r4, [r1, r2]
    cmp r4, #0
    beq 2f
    stmia r0!, {r2, r4}
2:  subs r2, #1
    bpl 1b
    movs r2, #0
    movs r3, #0
    movs r4, #0
    mov r1, r0
    stmia r1!, {r2, r3, r4}
    stmia r1!, {r2, r3, r4}
    pop {r4, pc}
