// Gradients of a convolution: sums of error times eight channels, over lists of errors.
//
// Eight channels of a place are four words, two channels each, w0 + (w1 << 16). A list holds the
// errors of an output position (gradient of x: places are those of filters' weights) or of a filter
// (gradient of w: places are those of inputs). Four MULS do the eight products of an error:
//
//   e * (w0 + (w1 << 16)) = e*w0 + (e*w1 << 16)    modulo 2^32,
//
// exact while both sums fit int16: |w| <= 127, so as long as the |e| that are added up stay within
// 258 in sum. Lists are segments of less than that, so that segments add up in the lanes as long
// as they fit together; then the lanes go to eight 32-bit sums.
//
// A list, in words: for each segment the sum of |e|, inverted, then (place << 8) + (e & 255) for
// each error; behind the last segment 0, inverted. A place is a distance in bytes.
//
// 21 cycles per error and eight channels, 17 per list, 9 per segment, 40 for eight sums.

#include "asm.h"

.set MOST_ERRORS, 258

// on the stack, for run_lists below its return address
.set FRAME_LISTS, 4     // walking
.set FRAME_SUMS, 8
.set FRAME_DISTANCE, 12
.set FRAME_KEPT, 16     // whether lanes were added to the sums
.set FRAME_SIZE, 16

// r2, r3 = the two values of lanes. 4 cycles.
.macro SPLIT lanes
    mov r3, \lanes
    sxth r2, r3
    subs r3, r3, r2
    asrs r3, r3, #16
.endm

// Adds two lanes to two sums at r1, moving on. Clobbers r2 .. r5. 14 cycles.
.macro ADD_LANES lanes
    SPLIT \lanes
    ldmia r1!, {r4, r5}
    adds r4, r4, r2
    adds r5, r5, r3
    subs r1, #8
    stmia r1!, {r4, r5}
.endm

// Two lanes are two sums at r1, moving on. Clobbers r2, r3. 7 cycles.
.macro PUT_LANES lanes
    SPLIT \lanes
    stmia r1!, {r2, r3}
.endm

