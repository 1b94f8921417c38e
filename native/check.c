// Checks between MicroPython objects and kernels; the contract is in check.h.

#include "check.h"
#include "kernels.h"
#include "scratch.h"

// The interpreter formats the text: nothing here is paid for while all is well.
static NORETURN void fail(mp_obj_t format, int i, size_t found, size_t expected) {
    mp_obj_t values[3] = {
        mp_obj_new_int(i), mp_obj_new_int_from_uint(found), mp_obj_new_int_from_uint(expected),
    };
    mp_obj_t text = mp_binary_op(MP_BINARY_OP_MODULO, format, mp_obj_new_tuple(3, values));
    mp_raise_type_arg(&mp_type_ValueError, text);
}

#define TEXT(text) mp_obj_new_str(text, sizeof(text) - 1)

void check(bool good, const char *text) {
    if (!good) {
        mp_raise_ValueError(text);
    }
}

const mp_obj_t *operands_of(mp_obj_t tuple, size_t n) {
    size_t found;
    mp_obj_t *items;
    mp_obj_get_array(tuple, &found, &items);
    if (found != n) {
        fail(TEXT("%d operands: %d, expected %d"), found, found, n);
    }
    return items;
}

void *any_length(const mp_obj_t *operands, int i, size_t *n_bytes, mp_uint_t access) {
    mp_buffer_info_t info;
    if (!mp_get_buffer(operands[i], &info, access)) {
        mp_raise_TypeError(access == MP_BUFFER_READ ? "operands: one is no buffer"
            : "operands: one is no writable buffer");
    }
    *n_bytes = info.len;
    return info.buf;
}

void check_length(int i, size_t n_bytes, size_t expected) {
    if (n_bytes != expected) {
        fail(TEXT("operand %d: %d bytes, expected %d"), i, n_bytes, expected);
    }
}

void check_alignment(int i, const void *buf, size_t size) {
    size_t beyond = (uintptr_t)buf & (size - 1);
    if (beyond != 0) {
        fail(TEXT("operand %d: %d bytes beyond a multiple of %d"), i, beyond, size);
    }
}

void *readable(const mp_obj_t *operands, int i, size_t n_bytes) {
    size_t n;
    void *buf = any_length(operands, i, &n, MP_BUFFER_READ);
    check_length(i, n, n_bytes);
    return buf;
}

void *writable(const mp_obj_t *operands, int i, size_t n_bytes) {
    size_t n;
    void *buf = any_length(operands, i, &n, MP_BUFFER_RW);
    check_length(i, n, n_bytes);
    return buf;
}

void *words_at_least(const mp_obj_t *operands, int i, size_t n_words) {
    size_t n;
    void *buf = any_length(operands, i, &n, MP_BUFFER_RW);
    if (n < 4 * n_words) {
        fail(TEXT("operand %d: %d bytes, expected at least %d"), i, n, 4 * n_words);
    }
    check_alignment(i, buf, 4);
    return buf;
}

const int32_t *descriptor(const mp_obj_t *operands, int i) {
    const int32_t *d = readable(operands, i, 4 * N_FIELDS);
    check_alignment(i, d, 4);
    return d;
}

static inline bool within(int32_t value, int32_t low, int32_t high) {
    return (uint32_t)value - (uint32_t)low <= (uint32_t)(high - low);
}

// a * b, or more than MAX_ELEMENTS where that is less than either or not a number of elements.
// Factors up to 2^23 that pass the test below have a product of at most 2^23 * 2^8.
static uint32_t product(uint32_t a, uint32_t b) {
    if (a - 1 >= MAX_ELEMENTS || b - 1 >= MAX_ELEMENTS || (a >= 1 << 16 && b >= 1 << 8)
        || (b >= 1 << 16 && a >= 1 << 8)) {
        return MAX_ELEMENTS + 1;
    }
    return a * b;
}

// `count` windows of `size` that start `step` apart lie within `length`; all below 2^24.
static inline bool fits(int32_t count, int32_t step, int32_t size, int32_t length) {
    return count >= 1 && count <= length && (count - 1) * step + size <= length;
}

// Everything about an image layer but its weights.
static void check_image(const int32_t *d) {
    check(within(d[KERNEL], 1, 15) && within(d[STRIDE], 1, 15)
        && within(d[PADDING], 0, d[KERNEL] - 1) && within(d[POOL], 1, 15)
        && within(d[POOL_STRIDE], 1, 15), "d: kernel, stride, padding or pool out of range");
    check(within(d[H_IN], 1, MAX_ELEMENTS) && within(d[W_IN], 1, MAX_ELEMENTS),
        "d: sizes out of range");
    int32_t height = d[H_IN] + 2 * d[PADDING], width = padded_width(d);
    check(product(d[N_IN], product(height, width)) <= MAX_ELEMENTS
        && product(d[N_OUT], product(d[H_OUT], d[W_OUT])) <= MAX_ELEMENTS,
        "d: sizes out of range");
    check(fits(d[H_CONV], d[STRIDE], d[KERNEL], height)
        && fits(d[W_CONV], d[STRIDE], d[KERNEL], width)
        && fits(d[H_OUT], d[POOL_STRIDE], d[POOL], d[H_CONV])
        && fits(d[W_OUT], d[POOL_STRIDE], d[POOL], d[W_CONV]),
        "d: output does not follow from input");
    int32_t bits = d[ARGMAX_BITS];
    check(d[POOL] == 1 || ((bits == 2 || bits == 4 || bits == 8)
        && d[POOL] * d[POOL] <= 1 << bits), "d: argmax bits too few for pool");
}

void check_edges(const int32_t *d) {
    check(product(d[N_OUT], d[N_ROW]) <= MAX_ELEMENTS, "d: number of weights out of range");
}

static void check_row(const int32_t *d, int32_t n_row) {
    check(d[N_ROW] == n_row, "d: weights in a row do not follow from input");
    check_edges(d);
}

void check_conv2d(const int32_t *d) {
    check_image(d);
    check_row(d, d[N_IN] * d[KERNEL] * d[KERNEL]); // below 2^23 * 2^8
}

void check_pool(const int32_t *d) {
    check_image(d);
    check(d[KERNEL] == 1 && d[STRIDE] == 1 && d[N_OUT] == d[N_IN],
        "d: a pooling stage has a kernel, a stride or other outputs");
}

void check_linear(const int32_t *d) {
    check_row(d, d[N_IN]);
}

void check_rows(const int32_t *d) {
    check(d[ROW] >= 0 && d[ROWS] >= 1 && d[ROWS] <= d[N_OUT] && d[ROW] <= d[N_OUT] - d[ROWS],
        "d: rows out of range");
}

void check_shift(int32_t shift) {
    check(within(shift, 0, 30), "d: shift not in 0..30");
}

size_t input_bytes(const int32_t *d) {
    return d[N_IN] * d[H_IN] * d[W_IN];
}

size_t output_bytes(const int32_t *d) {
    return d[N_OUT] * d[H_OUT] * d[W_OUT];
}

size_t argmax_bytes(const int32_t *d) {
    return d[POOL] == 1 ? 0 : d[N_OUT] * channel_argmax_bytes(d);
}

size_t select_bytes(const int32_t *d) {
    size_t counts = 4 * d[N_OUT];
    if (d[SELECTION] == ALL) {
        return 0;
    }
    return d[SELECTION] == LARGEST ? counts : counts + ((d[N_OUT] * d[N_ROW] + 7) >> 3);
}
