// Convolution of any kernel and stride: two multiply-accumulates per MULS, eight positions at a
// time.
//
// A tile is the inputs of eight positions, tap by tap, two positions in a word:
//
//   X = x0 + (x2 << 16)    w * X, summed over taps = y0 + (y2 << 16)    modulo 2^32,
//
// exact while both sums fit int16. Inputs of 0..127 are stored less 64, so a lane holds while the
// |w| of its taps stay below 32767 / 64 = 511 in sum (signed inputs: 258). tiles.c cuts the taps of
// a filter into segments that keep to it; behind each the lanes go to eight 32-bit sums. Lanes start
// from 32768 in the low half, which leaves that half unsigned and so the high one exact: the sums
// start that much lower for every segment.
//
// 2.06 cycles per product, 70 per segment of a filter and tile, 150 per filter and tile.

#include "asm.h"

// struct tiles_job (tiles.h)
.set JOB_INPUTS, 0
.set JOB_FILTERS, 4     // three words, loaded together: filters, w, y
.set JOB_Y_STEP, 16     // four words, loaded together: y_step, shift, low, high
.set JOB_FILTERS_END, 32

.set TAP_BYTES, 22      // of code

// A tap of eight positions. 16 cycles.
.macro TAP number
    ldrb r2, [r1, #\number]
    ldmia r0!, {r3, r4, r5, r6}
    subs r2, #128
    muls r3, r2, r3
    add r8, r3
    muls r4, r2, r4
    add r9, r4
    muls r5, r2, r5
    add r10, r5
    muls r6, r2, r6
    add r11, r6
.endm

// r4, r5 = sums at r7 plus the lanes; clobbers r2, r3. 8 cycles.
.macro ADD_LANES lanes
    mov r2, \lanes
    uxth r3, r2
    asrs r2, r2, #16
    ldmia r7!, {r4, r5}
    adds r4, r4, r3
    adds r5, r5, r2
.endm

// The same, stored. 11 cycles, and r7 goes on.
.macro KEEP_LANES lanes
    ADD_LANES \lanes
    subs r7, #8
    stmia r7!, {r4, r5}
.endm

// value = its nearest in r1..r12. 5 or 6 cycles.
.macro CLAMP_OUTPUT value
    cmp \value, r1
    bge .Lnot_below_\@
    mov \value, r1
.Lnot_below_\@:
    cmp \value, r12
    ble .Lnot_above_\@
    mov \value, r12
.Lnot_above_\@:
.endm

// Two outputs of r0, from the lanes of the last segment; r6 shift. 26 cycles.
.macro PUT_LANES lanes, first, second
    ADD_LANES \lanes
    asrs r4, r6
    CLAMP_OUTPUT r4
    strb r4, [r0, #\first]
    asrs r5, r6
    CLAMP_OUTPUT r5
    strb r5, [r0, #\second]
.endm

// void tiles_filters(const struct tiles_job *job): eight outputs of every filter.
//
//   r0  inputs, walking         r8 .. r11  lanes of positions 0, 2; 1, 3; 4, 6; 5, 7
//   r1  weights, walking        r12        high
//   r2  weight                  lr         segments
//   r3 .. r6  inputs            [sp]       filter, w, y; y_step, shift, low, job; the eight sums
//   r7  end of the segment
FUNCTION tiles_filters
    SAVE_REGISTERS
    sub sp, #32
    mov r7, r0
    adds r0, #JOB_FILTERS
    ldmia r0!, {r1, r2, r3, r4, r5, r6}
    ldr r0, [r0]
    mov r12, r0
    push {r7}
    push {r1, r2, r3, r4, r5, r6}
    mov r1, r2
    ldr r3, [sp]
next_filter:                    // r1 weights, r3 filter
    ldmia r3!, {r4, r5, r6}
    mov r7, r6                  // segments
    mov r6, r4
    str r3, [sp]
    mov r3, r7
    mov r7, r5
    add r2, sp, #28
    stmia r2!, {r4, r5, r6, r7}
    stmia r2!, {r4, r5, r6, r7}
    ldr r7, [sp, #24]
    ldr r0, [r7, #JOB_INPUTS]
next_segment:                   // r0 inputs, r1 weights, r3 segments
    ldrb r4, [r3]
    adds r3, #1
    mov lr, r3
    adds r7, r1, r4
    negs r4, r4                 // the first round may be less than eight taps
    movs r5, #7
    ands r4, r5
    subs r1, r1, r4
    movs r5, #TAP_BYTES
    muls r4, r5, r4
    adr r5, eight_taps
    adds r4, r4, r5
    movs r5, #1
    lsls r5, r5, #15
    mov r8, r5
    mov r9, r5
    mov r10, r5
    mov r11, r5
    mov pc, r4
.align 2
eight_taps:
    TAP 0
    TAP 1
    TAP 2
    TAP 3
    TAP 4
    TAP 5
    TAP 6
    TAP 7
    adds r1, #8
    cmp r1, r7
    bne eight_taps
    mov r3, lr
    ldrb r4, [r3]
    add r7, sp, #28
    cmp r4, #0
    beq last_segment
    KEEP_LANES r8
    KEEP_LANES r9
    KEEP_LANES r10
    KEEP_LANES r11
    mov r3, lr
    b next_segment
last_segment:
    str r1, [sp, #4]
    ldr r0, [sp, #8]
    ldr r2, [sp, #12]
    adds r2, r2, r0
    str r2, [sp, #8]
    ldr r6, [sp, #16]
    ldr r1, [sp, #20]
    PUT_LANES r8, 0, 2
    PUT_LANES r9, 1, 3
    PUT_LANES r10, 4, 6
    PUT_LANES r11, 5, 7
    ldr r1, [sp, #4]
    ldr r3, [sp]
    ldr r7, [sp, #24]
    ldr r7, [r7, #JOB_FILTERS_END]
    cmp r3, r7
    beq 1f
    b next_filter
1:  add sp, #60
    RESTORE_AND_RETURN

// void tiles_pack(uint32_t *to, const int8_t *a, const int8_t *b, const int32_t *offsets,
//     const int32_t *offsets_end, uint32_t zero): a word of a tile, of two positions, for every
// tap; `zero` is what two zeros become. 15 cycles per tap.
//
//   r0  to       r3  offsets, walking     r7  end of the offsets
//   r1  a        r4  offset               r8  zero
//   r2  b        r5, r6  values
FUNCTION tiles_pack
    push {r4, r5, r6, r7, lr}
    mov r4, r8
    push {r4}
    ldr r7, [sp, #24]
    ldr r4, [sp, #28]
    mov r8, r4
1:  ldmia r3!, {r4}
    ldrsb r5, [r1, r4]
    ldrsb r6, [r2, r4]
    lsls r6, r6, #16
    adds r5, r5, r6
    add r5, r8
    str r5, [r0]
    adds r0, #16
    cmp r3, r7
    bne 1b
    pop {r4}
    mov r8, r4
    pop {r4, r5, r6, r7, pc}

// Writes a segment of r3 + r4 taps, 255 at a time, to r0. Clobbers r3, r4.
.macro PUT_SEGMENT
    adds r3, r3, r4
    b .Lfits_\@
.Llonger_\@:
    movs r4, #255
    strb r4, [r0]
    adds r0, #1
    subs r3, #255
.Lfits_\@:
    cmp r3, #255
    bhi .Llonger_\@
    strb r3, [r0]
    adds r0, #1
.endm

// int32_t tiles_cut(const uint8_t *w_end, int32_t n, uint8_t **to, int32_t limit): cuts the n > 0
// taps of a filter into segments whose |w| stay within `limit` in sum, and moves *to behind the
// last. Returns the sum of w. Writes to *to + n + 1 at most. 11 cycles per tap, 30 per segment.
//
//   r0  to, walking             r3, r4  temporaries      r6  what is left of the limit
//   r1  tap, -n .. -1           r5  temporary            r7  sum of the bytes
//   r2  w_end                   r8  first tap of the segment, negative      r12  limit
FUNCTION tiles_cut
    push {r4, r5, r6, r7, lr}
    mov r4, r8
    push {r1, r2, r4}
    mov r12, r3
    mov r6, r3
    movs r7, #0
    mov r3, r0
    ldr r0, [r2]
    mov r2, r3
    negs r1, r1
    mov r8, r1
next_tap:
    ldrb r4, [r2, r1]
    adds r7, r7, r4
    subs r4, #128
    bmi 1f
    subs r6, r6, r4
    bmi cut
    adds r1, #1
    bne next_tap
    b taps_done
1:  adds r6, r6, r4
    bmi cut
    adds r1, #1
    bne next_tap
    b taps_done
cut:
    mov r3, r8                  // up to the tap before this one
    negs r3, r3
    mov r8, r1
    mov r6, r12
    asrs r5, r4, #31
    eors r5, r4
    subs r6, r6, r5             // |w|, or one less
    asrs r5, r4, #31
    adds r6, r6, r5
    mov r4, r1
    PUT_SEGMENT
    adds r1, #1
    bne next_tap
taps_done:
    mov r3, r8
    negs r3, r3
    movs r4, #0
    PUT_SEGMENT
    pop {r1, r2, r4}
    str r0, [r2]
    mov r8, r4
    lsls r1, r1, #7
    subs r0, r7, r1
    pop {r4, r5, r6, r7, pc}
