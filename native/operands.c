// Fetches the operands of a call of any module; the contract is in operands.h.

#include "operands.h"

void check(bool good, const char *text) {
    if (!good) {
        mp_raise_ValueError(text);
    }
}

// The interpreter formats the text: nothing here is paid for while all is well.
void refuse_length(int i, size_t found, size_t expected) {
    static const char FORMAT[] = "operand %d: %d bytes, expected %d";
    mp_obj_t values[3] = {
        mp_obj_new_int(i), mp_obj_new_int_from_uint(found), mp_obj_new_int_from_uint(expected),
    };
    mp_obj_t text = mp_binary_op(MP_BINARY_OP_MODULO,
        mp_obj_new_str(FORMAT, sizeof(FORMAT) - 1), mp_obj_new_tuple(3, values));
    mp_raise_type_arg(&mp_type_ValueError, text);
}

void check_alignment(const void *buf, size_t size) {
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
