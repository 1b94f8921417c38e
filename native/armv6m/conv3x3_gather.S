// 3x3 convolution backward, gradient of x: two multiply-accumulates per MULS, input by input.
//
// Every input sums up the errors within its reach, by chains of errors that conv3x3_link has
// made: one for each position of the kernel. Two channels share a word,
//
//   W = w0 + (w1 << 16)    e * W, summed over errors = dx0 + (dx1 << 16)    modulo 2^32,
//
// exact while both sums fit int16. The buckets of the nine positions under which an input lies
// carry sum(|e| * largest |w|). Inputs where these add up to more than 32767 are listed, and
// summed up again in int32.
// Inputs that a ReLU cut in every channel are skipped: images of digits give many.

#include "asm.h"
#include "conv3x3_list.h"

// struct conv3x3_gather_job (conv3x3_errors.h)
.set JOB_CHANNELS, 0    // six words, loaded together: channels, x, size, dx, half, shift
.set JOB_X, 4
.set JOB_DX, 12
.set JOB_BUCKETS, 24
.set JOB_ROW_STEP, 28
.set JOB_LIMIT, 32
.set JOB_TOO_LARGE, 36
.set JOB_LEFT, 40
.set JOB_SUMS, 44

// Adds the errors of the next bucket, tap \tap of the row. 7 cycles, and 24 per error.
.macro BUCKET tap
    ldmia r1!, {r0, r2}         // head, bound
    add lr, r2
    cmp r0, #0
    beq .Lempty_\@
.Lnext_\@:
    ldmia r0!, {r2, r3}         // error, weights
    add r3, r12
    .if \tap
    adds r3, #(16 * \tap)
    .endif
    ldmia r3!, {r4, r5, r6, r7}
    muls r4, r2, r4
    add r8, r4
    muls r5, r2, r5
    add r9, r5
    muls r6, r2, r6
    add r10, r6
    muls r7, r2, r7
    add r11, r7
    ldr r0, [r0]
    cmp r0, #0
    bne .Lnext_\@
.Lempty_\@:
.endm

// Rounds, clamps and stores a sum where x > 0; to the next channel, or to \end behind the last.
.macro PUT_GRADIENT sum, end
    ldrb r5, [r0]
    adds r0, r0, r1
    sxtb r5, r5
    cmp r5, #0
    ble .Lcut_\@
    adds \sum, \sum, r3
    asrs \sum, r7
    CLAMP \sum, r11
    strb \sum, [r2]
.Lcut_\@:
    adds r2, r2, r1
    mov r5, r8
    subs r5, #1
    beq \end
    mov r8, r5
.endm

