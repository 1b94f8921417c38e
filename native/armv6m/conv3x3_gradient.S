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
.set JOB_INPUTS, 0
.set JOB_LIST, 4        // two words, loaded together: list, list_end
.set JOB_PASSES, 12
.set JOB_STEP, 16
.set JOB_DW, 20         // four words, loaded together: dw, second, advance, keep

// The lanes of a tap to dW at r0 (low) and r2 (high): stored, or added to what is there.
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

// void conv3x3_gradient(const struct conv3x3_gradient_job *job): dW of three neighbouring taps
// in each of `passes` rows, for two channels. Errors go by two; behind an odd number stands one
// of 0 at position 0. 15.5 cycles per error and pass, 60 more per pass.
//
//   r0  list, walking          r4, r5, r6  inputs under three taps     r11  list
//   r1  inputs                 r8, r9, r10 sums of the three taps      r12  end of the list
//   r2  error                  r7          job                         lr   passes left
//   r3  address of inputs                                              [sp] dw
FUNCTION conv3x3_gradient
    SAVE_REGISTERS
    mov r7, r0
    ldmia r0!, {r1, r2, r3, r4}
    mov r11, r2
    mov r12, r3
    mov lr, r4
    ldr r0, [r7, #JOB_DW]
    push {r0}
gradient_pass:
    movs r3, #0
    mov r8, r3
    mov r9, r3
    mov r10, r3
    mov r0, r11
1:  .rept 2
    ldmia r0!, {r2, r3}
    adds r3, r3, r1
    ldmia r3!, {r4, r5, r6}
    muls r4, r2, r4
    add r8, r4
    muls r5, r2, r5
    add r9, r5
    muls r6, r2, r6
    add r10, r6
    .endr
    cmp r0, r12
    blo 1b
    ldr r2, [r7, #JOB_STEP]
    adds r1, r1, r2
    mov r3, r7
    adds r3, #(JOB_DW + 4)
    ldmia r3!, {r2, r4, r5}     // second, advance, keep
    pop {r0}
    adds r2, r2, r0
    adds r4, r4, r0
    push {r4}
    cmp r5, #0
    bne 1f
    STORE_LANES r8, 0
    STORE_LANES r9, 8
    STORE_LANES r10, 16
    b 2f
1:  ADD_LANES r8, 0
    ADD_LANES r9, 8
    ADD_LANES r10, 16
2:  mov r2, lr
    subs r2, #1
    mov lr, r2
    bne gradient_pass
    pop {r4}
    RESTORE_AND_RETURN

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
