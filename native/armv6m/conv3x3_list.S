// Lists the errors of a filter: for dW one behind the other, for dX by their position.

#include "asm.h"

// struct conv3x3_errors (conv3x3_errors.h)
.set LIST_G, 4          // LIST itself at 0
.set LIST_ARGMAX, 8
.set LIST_ROWS, 12
.set LIST_COLUMNS, 16
.set LIST_STEP, 20      // three words, loaded together: step, row_step, below
.set LIST_BUCKETS, 32   // three words, loaded together: buckets, bound, weights
.set LIST_SUM, 44

// int32_t *NAME(struct conv3x3_errors *v): goes through the outputs of a filter; returns the end
// of what it has written to v->list. Positions are those of the kernel's upper left corner.
//
// conv3x3_list writes pairs (error, 4 * position), and sum(|e|) to v->sum. 9 cycles per output
// without an error, 37 with one.
// conv3x3_link writes triples (error, weights, next) and puts each at the head of the chain of
// its position's bucket (head, sum of |e| * bound). 9 and 54 cycles.
//
//   r0  list, walking        r4  error               r8   g + 1
//   r1  g, walking           r5  index, position     r9   step
//   r2  position, in bytes   r6  temporary           r10  below
//   r3  end of the row of g  r7  argmax, or 0        r11  sum of |e|, buckets
//   [sp] row's position, v                           r12  bound      lr  weights
.macro LIST name, is_linked
FUNCTION \name
    SAVE_REGISTERS
    sub sp, #8
    str r0, [sp, #4]
    mov r7, r0
    adds r0, #LIST_STEP
    ldmia r0!, {r1, r2, r3}
    mov r9, r1
    mov r10, r3
    .if \is_linked
    ldmia r0!, {r1, r2, r3}
    mov r11, r1
    mov r12, r2
    mov lr, r3
    .endif
    movs r2, #0
    .ifeq \is_linked
    mov r11, r2
    .endif
    ldmia r7!, {r0, r1, r3}     // list, g, argmax
    mov r7, r3
    mov r8, r1
    movs r3, #1
    add r8, r3
.Lrow_\@:
    str r2, [sp]
    ldr r3, [sp, #4]
    ldr r3, [r3, #LIST_COLUMNS]
    adds r3, r3, r1
.Lnext_\@:
    ldrb r4, [r1]
    adds r1, #1
    cmp r4, #0
    bne .Lerror_\@
.Ldone_\@:
    add r2, r9
    cmp r1, r3
    bne .Lnext_\@
    ldr r4, [sp, #4]
    ldr r2, [sp]
    ldr r3, [r4, #(LIST_STEP + 4)]
    adds r2, r2, r3
    ldr r3, [r4, #LIST_ROWS]
    subs r3, #1
    str r3, [r4, #LIST_ROWS]
    bne .Lrow_\@
    .ifeq \is_linked
    mov r1, r11
    str r1, [r4, #LIST_SUM]
    .endif
    add sp, #8
    RESTORE_AND_RETURN

.Lerror_\@:
    sxtb r4, r4
    mov r5, r2
    cmp r7, #0
    beq .Lnot_pooled_\@
    mov r5, r1
    mov r6, r8
    subs r5, r5, r6             // index of the output
    lsrs r6, r5, #2
    ldrb r6, [r7, r6]
    lsls r5, r5, #30
    lsrs r5, r5, #29
    lsrs r6, r5                 // bit 0: right column, bit 1: lower row
    lsls r5, r6, #31
    lsrs r5, r5, #(29 - \is_linked)
    adds r5, r5, r2
    lsls r6, r6, #30
    bpl .Lnot_pooled_\@
    add r5, r10
.Lnot_pooled_\@:
    .if \is_linked
    add r5, r11
    ldr r6, [r5]                // the chain so far
    str r6, [r0, #8]
    str r0, [r5]
    mov r6, lr
    str r6, [r0, #4]
    str r4, [r0]
    adds r0, #12
    asrs r6, r4, #31
    eors r4, r6
    subs r4, r4, r6
    mov r6, r12
    muls r4, r6, r4
    ldr r6, [r5, #4]
    adds r6, r6, r4
    str r6, [r5, #4]
    .else
    stmia r0!, {r4, r5}
    asrs r6, r4, #31
    eors r4, r6
    subs r4, r4, r6
    add r11, r4
    .endif
    b .Ldone_\@
.endm

    LIST conv3x3_list, 0
    LIST conv3x3_link, 1
