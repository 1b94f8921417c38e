// The Pico's flash chip: erase and program through the RP2040's serial interface, kept in a file.
//
// rp2040js reads flash but ignores commands. Here the SSI passes them on to a W25Q16JV as its
// data sheet describes it; every erase and every programmed page is written to the file at once,
// so that ending the process at any moment is losing power with the flash as it was.
import fs from 'fs';

export const FLASH_BYTES = 2 * 1024 * 1024;
const ADDRESS_SPACE_BYTES = 16 * 1024 * 1024;
const SECTOR = 4096, PAGE = 256;

// Commands of the chip.
const PAGE_PROGRAM = 0x02, READ = 0x03, WRITE_DISABLE = 0x04, READ_STATUS1 = 0x05;
const WRITE_ENABLE = 0x06, ERASE_SECTOR = 0x20, READ_STATUS2 = 0x35, READ_UNIQUE_ID = 0x4b;
const ERASE_BLOCK_32K = 0x52, READ_JEDEC_ID = 0x9f, ERASE_BLOCK_64K = 0xd8;
const ERASE_BYTES = { [ERASE_SECTOR]: SECTOR, [ERASE_BLOCK_32K]: 32768, [ERASE_BLOCK_64K]: 65536 };
// Typical times of the data sheet; the firmware waits for them with interrupts off.
const NANOS = {
  [PAGE_PROGRAM]: 0.4e6, [ERASE_SECTOR]: 45e6, [ERASE_BLOCK_32K]: 120e6, [ERASE_BLOCK_64K]: 150e6,
};
const STATUS1_WRITE_ENABLED = 2, STATUS2_QUAD_ENABLED = 2;
const JEDEC_ID = [0xef, 0x40, 0x15];

export class Flash {
  // onPowerLost is called once `operationsLeft` erases and programs have been done.
  constructor(path, onPowerLost) {
    this.bytes = new Uint8Array(ADDRESS_SPACE_BYTES).fill(0xff);
    this.file = fs.openSync(path, 'r+');
    fs.readSync(this.file, this.bytes, 0, FLASH_BYTES, 0);
    this.onPowerLost = onPowerLost;
    this.operationsLeft = Infinity;
    this.erasedSectors = 0;
    this.programmedPages = 0;
    this.command = [];
    this.writeEnabled = false;
  }

  // One byte in from the controller, one byte out, while the chip is selected.
  exchange(byte) {
    const at = this.command.push(byte) - 1, [op, high, middle, low] = this.command;
    if (at === 0) {
      if (op === WRITE_ENABLE) this.writeEnabled = true;
      else if (op === WRITE_DISABLE) this.writeEnabled = false;
      return 0xff;
    }
    switch (op) {
      case READ_STATUS1: return this.writeEnabled ? STATUS1_WRITE_ENABLED : 0;
      case READ_STATUS2: return STATUS2_QUAD_ENABLED;
      case READ_JEDEC_ID: return JEDEC_ID[at - 1] ?? 0;
      case READ_UNIQUE_ID: return at > 4 ? 0xa0 + at : 0xff;
      case READ: return at > 3 ? this.bytes[((high << 16) | (middle << 8) | low) + at - 4] : 0xff;
    }
    return 0xff;
  }

  // The chip is deselected: erase and program happen now. Returns how long they keep it busy.
  deselect() {
    const [op, high, middle, low] = this.command, data = this.command.slice(4);
    const complete = this.command.length >= 4 && this.writeEnabled;
    this.command = [];
    if (!complete || !(op in NANOS)) return 0;
    this.writeEnabled = false;
    const address = ((high << 16) | (middle << 8) | low) % FLASH_BYTES;
    const powerLost = --this.operationsLeft <= 0;
    if (op === PAGE_PROGRAM) this.#program(address, data, powerLost);
    else this.#erase(address, ERASE_BYTES[op], powerLost);
    if (powerLost) this.onPowerLost();
    return NANOS[op];
  }

