// crew.h and check.h for a module that borrows them of priot_native. A call that comes before that
// has lent them raises ValueError.

#include "lent.h"

// Not static: a native module's variables cannot be.
const lent_t *borrowed;

static const lent_t *lender(void) {
    if (borrowed == NULL) {
        mp_raise_ValueError("priot_native: has lent nothing yet");
    }
    return borrowed;
}

void crew_run(share_t share, void *job) {
    borrowed->run(share, job);
}

const mp_obj_t *objects_and_memo(mp_obj_t tuple, const uint8_t *form, memo_t **memo) {
    return lender()->objects_and_memo(tuple, form, memo);
}

const int32_t *fetch(uintptr_t *arguments, const mp_obj_t *objects, mp_obj_t number,
    const uint8_t *form, int32_t kind, words_t *scratch_words) {
    return borrowed->fetch(arguments, objects, number, form, kind, scratch_words);
}

const int32_t *descriptor(const mp_obj_t *objects, int i, int32_t kind) {
    return lender()->descriptor(objects, i, kind);
}

void *at_least(const mp_obj_t *objects, int i, size_t n_words) {
    return lender()->at_least(objects, i, n_words);
}

void check(bool good, const char *text) {
    lender()->check(good, text);
}
