// The module priot_features: what a board makes of its sensors' samples (features/).

#include "operands.h"
#include "log_mel.h"
#include "tables.h"

static mp_obj_t call_log_mel(mp_obj_t tuple) {
    const mp_obj_t *o = objects_of(tuple, 6);
    operand_t column = buffer_of(o, 0, MP_BUFFER_RW), samples = buffer_of(o, 1, MP_BUFFER_READ);
    size_t frame = samples.n >> 1, mels = column.n;
    check(frame >= MIN_FRAME && frame <= MAX_FRAME && (samples.n & (samples.n - 1)) == 0,
        "samples: expected 128, 256 or 512");
    check(mels >= 1 && mels <= MAX_MELS, "column: expected 1..64 bands");
    int32_t *scratch = at_least(o, 2, log_mel_words(frame, mels));
    const int16_t *cosines = exactly(o, 3, frame + 2, MP_BUFFER_READ);
    const uint16_t *places = exactly(o, 4, frame - 2, MP_BUFFER_READ);
    const uint8_t *logarithms = exactly(o, 5, N_LOGARITHMS, MP_BUFFER_READ);
    check_alignment(samples.buf, 2);
    check_alignment(cosines, 2);
    check_alignment(places, 2);
    return mp_obj_new_int(
        log_mel(column.buf, mels, samples.buf, frame, scratch, cosines, places, logarithms));
}
static MP_DEFINE_CONST_FUN_OBJ_1(log_mel_obj, call_log_mel);

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_contract, MP_OBJ_NEW_SMALL_INT(CONTRACT));
    mp_store_global(MP_QSTR_log_mel, MP_OBJ_FROM_PTR(&log_mel_obj));
    MP_DYNRUNTIME_INIT_EXIT
}
