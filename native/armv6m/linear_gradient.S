// Gradient of a linear layer's input from its sums.

#include "asm.h"

// void gradients_of_sums(int8_t *dx_end, const int8_t *x_end, const int32_t *sums,
//     int32_t minus_n, const struct gradient_job *job): n > 0 values of dx, which holds zeros:
// those with x > cut become clamp((sum + half) >> shift, -127, 127). 18 cycles, 8 where x <= cut.
//
//   r0  dx_end    r3  sum          r7  shift
//   r1  x_end     r4  temporary    r8  half      r11  -127
//   r2  sums      r5  index, -n .. -1            r9   cut
FUNCTION gradients_of_sums
    SAVE_REGISTERS
    mov r5, r3
    ldr r7, [sp, #36]
    ldmia r7!, {r3, r4, r6}     // half, cut, shift
    mov r8, r3
    mov r9, r4
    mov r7, r6
    movs r4, #126
    mvns r4, r4
    mov r11, r4
1:  ldmia r2!, {r3}
    ldrsb r4, [r1, r5]
    cmp r4, r9
    ble 2f
    add r3, r8
    asrs r3, r7
    CLAMP r3, r11
    strb r3, [r0, r5]
2:  adds r5, #1
    bne 1b
    RESTORE_AND_RETURN
