// Hands jobs to core 1 and waits for it; the contract is in crew.h.
//
// Both cores sleep by WFE while they wait: a loop would take turns at the memory that the other
// one works on. Interrupts stay on, and the FIFOs between the cores are left to MicroPython, which
// stops core 1 by them while it writes to flash.

#include "crew.h"

#include <stddef.h>

// Not static: a native module's variables cannot be.
struct {
    share_t volatile share; // set by core 0 when the job is there, cleared by core 1 when it is done
    void *volatile job;
    volatile int32_t is_wanted; // set by core 0
    volatile int32_t is_waiting; // set by core 1, while it is in crew_wait
} crew;

static inline void order_memory(void) {
    __asm volatile ("dmb" ::: "memory");
}

static inline void wake_other(void) {
    __asm volatile ("dmb\n\tsev" ::: "memory");
}

static inline void wait_for_other(void) {
    __asm volatile ("wfe" ::: "memory");
}

void crew_run(share_t share, void *job) {
    if ((crew.is_waiting & crew.is_wanted) == 0) {
        share(job, 0, 1);
        return;
    }
    crew.job = job;
    order_memory();
    crew.share = share;
    wake_other();
    share(job, 0, CREW);
    while (crew.share != NULL) {
        wait_for_other();
    }
    order_memory();
}

// It leaves only where it is not wanted after it said that it does not wait: core 0, which says
// that it wants it before it looks whether it waits, never has a job for one that has left.
void crew_wait(void) {
    do {
        crew.is_waiting = 1;
        order_memory();
        while (crew.is_wanted) {
            share_t share = crew.share;
            if (share == NULL) {
                wait_for_other();
                continue;
            }
            order_memory();
            share(crew.job, 1, CREW);
            order_memory();
            crew.share = NULL;
            wake_other();
        }
        crew.is_waiting = 0;
        order_memory();
    } while (crew.is_wanted);
    wake_other();
}

int32_t crew_want(int32_t is_wanted) {
    crew.is_wanted = is_wanted;
    wake_other();
    while (!is_wanted && crew.is_waiting) {
        wait_for_other();
    }
    return crew.is_waiting;
}
