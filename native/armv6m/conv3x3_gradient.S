// 3x3 convolution backward, gradient of w: two multiply-accumulates per MULS over listed errors.
//
// Max-pooling lets one error through per window and ReLU kills errors, so conv3x3_list.S lists
// those of a filter that are left. Two channels share a word,
//
//   A = x0 + (x1 << 16)    e * A, summed over errors = dw0 + (dw1 << 16)    modulo 2^32,
//
// exact while both sums fit int16: conv3x3_update.c cuts the lists where sum(|e|) would pass
// 258, 258 * 127 = 32766.

#include "asm.h"

// struct conv3x3_gradient_job (conv3x3_errors.h)
.set JOB_PASSES, 0
.set JOB_LIST, 8
.set JOB_SECOND, 16
.set JOB_KEEP, 20

// The lanes of a tap to dW at r0 (low) and r2 (high): stored, or added to what is there.
// Clobbers r4, r5, r6. 8 and 14 cycles.
.macro STORE_LANES lanes, offset
    mov r4, \lanes
    sxth r5, r4
    subs r4, r4, r5
    asrs r4, r4, #16
    str r5, [r0, #\offset]
    str r4, [r2, #\offset]
.endm

.macro ADD_LANES lanes, offset
    mov r4, \lanes
    sxth r5, r4
    subs r4, r4, r5
    asrs r4, r4, #16
    ldr r6, [r0, #\offset]
    adds r5, r5, r6
    str r5, [r0, #\offset]
    ldr r6, [r2, #\offset]
    adds r4, r4, r6
    str r4, [r2, #\offset]
.endm

// Products of the error r2 and three neighbouring words at r3, added to three sums. 10 cycles.
.macro THREE_TAPS first, second, third
    ldmia r3!, {r4, r5, r6}
    muls r4, r2, r4
    add \first, r4
    muls r5, r2, r5
    add \second, r5
    muls r6, r2, r6
    add \third, r6
.endm

// void conv3x3_gradient(const struct conv3x3_gradient_job *job): dW of two channels in each of
// two rows of three taps per pass. Errors go by two; behind an odd number stands one of 0 at
// position 0. 27.5 cycles per error and pass, 130 more per pass.
//
//   r0  list, walking                    r7 .. r9    sums of the first row of taps
//   r1  bytes from the first row's       r10 .. r12  sums of the second row
//       inputs to the second's           lr  inputs of the first row
//   r2  error
//   r3  address of inputs                [sp] end of list, list, pass, end of passes,
//   r4, r5, r6  inputs                        dw of the second row, dw of the first
FUNCTION conv3x3_gradient
    SAVE_REGISTERS
    mov r7, r0
    ldmia r7!, {r0, r1, r2, r3}
    ldr r4, [r7, #(JOB_KEEP - JOB_SECOND)]
    ldr r5, [r7]
    sub sp, #32
    str r3, [sp, #0]
    str r2, [sp, #4]
    str r0, [sp, #8]
    str r1, [sp, #12]
    str r4, [sp, #24]
    str r5, [sp, #28]
gradient_pass:
    ldr r0, [sp, #8]
    ldmia r0!, {r1, r2, r3, r4}
    str r0, [sp, #8]
    str r4, [sp, #16]
    str r3, [sp, #20]
    mov lr, r1
    mov r1, r2
    movs r7, #0
    mov r8, r7
    mov r9, r7
    mov r10, r7
    mov r11, r7
    mov r12, r7
    ldr r0, [sp, #4]
1:  .rept 2
    ldmia r0!, {r2, r3}
    add r3, lr
    THREE_TAPS r7, r8, r9
    adds r3, r3, r1
    THREE_TAPS r10, r11, r12
    .endr
    ldr r4, [sp]
    cmp r0, r4
    blo 1b
    ldr r0, [sp, #20]
    ldr r2, [sp, #28]
    adds r2, r2, r0
    ldr r3, [sp, #24]
    cmp r3, #0
    bne add_to_gradient
    STORE_LANES r7, 0
    STORE_LANES r8, 8
    STORE_LANES r9, 16
    ldr r0, [sp, #16]
    ldr r2, [sp, #28]
    adds r2, r2, r0
    STORE_LANES r10, 0
    STORE_LANES r11, 8
    STORE_LANES r12, 16
pass_done:
    ldr r0, [sp, #8]
    ldr r1, [sp, #12]
    cmp r0, r1
    bne gradient_pass
    add sp, #32
    RESTORE_AND_RETURN
add_to_gradient:
    ADD_LANES r7, 0
    ADD_LANES r8, 8
    ADD_LANES r9, 16
    ldr r0, [sp, #16]
    ldr r2, [sp, #28]
    adds r2, r2, r0
    ADD_LANES r10, 0
    ADD_LANES r11, 8
    ADD_LANES r12, 16
    b pass_done

// void conv3x3_pack_pair(uint32_t *to, const int8_t *a_end, const int8_t *b_end,
//     int32_t minus_n): n > 0 words a + (b << 16). 11 cycles each.
FUNCTION conv3x3_pack_pair
    push {r4, r5, lr}
1:  ldrsb r4, [r1, r3]
    ldrsb r5, [r2, r3]
    lsls r5, r5, #16
    adds r5, r5, r4
    stmia r0!, {r5}
    adds r3, #1
    bne 1b
    pop {r4, r5, pc}
