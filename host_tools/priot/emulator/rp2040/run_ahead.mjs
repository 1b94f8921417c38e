// Instructions that need nothing but registers, RAM, ROM and flash, by a jump table.
//
// What is not here, and all that is rare, is left to rp2040js: system instructions, peripherals,
// odd addresses, the ends of exceptions, shifts beyond 31, what reads or writes PC as a
// number. Cycles and flags are rp2040js'; it alone decides what is right.
const RAM_START = 0x20000000, RAM_BYTES = 264 * 1024, ROM_BYTES = 16 * 1024;
const FLASH_CACHED = 0x10000000 >>> 24, FLASH_REGION = 0x10000000 >>> 26, OFFSET_BITS = 0xffffff;
const LIST_BYTES = 36;                       // of the longest list of registers
const FROM_EXCEPTION = 0xf;                  // the upper bits of an address that ends an exception
const SP = 13, LR = 14;
// A core's state is one array: 16 registers and, while the loop runs, its flags. N is a RESULT
// below 0, Z one of 0; V an OVERFLOW below 0.
export const PC = 15, RESULT = 16, CARRY = 17, OVERFLOW = 18, STATE_WORDS = 19;
// Accesses to memory, by the numbers in opcodes with two registers.
const STR = 0, STRH = 1, STRB = 2, LDR = 4, LDRH = 5, LDRB = 6;
const LOADS = 0x800;                         // the bit that tells a load from a store

function sum(r, a, b) {
  const result = (a + b) | 0;
  r[RESULT] = result;
  r[CARRY] = result >>> 0 < a >>> 0 ? 1 : 0;
  r[OVERFLOW] = (a ^ result) & (b ^ result);
  return result;
}

function difference(r, a, b) {
  const result = (a - b) | 0;
  r[RESULT] = result;
  r[CARRY] = a >>> 0 >= b >>> 0 ? 1 : 0;
  r[OVERFLOW] = (a ^ b) & (a ^ result);
  return result;
}

