// Gradient of a linear layer's input: two multiply-accumulates per MULS over rows with an error.
//
// Weights stay bytes b = w + 128. Of the word of four weights of a row and its error e:
//
//   even = b0 + (b2 << 16)     even * e = b0*e + (b2*e << 16)     modulo 2^32
//   odd  = b1 + (b3 << 16)     likewise
//
// Sums of these over rows start from -128 * sum(e) * 0x10001 and so become, modulo 2^32,
// sum(w0*e) + (sum(w2*e) << 16): exact lanes while both sums fit int16. linear.c passes lists of
// rows with sum(|e|) <= 258: 258 * 127 = 32766. Eight columns at a time: 3.25 cycles per product,
// and 5 per column for the first list, 8 for each that adds to it.

#include "asm.h"

// Add four products to two lanes; r5 error, r7 mask. Clobbers the word, r6. 8 cycles.
.macro FOUR_PRODUCTS word, even, odd
    mov r6, r7
    ands r6, \word
    muls r6, r5, r6
    add \even, r6
    lsrs \word, \word, #8
    ands \word, r7
    muls \word, r5, \word
    add \odd, \word
.endm

// The lanes to four sums at r0, which moves on. Clobbers r2 .. r6. 13 cycles, 25 to add them.
.macro PUT_SUMS even, odd, is_first
    mov r4, \even
    sxth r2, r4
    subs r4, r4, r2
    asrs r4, r4, #16
    mov r5, \odd
    sxth r3, r5
    subs r5, r5, r3
    asrs r5, r5, #16
    .ifeq \is_first
    ldr r6, [r0, #0]
    adds r2, r2, r6
    ldr r6, [r0, #4]
    adds r3, r3, r6
    ldr r6, [r0, #8]
    adds r4, r4, r6
    ldr r6, [r0, #12]
    adds r5, r5, r6
    .endif
    stmia r0!, {r2, r3, r4, r5}
.endm

// void linear_columns(int32_t *sums, const uint8_t *w, const int32_t *list,
//     const int32_t *list_end, int32_t n_in, uint32_t start, int32_t is_first): sums[n_in] = (or,
// not is_first, +=) w^T e over the rows of the list, pairs (offset of the row in w, error), not
// empty; n_in a multiple of 4; start as above.
//
//   r0  list, walking         r8, r9    lanes of columns 0, 2 and 1, 3
//   r1  w at the column       r10, r11  lanes of columns 4, 6 and 5, 7
//   r2  address in the row    r12       end of the list
//   r3, r4  words of weights  lr        n_in, counts down
//   r5  error                 r6  temporary    r7  mask 0x00ff00ff
//   [sp] start, sums, list, is_first
FUNCTION linear_columns
    SAVE_REGISTERS
    mov r12, r3
    mov r4, r0
    mov r5, r2
    add r0, sp, #36
    ldmia r0!, {r2, r3, r6}
    mov lr, r2
    push {r3, r4, r5, r6}
    ldr r7, =0x00ff00ff
next_columns:
    ldr r0, [sp, #8]
    ldr r3, [sp, #0]
    mov r8, r3
    mov r9, r3
    mov r2, lr
    subs r2, #8
    blo four_columns
    mov lr, r2
    mov r10, r3
    mov r11, r3
1:  ldmia r0!, {r2, r5}
    adds r2, r2, r1
    ldmia r2!, {r3, r4}
    FOUR_PRODUCTS r3, r8, r9
    FOUR_PRODUCTS r4, r10, r11
    cmp r0, r12
    bne 1b
    adds r1, #8
    ldr r0, [sp, #4]
    ldr r2, [sp, #12]
    cmp r2, #0
    beq 2f
    PUT_SUMS r8, r9, 1
    PUT_SUMS r10, r11, 1
    b 3f
2:  PUT_SUMS r8, r9, 0
    PUT_SUMS r10, r11, 0
3:  str r0, [sp, #4]
    mov r2, lr
    cmp r2, #0
    bne next_columns
4:  add sp, #16
    RESTORE_AND_RETURN
four_columns:
    ldmia r0!, {r2, r5}
    ldr r3, [r2, r1]
    FOUR_PRODUCTS r3, r8, r9
    cmp r0, r12
    bne four_columns
    ldr r0, [sp, #4]
    ldr r2, [sp, #12]
    cmp r2, #0
    beq 5f
    PUT_SUMS r8, r9, 1
    b 4b
5:  PUT_SUMS r8, r9, 0
    b 4b