// Eight sums from the lists of a frame. Clobbers all registers but sp.
//
//   r0  list, walking           r7        base of the list's places
//   r1  error and place         r8 .. r11 lanes
//   r2  error                   r12       what is left of MOST_ERRORS
//   r3 .. r6  channels
run_lists:
    push {lr}
    movs r1, #0
    str r1, [sp, #FRAME_KEPT]
start:                          // r1 what lanes hold of MOST_ERRORS, r0 list
    ldr r2, =MOST_ERRORS
    subs r2, r2, r1
    mov r12, r2
    movs r1, #0
    mov r8, r1
    mov r9, r1
    mov r10, r1
    mov r11, r1
    ldr r1, [sp, #FRAME_KEPT]
    cmp r1, #0
    bne 1f                      // within a list
next_list:
    ldr r1, [sp, #FRAME_LISTS]
    ldmia r1!, {r0, r7}
    str r1, [sp, #FRAME_LISTS]
    cmp r0, #0
    beq no_more
    ldr r1, [sp, #FRAME_DISTANCE]
    adds r7, r7, r1
    ldmia r0!, {r1}
    mvns r1, r1
    beq next_list
next_segment:
    mov r2, r12
    subs r2, r2, r1
    bmi full
    mov r12, r2
1:  ldmia r0!, {r1}
next_error:
    sxtb r2, r1
    lsrs r1, r1, #8
    adds r1, r1, r7
    ldmia r1!, {r3, r4, r5, r6}
    muls r3, r2, r3
    add r8, r3
    muls r4, r2, r4
    add r9, r4
    muls r5, r2, r5
    add r10, r5
    muls r6, r2, r6
    add r11, r6
    ldmia r0!, {r1}
    cmp r1, #0
    bge next_error
    mvns r1, r1
    bne next_segment
    b next_list
full:                           // r1 sum of the segment at r0
    mov r6, r1
    bl keep
    movs r1, #1
    str r1, [sp, #FRAME_KEPT]
    mov r1, r6
    b start
no_more:
    bl keep
    pop {pc}

// Lanes to the sums, or add them. Clobbers r1 .. r5.
keep:
    ldr r1, [sp, #FRAME_SUMS]
    ldr r2, [sp, #FRAME_KEPT]
    cmp r2, #0
    bne 1f
    PUT_LANES r8
    PUT_LANES r9
    PUT_LANES r10
    PUT_LANES r11
    bx lr
1:  ADD_LANES r8
    ADD_LANES r9
    ADD_LANES r10
    ADD_LANES r11
    bx lr

// void gather(const struct gather_list *lists, int32_t sums[8]): the sums of the errors of lists
// that end with one at NULL.
FUNCTION gather
    SAVE_REGISTERS
    sub sp, #FRAME_SIZE
    movs r2, #0
    mov r3, sp
    stmia r3!, {r0, r1, r2}
    bl run_lists
    add sp, #FRAME_SIZE
    RESTORE_AND_RETURN

// struct gather_put (gather.h): size, limit, half, shift; left, half, right
.set PUT_ADD, 16

// Gradients from sums. 22 cycles each, 16 where a mask cuts it off, 19 more where dx is added.
//
//   r0  dx                r3  sums left                r6  place
//   r1  x                 r4  size                     r7  shift; struct gather_put *, which stays
//   r2  sums, walking     r5  value                    r8  limit      r9  half
//
// Returns with r6 behind the last. Clobbers r2 .. r6, r8 .. r11.
put_sums:
    push {r7, lr}
    ldr r5, [r7, #PUT_ADD]
    cmp r5, #0
    bge add_earlier
put:
    ldmia r7, {r4, r5, r6, r7}
    mov r8, r5
    mov r9, r6
    movs r6, #0
1:  ldrsb r5, [r1, r6]
    subs r5, #1
    cmp r5, r8
    bhi 4f
    ldmia r2!, {r5}
    add r5, r9
    asrs r5, r7
    adds r5, #127
    cmp r5, #254
    bhi 5f
2:  subs r5, #127
3:  strb r5, [r0, r6]
    adds r6, r6, r4
    subs r3, #1
    bne 1b
    pop {r7, pc}
4:  movs r5, #0
    adds r2, #4
    b 3b
5:  asrs r5, r5, #31            // below -127: 0, above 127: 254
    mvns r5, r5
    lsrs r5, r5, #25
    lsls r5, r5, #1
    b 2b

// What other stages have left, ((dx << left) + half) >> right, to the sums; r5 left.
add_earlier:
    push {r2, r3, r7}
    ldr r4, [r7]
    mov r10, r4
    ldr r4, [r7, #(PUT_ADD + 4)]
    mov r11, r4
    ldr r7, [r7, #(PUT_ADD + 8)]
    movs r6, #0
1:  ldrsb r4, [r0, r6]
    lsls r4, r5
    add r4, r11
    asrs r4, r7
    mov r8, r4
    ldr r4, [r2]
    add r4, r8
    stmia r2!, {r4}
    add r6, r10
    subs r3, #1
    bne 1b
    pop {r2, r3, r7}
    b put

// void gather_put(int8_t *dx, const int8_t *x, int32_t *sums, const struct gather_put *v, int32_t n):
// n > 0 gradients. The sums change where what dx holds is added.
FUNCTION gather_put
    SAVE_REGISTERS
    mov r7, r3
    ldr r3, [sp, #36]
    bl put_sums
    RESTORE_AND_RETURN

// struct gather_input (gather.h)
.set INPUT_LISTS, 0
.set INPUT_GROUP, 4
.set INPUT_X, 8         // two words, loaded together: x, dx
.set INPUT_CHANNELS, 16
.set INPUT_PUT, 20

.set FRAME_INPUT, 16
.set FRAME_SUMS_AT, 20  // eight words
.set INPUT_FRAME_SIZE, 52

// void gather_input(struct gather_input *v): the gradients of an input, for all groups of channels,
// from the lists that it is under.
FUNCTION gather_input
    SAVE_REGISTERS
    sub sp, #INPUT_FRAME_SIZE
    str r0, [sp, #FRAME_INPUT]
    movs r1, #0
    str r1, [sp, #(FRAME_DISTANCE - 4)]
    add r1, sp, #FRAME_SUMS_AT
    str r1, [sp, #(FRAME_SUMS - 4)]
next_group:                     // r0 v
    ldr r0, [r0, #INPUT_LISTS]
    str r0, [sp, #(FRAME_LISTS - 4)]
    bl run_lists
    ldr r7, [sp, #FRAME_INPUT]
    ldr r1, [r7, #INPUT_X]
    ldr r0, [r7, #(INPUT_X + 4)]
    ldr r3, [r7, #INPUT_CHANNELS]
    cmp r3, #8
    bls 1f
    movs r3, #8
1:  add r2, sp, #FRAME_SUMS_AT
    adds r7, #INPUT_PUT
    bl put_sums
    subs r7, #INPUT_PUT
    adds r0, r0, r6             // the next group
    adds r1, r1, r6
    str r1, [r7, #INPUT_X]
    str r0, [r7, #(INPUT_X + 4)]
    ldr r1, [sp, #(FRAME_DISTANCE - 4)]
    ldr r2, [r7, #INPUT_GROUP]
    adds r1, r1, r2
    str r1, [sp, #(FRAME_DISTANCE - 4)]
    mov r0, r7
    ldr r3, [r7, #INPUT_CHANNELS]
    subs r3, #8
    str r3, [r7, #INPUT_CHANNELS]
    bgt next_group
    add sp, #INPUT_FRAME_SIZE
    RESTORE_AND_RETURN

// int32_t *gather_list(int32_t *to, const int8_t *g_end, int32_t minus_n,
//     const struct gather_steps *steps): segments of the errors from g_end - n on, every step-th,
// n a multiple of that; none where all are 0. Returns where they end, which is to become that of a
// list (GATHER_END), or the next segment's beginning. 8 cycles per error that is 0, 20 per one that
// is not.
//
//   r0  to, walking             r4  error           r8   place of an error to the next, times 256
//   r1  g_end                   r5  place << 8      r9   where the sum of the segment goes
//   r2  -n .. 0                 r6  temporary       r12  MOST_ERRORS
//   r3  step                    r7  sum of |e|      lr   temporary
FUNCTION gather_list
    push {r4, r5, r6, r7, lr}
    mov r4, r8
    mov r5, r9
    push {r4, r5}
    ldmia r3!, {r4, r5, r6}
    mov r8, r5
    mov r3, r4
    mov r5, r6
    mov r9, r0
    ldr r4, =MOST_ERRORS
    mov r12, r4
    adds r0, #4
    movs r7, #0
1:  ldrsb r4, [r1, r2]
    cmp r4, #0
    bne 3f
2:  add r5, r8
    adds r2, r2, r3
    bne 1b
    mov r6, r9
    cmp r7, #0
    beq 6f                      // nothing since the last segment
    mvns r7, r7
    str r7, [r6]
    mov r6, r0
6:  mov r0, r6
    pop {r4, r5}
    mov r8, r4
    mov r9, r5
    pop {r4, r5, r6, r7, pc}
3:  movs r6, r4
    bpl 4f
    negs r6, r6
4:  adds r7, r7, r6
    cmp r7, r12
    bhi 7f
5:  uxtb r4, r4
    orrs r4, r5
    stmia r0!, {r4}
    b 2b
7:  subs r7, r7, r6             // this error begins another segment
    mov lr, r6
    mov r6, r9
    mvns r7, r7
    str r7, [r6]
    mov r9, r0
    adds r0, #4
    mov r7, lr
    b 5b
