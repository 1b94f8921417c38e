// The flash as the cores read it in place (XIP): through the RP2040's cache, or at their cost.
//
// 16 kB, two ways, lines of 8 bytes: section 2.6.3 of the RP2040's data sheet. Only what is in it
// is modelled, for time and counters; the bytes come from the flash. Which way a miss replaces the
// data sheet does not say: here the one that was used longer ago.
import { combined } from './flash.mjs';

const RAM_START = 0x20000000, RAM_BYTES = 264 * 1024;
const LINE_SHIFT = 3, SETS = 1024;
const FLASH_REGION = 0x10000000 >>> 26;      // 0x10... to 0x13..., four aliases of the flash
const FLASH_CACHED = 0x10000000 >>> 24, OFFSET_BITS = 0xffffff;
// Bits 24 and 25 of an address.
const NO_ALLOCATE = 1, NO_LOOKUP = 2;
// The firmware reads on four lines at half the system clock: 8 clocks of address and mode, 4 of
// waiting, then 2 a byte. A miss reads its whole line, what is not kept a word.
const CYCLES_PER_CLOCK = 2;
const LINE_CYCLES = CYCLES_PER_CLOCK * (8 + 4 + 16);
const WORD_CYCLES = CYCLES_PER_CLOCK * (8 + 4 + 8);
const FLUSH_CYCLES = SETS;                   // a counter clears a set a cycle; readers wait for it

export class XipCache {
  constructor() {
    this.tags = new Int32Array(2 * SETS).fill(-1);   // of each set, the line used last comes first
    this.bypass = 0;             // NO_ALLOCATE | NO_LOOKUP while the cache is off
    this.accesses = 0;
    this.hits = 0;
    this.stall = 0;              // cycles that the running instruction has to wait
  }

  access(address) {
    this.accesses++;
    const { tags } = this, line = (address & OFFSET_BITS) >>> LINE_SHIFT;
    const first = (line & (SETS - 1)) << 1;
    const alias = ((address >>> 24) & (NO_ALLOCATE | NO_LOOKUP)) | this.bypass;
    if (alias === 0 && tags[first] === line) this.hits++;   // all but always
    else this.accessFurther(first, line, alias);
  }

  accessFurther(first, line, alias) {
    const { tags } = this;
    const isHit = !(alias & NO_LOOKUP) && (tags[first] === line || tags[first + 1] === line);
    if (isHit) this.hits++;
    else this.stall += alias & NO_ALLOCATE ? WORD_CYCLES : LINE_CYCLES;
    if (tags[first] !== line && (isHit || !(alias & NO_ALLOCATE))) {
      tags[first + 1] = tags[first];
      tags[first] = line;
    }
  }

  // A write to the cached alias: the flash stays as it is, its line is forgotten.
  invalidate(address) {
    const { tags } = this, line = (address & OFFSET_BITS) >>> LINE_SHIFT;
    const first = (line & (SETS - 1)) << 1;
    if (tags[first] === line) tags[first] = tags[first + 1];
    else if (tags[first + 1] !== line) return;
    tags[first + 1] = -1;
  }

  flush() {
    this.tags.fill(-1);
    this.stall += FLUSH_CYCLES;
  }
}

