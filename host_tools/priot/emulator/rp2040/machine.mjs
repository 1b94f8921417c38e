// A Raspberry Pi Pico from rp2040js, with flash that keeps, both cores and a USB serial port.
import { pathToFileURL } from 'url';
import path from 'path';
import { FlashInterface, FlashPads } from './flash.mjs';
import { Cores } from './cores.mjs';
import { makeUsbSerial } from './usb_serial.mjs';
import { XipCache, XipControl, makeCachedCore } from './xip.mjs';
import { advance, makeFastCore } from './fast_core.mjs';

const XIP_CTRL = 0x14000, SSI = 0x18000, IO_QSPI = 0x40018, WATCHDOG = 0x40058;
const FLASH_START = 0x10000000;
const ROM_FUNCTIONS = 0x14;      // where the boot ROM has the address of its table of functions
const USB_BOOT = 'UB'.charCodeAt(0) | 'UB'.charCodeAt(1) << 8;
const ALONE_CYCLES = 1 << 30;   // more than a run takes
const BREAK = 0x55, OPCODE_BKPT = 0xbe00;   // with a number of our own

export async function loadLibrary(folder) {
  const load = (name) => import(pathToFileURL(path.join(folder, 'dist/esm', name)).href);
  const { Simulator, USBCDC } = await load('index.js');
  const { CortexM0Core } = await load('cortex-m0-core.js');
  const Core = makeFastCore(makeCachedCore(CortexM0Core));
  return { Simulator, Core, UsbSerial: makeUsbSerial(USBCDC) };
}

export class Machine {
  // library: of loadLibrary; bootrom: Uint32Array; flash: Flash; onSerial(Uint8Array).
  constructor(library, bootrom, flash, onSerial) {
    const simulator = new library.Simulator();
    this.mcu = simulator.rp2040;
    this.clock = simulator.clock;
    this.flash = flash;
    this.instructions = 0;
    this.cycles = [0, 0];        // spent by each core on instructions, so without sleep
    this.resetWanted = false;
    this.inBootloader = false;
    this.nanosBefore = 0;        // simulated time up to the last reset
    this.mcu.logger = this.#logger();
    this.mcu.loadBootrom(bootrom);   // this also clears rp2040js' own flash
    this.#catchBootloader();
    this.#attachFlash();
    this.cores = new Cores(this.mcu, () => new library.Core(this.mcu, this.cache));
    this.cores.core[0].PC = FLASH_START;
    this.watchdog = this.mcu.peripherals[WATCHDOG];
    this.watchdog.onWatchdogTrigger = () => {
      this.resetWanted = true;
      this.watchdog.alarm.enable = false;   // it would go off again in no time, for ever
    };
    this.serial = new library.UsbSerial(this.mcu.usbCtrl, onSerial);
  }

  // reset_usb_boot of the boot ROM makes the chip a USB drive, which is not emulated: stop there.
  #catchBootloader() {
    const rom = new Uint16Array(this.mcu.bootrom.buffer);
    for (let at = rom[ROM_FUNCTIONS >> 1] >> 1; rom[at]; at += 2) {
      if (rom[at] === USB_BOOT) rom[rom[at + 1] >> 1] = OPCODE_BKPT | BREAK;
    }
    this.mcu.onBreak = (number) => {
      if (number === BREAK) this.inBootloader = this.resetWanted = true;
    };
  }

  #attachFlash() {
    const { mcu, clock, flash } = this;
    mcu.flash = flash.bytes;
    mcu.flash16 = new Uint16Array(flash.bytes.buffer);
    mcu.flashView = new DataView(flash.bytes.buffer);
    this.cache = new XipCache();
    mcu.peripherals[XIP_CTRL] = new XipControl(this.cache);
    const flashInterface = new FlashInterface(flash, (nanos) => clock.tick(nanos));
    mcu.peripherals[SSI] = flashInterface;
    mcu.peripherals[IO_QSPI] = new FlashPads(flashInterface);
  }

  // rp2040js tells of SEV by its log only. Errors (a word read from an odd address) would be a
  // hard fault on the chip; here they end the emulator.
  #logger() {
    return {
      debug() {},
      info: (component, message) => { if (message === 'SEV') this.cores.sendEvent(); },
      warn() {},
      error(component, message) { throw new Error(`${component}: ${message}`); },
    };
  }

  // What outlives a reset by the watchdog: why, and the scratch registers.
  inherit(before) {
    this.watchdog.reason = before.watchdog.reason;
    this.watchdog.scratchData.set(before.watchdog.scratchData);
    this.nanosBefore = before.nanos;
    this.instructions = before.instructions;
    this.cycles = before.cycles;
  }

  // Simulated time since power-up.
  get nanos() {
    return this.nanosBefore + this.clock.nanos;
  }

  get isIdle() {
    const [core0, core1] = this.cores.core;
    return core0.waiting && (core1.waiting || !this.cores.core1Runs);
  }

  // Execute up to `limit` instructions, fewer when nothing is to be done.
  run(limit) {
    const end = this.instructions + limit;
    while (this.instructions < end && !this.resetWanted && !this.isIdle) {
      const [core0, core1] = this.cores.core;
      if (!this.cores.core1Runs || core1.waiting) this.#runOne(0, end);
      else if (core0.waiting) this.#runOne(1, end);
      else this.#runBoth(end);
    }
  }

  // One core, until the other one has something to do.
  #runOne(i, end) {
    const { cores, clock } = this, core = cores.core[i], other = cores.core[1 - i];
    const nanosPerCycle = 1e9 / this.mcu.clkSys, turn = { core, other: null, left: ALONE_CYCLES };
    cores.select(i);
    while (!core.waiting && this.instructions < end && !this.resetWanted) {
      this.instructions += advance(turn, end - this.instructions, clock, core, nanosPerCycle);
      if (i === 0 ? cores.core1Runs && !other.waiting : !cores.core1Runs || !other.waiting) break;
    }
    cores.select(0);
    this.#count();
  }

  // Both, each by turns: always the one that is behind.
  #runBoth(end) {
    const { cores, clock } = this, [core0, core1] = cores.core;
    const select = (core) => cores.select(core === core0 ? 0 : 1);
    const nanosPerCycle = 1e9 / this.mcu.clkSys, turn = { core: core1, other: core0, left: 1 };
    while (!core0.waiting && !core1.waiting && cores.core1Runs && this.instructions < end &&
           !this.resetWanted) {
      this.instructions += advance(turn, end - this.instructions, clock, core0, nanosPerCycle,
        select);
    }
    this.#count();
  }

  #count() {
    this.cores.core.forEach((core, i) => {
      this.cycles[i] += core.spent;
      core.spent = 0;
    });
  }
}