// Adds both lanes to two sums. 13 cycles.
.macro ADD_LANES lanes
    mov r2, \lanes
    sxth r3, r2
    subs r2, r2, r3
    asrs r2, r2, #16
    ldr r4, [r1]
    adds r3, r3, r4
    ldr r4, [r1, #4]
    adds r4, r4, r2
    stmia r1!, {r3, r4}
.endm

// void conv3x3_gather(struct conv3x3_gather_job *job): dx of `left` neighbouring inputs in up to
// eight channels; dx holds zeros. 8 cycles per channel of an input that is cut in all of them.
// Else 110 cycles, 24 per error within its reach, 20 per channel, 13 per channel that is cut;
// where some filters come after the others, 190 cycles and 24 per error.
//
//              gathering                       storing
//   r0         error, chain                    x
//   r1         bucket                          size: bytes between two channels
//   r2         error                           dx
//   r3         weights                         half
//   r4 .. r7   words of weights                sum of the high lane, x, sum of the low, shift
//   r8 .. r11  sums: channels 0, 1 .. 6, 7     channels left, -, sp, -127
//   r12        offset of the row of taps
//   lr         sum of bounds                   [sp] job
FUNCTION conv3x3_gather
    SAVE_REGISTERS
    push {r0}
    mov r7, r0
next_input:
    mov r6, r7
    ldmia r6!, {r2, r3, r4}     // channels, x, size
1:  ldrb r0, [r3]
    cmp r0, #0
    bne alive
    adds r3, r3, r4
    subs r2, #1
    bne 1b
    b input_done
alive:
    movs r2, #0
    mov r8, r2
    mov r9, r2
    mov r10, r2
    mov r11, r2
    mov r12, r2
    mov lr, r2
    ldr r1, [r7, #JOB_BUCKETS]
1:  BUCKET 0
    BUCKET 1
    BUCKET 2
    ldr r7, [sp]
    ldr r2, [r7, #JOB_ROW_STEP]
    adds r1, r1, r2
    movs r2, #(3 * 16)
    add r12, r2
    mov r2, r12
    cmp r2, #(9 * 16)
    bne 1b
    ldr r1, [r7, #JOB_LIMIT]
    cmp r1, lr
    blo too_large
    mov r0, r8
    mov r1, r9
    mov r2, r10
    mov r3, r11
    mov r10, sp
    push {r0, r1, r2, r3}
    ldmia r7!, {r0, r1, r2, r3, r4, r5}
    mov r8, r0
    mov r0, r1
    mov r1, r2
    mov r2, r3
    mov r3, r4
    mov r7, r5
    movs r5, #126
    mvns r5, r5
    mov r11, r5
next_two_channels:
    pop {r4}
    sxth r6, r4
    subs r4, r4, r6
    asrs r4, r4, #16
    PUT_GRADIENT r6, stored
    PUT_GRADIENT r4, stored
    b next_two_channels
too_large:
    ldr r3, [r7, #JOB_SUMS]
    cmp r3, #0
    beq list_input
    mov r0, lr
    lsrs r0, #15                // above LANE_LIMIT?
    beq add_to_sums
list_input:
    ldr r1, [r7, #JOB_TOO_LARGE]
    ldr r2, [r7, #JOB_X]
    stmia r1!, {r2}
    str r1, [r7, #JOB_TOO_LARGE]
    b input_done
add_to_sums:
    ldr r1, [r7, #JOB_X]
    lsls r1, r1, #5
    adds r1, r1, r3
    ADD_LANES r8
    ADD_LANES r9
    ADD_LANES r10
    ADD_LANES r11
    b input_done
stored:
    mov sp, r10
    ldr r7, [sp]
input_done:                     // r7 job
    ldr r1, [r7, #JOB_X]
    adds r1, #1
    str r1, [r7, #JOB_X]
    ldr r1, [r7, #JOB_DX]
    adds r1, #1
    str r1, [r7, #JOB_DX]
    ldr r1, [r7, #JOB_BUCKETS]
    adds r1, #8
    str r1, [r7, #JOB_BUCKETS]
    ldr r1, [r7, #JOB_LEFT]
    subs r1, #1
    str r1, [r7, #JOB_LEFT]
    beq 1f
    b next_input
1:  pop {r0}
    RESTORE_AND_RETURN

// int32_t *conv3x3_link(struct conv3x3_errors *v): chains the errors of a filter, see
// conv3x3_list.h; returns the end of what it has written to v->list.
FUNCTION conv3x3_link
    SAVE_REGISTERS
    LIST_ERRORS 1
    RESTORE_AND_RETURN

// void conv3x3_sum_pair(const uint32_t *bucket, int32_t row_step, int32_t offset,
//     int32_t sums[2]): the sums of one input for the two channels at byte `offset` of a tap's
// words, in int32. 17 cycles per error, 250 more.
//
//   r0  bucket                       r4  chain             r8   low sum
//   r1  row_step                     r5  error             r9   high sum
//   r2  offset in the weights        r6, r7  temporaries   r10  taps left
//   r3  taps left in the row                               [sp] sums
FUNCTION conv3x3_sum_pair
    SAVE_REGISTERS
    push {r3}
    movs r4, #0
    mov r8, r4
    mov r9, r4
    movs r4, #3
    mov r10, r4
1:  movs r3, #3
2:  ldr r4, [r0]
    adds r0, #8
    cmp r4, #0
    beq 4f
3:  ldmia r4!, {r5, r6}
    ldr r6, [r6, r2]
    sxth r7, r6
    subs r6, r6, r7
    asrs r6, r6, #16
    muls r7, r5, r7
    add r8, r7
    muls r6, r5, r6
    add r9, r6
    ldr r4, [r4]
    cmp r4, #0
    bne 3b
4:  adds r2, #16
    subs r3, #1
    bne 2b
    adds r0, r0, r1
    mov r4, r10
    subs r4, #1
    mov r10, r4
    bne 1b
    pop {r3}
    mov r4, r8
    mov r5, r9
    stmia r3!, {r4, r5}
    RESTORE_AND_RETURN

// uint32_t conv3x3_pack_taps(uint32_t *to, const uint8_t *w, int32_t words, uint32_t largest,
//     int32_t second): the weights of two channels, `second` bytes apart, as nine words that lie
// `words` words apart. Returns the larger of `largest` and the largest |w| (|w| - 1 for
// negative ones). 31 cycles per word.
//
//   r0  to    r1  w    r2  bytes between words    r3  largest    r7  second    r12  end of w
FUNCTION conv3x3_pack_taps
    push {r4, r5, r6, lr}
    mov r12, r1
    movs r4, #9
    add r12, r4
pack_tap:
    ldrb r4, [r1]
    ldrb r5, [r1, r2]
    adds r1, #1
    subs r4, #128
    subs r5, #128
    lsls r6, r5, #16
    adds r6, r6, r4
    str r6, [r0]
    subs r0, #16
    asrs r6, r4, #31
    eors r4, r6
    asrs r6, r5, #31
    eors r5, r6
    cmp r4, r3
    bls 1f
    mov r3, r4
1:  cmp r5, r3
    bls 1f
    mov r3, r5
1:  cmp r1, r12
    bne pack_tap
    mov r0, r3
    pop {r4, r5, r6, pc}
