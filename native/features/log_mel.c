// Log-mel columns, see log_mel.h.

#include "log_mel.h"
#include "rounding.h"

// A point of the transform: of even samples, and i times the odd ones.
typedef struct {
    int16_t real, imaginary;
} point_t;

// Sum of power times 0..256: high * 2^15 + low. At most 255 terms, so that both fit int32.
typedef struct {
    int32_t high, low;
} band_t;

enum { UNIT = 14, ROOM = 1 << 13, LOW_BITS = 15 };

static int32_t bit_length(uint32_t x) {
    int32_t n = 0;
    while (x != 0) {
        x >>= 1;
        n++;
    }
    return n;
}

// v, or below 0 its complement: bits that it takes beside the sign.
static inline int32_t bits_of(int32_t v) {
    return v ^ (v >> 31);
}

static inline int32_t distance(int32_t a, int32_t b) {
    return a < b ? b - a : a - b;
}

// Largest distance of a sample from the mean.
static int32_t largest_of(const int16_t *samples, int32_t frame, int32_t mean) {
    int32_t largest = 0;
    for (int32_t n = 0; n < frame; n++) {
        int32_t v = distance(samples[n], mean);
        largest = v > largest ? v : largest;
    }
    return largest;
}

// The frame less its mean, windowed, in the order that the transform wants: places with reversed
// bits. Returns the bits that any of them has.
static int32_t put_windowed(point_t *points, const int16_t *samples, int32_t frame, int32_t mean,
    int32_t level, const int16_t *cosines) {
    int32_t half = frame >> 1, reversed = 0, seen = 0;
    for (int32_t n = 0; n < frame; n++) {
        int32_t window = ((1 << UNIT) - cosines[n <= half ? n : frame - n] + 1) >> 1;
        int32_t v = round_half_up((samples[n] - mean) * window, level);
        seen |= bits_of(v);
        if ((n & 1) == 0) {
            points[reversed].real = v;
            continue;
        }
        points[reversed].imaginary = v;
        int32_t bit = half >> 1;
        while ((reversed & bit) != 0) {
            reversed ^= bit;
            bit >>= 1;
        }
        reversed |= bit;
    }
    return seen;
}

// One stage of the transform: a and b, `size` apart, become a + w b and a - w b, halved or not.
// Returns the bits that any point has.
static int32_t stage(point_t *points, int32_t half, int32_t size, int32_t step, int32_t shift,
    const int16_t *cosines) {
    int32_t seen = 0;
    for (int32_t k = 0, at = 0; k < size; k++, at += step) {
        int32_t c = cosines[at], s = cosines[distance(at, half >> 1)];
        for (point_t *a = points + k; a < points + half; a += 2 * size) {
            point_t *b = a + size;
            int32_t turned = b->real * c + b->imaginary * s;
            int32_t other = b->imaginary * c - b->real * s;
            int32_t real = a->real * (1 << UNIT), imaginary = a->imaginary * (1 << UNIT);
            b->real = round_half_up(real - turned, shift);
            b->imaginary = round_half_up(imaginary - other, shift);
            a->real = round_half_up(real + turned, shift);
            a->imaginary = round_half_up(imaginary + other, shift);
            seen |= bits_of(a->real) | bits_of(a->imaginary) | bits_of(b->real)
                | bits_of(b->imaginary);
        }
    }
    return seen;
}

static void add(band_t *band, int32_t power, int32_t weight) {
    band->high += (power >> LOW_BITS) * weight;
    band->low += (power & ((1 << LOW_BITS) - 1)) * weight;
}

// The power of one frequency goes to the two bands that it lies between.
static void add_power(band_t *bands, int32_t mels, int32_t real, int32_t imaginary,
    int32_t place) {
    int32_t power = real * real + imaginary * imaginary;
    int32_t band = place >> 8, weight = place & 255;
    if (place == 0 || band > mels) {
        return;
    }
    if (band < mels) {
        add(bands + band, power, weight);
    }
    if (band > 0) {
        add(bands + band - 1, power, 256 - weight);
    }
}

// From the transform of even + i odd samples to the power of every frequency, in pairs.
static void add_powers(band_t *bands, int32_t mels, const point_t *points, int32_t half,
    int32_t shift, const int16_t *cosines, const uint16_t *places) {
    for (int32_t k = 1; k <= half >> 1; k++) {
        point_t a = points[k], b = points[half - k];
        int32_t c = cosines[k], s = cosines[(half >> 1) - k];
        int32_t even = (a.real + b.real) * (1 << UNIT);
        int32_t even_i = (a.imaginary - b.imaginary) * (1 << UNIT);
        int32_t odd = a.imaginary + b.imaginary, odd_i = b.real - a.real;
        int32_t turned = c * odd + s * odd_i, turned_i = c * odd_i - s * odd;
        add_power(bands, mels, round_half_up(even + turned, shift),
            round_half_up(even_i + turned_i, shift), places[k - 1]);
        if (k != half >> 1) {
            add_power(bands, mels, round_half_up(even - turned, shift),
                round_half_up(turned_i - even_i, shift), places[half - k - 1]);
        }
    }
}

// Eighths of octaves of a sum; 0 is the unit of the samples where `scale` is 0.
static int32_t logarithm(const band_t *band, int32_t scale, const uint8_t *logarithms) {
    int32_t value = band->high + (band->low >> LOW_BITS), below = 0;
    int32_t rest = band->low & ((1 << LOW_BITS) - 1);
    if (value < 1 << LOW_BITS) {
        value = value << LOW_BITS | rest;
    } else {
        below = LOW_BITS;
    }
    int32_t whole = bit_length(value) - 1;
    if (whole < 0) {
        return -127;
    }
    int32_t mantissa = whole >= 5 ? value >> (whole - 5) : value << (5 - whole);
    return clamp(8 * (whole + below) + logarithms[mantissa & 31] + 16 * scale - 369, -127, 127);
}

int32_t log_mel(int8_t *column, int32_t mels, const int16_t *samples, int32_t frame,
    int32_t *scratch, const int16_t *cosines, const uint16_t *places, const uint8_t *logarithms) {
    point_t *points = (point_t *)scratch;
    int32_t half = frame >> 1, bits = bit_length(frame) - 1, sum = 0;
    band_t *bands = (band_t *)(scratch + half);
    for (int32_t n = 0; n < frame; n++) {
        sum += samples[n];
    }
    int32_t mean = sum >> bits;
    int32_t level = bit_length(largest_of(samples, frame, mean));
    int32_t seen = put_windowed(points, samples, frame, mean, level, cosines);
    int32_t scale = level - bits;
    for (int32_t size = 1, step = half; size < half; size <<= 1, step >>= 1) {
        int32_t halve = seen >= ROOM;
        scale += halve;
        seen = stage(points, half, size, step, UNIT + halve, cosines);
    }
    for (int32_t i = 0; i < mels; i++) {
        bands[i].high = bands[i].low = 0;
    }
    int32_t halve = seen >= ROOM;
    add_powers(bands, mels, points, half, UNIT + 1 + halve, cosines, places);
    for (int32_t i = 0; i < mels; i++) {
        column[i] = logarithm(bands + i, scale + halve, logarithms);
    }
    return level;
}
