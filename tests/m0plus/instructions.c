// ARMv6-M instructions (all of them that compilers and native/armv6m use) with the cycles of a
// Cortex-M0+: ARM DDI 0484C, table 3-1, with the single-cycle multiplier of the RP2040 and memory
// without wait states. They agree with rp2040js within 0.7 %.

#include "core.h"

// Arithmetic and flags.

static uint32_t set_nz(core_t *core, uint32_t value) {
    core->n = value >> 31;
    core->z = value == 0;
    return value;
}

// a + b + carry with all four flags; a - b is a + ~b + 1.
static uint32_t add(core_t *core, uint32_t a, uint32_t b, uint32_t carry) {
    uint64_t wide = (uint64_t)a + b + carry;
    uint32_t sum = (uint32_t)wide;
    core->c = (uint32_t)(wide >> 32);
    core->v = ((a ^ sum) & (b ^ sum)) >> 31;
    return set_nz(core, sum);
}

enum { LSL, LSR, ASR, ROR };

static uint32_t shift(core_t *core, int kind, uint32_t value, uint32_t count) {
    if (count == 0) {
        return set_nz(core, value);
    }
    int64_t wide = kind == ASR ? (int32_t)value : (int64_t)value;
    if (kind == ROR) {
        count &= 31;
        value = count ? value >> count | value << (32 - count) : value;
        core->c = value >> 31;
        return set_nz(core, value);
    }
    if (kind == LSL) {
        uint64_t left = count > 32 ? 0 : (uint64_t)value << count;
        core->c = (uint32_t)(left >> 32) & 1;
        return set_nz(core, (uint32_t)left);
    }
    if (count > 32) {
        count = kind == ASR ? 32 : 33;
    }
    core->c = (uint32_t)(wide >> (count - 1)) & 1;
    return set_nz(core, (uint32_t)(wide >> count));
}

static int condition_holds(const core_t *core, unsigned condition) {
    int holds;
    switch (condition >> 1) {
        case 0: holds = core->z; break;
        case 1: holds = core->c; break;
        case 2: holds = core->n; break;
        case 3: holds = core->v; break;
        case 4: holds = core->c && !core->z; break;
        case 5: holds = core->n == core->v; break;
        default: holds = core->n == core->v && !core->z; break;
    }
    return condition & 1 ? !holds : holds;
}

// Instructions, by group. Each returns its cycles; a jump writes *next.

static unsigned shift_or_add(core_t *core, unsigned op) {
    uint32_t *d = &core->r[op & 7], m = core->r[op >> 3 & 7];
    unsigned imm = op >> 6 & 31, kind = op >> 11;
    if (kind < 3) {
        *d = shift(core, (int)kind, m, kind != LSL && imm == 0 ? 32 : imm);
        return 1;
    }
    uint32_t operand = op & 0x400 ? (imm & 7) : core->r[imm & 7];
    *d = op & 0x200 ? add(core, m, ~operand, 1) : add(core, m, operand, 0);
    return 1;
}

static unsigned immediate(core_t *core, unsigned op) {
    uint32_t *d = &core->r[op >> 8 & 7], imm = op & 255;
    switch (op >> 11 & 3) {
        case 0: *d = set_nz(core, imm); break;
        case 1: add(core, *d, ~imm, 1); break;
        case 2: *d = add(core, *d, imm, 0); break;
        default: *d = add(core, *d, ~imm, 1); break;
    }
    return 1;
}

static unsigned data_processing(core_t *core, unsigned op) {
    uint32_t *d = &core->r[op & 7], m = core->r[op >> 3 & 7];
    switch (op >> 6 & 15) {
        case 0: *d = set_nz(core, *d & m); break;
        case 1: *d = set_nz(core, *d ^ m); break;
        case 2: *d = shift(core, LSL, *d, m & 255); break;
        case 3: *d = shift(core, LSR, *d, m & 255); break;
        case 4: *d = shift(core, ASR, *d, m & 255); break;
        case 5: *d = add(core, *d, m, core->c); break;
        case 6: *d = add(core, *d, ~m, core->c); break;
        case 7: *d = shift(core, ROR, *d, m & 255); break;
        case 8: set_nz(core, *d & m); break;
        case 9: *d = add(core, 0, ~m, 1); break;
        case 10: add(core, *d, ~m, 1); break;
        case 11: add(core, *d, m, 0); break;
        case 12: *d = set_nz(core, *d | m); break;
        case 13: *d = set_nz(core, *d * m); core->multiplies++; break;
        case 14: *d = set_nz(core, *d & ~m); break;
        default: *d = set_nz(core, ~m); break;
    }
    return 1;
}

