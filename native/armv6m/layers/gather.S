// Gradients of a convolution: sums of error times eight channels, over lists of errors.
//
// Eight channels of a place are four words, two channels each, w0 + (w1 << 16). A list holds the
// errors of an output position (gradient of x: places are those of filters' weights) or of a filter
// (gradient of w: places are those of inputs). Four MULS do the eight products of an error:
//
//   e * (w0 + (w1 << 16)) = e*w0 + (e*w1 << 16)    modulo 2^32,
//
// exact while both sums fit int16: |w| <= 127, so as long as the |e| that are added up stay within
// 258 in sum. Lists are segments of less than that, so that segments add up in the lanes as long
// as they fit together; then the lanes go to eight 32-bit sums.
//
// A list, in words: for each segment the sum of |e|, then (place << 8) + (e & 255) for each
// error, then 0; behind the last segment 0. A place is a distance in bytes.
//
// 21 cycles per error and eight channels, 26 per list, 17 per segment, 57 to read the lanes out.

#include "asm.h"

.set MOST_ERRORS, 258

// Adds two lanes to two sums at r1, moving on. Clobbers r2 .. r5. 14 cycles.
.macro ADD_LANES lanes
    ldmia r1!, {r4, r5}
    mov r2, \lanes
    sxth r3, r2
    adds r4, r4, r3
    subs r2, r2, r3
    asrs r2, r2, #16
    adds r5, r5, r2
    subs r1, #8
    stmia r1!, {r4, r5}
.endm

// Lanes to the sums at [sp, #4]; lanes become 0. Clobbers r1 .. r5.
.macro READ_OUT
    ldr r1, [sp, #4]
    ADD_LANES r8
    ADD_LANES r9
    ADD_LANES r10
    ADD_LANES r11
.endm

.macro CLEAR_LANES
    movs r1, #0
    mov r8, r1
    mov r9, r1
    mov r10, r1
    mov r11, r1
.endm

// void gather(const struct gather_list *lists, int32_t sums[8], uint32_t distance): the sums of
// the errors of lists that end with one at NULL; the base of each is `distance` bytes further.
//
//   r0  list, walking           r7        base of the list's places
//   r1  error and place         r8 .. r11 lanes
//   r2  error                   r12       what is left of MOST_ERRORS
//   r3 .. r6  channels          lr        distance          [sp] lists, walking; sums
FUNCTION gather
    SAVE_REGISTERS
    push {r0, r1}
    mov lr, r2
    movs r2, #0
    movs r3, #0
    movs r4, #0
    movs r5, #0
    stmia r1!, {r2, r3, r4, r5}
    stmia r1!, {r2, r3, r4, r5}
    CLEAR_LANES
    ldr r1, =MOST_ERRORS
    mov r12, r1
next_list:
    ldr r1, [sp]
    ldmia r1!, {r0, r7}
    str r1, [sp]
    cmp r0, #0
    beq no_more
    add r7, lr
next_segment:
    ldmia r0!, {r1}
    cmp r1, #0
    beq next_list
    mov r2, r12
    subs r2, r2, r1
    bmi full
1:  mov r12, r2
    ldmia r0!, {r1}
next_error:
    sxtb r2, r1
    lsrs r1, r1, #8
    adds r1, r1, r7
    ldmia r1!, {r3, r4, r5, r6}
    muls r3, r2, r3
    add r8, r3
    muls r4, r2, r4
    add r9, r4
    muls r5, r2, r5
    add r10, r5
    muls r6, r2, r6
    add r11, r6
    ldmia r0!, {r1}
    cmp r1, #0
    bne next_error
    b next_segment
full:                           // r1 sum of the segment
    mov r6, r1
    READ_OUT
    CLEAR_LANES
    ldr r2, =MOST_ERRORS
    subs r2, r2, r6
    b 1b
no_more:
    READ_OUT
    add sp, #8
    RESTORE_AND_RETURN

// int32_t *gather_list(int32_t *to, const int8_t *g_end, int32_t minus_n,
//     const struct gather_steps *steps): segments of the errors from g_end - n on, every step-th,
// n a multiple of that; none where all are 0. Returns where they end. 8 cycles per error that is 0,
// 20 per one that is not.
//
//   r0  to, walking             r4  error           r8   place of an error to the next, times 256
//   r1  g_end                   r5  place << 8      r9   where the sum of the segment goes
//   r2  -n .. 0                 r6  temporary       r12  MOST_ERRORS
//   r3  step                    r7  sum of |e|      lr   temporary
FUNCTION gather_list
    push {r4, r5, r6, r7, lr}
    mov r4, r8
    mov r5, r9
    push {r4, r5}
    ldmia r3!, {r4, r5, r6}
    mov r8, r5
    mov r3, r4
    mov r5, r6
    mov r9, r0
    ldr r4, =MOST_ERRORS
    mov r12, r4
    adds r0, #4
    movs r7, #0
1:  ldrsb r4, [r1, r2]
    cmp r4, #0
    bne 3f
2:  add r5, r8
    adds r2, r2, r3
    bne 1b
    mov r6, r9
    cmp r7, #0
    beq 6f                      // nothing since the last segment
    str r7, [r6]
    movs r7, #0
    stmia r0!, {r7}
    mov r6, r0
6:  mov r0, r6
    pop {r4, r5}
    mov r8, r4
    mov r9, r5
    pop {r4, r5, r6, r7, pc}
3:  movs r6, r4
    bpl 4f
    negs r6, r6
4:  adds r7, r7, r6
    cmp r7, r12
    bhi 7f
5:  uxtb r4, r4
    orrs r4, r5
    stmia r0!, {r4}
    b 2b
7:  subs r7, r7, r6             // this error begins another segment
    mov lr, r6
    mov r6, r9
    str r7, [r6]
    movs r6, #0
    stmia r0!, {r6}
    mov r9, r0
    adds r0, #4
    mov r7, lr
    b 5b
