// Gradients of a depthwise 3x3 convolution, a channel at a time, from its errors that are not 0.
//
// That of x is scattered: each error adds its nine products to sums of 32 bits. For that of w nine
// sums stay in registers; inputs are bytes u = x, or x + 128 where some are negative, so what an
// error has added too much is 128 times the sum of all. No lanes, so no bounds.
//
// 13 cycles per error that is 0; 82 per one that is not (x), 62 (w).

#include "asm.h"

// struct depthwise_walk (depthwise.h)
.set WALK_G, 0
.set WALK_PLACE, 4
.set WALK_STEP, 8
.set WALK_WIDTH, 12
.set WALK_VALUES, 16
.set WALK_COLUMNS, 20
.set WALK_SKIP, 24
.set WALK_ROWS, 28

// on the stack
.set FRAME_END, 0       // of the row of errors
.set FRAME_STEP, 4
.set FRAME_BACK, 8      // bytes from behind the last row of taps to the first
.set FRAME_WALK, 12
.set FRAME_SUM, 16      // depthwise_gradient: of the errors; depthwise_scatter: three weights
.set FRAME_SIZE, 28

// To \live for every error that is not 0, which comes back to \next; r0 errors, r1 place, r2 error.
// Clobbers r3.
.macro WALK live, next
.Lrow_\@:
    ldr r3, [sp, #FRAME_WALK]
    ldr r2, [r3, #WALK_COLUMNS]
    adds r2, r2, r0
    str r2, [sp, #FRAME_END]
.Lcolumn_\@:
    ldrb r2, [r0]
    adds r0, #1
    sxtb r2, r2
    cmp r2, #0
    bne \live
\next:
    ldr r3, [sp, #FRAME_STEP]
    adds r1, r1, r3
    ldr r3, [sp, #FRAME_END]
    cmp r0, r3
    bne .Lcolumn_\@
    ldr r3, [sp, #FRAME_WALK]
    ldr r2, [r3, #WALK_SKIP]
    adds r1, r1, r2
    ldr r2, [r3, #WALK_ROWS]
    subs r2, #1
    str r2, [r3, #WALK_ROWS]
    bne .Lrow_\@
.endm

.macro ADD_PRODUCT sum, weight
    mov r6, \weight
    muls r6, r2, r6
    adds \sum, \sum, r6
.endm

// Three sums at r1, moving on to the next row; r7 from behind them to it. 19 cycles.
.macro SCATTER_ROW a, b, c
    ldmia r1!, {r3, r4, r5}
    ADD_PRODUCT r3, \a
    ADD_PRODUCT r4, \b
    ADD_PRODUCT r5, \c
    subs r1, #12
    stmia r1!, {r3, r4, r5}
    adds r1, r1, r7
.endm

// void depthwise_scatter(struct depthwise_walk *v): adds the products of the errors of a channel
// with the nine words at `values`.
//
//   r0  errors     r3 .. r5  sums        r7        width - 12
//   r1  place      r6  product           r8 .. r12, lr  weights of two rows
//   r2  error
FUNCTION depthwise_scatter
    SAVE_REGISTERS
    sub sp, #FRAME_SIZE
    str r0, [sp, #FRAME_WALK]
    ldr r7, [r0, #WALK_VALUES]
    ldmia r7!, {r1, r2, r3, r4, r5, r6}
    mov r8, r1
    mov r9, r2
    mov r10, r3
    mov r11, r4
    mov r12, r5
    mov lr, r6
    ldmia r7!, {r1, r2, r3}
    add r4, sp, #FRAME_SUM
    stmia r4!, {r1, r2, r3}
    ldr r7, [r0, #WALK_WIDTH]
    lsls r1, r7, #1
    adds r1, r1, r7
    str r1, [sp, #FRAME_BACK]
    subs r7, #12
    ldr r1, [r0, #WALK_STEP]
    str r1, [sp, #FRAME_STEP]
    ldr r1, [r0, #WALK_PLACE]
    ldr r0, [r0, #WALK_G]
    WALK scatter, scattered
    add sp, #FRAME_SIZE
    RESTORE_AND_RETURN
scatter:
    SCATTER_ROW r8, r9, r10
    SCATTER_ROW r11, r12, lr
    ldmia r1!, {r3, r4, r5}
    .irp i, 0, 1, 2
    ldr r6, [sp, #(FRAME_SUM + 4 * \i)]
    muls r6, r2, r6
    .if \i == 0
    adds r3, r3, r6
    .elseif \i == 1
    adds r4, r4, r6
    .else
    adds r5, r5, r6
    .endif
    .endr
    subs r1, #12
    stmia r1!, {r3, r4, r5}
    adds r1, r1, r7
    ldr r3, [sp, #FRAME_BACK]
    subs r1, r1, r3
    b scattered

.macro ADD_INPUT sum, place
    ldrb r3, [r1, #\place]
    muls r3, r2, r3
    add \sum, r3
.endm

// void depthwise_gradient(struct depthwise_walk *v): nine sums of error times input, and the sum of
// the errors behind them, to `values`.
//
//   r0  errors     r2  error      r4  width
//   r1  place      r3  product    r5, r6, r7; r8, r9, r10; r11, r12, lr  sums of each row of taps
FUNCTION depthwise_gradient
    SAVE_REGISTERS
    sub sp, #FRAME_SIZE
    str r0, [sp, #FRAME_WALK]
    ldr r4, [r0, #WALK_WIDTH]
    lsls r1, r4, #1
    str r1, [sp, #FRAME_BACK]
    ldr r1, [r0, #WALK_STEP]
    str r1, [sp, #FRAME_STEP]
    ldr r1, [r0, #WALK_PLACE]
    ldr r0, [r0, #WALK_G]
    movs r5, #0
    movs r6, #0
    movs r7, #0
    mov r8, r5
    mov r9, r5
    mov r10, r5
    mov r11, r5
    mov r12, r5
    mov lr, r5
    str r5, [sp, #FRAME_SUM]
    WALK add_inputs, added
    ldr r4, [sp, #FRAME_WALK]
    ldr r4, [r4, #WALK_VALUES]
    stmia r4!, {r5, r6, r7}
    mov r5, r8
    mov r6, r9
    mov r7, r10
    stmia r4!, {r5, r6, r7}
    mov r5, r11
    mov r6, r12
    mov r7, lr
    stmia r4!, {r5, r6, r7}
    ldr r5, [sp, #FRAME_SUM]
    str r5, [r4]
    add sp, #FRAME_SIZE
    RESTORE_AND_RETURN
add_inputs:
    ADD_INPUT r5, 0
    ADD_INPUT r6, 1
    ADD_INPUT r7, 2
    adds r1, r1, r4
    ADD_INPUT r8, 0
    ADD_INPUT r9, 1
    ADD_INPUT r10, 2
    adds r1, r1, r4
    ADD_INPUT r11, 0
    ADD_INPUT r12, 1
    ADD_INPUT lr, 2
    ldr r3, [sp, #FRAME_BACK]
    subs r1, r1, r3
    ldr r3, [sp, #FRAME_SUM]
    adds r3, r3, r2
    str r3, [sp, #FRAME_SUM]
    b added
