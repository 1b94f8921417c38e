// Gradients of a convolution: sums of error times eight channels, over lists of errors.
//
// Eight channels of a place are four words, two channels each, w0 + (w1 << 16). A list holds the
// errors of an output position (gradient of x: places are those of filters' weights) or of a filter
// (gradient of w: places are those of inputs). Four MULS do the eight products of an error:
//
//   e * (w0 + (w1 << 16)) = e*w0 + (e*w1 << 16)    modulo 2^32,
//
// exact while both sums fit int16: |w| <= 127, so as long as the |e| that are added up stay within
// 258 in sum. Lists are segments of no more than that, so that segments add up in the lanes as long
// as they fit together; then the lanes go to eight 32-bit sums.
//
// A list, in words: for each segment the sum of |e|, inverted, times 256, then (place << 8) +
// (e & 255) for each error; behind the last segment -1. A place is a distance in bytes.
//
// 20 cycles per error and eight channels, 17 per list, 10 per segment; 40 for eight sums.

#include "asm.h"

.set MOST_ERRORS, 258

// on the stack
.set FRAME_LISTS, 0     // walking
.set FRAME_DISTANCE, 4  // of all places from where a list has them
.set FRAME_RETURN, 8
.set FRAME_CALLERS, 12  // three words
.set FRAME_SUMS, 24     // eight words
.set FRAME_AGAIN, 56    // gather_sums: the lists
.set FRAME_SIZE, 60

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

