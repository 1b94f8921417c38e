// Fetches and checks the operands of kernel calls; the contract is in check.h.

#include "check.h"
#include "kernels.h"
#include "scratch.h"

// Elements of the largest tensor; products are compared with it before they are used. A
// position in a plane times 256 fits int32 (list_errors).
enum { MAX_ELEMENTS = 1 << 23 };

void check(bool good, const char *text) {
    if (!good) {
        mp_raise_ValueError(text);
    }
}

// The interpreter formats the text: nothing here is paid for while all is well.
static void check_number(int i, size_t found, size_t expected, const char *format) {
    if (found == expected) {
        return;
    }
    mp_obj_t values[3] = {
        mp_obj_new_int(i), mp_obj_new_int_from_uint(found), mp_obj_new_int_from_uint(expected),
    };
    size_t length = 0;
    while (format[length] != 0) {
        length++;
    }
    mp_obj_t text = mp_binary_op(MP_BINARY_OP_MODULO, mp_obj_new_str(format, length),
        mp_obj_new_tuple(3, values));
    mp_raise_type_arg(&mp_type_ValueError, text);
}

const mp_obj_t *objects_of(mp_obj_t tuple, size_t n) {
    size_t found;
    mp_obj_t *items;
    mp_obj_get_array(tuple, &found, &items);
    check(found == n, "operands: wrong number");
    return items;
}

operand_t buffer_of(const mp_obj_t *objects, int i, mp_uint_t access) {
    mp_buffer_info_t info;
    if (!mp_get_buffer(objects[i], &info, access)) {
        mp_raise_TypeError("operands: one is no buffer, or read-only");
    }
    return (operand_t) { info.buf, info.len };
}

static const char LENGTH[] = "operand %d: %d bytes, expected %d";

void *exactly(const mp_obj_t *objects, int i, size_t n_bytes, mp_uint_t access) {
    operand_t operand = buffer_of(objects, i, access);
    check_number(i, operand.n, n_bytes, LENGTH);
    return operand.buf;
}

static void check_alignment(int i, const void *buf) {
    check_number(i, (uintptr_t)buf & 3, 0, "operand %d: %d bytes off a multiple of 4");
}

void *at_least(const mp_obj_t *objects, int i, size_t n_words) {
    operand_t operand = buffer_of(objects, i, MP_BUFFER_RW);
    if (operand.n < 4 * n_words) {
        check_number(i, operand.n, 4 * n_words, LENGTH);
    }
    check_alignment(i, operand.buf);
    return operand.buf;
}

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

static bool good_image(const int32_t *d) {
    int32_t kernel = d[KERNEL], pool = d[POOL], border = d[PADDING];
    if (!(within(kernel, 1, 15) && within(d[STRIDE], 1, 15) && within(border, 0, kernel - 1)
        && within(pool, 1, 15) && within(d[POOL_STRIDE], 1, 15)
        && within(d[H_IN], 1, MAX_ELEMENTS) && within(d[W_IN], 1, MAX_ELEMENTS)
        && (pool == 1 || (within(d[ARGMAX_BITS], 2, 8) && pool * pool <= 1 << d[ARGMAX_BITS]
            && (d[ARGMAX_BITS] & (d[ARGMAX_BITS] - 1)) == 0)))) {
        return false;
    }
    int32_t height = d[H_IN] + 2 * border, width = d[W_IN] + 2 * border;
    return product(d[N_IN], product(height, width)) <= MAX_ELEMENTS
        && product(d[N_OUT], product(d[H_OUT], d[W_OUT])) <= MAX_ELEMENTS
        && fits(d[H_CONV], d[STRIDE], kernel, height)
        && fits(d[W_CONV], d[STRIDE], kernel, width)
        && fits(d[H_OUT], d[POOL_STRIDE], pool, d[H_CONV])
        && fits(d[W_OUT], d[POOL_STRIDE], pool, d[W_CONV]);
}

