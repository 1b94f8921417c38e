// MicroPython's standard variant, but Ctrl-C waits for the interpreter as it does on a board.
// The standard one leaves C code and the garbage collector at once, in whatever state.
#include "variants/standard/mpconfigvariant.h"
#undef MICROPY_ASYNC_KBD_INTR
#define MICROPY_ASYNC_KBD_INTR (0)
