// Gradients of a depthwise 3x3 convolution, a channel at a time, from its errors that are not 0.
//
// That of x is scattered. A word of the plane is two sums, those of an input and of the one below
// it: high and low half, where the high one lies in an even row. An error that falls on an even
// row adds two rows of three products to two rows of words, with the weights
//
//   (k0 << 16) + k1    and    k2 << 16,       on an odd row    k0    and    (k1 << 16) + k2.
//
// Both halves begin with 2^15 and what rounds, so that none ever borrows from the other:
// depthwise_backward.c sees to it that what is read out fits. For that of w nine sums of 32 bits
// stay in registers; inputs are bytes u = x, or x + 128 where some are negative.
//
// 7 cycles per error that is 0; 55 per one that is not (x), 58 (w).

#include "asm.h"

// struct depthwise_walk (depthwise_gradients.h)
.set WALK_G, 0          // four words, loaded together: g, minus_n, place, step
.set WALK_MINUS_N, 4
.set WALK_WIDTH, 16
.set WALK_WEIGHTS, 20
.set WALK_VALUES, 24
.set WALK_G_STEP, 28
.set WALK_PLACE_STEP, 32
.set WALK_ROWS, 36

// on the stack
.set FRAME_PLACE, 0     // of the column behind the row's last; two words, stored together
.set FRAME_STEP, 4
.set FRAME_WIDTH, 8     // bytes from behind a row of three places to the next, or of places
.set FRAME_WALK, 12
.set FRAME_SIZE, 16

