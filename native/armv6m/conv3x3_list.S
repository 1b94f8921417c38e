// Lists the errors of a filter: for dW one behind the other, for dX by their position.

#include "asm.h"

// struct conv3x3_errors (conv3x3_errors.h)
.set LIST_LIST, 0       // three words, loaded together: list, g, argmax
.set LIST_G_END, 12     // six words, loaded together: g_end, columns, skip, step, below, buckets
.set LIST_BOUND, 36
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
//   [sp] g_end, columns, skip, v                     r12  bound      lr  weights
.macro LIST name, is_linked
FUNCTION \name
    SAVE_REGISTERS
    mov r7, r0
    adds r0, #LIST_G_END
    ldmia r0!, {r1, r2, r3, r4, r5, r6}
    mov r9, r4
    mov r10, r5
    mov r4, r7
    push {r1, r2, r3, r4}
    .if \is_linked
    mov r11, r6
    ldmia r0!, {r1, r2}         // bound, weights
    mov r12, r1
    mov lr, r2
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
    ldr r3, [sp, #4]
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
    ldr r4, [sp, #8]
    adds r2, r2, r4
    ldr r4, [sp]
    cmp r1, r4
    bne .Lrow_\@
    .ifeq \is_linked
    ldr r4, [sp, #12]
    mov r1, r11
    str r1, [r4, #LIST_SUM]
    .endif
    add sp, #16
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
