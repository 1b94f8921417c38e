// Gradient of a linear layer's input: two multiply-accumulates per MULS, over rows with an error
// and quads of columns with an input that is not 0.
//
// Weights stay bytes b = w + 128. Of the word of four weights of a row, less its error e times:
//
//   word = b0 + (b1 << 8) + (b2 << 16) + (b3 << 24)
//   odd  = (word >> 8) & 0x00ff00ff = b1 + (b3 << 16)
//
// sum(odd * e), over rows and modulo 2^32, is sum(b1*e) + (sum(b3*e) << 16), and
// sum(word * e) - (sum(odd * e) << 8) is sum(b0*e) + (sum(b2*e) << 16): the even bytes need no
// mask. Started from -128 * sum(e) * 0x10001 (odd) and * 0x1010101 (words) they hold sums of w
// instead of b: exact lanes while these fit int16. linear.c makes lists of rows, with
// sum(|e|) <= 258 in the first, 193 in others: 258 * 127 = 32766, 193 * 127 = 24511. Behind each
// list the lanes are looked at: within -8192..8191 they take another, 8192 + 24511 = 32703, else
// they become 32-bit sums and start anew.
//
// Two quads at a time: 2.75 cycles per product; 4.5 per column of a list, 10 once.

#include "asm.h"

// struct columns_job (linear.h)
.set JOB_QUADS_END, 12

// Adds four products to two sums; r5 error, r7 mask. Clobbers the word, r2. 6 cycles.
.macro FOUR_PRODUCTS word, words, odd
    lsrs r2, \word, #8
    ands r2, r7
    muls r2, r5, r2
    add \odd, r2
    muls \word, r5, \word
    add \words, \word
.endm

// to = the lanes of columns 0, 2, odd = those of 1, 3. Clobbers temporary. 4 cycles.
.macro LANES words, odds, to, odd, temporary
    mov \odd, \odds
    lsls \temporary, \odd, #8
    mov \to, \words
    subs \to, \to, \temporary
.endm

// void linear_columns(const struct columns_job *job): four sums per quad = (or, not is_first, +=)
// w^T e over the rows of all lists.
//
//   r0  list, walking; sums          r8, r10  words * e of the first quad, of the second
//   r1  column of the first quad     r9, r11  odd * e
//   r6  column of the second         r12      end of the list
//   r2  address of the row           lr       quads, walking
//   r3, r4  words of weights         [sp] next list, whether there are no sums of these quads,
//   r5  error     r7  mask                lists, is_first, end of quads, sums
FUNCTION linear_columns
    SAVE_REGISTERS
    ldmia r0!, {r1, r2, r3, r4, r5}
    mov lr, r1
    push {r0, r1, r2, r3, r4, r5}
    ldr r7, =0x00ff00ff
next_quads:
    ldr r0, [sp, #8]
    ldr r1, [sp, #12]
    str r1, [sp, #4]
clear_lanes:
    movs r3, #0
    mov r8, r3
    mov r9, r3
    mov r10, r3
    mov r11, r3
    mov r4, lr
    ldrh r1, [r4]
    ldrh r6, [r4, #2]
next_list:
    ldmia r0!, {r2, r3}         // end, start of the odd
    mov r12, r2
    add r9, r3
    add r11, r3
    lsls r4, r3, #8
    adds r3, r3, r4
    add r8, r3
    add r10, r3
1:  ldmia r0!, {r2, r5}
    ldr r3, [r1, r2]
    ldr r4, [r6, r2]
    FOUR_PRODUCTS r3, r8, r9
    FOUR_PRODUCTS r4, r10, r11
    cmp r0, r12
    bne 1b
    ldr r2, [r0]
    cmp r2, #0
    beq put_quads
    ldr r5, =0x20002000
    LANES r8, r9, r2, r3, r4
    adds r2, r2, r5
    adds r3, r3, r5
    orrs r2, r3
    mov r12, r2
    LANES r10, r11, r2, r3, r4
    adds r2, r2, r5
    adds r3, r3, r5
    orrs r2, r3
    mov r3, r12
    orrs r2, r3
    ldr r3, =0xc000c000
    tst r2, r3
    beq next_list
put_quads:
    str r0, [sp, #0]
    ldr r0, [sp, #20]
    ldr r1, [sp, #4]
put_quad:
    LANES r8, r9, r4, r5, r6
    sxth r2, r4                 // column 0
    subs r4, r4, r2
    asrs r4, r4, #16            // column 2
    sxth r3, r5                 // column 1
    subs r5, r5, r3
    asrs r5, r5, #16            // column 3
    cmp r1, #0
    bne 2f
    ldr r6, [r0, #0]
    adds r2, r2, r6
    ldr r6, [r0, #4]
    adds r3, r3, r6
    ldr r6, [r0, #8]
    adds r4, r4, r6
    ldr r6, [r0, #12]
    adds r5, r5, r6
2:  stmia r0!, {r2, r3, r4, r5}
    mov r8, r10
    mov r9, r11
    mvns r7, r7                 // negative: the second quad comes next
    bmi put_quad
    ldr r1, [sp, #0]
    ldr r2, [r1]
    cmp r2, #0
    bne lanes_full
    str r0, [sp, #20]
    mov r4, lr
    adds r4, #4
    mov lr, r4
    ldr r1, [sp, #16]
    cmp r4, r1
    bne next_quads
    add sp, #24
    RESTORE_AND_RETURN
lanes_full:                     // the other lists add to these sums
    movs r0, #0
    str r0, [sp, #4]
    mov r0, r1
    b clear_lanes

// void linear_gradient(int8_t *dx, const int8_t *x, const struct columns_job *job): dx of the
// quads, zeros so far, from their sums: clamp((sum + half) >> shift, -127, 127) where x > cut.
// 18 cycles per column, 10 where x <= cut, 2 more each for the quad.
//
//   r0  dx      r3  sum                  r6  quads, walking     r12  cut
//   r1  x       r4  temporary            r7  shift              lr   half
//   r2  sums    r5  index of the column  [sp] end of quads
FUNCTION linear_gradient
    push {r3, r4, r5, r6, r7, lr}
    ldr r6, [r2]
    adds r2, #JOB_QUADS_END
    ldmia r2!, {r3, r4, r5, r7} // end of quads, sums, half, cut
    str r3, [sp]
    mov lr, r5
    mov r12, r7
    ldr r7, [r2]
    mov r2, r4
next_quad:
    ldrh r5, [r6]
    adds r6, #2
1:  ldmia r2!, {r3}
    ldrsb r4, [r1, r5]
    cmp r4, r12
    ble 3f
    add r3, lr
    asrs r3, r7
    adds r3, #127
    cmp r3, #254
    bhi clamp_gradient
2:  subs r3, #127
    strb r3, [r0, r5]
3:  adds r5, #1
    lsls r4, r5, #30
    bne 1b
    ldr r4, [sp]
    cmp r6, r4
    bne next_quad
    pop {r3, r4, r5, r6, r7, pc}
clamp_gradient:
    asrs r4, r3, #31
    movs r3, #254
    bics r3, r4
    b 2b
