// Both cores of an RP2040, or of an RP2350 that runs Arm code, in one kernel: core 1 waits in native
// code for its share of a job.
//
// A kernel puts what its cores need to know into a job and hands a function to crew_run, which
// does one core's share of it. Shares run at once: what one writes, no other may read or write,
// but for places that nobody reads. So outputs are divided, and each core has scratch of its own,
// behind what all of them only read; scratch is always sized for CREW cores. Where bits are packed,
// shares meet at bytes. One core does all by the same code, as core 0 of 1.
//
// On core 1 a share allocates nothing, raises nothing and calls nothing of MicroPython.

#ifndef PRIOT_CREW_H
#define PRIOT_CREW_H

#include <stdint.h>

enum { CREW = 2 }; // cores that scratch is sized for

typedef void (*share_t)(void *job, int32_t core, int32_t cores);
typedef void (*run_t)(share_t share, void *job);

// Runs the job's shares, by core 1 as well where it waits; returns when all are done. 80 cycles
// beside the shares with two cores, 20 with one.
void crew_run(share_t share, void *job);

// Core 1: works for core 0 until that wants no more.
void crew_wait(void);

// Core 0: whether core 1 shall work, also before it does; what it does not want has stopped when
// this returns. 1 where core 1 waits in crew_wait.
int32_t crew_want(int32_t is_wanted);

// Where a core's part of n items begins; where it ends, the next one's does. Parts are multiples of
// `step`, a power of two, but for the last.
int32_t crew_start(int32_t n, int32_t step, int32_t core, int32_t cores);

#endif
