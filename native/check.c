// Fetches and checks the operands of kernel calls; the contract is in check.h.

#include "check.h"
#include "dispatch.h"
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
static void refuse_length(int i, size_t found, size_t expected) {
    static const char FORMAT[] = "operand %d: %d bytes, expected %d";
    mp_obj_t values[3] = {
        mp_obj_new_int(i), mp_obj_new_int_from_uint(found), mp_obj_new_int_from_uint(expected),
    };
    mp_obj_t text = mp_binary_op(MP_BINARY_OP_MODULO,
        mp_obj_new_str(FORMAT, sizeof(FORMAT) - 1), mp_obj_new_tuple(3, values));
    mp_raise_type_arg(&mp_type_ValueError, text);
}

static void check_alignment(const void *buf, size_t size) {
    check(((uintptr_t)buf & (size - 1)) == 0, "operands: one is misaligned");
}

const mp_obj_t *objects_of(mp_obj_t tuple, size_t n) {
    size_t found;
    mp_obj_t *items;
    mp_obj_get_array(tuple, &found, &items);
    check(found == n, "operands: wrong number");
    return items;
}

static void refuse_type(void) {
    mp_raise_TypeError("operands: one is no buffer, or read-only");
}

operand_t buffer_of(const mp_obj_t *objects, int i, mp_uint_t access) {
    mp_buffer_info_t info;
    if (!mp_get_buffer(objects[i], &info, access)) {
        refuse_type();
    }
    return (operand_t) { info.buf, info.len };
}

void *exactly(const mp_obj_t *objects, int i, size_t n_bytes, mp_uint_t access) {
    operand_t operand = buffer_of(objects, i, access);
    if (operand.n != n_bytes) {
        refuse_length(i, operand.n, n_bytes);
    }
    return operand.buf;
}

void *at_least(const mp_obj_t *objects, int i, size_t n_words) {
    operand_t operand = buffer_of(objects, i, MP_BUFFER_RW);
    if (operand.n < 4 * n_words) {
        refuse_length(i, operand.n, 4 * n_words);
    }
    check_alignment(operand.buf, 4);
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

// Fields of d that stand for themselves: index, least, largest.
static const uint8_t RANGES[][3] = {
    { KERNEL, 1, 15 }, { STRIDE, 1, 15 }, { POOL, 1, 15 }, { POOL_STRIDE, 1, 15 },
    { FORWARD_SHIFT, 0, 30 }, { BACKWARD_SHIFT, 0, 30 }, { UPDATE_SHIFT, 0, 30 },
    { RULE, FROZEN, WEIGHTS }, { SELECTION, ALL, BITMAP },
};

static bool is_good(const int32_t *d, int32_t kind) {
    for (size_t i = 0; i < sizeof(RANGES) / sizeof(RANGES[0]); i++) {
        if (!within(d[RANGES[i][0]], RANGES[i][1], RANGES[i][2])) {
            return false;
        }
    }
    int32_t kernel = d[KERNEL], pool = d[POOL], bits = d[ARGMAX_BITS], border = d[PADDING];
    if (!(within(border, 0, kernel - 1) && within(d[H_IN], 1, MAX_ELEMENTS)
        && within(d[W_IN], 1, MAX_ELEMENTS))) {
        return false;
    }
    int32_t height = d[H_IN] + 2 * border, width = d[W_IN] + 2 * border;
    return product(d[N_IN], product(height, width)) <= MAX_ELEMENTS
        && product(d[N_OUT], product(d[H_OUT], d[W_OUT])) <= MAX_ELEMENTS
        && fits(d[H_CONV], d[STRIDE], kernel, height)
        && fits(d[W_CONV], d[STRIDE], kernel, width)
        && fits(d[H_OUT], d[POOL_STRIDE], pool, d[H_CONV])
        && fits(d[W_OUT], d[POOL_STRIDE], pool, d[W_CONV])
        && (pool == 1 || ((bits == 2 || bits == 4 || bits == 8) && pool * pool <= 1 << bits))
        && d[N_ROW] == d[N_IN] * kernel * kernel // below 2^23 * 2^8
        && product(d[N_OUT], d[N_ROW]) <= MAX_ELEMENTS
        && within(d[ROW], 0, d[N_OUT] - 1) && within(d[ROWS], 1, d[N_OUT] - d[ROW])
        && (kind == CONV2D || kernel * d[STRIDE] == 1)
        && (kind != MAX_POOL2D || d[N_OUT] == d[N_IN]);
}

const int32_t *descriptor(const mp_obj_t *objects, int i, int32_t kind) {
    const int32_t *d = exactly(objects, i, 4 * N_FIELDS, MP_BUFFER_READ);
    check_alignment(d, 4);
    if (kind != 0) {
        check(is_good(d, kind), "d: sizes inconsistent or out of range");
    }
    return d;
}

// Bytes of the operand with that letter, in lower case; `found` where any number is right.
static size_t length_of(int letter, size_t found, const int32_t *d) {
    if (letter == 'x') {
        return d[N_IN] * d[H_IN] * d[W_IN];
    }
    if (letter == 'y') {
        return d[N_OUT] * d[H_OUT] * d[W_OUT];
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
    if (letter == 'v' || (letter == 'e' && found == 0)
        || (letter == 's' && (d[SELECTION] != ALL || (d[RULE] != PRUNE && d[RULE] != GAIN)))) {
        return found;
    }
    return d[N_OUT] * d[N_ROW];
}

static bool is_read_by_words(int letter, int32_t kind) {
    #ifdef PRIOT_FAST
    if (kind == LINEAR && letter == 'r') {
        return true;
    }
    #endif
    return letter == 'b';
}

// Operand i, whose letter says what it must be.
static operand_t operand(const mp_obj_t *objects, int i, int letter, const int32_t *d,
    int32_t kind) {
    operand_t o;
    if (letter <= '3') {
        o.n = letter == '3' ? HISTOGRAM_WORDS : CHOSEN(scratch_words)(kind, letter - '0', d);
        o.buf = at_least(objects, i, o.n);
        return o;
    }
    bool written = letter < 'a' && (letter != 'W' || d[RULE] == WEIGHTS);
    o = buffer_of(objects, i, written ? MP_BUFFER_RW : MP_BUFFER_READ);
    size_t expected = length_of(letter | 32, o.n, d);
    if (o.n != expected) {
        refuse_length(i, o.n, expected);
    }
    if (o.n == 0) {
        o.buf = NULL;
    }
    if (is_read_by_words(letter | 32, kind)) {
        check_alignment(o.buf, 4);
    }
    return o;
}

const int32_t *fetch(uintptr_t *arguments, mp_obj_t tuple, const char *form, int32_t kind) {
    int n = 0;
    while (form[n] != 0) {
        n++;
    }
    const mp_obj_t *objects = objects_of(tuple, n);
    const int32_t *d = form[n - 1] == 'd' ? descriptor(objects, --n, kind) : NULL;
    for (int i = 0; i < n; i++) {
        operand_t o = operand(objects, i, form[i], d, kind);
        *arguments++ = (uintptr_t)o.buf;
        if ((form[i] | 32) == 's' || (form[i] | 32) == 'v') {
            *arguments++ = o.n;
        }
    }
    *arguments = (uintptr_t)d;
    return d;
}