// A core whose accesses to flash go through the cache and take their time.
//
// Code is fetched by words, so that two instructions one after the other are one access. What the
// chip fetches beyond a taken branch is left out.
export function makeCachedCore(CortexM0Core) {
  return class CachedCore extends CortexM0Core {
    constructor(mcu, cache) {
      super(mcu);
      this.cache = cache;
      // Views: through rp2040js each access would be two calls more, 15 % of all time.
      this.ram16 = new Uint16Array(mcu.sram.buffer);
      this.ram32 = new Uint32Array(mcu.sram.buffer);
      this.flash16 = mcu.flash16;
      this.flash32 = new Uint32Array(mcu.flash16.buffer);
      this.fetched = -1;         // the word of flash that was fetched last
    }

    executeInstruction() {
      const cycles = super.executeInstruction(), { stall } = this.cache;
      if (stall === 0) return cycles;
      this.cache.stall = 0;
      return cycles + stall;
    }

    readUint32(address) {
      if ((address & 3) === 0) {
        const inRam = address - RAM_START;
        if (inRam >= 0 && inRam < RAM_BYTES) return this.ram32[inRam >>> 2];
        if (address >>> 26 === FLASH_REGION) {
          this.cache.access(address);
          return this.flash32[(address & OFFSET_BITS) >>> 2];
        }
      }
      return this.rp2040.readUint32(address);
    }

    readUint16(address) {
      const inRam = address - RAM_START;
      if (inRam >= 0 && inRam < RAM_BYTES) return this.ram16[inRam >>> 1];
      if (address >>> 26 !== FLASH_REGION) return this.rp2040.readUint16(address);
      if (address >>> 2 !== this.fetched) {
        const ahead = address - this.registers[15];
        if (ahead === 0 || ahead === 2) this.fetched = address >>> 2;
        this.cache.access(address);
      }
      return this.flash16[(address & OFFSET_BITS) >>> 1];
    }

    readUint8(address) {
      if (address >>> 26 === FLASH_REGION) this.cache.access(address);
      return this.rp2040.readUint8(address);
    }

    writeUint32(address, value) {
      const inRam = address - RAM_START;
      if ((address & 3) === 0 && inRam >= 0 && inRam < RAM_BYTES) this.ram32[inRam >>> 2] = value;
      else if (address >>> 24 === FLASH_CACHED) this.cache.invalidate(address);
      else this.rp2040.writeUint32(address, value);
    }

    writeUint16(address, value) {
      if (address >>> 24 === FLASH_CACHED) this.cache.invalidate(address);
      else this.rp2040.writeUint16(address, value);
    }

    writeUint8(address, value) {
      if (address >>> 24 === FLASH_CACHED) this.cache.invalidate(address);
      else this.rp2040.writeUint8(address, value);
    }
  };
}

// Registers at 0x14000000. Streaming and the cache as RAM (0x15...) are left out.
const CTRL = 0x00, FLUSH = 0x04, STAT = 0x08, CTR_HIT = 0x0c, CTR_ACC = 0x10;
const CTRL_ENABLE = 1, CTRL_FAULT_ON_BAD_WRITE = 2, CTRL_POWER_DOWN = 8;
const CTRL_BITS = CTRL_ENABLE | CTRL_FAULT_ON_BAD_WRITE | CTRL_POWER_DOWN;
const STAT_FLUSH_READY = 1, STAT_FIFO_EMPTY = 2;
const REGISTER_BITS = 0xfff, COUNTER_MAX = 0xffffffff;   // where a counter stops

export class XipControl {
  constructor(cache) {
    this.cache = cache;
    this.control = CTRL_ENABLE | CTRL_FAULT_ON_BAD_WRITE;
  }

  readUint32(offset) {
    switch (offset & REGISTER_BITS) {
      case CTRL: return this.control;
      case STAT: return STAT_FLUSH_READY | STAT_FIFO_EMPTY;
      case CTR_HIT: return Math.min(this.cache.hits, COUNTER_MAX);
      case CTR_ACC: return Math.min(this.cache.accesses, COUNTER_MAX);
    }
    return 0;
  }

  writeUint32(offset, value) {
    if (offset === CTRL) {
      this.control = value & CTRL_BITS & (value & CTRL_POWER_DOWN ? ~CTRL_ENABLE : ~0);
      this.cache.bypass = this.control & CTRL_ENABLE ? 0 : NO_ALLOCATE | NO_LOOKUP;
    } else if (offset === FLUSH && value & 1) this.cache.flush();
    else if (offset === CTR_HIT) this.cache.hits = 0;
    else if (offset === CTR_ACC) this.cache.accesses = 0;
  }

  writeUint32Atomic(offset, value, type) {
    this.writeUint32(offset, type ? combined(this.readUint32(offset), value, type) : value);
  }
}