// Run `turn.core` and, where there is a `turn.other`, both by turns: each until `turn.left`, the
// cycles that it is behind, is used up. Ends after so many instructions, after an alarm, and before
// an instruction that is not for here. Only core `clocked` takes time of the clock, which is added
// up by instructions as rp2040js does: sums of fractions differ with their order.
// Returns how many instructions were executed.
//
// One loop with variables of its own: fields of the core in their place cost a fifth of the speed.
// Cases are literals, which V8 makes a jump table of.
export function runAhead(turn, instructions, clock, clocked, nanosPerCycle) {
  let { core, other, left } = turn;
  const alarm = clock.nextAlarm === null ? Infinity : clock.nextAlarm.nanos;
  let nanos = clock.nanosCounter, done = 0, due = 0, spent = 0, fetched = core.fetched;
  if (alarm <= nanos || !core.isReady || (other && !other.isReady)) return 0;
  core.takeFlags();
  if (other) other.takeFlags();
  const { rom16, ram8, ram16, ramWords, flash16, cache } = core;
  let r = core.state, pc = r[PC];
  let perCycle = core === clocked ? nanosPerCycle : 0;

  run: while (done < instructions) {
    let code = ram16, index = (pc - RAM_START) >> 1;
    if (index < 0 || index >= RAM_BYTES >> 1) {
      if (pc >>> 24 === FLASH_CACHED) {
        code = flash16;
        index = (pc & OFFSET_BITS) >>> 1;
        if (pc >>> 2 !== fetched) {
          fetched = pc >>> 2;
          cache.access(pc);
        }
      } else if (pc >= 0 && pc < ROM_BYTES) {
        code = rom16;
        index = pc >>> 1;
      } else break;
    }
    const opcode = code[index];

    let next = pc + 2, cycles = 1;
    let access = -1, address = 0, t = opcode & 7;          // of loads and stores
    switch (opcode >>> 11) {
      case 0b00000: {            // LSLS
        const n = (opcode >>> 6) & 31, value = r[(opcode >>> 3) & 7];
        if (n) r[CARRY] = (value >>> (32 - n)) & 1;
        r[RESULT] = r[t] = value << n;
        break;
      }
      case 0b00001: {            // LSRS
        const n = (opcode >>> 6) & 31, value = r[(opcode >>> 3) & 7];
        r[CARRY] = (value >>> (n ? n - 1 : 31)) & 1;
        r[RESULT] = r[t] = n ? value >>> n : 0;
        break;
      }
      case 0b00010: {            // ASRS
        const n = ((opcode >>> 6) & 31) || 32, value = r[(opcode >>> 3) & 7];
        r[CARRY] = (value >>> (n - 1)) & 1;
        r[RESULT] = r[t] = value >> (n < 32 ? n : 31);
        break;
      }
      case 0b00011: {            // ADDS, SUBS: a register or three bits
        const a = r[(opcode >>> 3) & 7], field = (opcode >>> 6) & 7;
        const b = opcode & 0x400 ? field : r[field];
        r[t] = opcode & 0x200 ? difference(r, a, b) : sum(r, a, b);
        break;
      }
      case 0b00100:              // MOVS
        r[RESULT] = r[(opcode >>> 8) & 7] = opcode & 255;
        break;
      case 0b00101:              // CMP
        difference(r, r[(opcode >>> 8) & 7], opcode & 255);
        break;
      case 0b00110:              // ADDS
        t = (opcode >>> 8) & 7;
        r[t] = sum(r, r[t], opcode & 255);
        break;
      case 0b00111:              // SUBS
        t = (opcode >>> 8) & 7;
        r[t] = difference(r, r[t], opcode & 255);
        break;
      case 0b01000: {
        const a = r[t], b = r[(opcode >>> 3) & 7];
        const high = ((opcode >>> 4) & 8) | t, m = (opcode >>> 3) & 15;
        switch ((opcode >>> 6) & 31) {
          case 0b00000: r[RESULT] = r[t] = a & b; break;                  // ANDS
          case 0b00001: r[RESULT] = r[t] = a ^ b; break;                  // EORS
          case 0b00010: {        // LSLS
            const n = b & 255;
            if (n > 31) break run;
            if (n) r[CARRY] = (a >>> (32 - n)) & 1;
            r[RESULT] = r[t] = a << n;
            break;
          }
          case 0b00011: {        // LSRS
            const n = b & 255;
            if (n > 31) break run;
            r[CARRY] = (a >>> (n - 1)) & 1;
            r[RESULT] = r[t] = a >>> n;
            break;
          }
          case 0b00100: {        // ASRS
            const n = b & 255;
            r[CARRY] = (a >> (n < 32 ? n - 1 : 31)) & 1;
            r[RESULT] = r[t] = a >> (n < 32 ? n : 31);
            break;
          }
          case 0b00101: {        // ADCS
            if (a === 0x7fffffff) break run;               // where rp2040js finds no V
            const result = (a + b + r[CARRY]) | 0;
            r[CARRY] = (a & b | (a | b) & ~result) >>> 31;
            r[OVERFLOW] = (a ^ result) & (b ^ result);
            r[RESULT] = r[t] = result;
            break;
          }
          case 0b00110:          // SBCS
            if (b === -1) break run;
            r[t] = difference(r, a, (b + 1 - r[CARRY]) | 0);
            break;
          case 0b01000: r[RESULT] = a & b; break;                         // TST
          case 0b01001: r[t] = difference(r, 0, b); break;                // NEGS
          case 0b01010: difference(r, a, b); break;                       // CMP
          case 0b01100: r[RESULT] = r[t] = a | b; break;                  // ORRS
          case 0b01101: r[RESULT] = r[t] = Math.imul(a, b); break;        // MULS
          case 0b01110: r[RESULT] = r[t] = a & ~b; break;                 // BICS
          case 0b01111: r[RESULT] = r[t] = ~b; break;                     // MVNS
          case 0b10000: case 0b10001: case 0b10010: case 0b10011:         // ADD
            if (high === SP || high === PC || m === PC) break run;
            r[high] = r[high] + r[m];
            break;
          case 0b10100: case 0b10101: case 0b10110: case 0b10111:         // CMP
            if (high === PC || m === PC) break run;
            difference(r, r[high], r[m]);
            break;
          case 0b11000: case 0b11001: case 0b11010: case 0b11011:         // MOV
            if (high === PC || m === PC) break run;
            r[high] = high === SP ? r[m] & ~3 : r[m];
            break;
          case 0b11100: case 0b11101:                                     // BX
            if (t || m === PC || r[m] >>> 28 === FROM_EXCEPTION) break run;
            next = r[m] & ~1;
            cycles = 2;
            break;
          case 0b11110: case 0b11111:                                     // BLX
            if (t || m === PC || m === LR) break run;      // rp2040js sets LR first
            next = r[m] & ~1;
            r[LR] = (pc + 2) | 1;
            cycles = 2;
            break;
          default: break run;
        }
        break;
      }
      case 0b01001:              // LDR from behind the code
        address = ((pc + 4) & ~3) + ((opcode & 255) << 2);
        t = (opcode >>> 8) & 7;
        access = LDR;
        break;
      case 0b01010: case 0b01011:          // by a register: any access
        address = (r[(opcode >>> 6) & 7] + r[(opcode >>> 3) & 7]) | 0;
        access = (opcode >>> 9) & 7;
        break;
      case 0b01100: case 0b01101:
        address = (r[(opcode >>> 3) & 7] + ((opcode >>> 4) & 0x7c)) | 0;
        access = opcode & LOADS ? LDR : STR;
        break;
      case 0b01110: case 0b01111:
        address = (r[(opcode >>> 3) & 7] + ((opcode >>> 6) & 0x1f)) | 0;
        access = opcode & LOADS ? LDRB : STRB;
        break;
      case 0b10000: case 0b10001:
        address = (r[(opcode >>> 3) & 7] + ((opcode >>> 5) & 0x3e)) | 0;
        access = opcode & LOADS ? LDRH : STRH;
        break;
      case 0b10010: case 0b10011:          // on the stack
        address = (r[SP] + ((opcode & 255) << 2)) | 0;
        t = (opcode >>> 8) & 7;
        access = opcode & LOADS ? LDR : STR;
        break;
      case 0b10100:              // ADR
        r[(opcode >>> 8) & 7] = ((pc + 4) & ~3) + ((opcode & 255) << 2);
        break;
      case 0b10101:              // ADD of SP
        r[(opcode >>> 8) & 7] = r[SP] + ((opcode & 255) << 2);
        break;
      case 0b10110: {
        const value = r[(opcode >>> 3) & 7];
        switch ((opcode >>> 6) & 31) {
          case 0b00000: case 0b00001: r[SP] = r[SP] + ((opcode & 127) << 2); break;
          case 0b00010: case 0b00011: r[SP] = r[SP] - ((opcode & 127) << 2); break;
          case 0b01000: r[t] = value << 16 >> 16; break;                  // SXTH
          case 0b01001: r[t] = value << 24 >> 24; break;                  // SXTB
          case 0b01010: r[t] = value & 0xffff; break;                     // UXTH
          case 0b01011: r[t] = value & 0xff; break;                       // UXTB
          case 0b10000: case 0b10001: case 0b10010: case 0b10011:
          case 0b10100: case 0b10101: case 0b10110: case 0b10111: {       // PUSH
            let at = r[SP] - RAM_START;
            if (at < LIST_BYTES || at > RAM_BYTES) break run;
            if (opcode & 0x100) ramWords[(at -= 4) >>> 2] = r[LR];
            for (let i = 7; i >= 0; i--) {
              if (opcode >>> i & 1) {
                ramWords[(at -= 4) >>> 2] = r[i];
                cycles++;
              }
            }
            r[SP] = RAM_START + at;
            break;
          }
          default: break run;
        }
        break;
      }
      case 0b10111: {            // POP
        let at = r[SP] - RAM_START;
        if ((opcode & 0x600) !== 0x400 || at < 0 || at > RAM_BYTES - LIST_BYTES) break run;
        if (opcode & 0x100) {
          let last = at >>> 2;
          for (let list = opcode & 255; list; list &= list - 1) last++;
          if (ramWords[last] >>> 28 === FROM_EXCEPTION) break run;
          next = ramWords[last] & ~1;
          cycles = 3;
        }
        for (let i = 0; i < 8; i++) {
          if (opcode >>> i & 1) {
            r[i] = ramWords[at >>> 2];
            at += 4;
            cycles++;
          }
        }
        r[SP] = RAM_START + at + (opcode & 0x100 ? 4 : 0);
        break;
      }
      case 0b11000: case 0b11001: {        // STM, LDM
        const n = (opcode >>> 8) & 7;
        let at = r[n] - RAM_START;
        if (at < 0 || at > RAM_BYTES - LIST_BYTES || at & 3) break run;
        for (let i = 0; i < 8; i++) {
          if (opcode >>> i & 1) {
            if (opcode & LOADS) r[i] = ramWords[at >>> 2];
            else ramWords[at >>> 2] = r[i];
            at += 4;
            cycles++;
          }
        }
        if (!(opcode >>> n & 1)) r[n] = RAM_START + at;
        break;
      }
      case 0b11010: case 0b11011: {        // B on a condition, or where it does not hold
        const result = r[RESULT];
        let holds = false;
        switch ((opcode >>> 9) & 7) {
          case 0: holds = result === 0; break;
          case 1: holds = r[CARRY] !== 0; break;
          case 2: holds = result < 0; break;
          case 3: holds = r[OVERFLOW] < 0; break;
          case 4: holds = r[CARRY] !== 0 && result !== 0; break;
          case 5: holds = (result ^ r[OVERFLOW]) >= 0; break;
          case 6: holds = (result ^ r[OVERFLOW]) >= 0 && result !== 0; break;
          default: break run;
        }
        if (holds === ((opcode & 0x100) === 0)) {
          next = pc + 4 + (opcode << 24 >> 23);
          cycles = 2;
        }
        break;
      }
      case 0b11100:              // B
        next = pc + 4 + (opcode << 21 >> 20);
        cycles = 2;
        break;
      case 0b11110: {            // BL
        const second = code[index + 1];
        if ((second & 0xd000) !== 0xd000) break run;
        if (code === flash16 && (pc + 2) >>> 2 !== fetched) {
          fetched = (pc + 2) >>> 2;
          cache.access(pc + 2);
        }
        const sign = opcode << 21 >> 31, bits = ~(second ^ sign);
        next = pc + 4 + (sign << 24 | (bits & 0x2000) << 10 | (bits & 0x800) << 11 |
                         (opcode & 0x3ff) << 12 | (second & 0x7ff) << 1);
        r[LR] = (pc + 4) | 1;
        cycles = 3;
        break;
      }
      default: break run;
    }

    if (access >= 0) {
      const at = address - RAM_START;
      cycles = 2;
      if (at >= 0 && at < RAM_BYTES) {
        switch (access) {
          case 0: if (at & 3) break run; ramWords[at >>> 2] = r[t]; break;  // STR
          case 1: if (at & 1) break run; ram16[at >>> 1] = r[t]; break;     // STRH
          case 2: ram8[at] = r[t]; break;                                   // STRB
          case 3: r[t] = ram8[at] << 24 >> 24; break;                       // LDRSB
          case 4: if (at & 3) break run; r[t] = ramWords[at >>> 2]; break;  // LDR
          case 5: r[t] = ram16[at >>> 1]; break;                            // LDRH
          case 6: r[t] = ram8[at]; break;                                   // LDRB
          case 7: r[t] = ram16[at >>> 1] << 16 >> 16; break;                // LDRSH
        }
      } else if (address >>> 26 === FLASH_REGION || (address >= 0 && address < ROM_BYTES)) {
        r[PC] = next;            // which tells data from code
        core.fetched = fetched;
        switch (access) {
          case 3: r[t] = core.readUint8(address) << 24 >> 24; break;        // LDRSB
          case 4: if (at & 3) break run; r[t] = core.readUint32(address); break;   // LDR
          case 5: r[t] = core.readUint16(address); break;                   // LDRH
          case 6: r[t] = core.readUint8(address); break;                    // LDRB
          case 7: r[t] = core.readUint16(address) << 16 >> 16; break;       // LDRSH
          default: break run;
        }
        fetched = core.fetched;
      } else break;
    }

    pc = next;
    done++;
    if (cache.stall !== 0) {
      cycles += cache.stall;
      cache.stall = 0;
    }
    spent += cycles;
    left -= cycles;
    const then = nanos + cycles * perCycle;
    if (then >= alarm) due = cycles * perCycle;
    else nanos = then;
    if (left <= 0) {             // the other core's turn
      if (other === null) break;
      r[PC] = pc;
      core.spent += spent;
      spent = 0;
      core.fetched = fetched;
      const before = core;
      core = other;
      other = before;
      left = 1 - left;
      r = core.state;
      fetched = core.fetched;
      pc = r[PC];
      perCycle = core === clocked ? nanosPerCycle : 0;
    }
    if (due !== 0) break;
  }

  core.spent += spent;
  core.fetched = fetched;
  r[PC] = pc;
  core.giveFlags();
  if (other) other.giveFlags();
  turn.core = core;
  turn.other = other;
  turn.left = left;
  clock.nanosCounter = nanos;
  if (due !== 0) clock.tick(due);
  return done;
}
