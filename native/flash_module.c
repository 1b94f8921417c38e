// The module priot_flash: effective weights of layers whose weights stay in flash (flash/).

#include "flash_rows.h"
#include "operands.h"

enum { MAX_OUTPUTS = 65535, MAX_ROW = 131072, MAX_ELEMENTS = 1 << 23 }; // of a layer

static bool within(int32_t value, int32_t low, int32_t high) {
    return low <= value && value <= high;
}

// Whether n pairs of numbers name words of a memory that are `total` bytes together.
static bool are_pieces(const uint32_t *pieces, size_t n, size_t flash, size_t total) {
    for (; n != 0; n--, pieces += 2) {
        if (((pieces[0] | pieces[1]) & 3) != 0 || pieces[0] > flash
            || pieces[1] > flash - pieces[0] || pieces[1] > total) {
            return false;
        }
        total -= pieces[1];
    }
    return total == 0;
}

// What objects 2.. of a call say: flash, pieces, scores, select, d.
static flash_layer_t layer_of(const mp_obj_t *objects) {
    flash_layer_t v;
    const int32_t *d = v.d = exactly(objects, 6, 4 * N_FIELDS, MP_BUFFER_READ);
    check_alignment(d, 4);
    check(within(d[N_OUT], 1, MAX_OUTPUTS) && within(d[N_ROW], 1, MAX_ROW)
        && (d[N_ROW] & 3) == 0 && (d[N_OUT] >> 5) * d[N_ROW] <= MAX_ELEMENTS >> 5
        && within(d[ROW], 0, d[N_OUT] - 1) && within(d[ROWS], 1, d[N_OUT] - d[ROW])
        && within(d[SELECTION], ALL, BITMAP), "d: sizes inconsistent or out of range");
    size_t edges = (size_t)(d[N_OUT] * d[N_ROW]);
    operand_t flash = buffer_of(objects, 2, MP_BUFFER_READ);
    operand_t pieces = buffer_of(objects, 3, MP_BUFFER_READ);
    check_alignment(flash.buf, 4);
    check_alignment(pieces.buf, 4);
    check((pieces.n & 7) == 0 && are_pieces(pieces.buf, pieces.n >> 3, flash.n, edges),
        "pieces: expected the layer's weights in the flash");
    operand_t scores = buffer_of(objects, 4, MP_BUFFER_READ);
    size_t select = d[SELECTION] == ALL ? 0
        : 4 * d[N_OUT] + (d[SELECTION] == BITMAP ? (edges + 7) >> 3 : 0);
    v.select = exactly(objects, 5, select, MP_BUFFER_READ);
    check_alignment(v.select, 4);
    v.flash = flash.buf;
    v.pieces = pieces.buf;
    v.scores = scores.buf;
    v.scores_end = v.scores + scores.n;
    return v;
}

static mp_obj_t call_rows(mp_obj_t tuple) {
    const mp_obj_t *objects = objects_of(tuple, 7);
    flash_layer_t v = layer_of(objects);
    uint8_t *weff = exactly(objects, 0, v.d[ROWS] * v.d[N_ROW], MP_BUFFER_RW);
    check_alignment(weff, 4);
    return mp_obj_new_int(flash_rows(weff, at_least(objects, 1, CHECKS), &v));
}
static MP_DEFINE_CONST_FUN_OBJ_1(rows_obj, call_rows);

static mp_obj_t call_columns(mp_obj_t tuple, mp_obj_t number) {
    const mp_obj_t *objects = objects_of(tuple, 7);
    flash_layer_t v = layer_of(objects);
    operand_t weff = buffer_of(objects, 0, MP_BUFFER_RW);
    int32_t first = mp_obj_get_int(number), columns = 0;
    size_t left = weff.n;
    for (; left >= (size_t)v.d[N_OUT] && columns < v.d[N_ROW]; columns++) {
        left -= v.d[N_OUT];
    }
    check(left == 0 && ((first | columns) & 3) == 0 && within(first, 0, v.d[N_ROW] - columns),
        "columns: expected whole words of every row");
    check_alignment(weff.buf, 4);
    return mp_obj_new_int(flash_columns(weff.buf,
        at_least(objects, 1, v.d[SELECTION] == ALL ? 0 : 2 * v.d[N_OUT]), &v, first, columns));
}
static MP_DEFINE_CONST_FUN_OBJ_2(columns_obj, call_columns);

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_contract, MP_OBJ_NEW_SMALL_INT(CONTRACT));
    mp_store_global(MP_QSTR_flash_rows, MP_OBJ_FROM_PTR(&rows_obj));
    mp_store_global(MP_QSTR_flash_columns, MP_OBJ_FROM_PTR(&columns_obj));
    MP_DYNRUNTIME_INIT_EXIT
}
