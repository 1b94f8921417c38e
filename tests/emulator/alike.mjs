// rp2040js' core and ours beside each other on random programs: they leave the same.
//
//   node alike.mjs RP2040JS_FOLDER FOLDER_OF_FAST_CORE SEED INSTRUCTIONS PROGRAMS
//
// First single instructions, any opcode in any state; then programs of both cores, with alarms.
// Prints JSON: of each of the 32 groups of opcodes how many ours executed itself and how many it
// left to rp2040js; how many alarms went off; the first difference, or null.
import path from 'path';
import { pathToFileURL } from 'url';

const [folder, ours, seed, instructions, programs] = process.argv.slice(2);
const load = (...names) => import(pathToFileURL(path.join(...names)).href);
const { Simulator } = await load(folder, 'dist/esm/index.js');
const { CortexM0Core } = await load(folder, 'dist/esm/cortex-m0-core.js');
const { XipCache, makeCachedCore } = await load(ours, 'xip.mjs');
const { advance, makeFastCore } = await load(ours, 'fast_core.mjs');
const { runAhead } = await load(ours, 'run_ahead.mjs');

const RAM = 0x20000000, RAM_BYTES = 264 * 1024, FLASH = 0x10000000, FLASH_BYTES = 65536;
const ROM_BYTES = 16 * 1024, ALIASES = 4, ALIAS = 0x1000000;
const NANOS_PER_CYCLE = 1e9 / 133e6;         // not a whole number
const FOREVER = 1 << 30;
const EDGES = [0, 1, 2, 31, 32, 33, 255, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

let state = Number(seed);
function random(n) {                         // xorshift; 0 to n - 1
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % n;
}
const pick = (list) => list[random(list.length)];
const word = () => (random(65536) << 16 | random(65536)) >>> 0;

// Two cores of a kind on a memory of their own.
function machine(Core) {
  const { rp2040: mcu, clock } = new Simulator(), cache = new XipCache();
  const error = (_, message) => { throw new Error(message); };
  mcu.logger = { debug() {}, info() {}, warn() {}, error };
  const cores = [0, 1].map(() => Object.assign(new Core(mcu, cache), { spent: 0 }));
  return { mcu, clock, cache, cores, trace: [] };
}

const CachedCore = makeCachedCore(CortexM0Core);
const theirs = machine(CachedCore), fast = machine(makeFastCore(CachedCore));
const both = [theirs, fast];

function fillMemory() {
  for (let at = 0; at < FLASH_BYTES; at += 4) theirs.mcu.flashView.setUint32(at, word(), true);
  for (let at = 0; at < RAM_BYTES; at += 4) theirs.mcu.sramView.setUint32(at, word(), true);
  for (let i = 0; i < ROM_BYTES / 4; i++) theirs.mcu.bootrom[i] = word();
  fast.mcu.flash.set(theirs.mcu.flash);
  fast.mcu.sram.set(theirs.mcu.sram);
  fast.mcu.bootrom.set(theirs.mcu.bootrom);
}

function write16(address, value) {
  for (const { mcu } of both) {
    if (address >= RAM) mcu.sramView.setUint16(address - RAM, value, true);
    else if (address >= FLASH) mcu.flashView.setUint16(address - FLASH, value, true);
    else new Uint16Array(mcu.bootrom.buffer)[address >>> 1] = value;
  }
}

const inRam = () => RAM + random(RAM_BYTES);
const inFlash = () => FLASH + ALIAS * random(ALIASES) + random(FLASH_BYTES);

function setRegisters(core, values, flags) {
  core.registers.set(values);
  [core.N, core.Z, core.C, core.V] = flags;
  Object.assign(core,
    { waiting: false, interruptsUpdated: false, pendingSVCall: false, PM: false });
}

function facts({ cores, cache, clock, trace }) {
  return JSON.stringify([cores.map((c) => [
    [...c.registers], c.N, c.Z, c.C, c.V, c.fetched, c.waiting, c.interruptsUpdated, c.spent]),
    cache.accesses, cache.hits, cache.stall, clock.nanosCounter, trace]);
}

function difference(what) {
  const [one, two] = both.map(facts);
  const isSame = one === two && Buffer.compare(theirs.mcu.sram, fast.mcu.sram) === 0 &&
    theirs.cache.tags.every((tag, i) => tag === fast.cache.tags[i]);
  return isSame ? null : { what, theirs: one, ours: two };
}

// One instruction, of any opcode, anywhere, on any values.
const groups = Array.from({ length: 32 }, () => [0, 0]);
function tryInstruction() {
  const at = pick([inRam, inRam, () => FLASH + random(FLASH_BYTES - 4),
    () => random(ROM_BYTES - 4)])() & ~1;
  // more often of those with most to go wrong: on two registers, loads and stores
  const opcode = pick([() => random(65536), () => 0x4000 | random(0x800),
    () => 0x4800 | random(0x5800)])();
  write16(at, opcode);
  if (at < RAM + RAM_BYTES - 2) write16(at + 2, pick([0xd000, 0xf800, 0x8000]) | random(4096));
  const anything = () => pick([() => pick(EDGES), word, () => random(256), inRam,
    () => inRam() & ~3, () => inRam() & ~3, inFlash, () => random(ROM_BYTES)])();
  const value = pick([anything, () => pick(EDGES), () => at + 4 - 2 * random(8)]);
  const values = Array.from({ length: 16 }, value);
  values[13] = pick([() => inRam() & ~3, () => pick([RAM, RAM + RAM_BYTES]) - 4 * random(10)])();
  values[15] = at;
  const flags = [0, 0, 0, 0].map(() => random(2) === 1), fetched = pick([-1, at >>> 2]);
  for (const { cores: [core] } of both) {
    setRegisters(core, values, flags);
    core.fetched = fetched;
    core.spent = 0;
  }
  let said = '', saidByOurs = '';
  try {
    theirs.cores[0].spent = theirs.cores[0].executeInstruction();
    theirs.clock.tick(theirs.cores[0].spent * NANOS_PER_CYCLE);
  } catch (error) {
    said = error.message;
  }
  const turn = { core: fast.cores[0], other: null, left: FOREVER };
  const done = runAhead(turn, 1, fast.clock, turn.core, NANOS_PER_CYCLE);
  try {
    if (!done) advance(turn, 1, fast.clock, turn.core, NANOS_PER_CYCLE);
  } catch (error) {
    saidByOurs = error.message;
  }
  groups[opcode >>> 11][1 - done]++;
  const what = `opcode ${opcode.toString(2).padStart(16, '0')} at ${at.toString(16)}`;
  if (said !== saidByOurs) return { what, theirs: said, ours: saidByOurs };
  return said ? null : difference(what);
}

// A loop of instructions that never leave it: r0 to r3 are computed with, r4 to r7 point to words
// that both cores read and write. One in ten is left to rp2040js.
function program(start, length) {
  const low = () => random(4), pointer = () => 4 + random(4), field = () => random(32);
  const kinds = [
    () => random(3) << 11 | field() << 6 | low() << 3 | low(),             // shifts
    () => 0x1800 | random(4) << 9 | low() << 6 | low() << 3 | low(),
    () => 0x2000 | random(4) << 11 | low() << 8 | random(256),
    () => 0x4000 | random(16) << 6 | low() << 3 | low(),
    () => 0x6000 | random(4) << 11 | field() << 6 | pointer() << 3 | low(),
    () => 0x8000 | random(2) << 11 | field() << 6 | pointer() << 3 | low(),
    () => 0xd000 | random(14) << 8 | 0,                                    // over one
    () => 0xb200 | random(4) << 6 | low() << 3 | low(),
    () => pick([0xba00, 0xba40, 0xbac0]) | low() << 3 | low(),
    () => pick([0x4678, 0xbf00, 0xbf40]),                                  // MOV r0, pc; NOP; SEV
  ];
  for (let i = 0; i < length; i++) write16(start + 2 * i, pick(kinds)());
  write16(start + 2 * length, 0xb40f);                                     // PUSH r0 to r3
  write16(start + 2 * length + 2, 0xbc0f);                                 // POP
  write16(start + 2 * length + 4, 0xe000 | (0x7ff & -(length + 4)));
}

function tryProgram(number) {
  const length = 20 + random(60), isAlone = random(3) === 0;
  const starts = [RAM + 0x1000, pick([RAM + 0x2000, FLASH + 0x4000])];
  for (const start of starts) program(start, length);
  const values = [0, 1].map((i) => Array.from({ length: 16 }, (_, register) => {
    if (register === 15) return starts[i];
    if (register === 13) return RAM + 0x8000 + 0x1000 * i;
    return register < 4 ? word() : RAM + 0x4000 + 4 * random(8);
  }));
  const delays = Array.from({ length: 6 }, () => 1 + random(5000)), limit = 200 + random(800);
  for (const m of both) {
    m.cores.forEach((core, i) => setRegisters(core, values[i], [false, false, true, false]));
    m.cores.forEach((core) => Object.assign(core, { fetched: -1, spent: 0 }));
    m.trace = [];
    for (const delay of delays) {
      const alarm = m.clock.createAlarm(() => m.trace.push([m.clock.nanos,
        ...m.cores.map((core) => [...core.registers])]));
      alarm.schedule(delay);
    }
  }
  if (isAlone) runTheirsAlone(limit);
  else runTheirs(limit);
  const [core0, core1] = fast.cores;
  const turn = isAlone ? { core: core0, other: null, left: FOREVER }
    : { core: core1, other: core0, left: 1 };
  for (let done = 0; done < limit;)
    done += advance(turn, limit - done, fast.clock, core0, NANOS_PER_CYCLE);
  alarms += fast.trace.length;
  const found = difference(`program ${number}`);
  for (const { clock } of both) clock.nextAlarm = null;
  return found;
}

function runTheirsAlone(limit) {
  const [core] = theirs.cores;
  for (let i = 0; i < limit; i++) {
    const cycles = core.executeInstruction();
    core.spent += cycles;
    theirs.clock.tick(cycles * NANOS_PER_CYCLE);
  }
}

// Always the core that is behind, core 1 where none is.
function runTheirs(limit) {
  for (let i = 0, lead = 0; i < limit; i++) {
    const core = theirs.cores[lead <= 0 ? 1 : 0], cycles = core.executeInstruction();
    core.spent += cycles;
    if (lead <= 0) lead += cycles;
    else {
      lead -= cycles;
      theirs.clock.tick(cycles * NANOS_PER_CYCLE);
    }
  }
}

let alarms = 0, found = null;
fillMemory();
for (let i = 0; i < Number(instructions) && !found; i++) found = tryInstruction();
for (let i = 0; i < Number(programs) && !found; i++) found = tryProgram(i);
console.log(JSON.stringify({ groups, alarms, found }));
