// Which kernels a module is made of: one source of glue (module.c, check.c), two modules.
//
// priot_portable holds every kernel in portable C. Where a folder is named after the architecture
// (armv6m/: *.S, *.c and fast.h), priot_native holds its kernels: the Makefile finds them by
// wildcard and defines PRIOT_FAST. They take some layers only, and the network calls the other
// module for the rest (device/priot/backend.py).
//
// fast.h declares a fast_ twin, with the signature of kernels.h, of
//   the six kernels of conv2d and linear layers, and kth_largest;
//   plan: clears d[PLAN] .. d[PLAN_END - 1], then writes a number other than 0 into
//     d[PLAN_FORWARD], d[PLAN_BACKWARD], d[PLAN_UPDATE] where the fast kernel takes the layer.
//     d[PLAN_PARAMETERS] and the words after it belong to the fast kernels. Returns a number that
//     plan_name explains, 0 where there is nothing to say;
//   scratch_words: for the kernels that plan chooses;
// and int32_t fast_is_planned(int32_t kind, int32_t slot, const int32_t *d): whether the kernel
// may run now.

#ifndef PRIOT_DISPATCH_H
#define PRIOT_DISPATCH_H

#ifdef PRIOT_FAST

#include "fast.h"
#define CHOSEN(name) fast_##name

#else

#include "kernels.h"
#define CHOSEN(name) name

static inline int32_t is_planned(int32_t kind, int32_t slot, const int32_t *d) {
    (void)kind;
    (void)slot;
    (void)d;
    return 1;
}

#endif

#endif