// Eight sums from the lists of a frame: r2 is 0 where they are in the lanes, r8 .. r11, else they
// are at FRAME_SUMS. Clobbers all registers but sp.
//
//   r0  list, walking           r7        base of the list's places
//   r1  error and place         r8 .. r11 lanes
//   r2  error                   r12       what is left of MOST_ERRORS
//   r3 .. r6  channels          lr        1 where lanes were added to the sums
run_lists:
    mov r1, lr
    str r1, [sp, #FRAME_RETURN]
    movs r1, #0
    mov lr, r1
start:                          // r1 what lanes hold of MOST_ERRORS, r0 list
    ldr r2, =MOST_ERRORS
    subs r2, r2, r1
    mov r12, r2
    movs r2, #0
    mov r8, r2
    mov r9, r2
    mov r10, r2
    mov r11, r2
    cmp r1, #0
    bne first_error             // within a list
next_list:
    ldr r1, [sp, #FRAME_LISTS]
    ldmia r1!, {r0, r7}
    str r1, [sp, #FRAME_LISTS]
    cmp r0, #0
    beq no_more
    ldr r1, [sp, #FRAME_DISTANCE]
    adds r7, r7, r1
    ldmia r0!, {r1}
    asrs r1, r1, #8
end_segment:
    mvns r1, r1
    beq next_list
    mov r2, r12
    subs r2, r2, r1
    bmi full
    mov r12, r2
first_error:
    .rept 4
    ldmia r0!, {r1}
    sxtb r2, r1
    asrs r1, r1, #8
    bmi end_segment
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
    .endr
    b first_error
full:                           // r1 sum of the segment at r0
    mov r6, r1
    mov r2, lr
    bl keep
    movs r1, #1
    mov lr, r1
    mov r1, r6
    b start
no_more:
    mov r2, lr
    cmp r2, #0
    beq 1f
    bl keep
    movs r2, #1
1:  ldr r1, [sp, #FRAME_RETURN]
    bx r1

// Lanes to the sums, where these do not hold all (r2 is 0).
complete:
    cmp r2, #0
    bne 2f
// Lanes to the sums, or, where r2 is not 0, add them. Clobbers r1 .. r5.
keep:
    add r1, sp, #FRAME_SUMS
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
2:  bx lr

// struct gather_put (gather.h): size, limit, half, shift; left, half, right
.set PUT_ADD, 16

// Gradient r5, rounded, in -127..127; \half a high register, r7 shift. To \out and back to \in where
// it is too large. 6 cycles.
.macro ROUND half, out, in
    add r5, \half
    asrs r5, r7
    adds r5, #127
    cmp r5, #254
    bhi \out
\in:
    subs r5, #127
.endm

// What ROUND finds too large: below -127: 0, above 127: 254.
.macro SATURATE out, in
\out:
    asrs r5, r5, #31
    mvns r5, r5
    lsrs r5, r5, #25
    lsls r5, r5, #1
    b \in
.endm

// Gradients from sums. 20 cycles each, 19 more where dx is added.
//
//   r0  dx                r3  where places end      r6  place, walking
//   r1  x                 r4  size                  r7  shift; struct gather_put *, which stays
//   r2  sums, walking     r5  value                 r8  limit      r9  half
//
// Clobbers r2, r4, r5, r8 .. r11.
put_sums:
    push {r7, lr}
    ldr r5, [r7, #PUT_ADD]
    cmp r5, #0
    bge add_earlier
put:
    ldmia r7!, {r4, r5}
    mov r8, r5
    ldmia r7!, {r5}
    mov r9, r5
    ldr r7, [r7]
1:  ldrsb r5, [r1, r6]
    subs r5, #1
    cmp r5, r8
    bhi 4f
    ldmia r2!, {r5}
    ROUND r9, sum_is_large, sum_is_right
3:  strb r5, [r0, r6]
    adds r6, r6, r4
    cmp r6, r3
    bne 1b
    pop {r7, pc}
4:  movs r5, #0
    adds r2, #4
    b 3b
    SATURATE sum_is_large, sum_is_right

// What other stages have left, ((dx << left) + half) >> right, to the sums; r5 left.
add_earlier:
    push {r2, r6, r7}
    ldr r4, [r7]
    mov r10, r4
    ldr r4, [r7, #(PUT_ADD + 4)]
    mov r11, r4
    ldr r7, [r7, #(PUT_ADD + 8)]
1:  ldrsb r4, [r0, r6]
    lsls r4, r5
    add r4, r11
    asrs r4, r7
    mov r8, r4
    ldr r4, [r2]
    add r4, r8
    stmia r2!, {r4}
    add r6, r10
    cmp r6, r3
    bne 1b
    pop {r2, r6, r7}
    b put

// void gather_put(int8_t *dx, const int8_t *x, int32_t *sums, const struct gather_put *v, int32_t n):
// n > 0 gradients side by side. The sums change where what dx holds is added.
FUNCTION gather_put
    SAVE_REGISTERS
    mov r7, r3
    ldr r3, [sp, #36]
    movs r6, #0
    bl put_sums
    RESTORE_AND_RETURN

// struct gather_input (gather.h)
.set INPUT_LISTS, 0
.set INPUT_GROUP, 4
.set INPUT_GROUP_SIZE, 8    // five words, loaded together: group_size, end, at, dx, x
.set INPUT_AT, 16
.set INPUT_PUT, 28

// Of the next eight channels: r0 dx, r1 x, r3 where places end, r4 end of the last, r6 place; r7 of
// struct gather_input becomes its put.
.macro NEXT_CHANNELS
    adds r7, #INPUT_GROUP_SIZE
    ldmia r7!, {r3, r4, r6}
    ldmia r7!, {r0, r1}
    adds r3, r3, r6
    cmp r3, r4
    bls .Lwhole_\@
    mov r3, r4
.Lwhole_\@:
.endm

// void gather_input(struct gather_input *v): the gradients of an input, for all groups of channels,
// from the lists that it is under. dx has zeros, where nothing is added to what it has.
//
//   r0  dx               r3  lanes     r6  place, walking      r8  limit
//   r1  x                r4  size      r7  shift               r9  half
//   r2  lanes, walking   r5  value                             r10  where the group ends
FUNCTION gather_input
    SAVE_REGISTERS
    sub sp, #FRAME_SIZE
    str r0, [sp, #FRAME_CALLERS]
    movs r1, #0
next_group:                     // r0 v, r1 distance
    ldr r0, [r0, #INPUT_LISTS]
    str r0, [sp, #FRAME_LISTS]
    str r1, [sp, #FRAME_DISTANCE]
    bl run_lists
    ldr r7, [sp, #FRAME_CALLERS]
    ldr r6, [r7, #(INPUT_PUT + PUT_ADD)]
    cmn r6, r2                  // -1 and 0: nothing is added, to lanes
    bmi 1f
    b put_eight_sums
1:  mov r3, r8
    mov r4, r9
    mov r5, r10
    mov r6, r11
    add r2, sp, #FRAME_SUMS
    stmia r2!, {r3, r4, r5, r6}
    subs r2, #16
    NEXT_CHANNELS
    mov r10, r3
    ldmia r7!, {r4, r5}
    mov r8, r5
    ldmia r7!, {r5}
    mov r9, r5
    ldr r7, [r7]
next_lanes:
    ldmia r2!, {r3}
    ldrsb r5, [r1, r6]
    subs r5, #1
    cmp r5, r8
    bhi 1f
    sxth r5, r3
    ROUND r9, low_is_large, low_is_right
    strb r5, [r0, r6]
1:  adds r6, r6, r4
    cmp r6, r10
    beq end_group
    ldrsb r5, [r1, r6]
    subs r5, #1
    cmp r5, r8
    bhi 1f
    sxth r5, r3
    subs r5, r3, r5
    asrs r5, r5, #16
    ROUND r9, high_is_large, high_is_right
    strb r5, [r0, r6]
1:  adds r6, r6, r4
    cmp r6, r10
    bne next_lanes
end_group:                      // r6 where the next one begins
    ldr r0, [sp, #FRAME_CALLERS]
    str r6, [r0, #INPUT_AT]
    ldmia r0!, {r1, r2, r3, r4}
    subs r0, #16
    ldr r1, [sp, #FRAME_DISTANCE]
    adds r1, r1, r2
    cmp r6, r4
    bne next_group
    b leave
    SATURATE low_is_large, low_is_right
    SATURATE high_is_large, high_is_right

put_eight_sums:
    bl complete
    NEXT_CHANNELS
    add r2, sp, #FRAME_SUMS
    bl put_sums
    b end_group

// void gather_sums(const struct gather_list *lists, int32_t *to, int32_t step, int32_t n,
//     int32_t group): the sums of the errors of lists that end with one at NULL, for n channels,
// `step` bytes apart; `group`: bytes from a place to that of the next eight.
FUNCTION gather_sums
    SAVE_REGISTERS
    sub sp, #FRAME_SIZE
    add r4, sp, #FRAME_CALLERS
    stmia r4!, {r1, r2, r3}
    str r0, [sp, #FRAME_AGAIN]
    movs r1, #0
next_sums:                      // r0 lists, r1 distance
    mov r4, sp
    stmia r4!, {r0, r1}
    bl run_lists
    bl complete
    add r1, sp, #FRAME_CALLERS
    ldmia r1!, {r2, r3, r4}     // behind them the sums
    movs r6, #8
    cmp r4, r6
    bhs 1f
    mov r6, r4
1:  subs r4, r4, r6
2:  ldmia r1!, {r5}
    str r5, [r2]
    adds r2, r2, r3
    subs r6, #1
    bne 2b
    str r2, [sp, #FRAME_CALLERS]
    str r4, [sp, #(FRAME_CALLERS + 8)]
    ldr r1, [sp, #FRAME_DISTANCE]
    ldr r0, [sp, #(FRAME_SIZE + 36)]
    adds r1, r1, r0
    ldr r0, [sp, #FRAME_AGAIN]
    cmp r4, #0
    bne next_sums
leave:
    add sp, #FRAME_SIZE
    RESTORE_AND_RETURN

// void gather_pack(uint32_t *to, const void *x, int32_t n, const struct gather_pack *v): n > 0 words,
// one to a place, of the bytes at x and at x + second, either way less 128. 15 cycles each.
//
//   r0  to         r3  temporary     r6  flip
//   r1  x          r4  step          r7  word
//   r2  n          r5  second        r12  -128, twice
FUNCTION gather_pack
    push {r4, r5, r6, r7, lr}
    ldmia r3!, {r4, r5, r6}
    ldr r7, =-0x800080
    mov r12, r7
1:  ldrb r7, [r1, r5]
    lsls r7, r7, #16
    ldrb r3, [r1]
    adds r7, r7, r3
    eors r7, r6
    add r7, r12
    str r7, [r0]
    adds r0, #16
    adds r1, r1, r4
    subs r2, #1
    bne 1b
    pop {r4, r5, r6, r7, pc}

// An error of a list; flags say whether it was the last. 8 cycles where it is 0, 17 where not.
.macro LIST_ERROR
    ldrsb r4, [r1, r2]
    cmp r4, #0
    beq .Lnothing_\@
    movs r6, r4
    bpl .Lpositive_\@
    negs r6, r6
.Lpositive_\@:
    adds r7, r7, r6
    cmp r7, r12
    bhi split
    uxtb r4, r4
    orrs r4, r5
    stmia r0!, {r4}
.Lnothing_\@:
    add r5, r8
    adds r2, r2, r3
.endm

// int32_t *gather_list(int32_t *to, const int8_t *g_end, int32_t minus_n,
//     const struct gather_steps *steps): segments of the errors from g_end - n on, every step-th,
// n a multiple of that; none where all are 0. Returns where they end, which is to become that of a
// list (GATHER_END), or the next segment's beginning. 9 cycles per error that is 0, 18 per other.
//
//   r0  to, walking             r4  error           r8   place of an error to the next, times 256
//   r1  g_end                   r5  place << 8      r9   where the sum of the segment goes
//   r2  -n .. 0                 r6  temporary       r12  MOST_ERRORS
//   r3  step                    r7  sum of |e|
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
next_listed:
    LIST_ERROR
    beq 1f
    LIST_ERROR
    bne next_listed
1:  mov r6, r9
    cmp r7, #0
    beq 1f                      // nothing since the last segment
    mvns r7, r7
    lsls r7, r7, #8
    str r7, [r6]
    mov r6, r0
1:  mov r0, r6
    pop {r4, r5}
    mov r8, r4
    mov r9, r5
    pop {r4, r5, r6, r7, pc}
split:                          // this error begins another segment
    subs r7, r7, r6
    mov r6, r9
    mvns r7, r7
    lsls r7, r7, #8
    str r7, [r6]
    mov r9, r0
    adds r0, #4
    movs r7, #0
    b next_listed
