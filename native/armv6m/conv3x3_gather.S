// 3x3 convolution backward, gradient of x: two multiply-accumulates per MULS, input by input.
//
// Every input sums up the errors within its reach, by chains of errors that conv3x3_list.S has
// made: one for each position of the kernel. Two channels share a word,
//
//   W = w0 + (w1 << 16)    e * W, summed over errors = dx0 + (dx1 << 16)    modulo 2^32,
//
// exact while both sums fit int16. The buckets of the nine positions under which an input lies
// carry sum(|e| * largest |w|); where these add up to more than 32767 the input is left to C.
// Inputs that a ReLU cut in every channel are skipped: an image of digits has many.

#include "asm.h"

// struct conv3x3_gather_job (conv3x3_errors.h)
.set JOB_CHANNELS, 0    // three words, loaded together: channels, x, size
.set JOB_X, 4
.set JOB_BUCKETS, 12
.set JOB_ROW_STEP, 16
.set JOB_LIMIT, 20
.set JOB_LANES, 24
.set JOB_LEFT, 28
.set JOB_TOO_LARGE, 32

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

// void conv3x3_gather(struct conv3x3_gather_job *job): four words of lanes for each of `left`
// neighbouring inputs. 135 cycles per input that is not skipped and 24 per error within its
// reach; 8 per channel of an input that is.
//
//   r0  error, chain          r8 .. r11  sums: channels 0, 1 .. 6, 7
//   r1  bucket                r12  offset of the row of taps in the weights
//   r2  error                 lr   sum of bounds
//   r3  weights               r4 .. r7  words of weights            [sp] job
FUNCTION conv3x3_gather
    SAVE_REGISTERS
    push {r0}
    mov r7, r0
next_input:
    mov r6, r7
    ldmia r6!, {r2, r3, r4}     // channels, x, size
    adds r0, r3, #1
    str r0, [r7, #JOB_X]
    cmp r2, #0
    beq alive
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
    ldr r3, [r7, #JOB_LANES]
    mov r1, r8
    mov r2, r9
    mov r4, r10
    mov r5, r11
    mov r6, r3
    stmia r6!, {r1, r2, r4, r5}
    ldr r1, [r7, #JOB_LIMIT]
    cmp r1, lr
    bhs input_done
    ldr r1, [r7, #JOB_TOO_LARGE]
    stmia r1!, {r3}
    str r1, [r7, #JOB_TOO_LARGE]
input_done:
    ldr r3, [r7, #JOB_LANES]
    adds r3, #16
    str r3, [r7, #JOB_LANES]
    ldr r1, [r7, #JOB_BUCKETS]
    adds r1, #8
    str r1, [r7, #JOB_BUCKETS]
    ldr r1, [r7, #JOB_LEFT]
    subs r1, #1
    str r1, [r7, #JOB_LEFT]
    bne next_input
    pop {r0}
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
