// What priot_native lends to priot_layers and priot_backward, which have no check of operands and no
// cores of their own: 1.8 kB of heap less for each.

#ifndef PRIOT_LENT_H
#define PRIOT_LENT_H

#include "check.h"
#include "crew.h"

typedef struct {
    run_t run;
    const mp_obj_t *(*objects_and_memo)(mp_obj_t tuple, const uint8_t *form, memo_t **memo);
    const int32_t *(*fetch)(uintptr_t *arguments, const mp_obj_t *objects, mp_obj_t number,
        const uint8_t *form, int32_t kind, words_t *scratch_words);
    const int32_t *(*descriptor)(const mp_obj_t *objects, int i, int32_t kind);
    void *(*at_least)(const mp_obj_t *objects, int i, size_t n_words);
    void (*check)(bool good, const char *text);
} lent_t;

// lent.c, of a module that borrows: NULL until it is told.
extern const lent_t *borrowed;

#endif
