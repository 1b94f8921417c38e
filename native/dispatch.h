// Which kernels a module is made of: one source of glue (module.c, check.c, planning.h), three
// modules.
//
// priot_portable holds every kernel in portable C. Where a folder is named after the architecture
// (armv6m/: *.S, *.c and fast.h), priot_native holds its kernels: the Makefile finds them by
// wildcard and defines PRIOT_FAST. They take some layers only, and the network calls the other
// module for the rest (device/priot/backend.py).
//
// priot_layers holds those of the folder's own folder layers/, for the layers that imported
// networks consist of, and defines PRIOT_LAYERS: a network that has such layers loads it too.
//
// priot_backward holds those of backward/, which train such layers, and defines PRIOT_BACKWARD, too.
//
// fast.h declares the kernels of such a folder, any number of a type; of those of no kind, the
// first. Its plan.c defines what follows here. It compiles for other processors as well, with
// PRIOT_PLAN_ONLY, less the kernels: plan_module.c.

#ifndef PRIOT_DISPATCH_H
#define PRIOT_DISPATCH_H

#include "kernels.h"

#if defined(PRIOT_BACKWARD)
#define CHOSEN(name) backward_##name
#elif defined(PRIOT_LAYERS)
#define CHOSEN(name) layers_##name
#elif defined(PRIOT_FAST)
#define CHOSEN(name) fast_##name
#else
#define CHOSEN(name) name
#endif

#ifdef PRIOT_FAST

typedef void (*planned_t)(void); // any kernel

// Clears d[PLAN_FORWARD] .. d[PLAN_END - 1], then writes what fast_planned understands into
// d[PLAN_FORWARD], d[PLAN_BACKWARD], d[PLAN_UPDATE] where a fast kernel takes the layer.
// d[PLAN_PARAMETERS] and the words after it belong to the fast kernels. Returns a number that
// fast_plan_name explains, 0 where there is nothing to say.
int32_t fast_plan(int32_t kind, int32_t *d);
const char *fast_plan_name(int32_t number);

// The kernel that d[slot] says, NULL where there is none or it may not run now.
planned_t fast_planned(int32_t kind, int32_t slot, const int32_t *d);

// Words for any kernel that fast_planned may return.
int32_t fast_scratch_words(int32_t kind, int32_t training, const int32_t *d);

// The same of layers/, for every kind of layer. Asked after fast_plan: layers_plan fills in
// what that has left at 0, with LAYERS_PLAN and above, and its numbers are of LAYERS_PLAN on.
int32_t layers_plan(int32_t kind, int32_t *d);
const char *layers_plan_name(int32_t number);
planned_t layers_planned(int32_t kind, int32_t slot, const int32_t *d);
int32_t layers_scratch_words(int32_t kind, int32_t training, const int32_t *d);

// And of backward/, with BACKWARD_PLAN and above; a plan of its has no number and no name.
int32_t backward_plan(int32_t kind, int32_t *d);
const char *backward_plan_name(int32_t number);
planned_t backward_planned(int32_t kind, int32_t slot, const int32_t *d);
int32_t backward_scratch_words(int32_t kind, int32_t training, const int32_t *d);

#endif

#endif
