// Fetches and checks the operands of kernel calls; the contract is in check.h.

#include "check.h"
#include "kernels.h"
#include "scratch.h"

// Elements of the largest tensor; products are compared with it before they are used. A
// position in a plane times 256 fits int32 (list_errors).
enum { MAX_ELEMENTS = 1 << 23 };

static inline bool within(int32_t value, int32_t low, int32_t high) {
    return (uint32_t)value - (uint32_t)low <= (uint32_t)(high - low);
}

// a * b, or more than MAX_ELEMENTS where that is less than either or not a number of elements.
// Factors that pass the test below have a product of at most 2^23 * 2^8.
static uint32_t product(uint32_t a, uint32_t b) {
    if (a - 1 >= MAX_ELEMENTS || b - 1 >= MAX_ELEMENTS || (a >= 1 << 16 && b >= 1 << 8)
        || (b >= 1 << 16 && a >= 1 << 8)) {
        return MAX_ELEMENTS + 1;
    }
    return a * b;
}

// `count` windows of `size` that start `step` apart lie within `length`; all below 2^24.
static bool fits(int32_t count, int32_t step, int32_t size, int32_t length) {
    return within(count, 1, length) && (count - 1) * step + size <= length;
}

// Fields of d that stand for themselves: index, least, largest.
static const uint8_t RANGES[][3] = {
    { FORWARD_SHIFT, 0, 30 }, { BACKWARD_SHIFT, 0, 30 },
    { RULE, FROZEN, WIDE }, { SELECTION, ALL, BITMAP }, { HIGH, 1, 127 }, { MASK_DX, 0, 128 },
    { MASK_DZ, 0, 128 },
};

// Fields of d along either side of an image.
enum { SIZE, STEP, WINDOW, WINDOW_STEP, BEFORE, AFTER, IN, CONV, OUT, N_ALONG };
static const uint8_t ALONG[2][N_ALONG] = {
    { KERNEL_H, STRIDE_H, POOL_H, POOL_STRIDE_H, PAD_TOP, PAD_BOTTOM, H_IN, H_CONV, H_OUT },
    { KERNEL_W, STRIDE_W, POOL_W, POOL_STRIDE_W, PAD_LEFT, PAD_RIGHT, W_IN, W_CONV, W_OUT },
};

enum { MAX_AREA = 225, MAX_SIDE = 63, MAX_STEP = 15 }; // of kernels and windows

// The input's length with borders, 0 where sizes along this side are wrong. The window of a
// global pool is its image, whatever that is.
static uint32_t length_along(const uint8_t *fields, const int32_t *d, int32_t kind) {
    int32_t in = d[fields[IN]], conv = d[fields[CONV]], size = d[fields[SIZE]];
    int32_t window = d[fields[WINDOW]];
    if (!within(in, 1, MAX_ELEMENTS) || !within(size, 1, kind == CONV2D ? MAX_SIDE : 1)
        || !within(d[fields[STEP]], 1, kind == CONV2D ? MAX_STEP : 1)
        || !within(window, 1, kind == GLOBAL_POOL ? MAX_ELEMENTS : MAX_SIDE)
        || !within(d[fields[WINDOW_STEP]], 1, MAX_STEP) || !within(d[fields[BEFORE]], 0, size - 1)
        || !within(d[fields[AFTER]], 0, size - 1)) {
        return 0;
    }
    int32_t length = in + d[fields[BEFORE]] + d[fields[AFTER]];
    return fits(conv, d[fields[STEP]], size, length)
        && fits(d[fields[OUT]], d[fields[WINDOW_STEP]], window, conv)
        && (kind != GLOBAL_POOL || (conv == in && window == in)) ? length : 0;
}

// 0, or a shift of 15 to the right .. 12 to the left: a sum of products has room for that
static bool is_addition(int32_t add) {
    return add == 0 || within(add, 64 - 15, 64 + 12);
}

static bool is_good(const int32_t *d, int32_t kind) {
    for (size_t i = 0; i < sizeof(RANGES) / sizeof(RANGES[0]); i++) {
        if (!within(d[RANGES[i][0]], RANGES[i][1], RANGES[i][2])) {
            return false;
        }
    }
    uint32_t height = length_along(ALONG[0], d, kind), width = length_along(ALONG[1], d, kind);
    // both 0 where a side is wrong; otherwise kernels, and windows but the global ones, are small
    int32_t pool = d[POOL_H] * d[POOL_W], bits = d[ARGMAX_BITS], taps = d[KERNEL_H] * d[KERNEL_W];
    return product(d[N_IN], product(height, width)) <= MAX_ELEMENTS
        && product(d[N_OUT], product(d[H_OUT], d[W_OUT])) <= MAX_ELEMENTS
        && taps <= MAX_AREA && (kind == GLOBAL_POOL || pool <= MAX_AREA)
        && (kind == AVG_POOL || kind == GLOBAL_POOL
            || (pool == 1 ? bits == 0
                : (bits == 2 || bits == 4 || bits == 8) && pool <= 1 << bits))
        && product(d[GROUPS], d[GROUP_IN]) == (uint32_t)d[N_IN]
        && product(d[GROUPS], d[GROUP_OUT]) == (uint32_t)d[N_OUT]
        && d[N_ROW] == d[GROUP_IN] * taps // below 2^23 * 2^8
        && (!HAS_WEIGHTS(kind) || product(d[N_OUT], d[N_ROW]) <= MAX_ELEMENTS)
        && within(d[ROW], 0, d[N_OUT] - 1) && within(d[ROWS], 1, d[N_OUT] - d[ROW])
        && (HAS_WEIGHTS(kind) || d[N_OUT] == d[N_IN]) && (kind == CONV2D || d[GROUPS] == 1)
        && within(d[UPDATE_SHIFT], d[RULE] == FROZEN ? -30 : 0, 30) // of a bias to the left, too
        && within(d[Z_SHIFT], -15, 15) && is_addition(d[ADD_DX]) && is_addition(d[ADD_DZ]);
}

