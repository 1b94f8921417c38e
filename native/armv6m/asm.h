// What the assembly files share.

.syntax unified
.cpu cortex-m0plus
.thumb
.text

.macro FUNCTION name
    .align 2
    .global \name
    .thumb_func
    .type \name, %function
\name:
.endm

// r4 .. r11 and lr on the stack: 36 bytes. Clobbers r4 .. r7. 15 cycles.
.macro SAVE_REGISTERS
    push {r4, r5, r6, r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4, r5, r6, r7}
.endm

// 17 cycles.
.macro RESTORE_AND_RETURN
    pop {r4, r5, r6, r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4, r5, r6, r7, pc}
.endm

// value = its nearest in low..127. 5 or 6 cycles.
.macro CLAMP value, low
    cmp \value, \low
    bge .Lnot_below_\@
    mov \value, \low
.Lnot_below_\@:
    cmp \value, #127
    ble .Lnot_above_\@
    movs \value, #127
.Lnot_above_\@:
.endm
