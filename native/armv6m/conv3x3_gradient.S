// 3x3 convolution backward, gradient of w: two multiply-accumulates per MULS over listed errors.
//
// Max-pooling lets one error through per window and ReLU kills errors, so conv3x3_list lists
// those of a filter that are left. Two channels share a word,
//
//   A = x0 + (x1 << 16)    e * A, summed over errors = dw0 + (dw1 << 16)    modulo 2^32,
//
// exact while both sums fit int16. Inputs of 0..127: while the positive errors sum up to at most
// 258 and so do the negative ones, 258 * 127 = 32766. Inputs of -127..127: 129 each.
// conv3x3_update.c cuts the lists there.

#include "asm.h"
#include "conv3x3_list.h"

// struct conv3x3_errors (conv3x3_errors.h)
.set LIST_LIMIT, 44     // struct conv3x3_gradient_job follows

// Two struct conv3x3_taps (conv3x3_errors.h): offset from `low` of the first
.set TAPS_SECOND, 8

// Products of the error r2 and three neighbouring words at r3, added to three sums (or, mov, that
// start there). 10 cycles.
.macro THREE_TAPS to, first, second, third
    ldmia r3!, {r4, r5, r6}
    muls r4, r2, r4
    \to \first, r4
    muls r5, r2, r5
    \to \second, r5
    muls r6, r2, r6
    \to \third, r6
.endm

// r2 = the next error, r3 = the address of its inputs; carry behind the last. 4 cycles.
.macro NEXT_ERROR
    ldmia r0!, {r2, r3}
    adds r3, r3, r7             // -1 + address carries
.endm

// The lanes of a tap to dW at r0 (low) and r2 (high): stored, or added to what is there.
// Clobbers r4, r5, r6. 8 and 14 cycles.
.macro STORE_LANES lanes, offset
    mov r4, \lanes
    sxth r5, r4
    str r5, [r0, #\offset]
    subs r4, r4, r5
    asrs r4, r4, #16
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

// int32_t *conv3x3_list(struct conv3x3_errors *v): lists the errors of a filter, see
// conv3x3_list.h, and goes on with conv3x3_gradient(&v->gradient): returns NULL. Where there are
// none it returns the list, where the errors of a sign sum up to more than v->limit the end of
// the list, that is behind the pair (0, -1).
FUNCTION conv3x3_list
    SAVE_REGISTERS
    LIST_ERRORS 0
    ldr r2, [r4]
    cmp r0, r2
    beq list_done
    movs r1, #0
    mvns r2, r1
    stmia r0!, {r1, r2}
    adds r4, #LIST_LIMIT
    ldmia r4!, {r2}
    mov r1, r11
    cmp r1, r2
    bgt list_done
    mov r3, lr
    subs r1, r1, r3             // of the negative
    cmp r1, r2
    bgt list_done
    mov r0, r4
    b gradient
list_done:
    RESTORE_AND_RETURN

// void conv3x3_gradient(const struct conv3x3_gradient_job *job): a pass over the errors for each
// two rows of taps. 27 cycles per error and pass, 80 more per pass.
//
//   r0  list, walking                     r7  inputs of the first row of taps
//   r1  bytes from behind the first       r8 .. r10      sums of the first row
//       row's inputs to the second's      r11, r12, lr   sums of the second row
//   r2  error
//   r3  address of inputs; taps
//   r4, r5, r6  inputs                    [sp] list, taps
FUNCTION conv3x3_gradient
    SAVE_REGISTERS
gradient:
    ldmia r0!, {r1, r3}
    push {r1, r3}
    ldmia r3!, {r7}
next_pass:                      // r3 taps, behind their inputs r7
    str r3, [sp, #4]
    ldr r1, [r3, #TAPS_SECOND]
    subs r1, r1, r7
    subs r1, #12
    ldr r0, [sp]
    NEXT_ERROR
    THREE_TAPS mov, r8, r9, r10
    adds r3, r3, r1
    THREE_TAPS mov, r11, r12, lr
    NEXT_ERROR
    bcs 2f
1:  THREE_TAPS add, r8, r9, r10
    adds r3, r3, r1
    THREE_TAPS add, r11, r12, lr
    NEXT_ERROR
    bcc 1b
2:  ldr r3, [sp, #4]
    movs r1, r2                 // keep
    bne add_row
    ldmia r3!, {r0, r2}
    STORE_LANES r8, 0
    STORE_LANES r9, 8
    STORE_LANES r10, 16
    adds r3, #4
    ldmia r3!, {r0, r2}
    STORE_LANES r11, 0
    STORE_LANES r12, 8
    STORE_LANES lr, 16
pass_done:
    ldmia r3!, {r7}
    cmp r7, #0
    bne next_pass
    add sp, #8
    movs r0, #0
    RESTORE_AND_RETURN
add_row:                        // r1 = 1; -2 for the second row
    ldmia r3!, {r0, r2}
    ADD_LANES r8, 0
    ADD_LANES r9, 8
    ADD_LANES r10, 16
    mov r8, r11
    mov r9, r12
    mov r10, lr
    mvns r1, r1
    bpl pass_done
    adds r3, #4
    b add_row

// uint32_t *conv3x3_pack_pair(uint32_t *to, const int8_t *a_end, const int8_t *b_end,
//     int32_t minus_n, int32_t is_signed): n > 0 words a + (b << 16). Returns their end.
// 7.5 cycles each; 15 where some may be negative or only one of a and b is at an even address.
//
//   r0  to      r2  b_end                     r4, r5  temporaries, words
//   r1  a_end   r3  index, -n .. -1           r6      bit 0: each by itself    r7  0x00ff00ff
FUNCTION conv3x3_pack_pair
    push {r4, r5, r6, r7, lr}
    ldr r7, =0x00ff00ff
    ldr r6, [sp, #20]
    mov r4, r1
    eors r4, r2
    orrs r6, r4
    b 2f
1:  ldrsb r4, [r1, r3]
    ldrsb r5, [r2, r3]
    lsls r5, r5, #16
    adds r5, r5, r4
    stmia r0!, {r5}
    adds r3, #1
    beq 5f
2:  adds r4, r1, r3
    orrs r4, r6
    lsls r4, r4, #31
    bne 1b
    subs r1, #2
    subs r2, #2
    adds r3, #2
    bgt 4f
3:  ldrh r4, [r1, r3]
    ldrh r5, [r2, r3]
    lsls r5, r5, #16
    orrs r4, r5                 // two of a, two of b
    lsrs r5, r4, #8
    ands r5, r7
    ands r4, r7
    stmia r0!, {r4, r5}
    adds r3, #2
    ble 3b
4:  adds r1, #2
    adds r2, #2
    subs r3, #2
    bne 1b                      // the last by itself
5:  pop {r4, r5, r6, r7, pc}