const int32_t *descriptor(const mp_obj_t *objects, int i, int32_t kind) {
    const int32_t *d = exactly(objects, i, 4 * N_FIELDS, MP_BUFFER_READ);
    check_alignment(d, 4);
    if (kind != 0) {
        check(is_good(d, kind), "d: sizes inconsistent or out of range");
    }
    return d;
}

// Bytes of an operand; `found` where any number is right.
static size_t bytes_of(int length, size_t found, const int32_t *d) {
    if (length == INPUT) {
        return d[N_IN] * d[H_IN] * d[W_IN];
    }
    if (length == OUTPUT) {
        return d[N_OUT] * d[H_OUT] * d[W_OUT];
    }
    if (length == WINNERS) {
        return d[N_OUT] * channel_argmax_bytes(d);
    }
    if (length == BIASES) {
        return d[BIAS] != 0 ? 4 * d[N_OUT] : 0;
    }
    if (length == ROWS_OF_W) {
        return d[ROWS] * d[N_ROW];
    }
    if (length == SELECT) {
        return d[SELECTION] == ALL ? 0
            : 4 * d[N_OUT] + (d[SELECTION] == BITMAP ? (d[N_OUT] * d[N_ROW] + 7) >> 3 : 0);
    }
    if (length == ANY || (length == EVERY_W_OR_NONE && found == 0)
        || (length == SCORES && (d[SELECTION] != ALL
            || (d[RULE] != PRUNE && d[RULE] != GAIN && d[RULE] != WIDE)))) {
        return found;
    }
    return d[N_OUT] * d[N_ROW];
}

static bool is_read_by_words(int length, int32_t kind) {
    #ifdef PRIOT_FAST
    if (kind == LINEAR && length == ROWS_OF_W) {
        return true;
    }
    #endif
    return length == SELECT || length == BIASES;
}

static operand_t operand(const mp_obj_t *objects, int i, int what, const int32_t *d,
    int32_t kind, words_t *scratch_words) {
    operand_t o;
    int length = what & LENGTHS;
    if (within(length, HISTOGRAM, SCRATCH + 2)) {
        o.n = length == HISTOGRAM ? KTH_WORDS
            : scratch_words(kind, length - SCRATCH, d);
        o.buf = at_least(objects, i, o.n);
        return o;
    }
    bool written = what & WRITTEN || (what & WRITTEN_BY_RULE && d[RULE] >= WEIGHTS);
    o = buffer_of(objects, i, written ? MP_BUFFER_RW : MP_BUFFER_READ);
    bool is_unwanted = kind == ADD && written && o.n == 0; // the gradient of one of its inputs
    size_t expected = is_unwanted ? 0 : bytes_of(length, o.n, d);
    if (o.n != expected) {
        refuse_length(i, o.n, expected);
    }
    if (o.n == 0) {
        o.buf = NULL;
    }
    if (is_read_by_words(length, kind)) {
        check_alignment(o.buf, 4);
    }
    return o;
}

// How many operands of a form come before the descriptor or the number.
static int buffers_of(const uint8_t *form) {
    int n = 0;
    while (form[n] != 0 && form[n] < DESCRIPTOR) {
        n++;
    }
    return n;
}

const mp_obj_t *objects_and_memo(mp_obj_t tuple, const uint8_t *form, memo_t **memo) {
    size_t n = buffers_of(form), found;
    bool may_remember = form[n] != NUMBER;
    n += form[n] == DESCRIPTOR;
    mp_obj_t *objects;
    mp_obj_get_array(tuple, &found, &objects);
    if (found == n + 1 && may_remember) {
        *memo = exactly(objects, n, sizeof(memo_t), MP_BUFFER_RW);
        check_alignment(*memo, sizeof(uintptr_t));
        return objects;
    }
    check(found == n, "operands: wrong number");
    return objects;
}

const int32_t *fetch(uintptr_t *arguments, const mp_obj_t *objects, mp_obj_t number,
    const uint8_t *form, int32_t kind, words_t *scratch_words) {
    int n = buffers_of(form);
    const int32_t *d = form[n] == DESCRIPTOR ? descriptor(objects, n, kind) : NULL;
    uintptr_t last = form[n] == NUMBER ? (uintptr_t)mp_obj_get_int(number) : (uintptr_t)d;
    for (int i = 0; i < n; i++) {
        operand_t o = operand(objects, i, form[i], d, kind, scratch_words);
        *arguments++ = (uintptr_t)o.buf;
        if ((form[i] & LENGTHS) >= SCORES) {
            *arguments++ = o.n;
        }
    }
    *arguments = last;
    return d;
}