// A frame, r0 the errors' end, r1 the first one's number, from r0 v. Clobbers r2, r3, r4.
.macro ENTER
    sub sp, #FRAME_SIZE
    str r0, [sp, #FRAME_WALK]
    ldr r4, [r0, #WALK_WIDTH]
    str r4, [sp, #FRAME_WIDTH]
    ldmia r0!, {r1, r2, r3, r4}
    str r3, [sp, #FRAME_PLACE]
    str r4, [sp, #FRAME_STEP]
    mov r0, r1
    mov r1, r2
.endm

// To \live for every error that is not 0, which comes back to \next; r0 end of the row of errors,
// r1 its number, -n .. -1, r2 error. Clobbers r3, r4.
.macro WALK live, next
.Lerror_\@:
    ldrsb r2, [r0, r1]
    cmp r2, #0
    bne \live
\next:
    adds r1, #1
    bne .Lerror_\@
    ldr r4, [sp, #FRAME_WALK]
    ldr r2, [sp, #FRAME_PLACE]
    ldr r3, [r4, #WALK_PLACE_STEP]
    adds r2, r2, r3
    str r2, [sp, #FRAME_PLACE]
    ldr r3, [r4, #WALK_G_STEP]
    adds r0, r0, r3
    ldr r1, [r4, #WALK_MINUS_N]
    ldr r2, [r4, #WALK_ROWS]
    subs r2, #1
    str r2, [r4, #WALK_ROWS]
    bne .Lerror_\@
.endm

// \place = that of error r1. Clobbers \other. 6 cycles.
.macro FIND_PLACE place, other
    ldr \place, [sp, #FRAME_STEP]
    muls \place, r1, \place
    ldr \other, [sp, #FRAME_PLACE]
    adds \place, \place, \other
.endm

// \place to the next row of taps. Clobbers \other. 3 cycles.
.macro NEXT_ROW place, other
    ldr \other, [sp, #FRAME_WIDTH]
    adds \place, \place, \other
.endm

.macro ADD_PRODUCT sum, weight
    mov r7, \weight
    muls r7, r2, r7
    adds \sum, \sum, r7
.endm

// Three words at r3, moving on. 18 cycles.
.macro SCATTER_ROW a, b, c
    ldmia r3!, {r4, r5, r6}
    ADD_PRODUCT r4, \a
    ADD_PRODUCT r5, \b
    ADD_PRODUCT r6, \c
    subs r3, #12
    stmia r3!, {r4, r5, r6}
.endm

// Two rows of three weights at r7, moving on, are three words. Clobbers r1 .. r6.
.macro PAIR_WEIGHTS a, b, c
    ldmia r7!, {r1, r2, r3, r4, r5, r6}
    lsls r1, r1, #16
    adds r1, r1, r4
    mov \a, r1
    lsls r2, r2, #16
    adds r2, r2, r5
    mov \b, r2
    lsls r3, r3, #16
    adds r3, r3, r6
    mov \c, r3
.endm

// void depthwise_scatter(struct depthwise_walk *v): adds the products of the errors of some rows.
//
//   r0  errors, end       r3  place              r7  product
//   r1  number of error   r4 .. r6  sums         r8 .. r12, lr  weights
//   r2  error
FUNCTION depthwise_scatter
    SAVE_REGISTERS
    ldr r7, [r0, #WALK_WEIGHTS]
    PAIR_WEIGHTS r8, r9, r10
    PAIR_WEIGHTS r11, r12, lr
    ENTER
    WALK scatter, scattered
leave:
    add sp, #FRAME_SIZE
    RESTORE_AND_RETURN
scatter:
    FIND_PLACE r3, r4
    SCATTER_ROW r8, r9, r10
    NEXT_ROW r3, r7
    SCATTER_ROW r11, r12, lr
    b scattered

.macro ADD_INPUT sum, tap
    ldrb r3, [r4, #\tap]
    muls r3, r2, r3
    add \sum, r3
.endm

// void depthwise_gradient(struct depthwise_walk *v): nine sums of error times input to every second
// word of `values`.
//
//   r0  errors, end       r3  product     r5, r6, r7; r8, r9, r10; r11, r12, lr  sums of each row
//   r1  number of error   r4  place       of taps
//   r2  error
FUNCTION depthwise_gradient
    SAVE_REGISTERS
    ENTER
    movs r5, #0
    movs r6, #0
    movs r7, #0
    mov r8, r5
    mov r9, r5
    mov r10, r5
    mov r11, r5
    mov r12, r5
    mov lr, r5
    WALK add_inputs, added
    ldr r4, [r4, #WALK_VALUES]
    str r5, [r4, #0]
    str r6, [r4, #8]
    str r7, [r4, #16]
    mov r5, r8
    mov r6, r9
    mov r7, r10
    str r5, [r4, #24]
    str r6, [r4, #32]
    str r7, [r4, #40]
    mov r5, r11
    mov r6, r12
    mov r7, lr
    str r5, [r4, #48]
    str r6, [r4, #56]
    str r7, [r4, #64]
    b leave
add_inputs:
    FIND_PLACE r4, r3
    ADD_INPUT r5, 0
    ADD_INPUT r6, 1
    ADD_INPUT r7, 2
    NEXT_ROW r4, r3
    ADD_INPUT r8, 0
    ADD_INPUT r9, 1
    ADD_INPUT r10, 2
    NEXT_ROW r4, r3
    ADD_INPUT r11, 0
    ADD_INPUT r12, 1
    ADD_INPUT lr, 2
    b added

// void depthwise_put(const struct depthwise_put *v, int32_t pairs): gradients from rows of words, to
// a channel of zeros, where MASK_DX lets them through. 23 cycles per word, where half
// of all are cut.
//
//   r0  dx, walking       r4  temporary        r8   limit                    r12  skip
//   r1  x, walking        r5  w_in             r9   end of the row of dx     lr   w_in
//   r2  words, walking    r6  minus_bias       r11  last_lower               [sp] pairs
//   r3  word              r7  shift of a high half
FUNCTION depthwise_put
    SAVE_REGISTERS
    push {r1}
    mov r7, r0
    ldmia r7!, {r0, r1, r2, r3, r5}
    mov r12, r0
    mov r8, r1
    mov r11, r2
    mov lr, r5
    mov r6, r3
    ldmia r7!, {r0, r1, r2, r3}
    mov r7, r3
next_pair:
    ldr r4, [sp]
    subs r4, #1
    str r4, [sp]
    bne 1f
    mov r5, r11
1:  mov r4, lr
    adds r4, r4, r0
    mov r9, r4
next_word:
    ldmia r2!, {r3}
    ldrb r4, [r1, r5]           // the lower one first: it may be the upper one
    subs r4, #1
    cmp r4, r8
    bhi 1f
    lsls r4, r3, #16
    lsrs r4, r7
    adds r4, r4, r6
    strb r4, [r0, r5]
1:  ldrb r4, [r1]
    subs r4, #1
    cmp r4, r8
    bhi 1f
    lsrs r3, r7
    adds r3, r3, r6
    strb r3, [r0]
1:  adds r1, #1
    adds r0, #1
    cmp r0, r9
    bne next_word
    add r0, lr                  // of the row that was the lower one
    add r1, lr
    add r2, r12
    ldr r4, [sp]
    cmp r4, #0
    bne next_pair
    add sp, #4
    RESTORE_AND_RETURN

// void fill_words(uint32_t *to, uint32_t value, int32_t n): n > 0 words, a multiple of 4. 2 cycles
// per word.
FUNCTION fill_words
    push {r4, r5, lr}
    mov r3, r1
    mov r4, r1
    mov r5, r1
1:  stmia r0!, {r1, r3, r4, r5}
    subs r2, #4
    bne 1b
    pop {r4, r5, pc}

// void depthwise_copy(char *to, const int8_t *x, const struct depthwise_copy *v): rows of an image into
// one with borders. 1.5 cycles per byte where both lie at words, else 8; 20 per row.
//
//   r0  to, walking      r2  bytes left     r4, r5  temporaries     r7   skip
//   r1  x, walking       r3  flip           r6  rows left           r12  bytes of a row
FUNCTION depthwise_copy
    push {r4, r5, r6, r7, lr}
    ldmia r2!, {r3, r4, r6, r7}
    mov r12, r4
next_copy:
    mov r2, r12
    mov r4, r0
    orrs r4, r1
    lsls r4, r4, #30
    bne 3f
1:  subs r2, #8
    blo 2f
    ldmia r1!, {r4, r5}
    eors r4, r3
    eors r5, r3
    stmia r0!, {r4, r5}
    b 1b
2:  adds r2, #8
    beq 5f
3:  adds r0, r0, r2
    adds r1, r1, r2
    negs r2, r2
4:  ldrb r4, [r1, r2]
    eors r4, r3
    strb r4, [r0, r2]
    adds r2, #1
    bne 4b
5:  adds r0, r0, r7
    subs r6, #1
    bne next_copy
    pop {r4, r5, r6, r7, pc}
