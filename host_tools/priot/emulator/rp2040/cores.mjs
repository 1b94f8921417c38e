// Core 1 of the RP2040, which rp2040js lacks: start and stop, FIFOs between the cores, SEV and WFE.

const IRQ_FIFO = 15;             // of core 0; core 1's is the next
const FIFO_WORDS = 8;
const SIO_CPUID = 0x00, SIO_FIFO_STATUS = 0x50, SIO_FIFO_WRITE = 0x54, SIO_FIFO_READ = 0x58;
const SIO_BANKED_START = 0x60, SIO_BANKED_END = 0x100;
const FIFO_VALID = 1, FIFO_READY = 2, FIFO_OVERFLOW = 4, FIFO_UNDERFLOW = 8;
const PSM = 0x40010, PSM_FORCE_OFF = 0x04, PSM_PROC1 = 0x10000;
const OPCODE_WFE = 0xbf20;
// Each core has a divider and interpolators of its own; rp2040js has one set.
const BANKED = ['divDividend', 'divDivisor', 'divQuotient', 'divRemainder', 'divCSR',
  'interp0', 'interp1'];

export class Cores {
  // makeCore() makes a core, twice; they take the place of rp2040js' own.
  constructor(mcu, makeCore) {
    this.mcu = mcu;
    this.core = [makeCore(), makeCore()];
    this.core[0].reset();        // takes SP and PC from the vector table
    this.select(0);
    this.core1Runs = false;
    this.waiting = [[], []];     // words on their way to core i
    this.errors = [0, 0];
    this.bank = 0;               // the core whose divider and interpolators are in place
    this.banked = Object.fromEntries(BANKED.map((name) => [name, this.#fresh(name)]));
    mcu.setInterrupt = (irq, value) => {
      for (const core of this.core) core.setInterrupt(irq, value);
    };
    this.#replaceSio(mcu.sio);
    this.#replacePowerStates(mcu.peripherals[PSM]);
    this.#startCore1();
  }

  #fresh(name) {
    const own = this.mcu.sio[name];
    return typeof own === 'object' ? new own.constructor(+name.at(-1)) : own;
  }

  // Everything that rp2040js knows of "the" core then belongs to core i.
  select(i) {
    this.current = i;
    this.mcu.core = this.core[i];
  }

  #selectBank() {
    if (this.bank === this.current) return;
    this.bank = this.current;
    const { sio } = this.mcu, { banked } = this;
    for (const name of BANKED) [sio[name], banked[name]] = [banked[name], sio[name]];
  }

  // SEV of one core: an event for both, which ends a WFE but not a WFI.
  sendEvent() {
    for (const core of this.core) {
      core.eventRegistered = true;
      if (core.waiting && this.mcu.readUint16(core.PC - 2) === OPCODE_WFE) core.waiting = false;
    }
  }

  #updateFifoInterrupt(i) {
    this.core[i].setInterrupt(IRQ_FIFO + i, this.waiting[i].length > 0 || this.errors[i] !== 0);
  }

  #replaceSio(sio) {
    const read = sio.readUint32.bind(sio), write = sio.writeUint32.bind(sio);
    sio.readUint32 = (offset) => {
      const me = this.current, words = this.waiting[me];
      if (offset >= SIO_BANKED_START && offset < SIO_BANKED_END) this.#selectBank();
      switch (offset) {
        case SIO_CPUID: return me;
        case SIO_FIFO_STATUS:
          return (words.length ? FIFO_VALID : 0) | this.errors[me] |
            (this.waiting[1 - me].length < FIFO_WORDS ? FIFO_READY : 0);
        case SIO_FIFO_READ: {
          if (!words.length) {
            this.errors[me] |= FIFO_UNDERFLOW;
            return 0;
          }
          const word = words.shift();
          this.#updateFifoInterrupt(me);
          return word;
        }
      }
      return read(offset);
    };
    sio.writeUint32 = (offset, value) => {
      const me = this.current;
      if (offset >= SIO_BANKED_START && offset < SIO_BANKED_END) this.#selectBank();
      if (offset === SIO_FIFO_WRITE) this.#pushWord(me, value >>> 0);
      else if (offset === SIO_FIFO_STATUS) {
        this.errors[me] = 0;
        this.#updateFifoInterrupt(me);
      } else write(offset, value);
    };
  }

  #pushWord(from, word) {
    const words = this.waiting[1 - from];
    if (words.length >= FIFO_WORDS) {
      this.errors[from] |= FIFO_OVERFLOW;
      return;
    }
    words.push(word);
    this.#updateFifoInterrupt(1 - from);
    this.sendEvent();
  }

  // The power-on state machine holds core 1 in reset and lets it go.
  #replacePowerStates(psm) {
    const write = psm.writeUint32.bind(psm);
    psm.writeUint32 = (offset, value) => {
      const before = psm.frceOff;
      write(offset, value);
      if (offset !== PSM_FORCE_OFF) return;
      if (psm.frceOff & PSM_PROC1) this.core1Runs = false;
      else if (before & PSM_PROC1) this.#startCore1();
    };
  }

  // Core 1 starts in the boot ROM, where it waits for core 0 to send it an entry point.
  #startCore1() {
    const core = this.core[1];
    this.waiting[0].length = this.waiting[1].length = 0;
    this.errors.fill(0);
    this.#updateFifoInterrupt(0);
    this.#updateFifoInterrupt(1);
    Object.assign(core, { VTOR: 0, waiting: false, enabledInterrupts: 0, PM: false, IPSR: 0 });
    core.reset();
    this.core1Runs = true;
  }
}
