// The modules priot_portable, priot_native and priot_layers: every kernel as a function of one
// tuple (device/DESIGN.md, Kernels). dispatch.h says which of them this is.
//
// A function fetches and checks its operands (check.h) and calls the kernel. It allocates
// nothing, and a Ctrl-C is seen after it. Who makes the same call at every step gives its tuple room
// for a memo of what was checked.

#include "check.h"
#include "dispatch.h"
#include "planning.h"
#ifdef PRIOT_FAST
#include "fast.h"
#include "lent.h" // and kernels share their work among both cores
#ifndef PRIOT_LAYERS
#define HAS_CREW
#endif
#endif

// Kernels that have a form are called from a table, KERNELS of tables.h: a third of the code of a
// function each. All arguments are words; the calling conventions of both targets (AAPCS,
// System V) let a function ignore arguments beyond its own, and a caller leave out the last.
typedef uintptr_t word_t;
typedef int32_t (*kernel_t)(word_t, word_t, word_t, word_t, word_t, word_t, word_t, word_t,
    word_t, word_t);

typedef struct {
    mp_obj_fun_builtin_fixed_t function; // of a tuple, or of a tuple and a number
    kernel_t kernel; // in priot_native: of kernels of no kind
    uint8_t form[MAX_OPERANDS]; // see fetch
    uint8_t kind;
    uint8_t slot; // where a plan says that the kernel may run; 0: needs none
    uint8_t qstr; // index of the name in mp_native_qstr_table, where mpy_ld.py puts MP_QSTR_*
} entry_t;

#define NUMBER_OF(n, name, qstr, ...) ENTRY_##name,
enum { KERNELS(NUMBER_OF) N_ENTRIES };

static mp_obj_t call(mp_obj_t tuple, mp_obj_t number, int i);

// Without a number beside the tuple, `number` is whatever its register holds.
#define FUNCTION(n, name, qstr, ...) \
    static mp_obj_t call_##name(mp_obj_t tuple, mp_obj_t number) { \
        return call(tuple, number, ENTRY_##name); \
    }
KERNELS(FUNCTION)

#define ENTRY(n, name, qstr, kernel, kind, slot, ...) { \
        { { &mp_type_fun_builtin_##n }, { ._##n = (mp_fun_##n##_t)(void *)call_##name } }, \
        (kernel_t)(void *)kernel, { __VA_ARGS__ }, kind, slot, &qstr - mp_native_qstr_table \
    },
static const entry_t ENTRIES[] = { KERNELS(ENTRY) };

// Fetches and checks operands, and finds the kernel that takes them.
static void prepare(memo_t *memo, const mp_obj_t *objects, mp_obj_t number, const entry_t *entry) {
    memo->seal = 0;
    const int32_t *d = fetch(memo->arguments, objects, number, entry->form, entry->kind,
        CHOSEN(scratch_words));
    kernel_t kernel = entry->kernel;
    #ifndef PRIOT_FAST
    (void)d;
    #else
    if (entry->slot != 0) {
        kernel = (kernel_t)CHOSEN(planned)(entry->kind, entry->slot, d);
        check(kernel != NULL, "d: not planned");
    }
    #endif
    memo->kernel = (word_t)kernel;
}

static mp_obj_t call(mp_obj_t tuple, mp_obj_t number, int i) {
    const entry_t *entry = &ENTRIES[i];
    memo_t passing, *memo = &passing;
    const mp_obj_t *objects = objects_and_memo(tuple, entry->form, &memo);
    word_t seal = (word_t)entry ^ (word_t)objects ^ (word_t)memo;
    if (memo == &passing || memo->seal != seal) {
        prepare(memo, objects, number, entry);
        memo->seal = seal;
    }
    const word_t *w = memo->arguments;
    return mp_obj_new_int(((kernel_t)memo->kernel)(
        w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9]));
}

#ifndef PRIOT_LAYERS
#include "others.h"
#endif

#ifdef HAS_CREW
// What core 1 runs, as a thread: all of its work for the kernels.
static mp_obj_t call_crew_wait(void) {
    crew_wait();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(crew_wait_obj, call_crew_wait);

static mp_obj_t call_crew_want(mp_obj_t is_wanted) {
    return mp_obj_new_int(crew_want(mp_obj_get_int(is_wanted)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(crew_want_obj, call_crew_want);

static const lent_t LENT = {
    crew_run, objects_and_memo, fetch, descriptor, at_least, check,
};
#endif

#ifdef PRIOT_LAYERS
// Where LENT of priot_native lies.
static mp_obj_t call_borrow(mp_obj_t address) {
    borrowed = (const lent_t *)mp_obj_get_int(address);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(borrow_obj, call_borrow);
#endif

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_contract, MP_OBJ_NEW_SMALL_INT(CONTRACT));
    mp_store_global(MP_QSTR_memo_bytes, MP_OBJ_NEW_SMALL_INT(sizeof(memo_t)));
    // a loop: calls one by one would take 100 bytes more
    for (const entry_t *entry = ENTRIES; entry != ENTRIES + N_ENTRIES; entry++) {
        mp_store_global(mp_native_qstr_table[entry->qstr], MP_OBJ_FROM_PTR(&entry->function));
    }
    #ifndef PRIOT_LAYERS
    STORE_OTHERS
    #endif
    STORE(MP_QSTR_scratch_words, scratch_words);
    STORE(MP_QSTR_plan, plan);
    STORE(MP_QSTR_plan_name, plan_name);
    #ifdef HAS_CREW
    STORE(MP_QSTR_crew_wait, crew_wait);
    STORE(MP_QSTR_crew_want, crew_want);
    mp_store_global(MP_QSTR_lent, MP_OBJ_NEW_SMALL_INT((mp_int_t)&LENT)); // its address
    #endif
    #ifdef PRIOT_LAYERS
    STORE(MP_QSTR_borrow, borrow);
    #endif
    MP_DYNRUNTIME_INIT_EXIT
}
