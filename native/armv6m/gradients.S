// Gradients of inputs: rounds, clamps and stores sums where the ReLU below let something through.

#include "asm.h"

// void NAME(int8_t *dx_end, const int8_t *x_end, const uint32_t *from, int32_t minus_n,
//     const struct gradient_job *job): n > 0 values of dx, which holds zeros: those with
// x > cut become clamp((value + half) >> shift, -127, 127). The values lie `stride` bytes apart.
// gradients_of_sums takes them as they are, 19 cycles; gradients_of_lanes takes a signed half of
// each word (low: bias 0, left 16; high: bias 0x8000, left 0), 22 cycles. 9 where x <= cut.
//
//   r0  dx_end    r3  value        r6  left     r8   half    r11  -127
//   r1  x_end     r4  temporary    r7  shift    r9   cut     r12  stride
//   r2  from      r5  index, -n .. -1           r10  bias
.macro GRADIENTS name, is_lane
FUNCTION \name
    SAVE_REGISTERS
    mov r5, r3
    ldr r7, [sp, #36]
    ldmia r7!, {r3, r4, r6}     // half, cut, stride
    mov r8, r3
    mov r9, r4
    mov r12, r6
    ldmia r7!, {r3, r4, r6}     // shift, bias, left
    mov r10, r4
    mov r7, r3
    movs r4, #126
    mvns r4, r4
    mov r11, r4
.Lnext_\@:
    ldrsb r4, [r1, r5]
    cmp r4, r9
    ble .Lcut_\@
    ldr r3, [r2]
    .if \is_lane
    add r3, r10
    lsls r3, r6
    asrs r3, r3, #16
    .endif
    add r3, r8
    asrs r3, r7
    CLAMP r3, r11
    strb r3, [r0, r5]
.Lcut_\@:
    add r2, r12
    adds r5, #1
    bne .Lnext_\@
    RESTORE_AND_RETURN
.endm

    GRADIENTS gradients_of_sums, 0
    GRADIENTS gradients_of_lanes, 1
