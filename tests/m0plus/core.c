// The simulated core's memory, with an access right for every byte, and its clock.

#include <string.h>

#include "core.h"

static uint8_t ram[RAM_SIZE];
static uint8_t rights[RAM_SIZE];
static uint32_t profile[RAM_SIZE / 2];  // cycles spent at each halfword of code

uint8_t *m0plus_ram(void) {
    return ram;
}

uint8_t *m0plus_rights(void) {
    return rights;
}

uint32_t *m0plus_profile(void) {
    return profile;
}

// Memory: an access must be aligned and every byte of it must have the right.

static int allowed(uint32_t address, uint32_t size, uint8_t right) {
    uint32_t offset = address - RAM_BASE;
    if (address < RAM_BASE || offset + size > RAM_SIZE || (address & (size - 1))) {
        return 0;
    }
    for (uint32_t i = 0; i < size; i++) {
        if (!(rights[offset + i] & right)) {
            return 0;
        }
    }
    return 1;
}

void stop(core_t *core, uint32_t fault, uint32_t address) {
    if (!core->fault) {
        core->fault = fault;
        core->fault_address = address;
    }
}

// Shares of two cores, one after the other (crew_in_turn.c): 1 is stored to TURN_ADDRESS before
// the first, 2 before the second, 0 behind it. What one writes the other may not read, nor write,
// unless it is the same value or the memory may clash. The stack below the caller of both is each
// core's own.

enum { READ = 1, WRITTEN = 2 };

static uint8_t touched[RAM_SIZE];  // by the first share

static void take_turn(core_t *core, uint32_t turn) {
    uint64_t spent = core->cycles - core->turn_began;
    if (turn == 1) {
        memset(touched, 0, RAM_SIZE);
        core->turn_sp = core->r[SP];
    } else if (turn == 2) {
        core->first_share = spent;
    } else {
        core->saved += spent < core->first_share ? spent : core->first_share;
        core->runs++;
    }
    core->turn_began = core->cycles;
    core->turn = turn;
}

static void touch(core_t *core, uint32_t address, uint32_t size, uint8_t how, uint32_t value) {
    uint32_t own = RAM_BASE + RAM_SIZE - STACK_SIZE;
    if (core->turn == 0 || (address >= own && address < core->turn_sp)) {
        return;
    }
    for (uint32_t i = address - RAM_BASE; i < address - RAM_BASE + size; i++) {
        if (core->turn == 1) {
            touched[i] |= how;
        } else if (how == READ ? touched[i] & WRITTEN
                   : touched[i] & READ || (touched[i] & WRITTEN && !(rights[i] & MAY_CLASH)
                                           && ram[i] != (uint8_t)value)) {
            stop(core, CLASH, address);
        }
        value >>= 8;
    }
}

uint32_t load(core_t *core, uint32_t address, uint32_t size) {
    uint32_t value = 0;
    core->loads++;
    if (!allowed(address, size, MAY_READ)) {
        stop(core, BAD_LOAD, address);
        return 0;
    }
    touch(core, address, size, READ, 0);
    memcpy(&value, ram + (address - RAM_BASE), size);
    return value;
}

void store(core_t *core, uint32_t address, uint32_t value, uint32_t size) {
    core->stores++;
    if (address == TURN_ADDRESS) {
        take_turn(core, value);
        return;
    }
    if (!allowed(address, size, MAY_WRITE)) {
        stop(core, BAD_STORE, address);
        return;
    }
    touch(core, address, size, WRITTEN, value);
    memcpy(ram + (address - RAM_BASE), &value, size);
}

// Run until the program returns to STOP_ADDRESS; the result is FINISHED or the fault.
uint32_t m0plus_run(core_t *core, uint64_t cycles_allowed, int with_profile) {
    uint64_t limit = core->cycles + cycles_allowed;
    while (core->r[PC] != STOP_ADDRESS && !core->fault) {
        uint32_t at = core->r[PC], next = at + 2;
        if (!allowed(at, 2, MAY_EXECUTE)) {
            stop(core, BAD_FETCH, at);
            break;
        }
        uint16_t op;
        memcpy(&op, ram + (at - RAM_BASE), 2);
        if (op >> 11 == 30) {
            next = at + 4;
        }
        unsigned cycles = execute(core, op, &next);
        if (core->fault) {
            break;
        }
        core->cycles += cycles;
        core->instructions++;
        if (with_profile) {
            profile[(at - RAM_BASE) / 2] += cycles;
        }
        core->r[PC] = next;
        if (core->cycles > limit) {
            stop(core, OUT_OF_CYCLES, next);
        }
    }
    return core->fault;
}