  // Power that goes in the middle leaves half of the page or sector done.
  #program(address, data, half) {
    const page = address - address % PAGE, count = half ? data.length >> 1 : data.length;
    for (let i = 0; i < count; i++) this.bytes[page + (address + i) % PAGE] &= data[i];
    this.#save(page, PAGE);
    this.programmedPages++;
  }

  #erase(address, size, half) {
    const start = address - address % size;
    this.bytes.fill(0xff, start, start + (half ? size >> 1 : size));
    this.#save(start, size);
    this.erasedSectors += size / SECTOR;
  }

  #save(start, size) {
    fs.writeSync(this.file, this.bytes, start, size, start);
  }
}

// Registers of the serial interface (SSI) as the boot ROM's flash functions use them.
const SSI_ENABLE = 0x08, SSI_TX_LEVEL = 0x20, SSI_RX_LEVEL = 0x24, SSI_STATUS = 0x28;
const SSI_ID = 0x58, SSI_VERSION = 0x5c, SSI_DATA = 0x60;
const STATUS_TX_EMPTY_NOT_FULL = 6, STATUS_RX_NOT_EMPTY = 8;

// Peripheral of rp2040js in place of its own SSI. `onBusy(nanos)` lets simulated time pass.
export class FlashInterface {
  constructor(flash, onBusy) {
    this.flash = flash;
    this.onBusy = onBusy;
    this.registers = {};
    this.received = [];
    this.enabled = 0;
    this.selected = false;   // by the pin, as opposed to by a running transfer
  }

  // The chip-select pin is forced low or high by the pad's override, around each command.
  forceSelect(selected) {
    if (selected && !this.selected) {
      this.flash.command = [];
      this.received = [];
    }
    if (!selected && this.selected) this.#deselect();
    this.selected = selected;
  }

  #deselect() {
    const nanos = this.flash.deselect();
    if (nanos) this.onBusy(nanos);
  }

  readUint32(offset) {
    switch (offset) {
      case SSI_ENABLE: return this.enabled;
      case SSI_TX_LEVEL: return 0;
      case SSI_RX_LEVEL: return this.received.length;
      case SSI_STATUS:
        if (!this.selected) this.#deselect();
        return STATUS_TX_EMPTY_NOT_FULL | (this.received.length ? STATUS_RX_NOT_EMPTY : 0);
      case SSI_ID: return 0x51535049;
      case SSI_VERSION: return 0x3430312a;
      case SSI_DATA: return this.received.shift() ?? 0;
    }
    return this.registers[offset] ?? 0;
  }

  writeUint32(offset, value) {
    if (offset === SSI_ENABLE) {
      this.enabled = value;
      if (!value) {
        if (!this.selected) this.#deselect();
        this.received = [];
      }
    } else if (offset === SSI_DATA) {
      if (this.enabled) this.received.push(this.flash.exchange(value & 0xff));
    } else {
      this.registers[offset] = value;
    }
  }

  writeUint32Atomic(offset, value, type) {
    this.writeUint32(offset, type ? combined(this.readUint32(offset), value, type) : value);
  }
}

// Pads of the flash (IO_QSPI): only the override of chip select has an effect.
const SELECT_CTRL = 0x0c, LAST_CTRL = 0x2c, OVERRIDE_LOW = 2;

export class FlashPads {
  constructor(flashInterface) {
    this.flashInterface = flashInterface;
    this.registers = new Uint32Array(64);
  }

  readUint32(offset) {
    const isStatus = offset <= LAST_CTRL && !(offset & 4);
    if (!isStatus) return this.registers[offset >> 2] ?? 0;
    const override = (this.registers[(offset + 4) >> 2] >> 8) & 3;
    return 0x200 | (override << 8);
  }

  writeUint32(offset, value) {
    this.registers[offset >> 2] = value;
    if (offset === SELECT_CTRL) {
      this.flashInterface.forceSelect(((value >> 8) & 3) === OVERRIDE_LOW);
    }
  }

  writeUint32Atomic(offset, value, type) {
    this.writeUint32(offset, type ? combined(this.readUint32(offset), value, type) : value);
  }
}

// RP2040: writes to the aliases of a register exclusive-or (1), set (2) or clear (3) its bits. A
// plain write (0) must not read: that would take a byte from the data register.
export function combined(old, value, type) {
  return [value, old ^ value, old | value, old & ~value][type];
}
