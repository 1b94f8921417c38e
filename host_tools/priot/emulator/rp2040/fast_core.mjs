// A core that runs ahead: two to three times as fast as rp2040js' own, and the same to the cycle.
//
// rp2040js finds an instruction by a chain of some sixty comparisons; after each one interrupts,
// alarms and the other core have to be looked for. run_ahead.mjs executes what needs nothing but
// registers and memory by a jump table, in a loop that ends where anything else may happen; what is
// rare stays with rp2040js. `time priot bench --target emulator`: 39 s of processor time in place
// of 110 s. tests/test_fast_core.py holds both cores to each other on random programs.
import { CARRY, OVERFLOW, PC, RESULT, STATE_WORDS, runAhead } from './run_ahead.mjs';

export function makeFastCore(CachedCore) {
  return class FastCore extends CachedCore {
    constructor(mcu, cache) {
      super(mcu, cache);
      this.state = new Int32Array(STATE_WORDS);
      this.state.set(this.registers);
      this.registers = new Uint32Array(this.state.buffer, 0, PC + 1);
      this.rom16 = new Uint16Array(mcu.bootrom.buffer);
      this.ram8 = mcu.sram;
      this.ramWords = new Int32Array(mcu.sram.buffer);
      this.spent = 0;            // cycles
    }

    // Whether rp2040js has nothing to do first. It keeps an odd PC for a handler's first steps.
    get isReady() {
      return !this.interruptsUpdated && !(this.registers[PC] & 1) && !(this.N && this.Z);
    }

    takeFlags() {
      const { state } = this;
      state[RESULT] = this.N ? -1 : this.Z ? 0 : 1;
      state[CARRY] = this.C ? 1 : 0;
      state[OVERFLOW] = this.V ? -1 : 0;
    }

    giveFlags() {
      const { state } = this;
      this.N = state[RESULT] < 0;
      this.Z = state[RESULT] === 0;
      this.C = state[CARRY] !== 0;
      this.V = state[OVERFLOW] < 0;
    }
  };
}

// As far ahead as it goes, or else one instruction of any kind by rp2040js, to which `select` tells
// the core. Returns how many instructions were executed; each core counts what it has spent.
export function advance(turn, instructions, clock, clocked, nanosPerCycle, select = () => {}) {
  const done = runAhead(turn, instructions, clock, clocked, nanosPerCycle);
  if (done > 0) return done;
  const { core, other } = turn;
  select(core);
  const cycles = core.executeInstruction();
  core.spent += cycles;
  turn.left -= cycles;
  if (turn.left <= 0 && other !== null) {
    turn.core = other;
    turn.other = core;
    turn.left = 1 - turn.left;
  }
  if (core === clocked) clock.tick(cycles * nanosPerCycle);
  select(clocked);
  return 1;
}
