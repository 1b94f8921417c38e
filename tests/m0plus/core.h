// One simulated core: its state, and what its instructions need of memory.

#ifndef M0PLUS_CORE_H
#define M0PLUS_CORE_H

#include <stdint.h>

#define RAM_BASE 0x20000000u
#define RAM_SIZE (1u << 20)
#define STOP_ADDRESS 0xfffffffcu
#define TURN_ADDRESS 0xfffffff0u  // see take_turn in core.c
#define STACK_SIZE 16384u         // up to the end of the RAM

enum { MAY_READ = 1, MAY_WRITE = 2, MAY_EXECUTE = 4, MAY_CLASH = 8 };
enum { FINISHED, BAD_FETCH, BAD_LOAD, BAD_STORE, UNDEFINED, OUT_OF_CYCLES, CLASH };
enum { SP = 13, LR = 14, PC = 15 };

typedef struct {
    uint32_t r[16];  // r[15] is the address of the instruction itself
    uint32_t n, z, c, v;
    uint32_t fault, fault_address;
    uint64_t cycles, instructions, loads, stores, multiplies;
    // where shares of two cores take turns: cycles that they would save side by side, how often
    uint64_t saved, runs;
    uint64_t turn_began, first_share;
    uint32_t turn, turn_sp;
} core_t;

// An access without the right, or not aligned, stops the core; a load then gives 0.
uint32_t load(core_t *core, uint32_t address, uint32_t size);
void store(core_t *core, uint32_t address, uint32_t value, uint32_t size);

// Stop with the first fault.
void stop(core_t *core, uint32_t fault, uint32_t address);

// Execute the instruction op at r[PC]; returns its cycles. *next is the address of the next one,
// which a jump overwrites.
unsigned execute(core_t *core, unsigned op, uint32_t *next);

#endif
