// Macro that lists the errors of a filter: for dW (conv3x3_gradient.S) one behind the other, for
// dX (conv3x3_gather.S) by their position.

// struct conv3x3_errors (conv3x3_errors.h): six words, loaded together, and what follows them
.set LIST_G, 4
.set LIST_ARGMAX, 8
.set LIST_LOWER, 24
.set LIST_RIGHT, 28
.set LIST_BUCKETS, 32
.set LIST_BOUND, 36
.set LIST_WEIGHTS, 40

// Goes through the outputs of a filter, from struct conv3x3_errors *v in r0, registers saved;
// moves v->g and v->argmax to the next filter. Positions are those of the kernel's upper left
// corner.
//
// Not linked: writes pairs (error, 4 * position). 7 cycles per output without an error, 32 with
// one. Linked: writes triples (error, weights, next) and puts each at the head of the chain of
// its position's bucket (head, sum of |e| * bound). 7 and 54 cycles.
//
//   r0  list, walking                  r4  error          r8   number of outputs
//   r1  output less number of outputs  r5  position       r10  lower: offset of the lower row
//   r2  end of the positions           r6  temporary      r11  sum of the positive; buckets
//   r3  end of g                       r7  argmax         r12  right: offset of the right column
//   [sp] v                                                lr   sum of all; weights
//
// Ends with r4 = v.
.macro LIST_ERRORS is_linked
    mov r7, r0
    ldmia r7!, {r0, r1, r2, r3, r4, r5} // list, g, argmax and its bytes, outputs, positions
    subs r7, #24
    push {r7}
    mov r8, r4
    adds r3, r3, r2
    str r3, [r7, #LIST_ARGMAX]
    adds r3, r4, r1
    str r3, [r7, #LIST_G]
    ldr r1, [r7, #LIST_LOWER]
    mov r10, r1
    ldr r1, [r7, #LIST_RIGHT]
    mov r12, r1
    .if \is_linked
    ldr r1, [r7, #LIST_BUCKETS]
    mov r11, r1
    ldr r1, [r7, #LIST_WEIGHTS]
    mov lr, r1
    .else
    movs r1, #0
    mov r11, r1
    mov lr, r1
    .endif
    mov r7, r2
    mov r2, r5
    negs r1, r4
.Lnext_\@:
    ldrsb r4, [r3, r1]
    cmp r4, #0
    bne .Lerror_\@
.Ldone_\@:
    adds r1, #1
    bne .Lnext_\@
    b .Lend_\@

.Lerror_\@:
    mov r5, r8
    adds r5, r5, r1             // index of the output
    lsrs r6, r5, #2
    ldrb r6, [r7, r6]
    lsls r5, r5, #30
    lsrs r5, r5, #29
    lsrs r6, r5                 // bit 0: right column, bit 1: lower row
    lsls r5, r1, #1
    ldrh r5, [r2, r5]
    lsls r5, r5, #(2 + \is_linked)
    lsls r6, r6, #31            // carry: lower row, negative: right column
    bcc .Lupper_\@
    add r5, r10
.Lupper_\@:
    bpl .Lleft_\@
    add r5, r12
.Lleft_\@:
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
    ldr r6, [sp]
    ldr r6, [r6, #LIST_BOUND]
    muls r4, r6, r4
    ldr r6, [r5, #4]
    adds r6, r6, r4
    str r6, [r5, #4]
    .else
    stmia r0!, {r4, r5}
    add lr, r4
    asrs r6, r4, #31
    bics r4, r6
    add r11, r4
    .endif
    adds r1, #1
    bne .Lnext_\@
.Lend_\@:
    pop {r4}
.endm