static uint32_t read_register(const core_t *core, unsigned i) {
    return i == PC ? core->r[PC] + 4 : core->r[i];
}

static unsigned high_registers(core_t *core, unsigned op, uint32_t *next) {
    unsigned d = (op & 7) | (op >> 4 & 8), m = op >> 3 & 15;
    uint32_t value = read_register(core, m);
    switch (op >> 8 & 3) {
        case 0: value += read_register(core, d); break;
        case 1: add(core, read_register(core, d), ~value, 1); return 1;
        case 2: break;
        default:
            if (op & 0x80) {
                core->r[LR] = (core->r[PC] + 2) | 1;
            }
            *next = value & ~1u;
            return 2;
    }
    if (d == PC) {
        *next = value & ~1u;
        return 2;
    }
    core->r[d] = value;
    return 1;
}

static unsigned load_store(core_t *core, unsigned op) {
    uint32_t *t = &core->r[op & 7], n = core->r[op >> 3 & 7], imm = op >> 6 & 31;
    if (op >> 12 == 5) {
        uint32_t address = n + core->r[imm & 7];
        switch (op >> 9 & 7) {
            case 0: store(core, address, *t, 4); break;
            case 1: store(core, address, *t, 2); break;
            case 2: store(core, address, *t, 1); break;
            case 3: *t = (uint32_t)(int8_t)load(core, address, 1); break;
            case 4: *t = load(core, address, 4); break;
            case 5: *t = load(core, address, 2); break;
            case 6: *t = load(core, address, 1); break;
            default: *t = (uint32_t)(int16_t)load(core, address, 2); break;
        }
        return 2;
    }
    switch (op >> 11) {
        case 12: store(core, n + imm * 4, *t, 4); break;
        case 13: *t = load(core, n + imm * 4, 4); break;
        case 14: store(core, n + imm, *t, 1); break;
        case 15: *t = load(core, n + imm, 1); break;
        case 16: store(core, n + imm * 2, *t, 2); break;
        default: *t = load(core, n + imm * 2, 2); break;
    }
    return 2;
}

// ldr literal, ldr and str relative to sp, adr, add to sp.
static unsigned relative(core_t *core, unsigned op) {
    uint32_t *t = &core->r[op >> 8 & 7], imm = (op & 255) * 4;
    uint32_t base = read_register(core, PC) & ~3u;
    switch (op >> 11) {
        case 9: *t = load(core, base + imm, 4); return 2;
        case 18: store(core, core->r[SP] + imm, *t, 4); return 2;
        case 19: *t = load(core, core->r[SP] + imm, 4); return 2;
        case 20: *t = base + imm; return 1;
        default: *t = core->r[SP] + imm; return 1;
    }
}

static unsigned load_store_multiple(core_t *core, unsigned op) {
    unsigned base = op >> 8 & 7, list = op & 255, is_load = op & 0x800;
    uint32_t address = core->r[base], count = 0;
    for (unsigned i = 0; i < 8; i++) {
        if (list >> i & 1) {
            if (is_load) {
                core->r[i] = load(core, address, 4);
            } else {
                store(core, address, core->r[i], 4);
            }
            address += 4;
            count++;
        }
    }
    if (!is_load || !(list >> base & 1)) {
        core->r[base] = address;
    }
    return 1 + count;
}

static unsigned push(core_t *core, unsigned op) {
    unsigned list = (op & 255) | (op & 256 ? 1u << LR : 0);
    uint32_t count = (uint32_t)__builtin_popcount(list);
    uint32_t address = core->r[SP] -= 4 * count;
    for (unsigned i = 0; i < 16; i++) {
        if (list >> i & 1) {
            store(core, address, core->r[i], 4);
            address += 4;
        }
    }
    return 1 + count;
}