static bool good_layer(const int32_t *d, int32_t kind) {
    if (kind == MAX_POOL2D) {
        return good_image(d) && d[KERNEL] == 1 && d[STRIDE] == 1 && d[N_OUT] == d[N_IN];
    }
    int32_t n_row = kind == ANY_WEIGHTS ? d[N_ROW] : d[N_IN];
    if (kind == CONV2D) {
        if (!good_image(d)) {
            return false;
        }
        n_row *= d[KERNEL] * d[KERNEL]; // at most 2^23 * 2^8
    }
    return d[N_ROW] == n_row && product(d[N_OUT], n_row) <= MAX_ELEMENTS
        && within(d[ROW], 0, d[N_OUT] - 1) && within(d[ROWS], 1, d[N_OUT] - d[ROW]);
}

const int32_t *descriptor(const mp_obj_t *objects, int i, int32_t kind) {
    const int32_t *d = exactly(objects, i, 4 * N_FIELDS, MP_BUFFER_READ);
    check_alignment(i, d);
    if (kind != 0) {
        check(good_layer(d, kind), "d: sizes inconsistent or out of range");
    }
    return d;
}

// bytes of the operand with that letter, in lower case
static size_t length_of(int letter, const int32_t *d, int32_t kind) {
    bool image = kind != LINEAR;
    if (letter == 'x') {
        return image ? d[N_IN] * d[H_IN] * d[W_IN] : d[N_IN];
    }
    if (letter == 'y') {
        return image ? d[N_OUT] * d[H_OUT] * d[W_OUT] : d[N_OUT];
    }
    if (letter == 'a') {
        return d[POOL] == 1 ? 0 : d[N_OUT] * channel_argmax_bytes(d);
    }
    if (letter == 'r') {
        return d[ROWS] * d[N_ROW];
    }
    if (letter == 'b') {
        return d[SELECTION] == ALL ? 0
            : 4 * d[N_OUT] + (d[SELECTION] == BITMAP ? (d[N_OUT] * d[N_ROW] + 7) >> 3 : 0);
    }
    return d[N_OUT] * d[N_ROW];
}

// True for a length that the descriptor leaves open.
static bool is_open(int letter, size_t n, const int32_t *d) {
    if ((letter | 32) == 's') {
        return d[SELECTION] != ALL || (d[RULE] != PRUNE && d[RULE] != GAIN);
    }
    return letter == 'E' && n == 0;
}

// Address of operand i, whose letter says what it must be; *n gets its length.
static void *operand(const mp_obj_t *objects, int i, int letter, size_t *n, const int32_t *d,
    int32_t kind) {
    if (within(letter, '0', '2')) {
        return at_least(objects, i, scratch_words(kind, letter - '0', d));
    }
    bool written = letter < 'a' && (letter != 'W' || d[RULE] == WEIGHTS);
    operand_t o = buffer_of(objects, i, written ? MP_BUFFER_RW : MP_BUFFER_READ);
    *n = o.n;
    if (!is_open(letter, o.n, d)) {
        check_number(i, o.n, length_of(letter | 32, d, kind), LENGTH);
    }
    if (letter == 'b' && o.n != 0) {
        check_alignment(i, o.buf);
    }
    return letter == 'E' && o.n == 0 ? NULL : o.buf;
}

const int32_t *fetch(uintptr_t *arguments, mp_obj_t tuple, const char *form, int32_t kind,
    int32_t shift) {
    int last = 0;
    while (form[last] != 'd') {
        last++;
    }
    const mp_obj_t *objects = objects_of(tuple, last + 1);
    const int32_t *d = descriptor(objects, last, kind);
    check(within(d[shift], 0, 30) && within(d[SELECTION], ALL, BITMAP)
        && within(d[RULE], FROZEN, WEIGHTS), "d: shift, selection or rule out of range");
    for (int i = 0; i < last; i++) {
        size_t n = 0;
        *arguments++ = (uintptr_t)operand(objects, i, form[i], &n, d, kind);
        if ((form[i] | 32) == 's') {
            *arguments++ = n;
        }
    }
    *arguments = (uintptr_t)d;
    return d;
}
