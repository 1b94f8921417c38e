// Convolution of any kernel and stride: two multiply-accumulates per MULS, ten positions at a time.
//
// A tile is the inputs of ten positions, tap by tap, two positions in a word:
//
//   X = x0 + (x1 << 16)    w * X, summed over taps = y0 + (y1 << 16)    modulo 2^32,
//
// exact while both sums fit int16. Inputs of 0..127 are stored less 64, so a lane holds while the
// |w| of its taps stay below 32767 / 64 = 511 in sum (signed inputs: 258). tiles.c cuts the taps of
// a filter into segments that keep to it; behind each the lanes go to ten 32-bit sums. Lanes start
// from 32768 in the low half, which leaves that half unsigned and so the high one exact: the sums
// start that much lower for every segment.
//
// 1.93 cycles per product, 181 per filter and tile, 80 where that has a second segment, 96 for each
// further one.

#include "asm.h"

// On the stack: first a copy of struct tiles_job (tiles.h).
.set FRAME_INPUTS, 0
.set FRAME_FILTER, 4
.set FRAME_W, 8
.set FRAME_Y, 12        // five words, loaded together: y, low, y_step, high, shift
.set FRAME_FILTERS_END, 32
.set FRAME_SEGMENTS, 36
.set FRAME_SUMS, 40     // ten words
.set FRAME_SIZE, 80

.set TAP_BYTES, 26      // of code