static unsigned pop(core_t *core, unsigned op, uint32_t *next) {
    unsigned cycles = 1;
    for (unsigned i = 0; i < 8; i++) {
        if (op >> i & 1) {
            core->r[i] = load(core, core->r[SP], 4);
            core->r[SP] += 4;
            cycles++;
        }
    }
    if (op & 256) {
        *next = load(core, core->r[SP], 4) & ~1u;
        core->r[SP] += 4;
        cycles += 3;
    }
    return cycles;
}

static unsigned miscellaneous(core_t *core, unsigned op, uint32_t *next) {
    uint32_t *d = &core->r[op & 7], m = core->r[op >> 3 & 7];
    switch (op >> 8 & 15) {
        case 0: core->r[SP] += op & 128 ? 0 - (op & 127) * 4 : (op & 127) * 4; return 1;
        case 2:
            switch (op >> 6 & 3) {
                case 0: *d = (uint32_t)(int16_t)m; break;
                case 1: *d = (uint32_t)(int8_t)m; break;
                case 2: *d = m & 0xffff; break;
                default: *d = m & 255; break;
            }
            return 1;
        case 4: case 5: return push(core, op);
        case 10: {
            uint32_t halves = (m >> 8 & 0x00ff00ff) | (m & 0x00ff00ff) << 8;
            switch (op >> 6 & 3) {
                case 0: *d = halves << 16 | halves >> 16; return 1;
                case 1: *d = halves; return 1;
                case 3: *d = (uint32_t)(int16_t)halves; return 1;
                default: stop(core, UNDEFINED, core->r[PC]); return 1;
            }
        }
        case 12: case 13: return pop(core, op, next);
        case 15: return 1;  // nop and hints
        default: stop(core, UNDEFINED, core->r[PC]); return 1;
    }
}

static unsigned branch(core_t *core, unsigned op, uint32_t *next) {
    uint32_t here = read_register(core, PC);
    if (op >> 11 == 28) {
        *next = here + (uint32_t)((int32_t)(op << 21) >> 20);
        return 2;
    }
    unsigned condition = op >> 8 & 15;
    if (condition >= 14) {
        stop(core, UNDEFINED, core->r[PC]);
        return 1;
    }
    if (!condition_holds(core, condition)) {
        return 1;
    }
    *next = here + (uint32_t)((int32_t)(int8_t)op * 2);
    return 2;
}

static unsigned branch_and_link(core_t *core, unsigned op, uint32_t *next) {
    uint32_t here = read_register(core, PC);
    unsigned low = load(core, core->r[PC] + 2, 2);
    core->loads--;
    if ((low & 0xd000) != 0xd000) {
        stop(core, UNDEFINED, core->r[PC]);
        return 1;
    }
    uint32_t sign = op >> 10 & 1, i1 = !((low >> 13 & 1) ^ sign), i2 = !((low >> 11 & 1) ^ sign);
    uint32_t offset = i1 << 23 | i2 << 22 | (op & 0x3ff) << 12 | (low & 0x7ff) << 1;
    core->r[LR] = here | 1;
    *next = here + (sign ? offset | 0xff000000 : offset);
    return 3;
}

unsigned execute(core_t *core, unsigned op, uint32_t *next) {
    switch (op >> 11) {
        case 0: case 1: case 2: case 3: return shift_or_add(core, op);
        case 4: case 5: case 6: case 7: return immediate(core, op);
        case 8: return op & 0x400 ? high_registers(core, op, next) : data_processing(core, op);
        case 9: case 18: case 19: case 20: case 21: return relative(core, op);
        case 22: case 23: return miscellaneous(core, op, next);
        case 24: case 25: return load_store_multiple(core, op);
        case 26: case 27: case 28: return branch(core, op, next);
        case 30: return branch_and_link(core, op, next);
        case 29: case 31: stop(core, UNDEFINED, core->r[PC]); return 1;
        default: return load_store(core, op);
    }
}
