// 3x3 convolution backward over sparse errors: two multiply-accumulates per MULS.
//
// Max-pooling lets one error through per window and ReLU kills errors, so conv3x3_errors.c lists
// them, filter by filter: pairs (error e, 4 * position), where the position is that of the
// kernel's upper left corner in the image with its borders. Two channels share a word:
//
//   gradient of w   A = x0 + (x1 << 16)   e * A, summed over errors   = dw0 + (dw1 << 16)
//   gradient of x   W = w0 + (w1 << 16)   e * W, summed over filters  = dx0 + (dx1 << 16)
//
// modulo 2^32: exact while both sums fit int16. Lists for the gradient of w are cut where
// sum(|e|) would pass 258: 258 * 127 = 32766. For the gradient of x see conv3x3_backward.c.

#include "asm.h"

// void conv3x3_gradient(uint32_t *lanes, const int32_t *list, const int32_t *list_end,
//     const uint32_t *inputs, int32_t passes, int32_t step): lanes of three neighbouring taps
// for each of `passes` rows of the inputs, `step` bytes apart. 17 cycles per error and pass.
//
//   r0  list, walking          r4, r5, r6  inputs under three taps     r11  list
//   r1  inputs                 r8, r9, r10 sums of the three taps      r12  end of the list
//   r2  error                  r7          lanes                       lr   passes left
//   r3  address of inputs                                              [sp] step
FUNCTION conv3x3_gradient
    SAVE_REGISTERS
    ldr r4, [sp, #36]
    mov lr, r4
    ldr r4, [sp, #40]
    push {r4}
    mov r7, r0
    mov r11, r1
    mov r12, r2
    mov r1, r3
gradient_pass:
    movs r3, #0
    mov r8, r3
    mov r9, r3
    mov r10, r3
    mov r0, r11
1:  ldmia r0!, {r2, r3}
    adds r3, r3, r1
    ldmia r3!, {r4, r5, r6}
    muls r4, r2, r4
    add r8, r4
    muls r5, r2, r5
    add r9, r5
    muls r6, r2, r6
    add r10, r6
    cmp r0, r12
    bne 1b
    mov r2, r8
    mov r3, r9
    mov r4, r10
    stmia r7!, {r2, r3, r4}
    ldr r2, [sp]
    adds r1, r1, r2
    mov r2, lr
    subs r2, #1
    mov lr, r2
    bne gradient_pass
    pop {r4}
    RESTORE_AND_RETURN

// Add the products of an error (r0) and two words of weights to two words. 13 cycles.
.macro SCATTER_TWO
    ldmia r1!, {r4, r5}
    ldmia r2!, {r6, r7}
    muls r4, r0, r4
    muls r5, r0, r5
    adds r6, r6, r4
    adds r7, r7, r5
    stmia r3!, {r6, r7}
.endm

// void NAME(const int32_t *list, const int32_t *list_end, const uint32_t *weights,
//     uint32_t *lanes, int32_t row_skip): scatters `words` words of weights per tap, [ky][kx],
// over an image of as many words per pixel. row_skip: bytes from behind three pixels to the
// first of them one row below. 3.6 cycles per product for four words, 3.9 for two.
//
//   r0  error                  r4 .. r7  temporaries
//   r1  weights, walking       r8   image           r11  row_skip
//   r2  image, reading         r9   end of list     r12  list, walking
//   r3  image, writing         r10  weights         lr   end of weights
.macro SCATTER name, words
FUNCTION \name
    SAVE_REGISTERS
    mov r12, r0
    mov r9, r1
    mov r10, r2
    mov r8, r3
    adds r2, #(9 * 4 * \words)
    mov lr, r2
    ldr r3, [sp, #36]
    mov r11, r3
.Lerror_\@:
    mov r3, r12
    ldmia r3!, {r0, r2}
    mov r12, r3
    lsls r2, r2, #(\words / 2)  // times 2 or 4
    add r2, r8
    mov r1, r10
.Lrow_\@:
    mov r3, r2
    .rept 3 * \words / 2
    SCATTER_TWO
    .endr
    add r2, r11
    cmp r1, lr
    bne .Lrow_\@
    cmp r12, r9
    bne .Lerror_\@
    RESTORE_AND_RETURN
.endm

    SCATTER conv3x3_scatter_two, 2
    SCATTER conv3x3_scatter_four, 4

// uint32_t conv3x3_pack_taps(uint32_t *to, const uint8_t *w, int32_t words, uint32_t largest,
//     int32_t second): the weights of two channels, `second` bytes apart, as nine words that lie
// `words` words apart. Returns the larger of `largest` and the largest |w| (|w| - 1 for
// negative ones). 31 cycles per word.
//
//   r0  to    r1  w    r2  bytes between words    r3  largest    r7  second    r12  end of w
FUNCTION conv3x3_pack_taps
    push {r4, r5, r6, r7, lr}
    ldr r7, [sp, #20]
    lsls r2, r2, #2
    mov r12, r1
    movs r4, #9
    add r12, r4
pack_tap:
    ldrb r4, [r1]
    ldrb r5, [r1, r7]
    adds r1, #1
    subs r4, #128
    subs r5, #128
    lsls r6, r5, #16
    adds r6, r6, r4
    str r6, [r0]
    adds r0, r0, r2
    asrs r6, r4, #31
    eors r4, r6
    asrs r6, r5, #31
    eors r5, r6
    cmp r4, r3
    bls 1f
    mov r3, r4
1:  cmp r5, r3
    bls 1f
    mov r3, r5
1:  cmp r1, r12
    bne pack_tap
    mov r0, r3
    pop {r4, r5, r6, r7, pc}