// A tap of ten positions. 19 cycles.
.macro TAP number
    ldrb r2, [r1, #\number]
    ldmia r0!, {r3, r4, r5, r6, r7}
    subs r2, #128
    muls r3, r2, r3
    add r8, r3
    muls r4, r2, r4
    add r9, r4
    muls r5, r2, r5
    add r10, r5
    muls r6, r2, r6
    add r11, r6
    muls r7, r2, r7
    add r12, r7
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

// Two sums at r7: the lanes and what they start from, r4 and r5. Clobbers r2, r3. 8 cycles.
.macro KEEP_FIRST_LANES lanes
    mov r3, \lanes
    uxth r2, r3
    asrs r3, r3, #16
    adds r2, r2, r4
    adds r3, r3, r5
    stmia r7!, {r2, r3}
.endm

// Sums at r7 plus the lanes, stored. 12 cycles.
.macro KEEP_LANES lanes
    ADD_LANES \lanes
    subs r7, #8
    stmia r7!, {r4, r5}
.endm

// value = its nearest in r1..lr. 5 or 6 cycles.
.macro CLAMP_OUTPUT value
    cmp \value, r1
    bge .Lnot_below_\@
    mov \value, r1
.Lnot_below_\@:
    cmp \value, lr
    ble .Lnot_above_\@
    mov \value, lr
.Lnot_above_\@:
.endm

// Two outputs at r0, from the lanes of the last segment; r6 shift. 26 cycles.
.macro PUT_LANES lanes, first
    ADD_LANES \lanes
    asrs r4, r6
    CLAMP_OUTPUT r4
    strb r4, [r0, #\first]
    asrs r5, r6
    CLAMP_OUTPUT r5
    strb r5, [r0, #(\first + 1)]
.endm

// void tiles_filters(const struct tiles_job *job): ten outputs of every filter.
//
//   r0  inputs, walking      r3 .. r7   inputs
//   r1  weights, walking     r8 .. r12  lanes of positions 0, 1; 2, 3; .. 8, 9
//   r2  weight               lr         end of the segment
FUNCTION tiles_filters
    SAVE_REGISTERS
    sub sp, #FRAME_SIZE
    mov r1, sp
    ldmia r0!, {r2, r3, r4, r5, r6, r7}
    stmia r1!, {r2, r3, r4, r5, r6, r7}
    ldmia r0!, {r5, r6, r7}
    stmia r1!, {r5, r6, r7}
    mov r1, r4
next_filter:                    // r1 weights, r3 filter
    ldmia r3!, {r4, r5, r6}     // starts of the low and the high lanes, segments
    str r3, [sp, #FRAME_FILTER]
    ldr r0, [sp, #FRAME_INPUTS]
    add r2, sp, #FRAME_SUMS
    stmia r2!, {r4, r5}
    ldrb r7, [r6, #1]
    ldrb r3, [r6]
    adds r6, #1
    cmp r7, #0
    bne 1f
    mov r7, r5                  // a single segment
    mov lr, r6
    mov r6, r4
    stmia r2!, {r4, r5, r6, r7}
    stmia r2!, {r4, r5, r6, r7}
    mov r6, lr
    negs r6, r6
1:  negs r6, r6                 // negative: the first of several
    mov r4, r3
    b start_segment
next_segment:                   // r0 inputs, r1 weights, r6 segments
    ldrb r4, [r6]
    adds r6, #1
start_segment:                  // r4 taps
    str r6, [sp, #FRAME_SEGMENTS]
    adds r5, r1, r4
    mov lr, r5
    negs r4, r4                 // the first round may be less than sixteen taps
    movs r5, #15
    ands r4, r5
    subs r1, r1, r4
    movs r5, #TAP_BYTES
    muls r4, r5, r4
    adr r5, sixteen_taps
    adds r4, r4, r5
    movs r5, #1
    lsls r5, r5, #15
    mov r8, r5
    mov r9, r5
    mov r10, r5
    mov r11, r5
    mov r12, r5
    mov pc, r4
.align 2
sixteen_taps:
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    TAP \number
    .endr
    adds r1, #16
    cmp r1, lr
    beq 1f
    b sixteen_taps
1:
    add r7, sp, #FRAME_SUMS
    ldr r6, [sp, #FRAME_SEGMENTS]
    cmp r6, #0
    bmi first_segment
    ldrb r4, [r6]
    cmp r4, #0
    beq last_segment
    KEEP_LANES r8
    KEEP_LANES r9
    KEEP_LANES r10
    KEEP_LANES r11
    KEEP_LANES r12
    b next_segment
first_segment:
    negs r6, r6
    ldr r4, [r7, #0]
    ldr r5, [r7, #4]
    KEEP_FIRST_LANES r8
    KEEP_FIRST_LANES r9
    KEEP_FIRST_LANES r10
    KEEP_FIRST_LANES r11
    KEEP_FIRST_LANES r12
    b next_segment
last_segment:
    str r1, [sp, #FRAME_W]
    add r4, sp, #FRAME_Y
    ldmia r4!, {r0, r1, r2, r3, r6}
    adds r2, r2, r0
    str r2, [sp, #FRAME_Y]
    mov lr, r3
    PUT_LANES r8, 0
    PUT_LANES r9, 2
    PUT_LANES r10, 4
    PUT_LANES r11, 6
    PUT_LANES r12, 8
    ldr r1, [sp, #FRAME_W]
    ldr r3, [sp, #FRAME_FILTER]
    ldr r7, [sp, #FRAME_FILTERS_END]
    cmp r3, r7
    beq 1f
    b next_filter
1:  add sp, #FRAME_SIZE
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
    adds r0, #20
    cmp r3, r7
    bne 1b
    pop {r4}
    mov r8, r4
    pop {r4, r5, r6, r7, pc}

// \to = two inputs from r1, packed. Clobbers r7. 7 cycles.
.macro PACK_TWO to, first
    ldrb \to, [r1, #\first]
    ldrb r7, [r1, #(\first + 1)]
    lsls r7, r7, #16
    adds \to, \to, r7
    add \to, r8
.endm

// void tiles_pack_row(uint32_t *to, const int8_t *x, int32_t size, const int8_t *x_end,
//     uint32_t zero): all words of a tile, where its positions lie side by side, each tap `size`
// bytes from the one before, none is below 0. 45 cycles per tap.
FUNCTION tiles_pack_row
    push {r4, r5, r6, r7, lr}
    mov r4, r8
    mov r5, r9
    push {r4, r5}
    ldr r4, [sp, #28]
    mov r8, r4
    mov r9, r3
    mov r12, r2
1:  PACK_TWO r2, 0
    PACK_TWO r3, 2
    PACK_TWO r4, 4
    PACK_TWO r5, 6
    PACK_TWO r6, 8
    stmia r0!, {r2, r3, r4, r5, r6}
    add r1, r12
    cmp r1, r9
    bne 1b
    pop {r4, r5}
    mov r8, r4
    mov r9, r5
    pop {r4, r5, r6, r7, pc}

// Writes a segment of r3 taps, 255 at a time, to r0. Clobbers r3, r4.
.macro PUT_SEGMENT
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

.set LOOK_BYTES, 14     // of code

// Adds a weight to the sum in r7 and takes its |w| off r6. 8 cycles.
.macro LOOK number
    ldrb r4, [r1, #\number]
    adds r7, r7, r4
    subs r4, #128
    bpl .Lpositive_\@
    negs r4, r4
.Lpositive_\@:
    subs r6, r6, r4
    bmi cut_\number
.endm

// int32_t tiles_cut(const uint8_t *w_end, int32_t n, uint8_t **to, int32_t limit): cuts the n > 0
// taps of a filter into segments whose |w| stay within `limit` in sum, and moves *to behind the
// last. Returns the sum of w. Writes to *to + n + 1 at most. 8.5 cycles per tap, 40 per segment.
//
//   r0  to, walking           r3, r5  temporaries       r6  what is left of the limit
//   r1  eight taps, walking   r4      |w|, temporary    r7  sum of the bytes
//   r2  w_end                 r8      first tap of the segment       r12  limit
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
    negs r4, r1                 // the first round may be less than eight taps
    subs r1, r2, r1
    mov r8, r1
    movs r5, #7
    ands r4, r5
    subs r1, r1, r4
look_from:                      // r4: number of the tap among the eight, 8: none is left
    movs r5, #LOOK_BYTES
    muls r4, r5, r4
    adr r5, eight_taps
    adds r4, r4, r5
    mov pc, r4
.align 2
eight_taps:
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7
    LOOK \number
    .endr
    adds r1, #8
    cmp r1, r2
    bne eight_taps
    mov r3, r8
    subs r3, r2, r3
    PUT_SEGMENT
    pop {r1, r2, r4}
    str r0, [r2]
    mov r8, r4
    lsls r1, r1, #7
    subs r0, r7, r1
    pop {r4, r5, r6, r7, pc}
    .irp number, 0, 1, 2, 3, 4, 5, 6
cut_\number:
    movs r5, #\number
    b cut
    .endr
cut_7:
    movs r5, #7
cut:                            // before this tap, of which |w| is r4
    mov r6, r12
    subs r6, r6, r4
    mov r4, r8
    adds r3, r1, r5
    mov r8, r3
    subs r3, r3, r4
    PUT_SEGMENT
    adds r4, r5, #1
    b look_from
