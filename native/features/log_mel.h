// One frame of sound becomes a column of logarithms of the power in bands of frequencies.
//
// device/AUDIO.md defines every step; host_tools/priot/data/log_mel.py is its executable form.
// Like all kernels: nothing but the arguments, no allocation, no division, no 64-bit arithmetic.

#ifndef PRIOT_LOG_MEL_H
#define PRIOT_LOG_MEL_H

#include <stdint.h>

enum { MIN_FRAME = 128, MAX_FRAME = 512, MAX_MELS = 64, N_LOGARITHMS = 32 };

// Words of scratch: a frame of int16, and two sums for each band.
static inline int32_t log_mel_words(int32_t frame, int32_t mels) {
    return (frame >> 1) + 2 * mels;
}

// column: of `mels` bands; samples: of a frame of 128, 256 or 512; scratch: log_mel_words of them;
// cosines: of the circle in `frame` parts, the first half and one more, times 2^14;
// places: of the frequencies 1 .. frame / 2 - 1 among the bands, in 256ths; logarithms: of 1..2,
// in eighths, N_LOGARITHMS of them. Returns the bits of the largest distance from the mean: 0..17.
int32_t log_mel(int8_t *column, int32_t mels, const int16_t *samples, int32_t frame,
    int32_t *scratch, const int16_t *cosines, const uint16_t *places, const uint8_t *logarithms);

#endif
