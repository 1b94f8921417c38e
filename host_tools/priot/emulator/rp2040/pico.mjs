// An emulated Pico as a process: stdin and stdout are its serial port, a power cut is its end.
//
//   node pico.mjs RP2040JS_FOLDER BOOTROM FLASH CLOCK CONTROL_FD
//
// CONTROL_FD is an open socket for control, in lines. It says "ready" once the serial port is up,
// "reset" whenever the board resets itself, and "bootloader" when it ends because the board wants
// to be a USB drive; it takes "stats", answered by one line of JSON, and "cut N", which cuts the
// power in the middle of the N-th erase or program of flash from now. The file CLOCK always holds
// the simulated time since power-up: nanoseconds, 64 bits, little-endian.
import fs from 'fs';
import net from 'net';
import { Flash } from './flash.mjs';
import { Machine, loadLibrary } from './machine.mjs';

const SLICE_INSTRUCTIONS = 100000;   // 4 ms at 25 M instructions/s, between looks at the input
const SHORT_WAIT_NANOS = 100e3;      // delays of the USB model, not worth a timer of the host
const QUEUE_BYTES = 65536;
const CLOCK_NANOS = 10e6;            // how far the file of the clock may be behind

const [libraryFolder, bootromPath, flashPath, clockPath, controlFd] = process.argv.slice(2);
const library = await loadLibrary(libraryFolder);
const bootromBytes = fs.readFileSync(bootromPath);
const bootrom = new Uint32Array(bootromBytes.buffer.slice(
  bootromBytes.byteOffset, bootromBytes.byteOffset + bootromBytes.length));
const control = new net.Socket({ fd: Number(controlFd) });
const flash = new Flash(flashPath, () => process.exit(0));
const clockFile = fs.openSync(clockPath, 'w');
let toldNanos = -Infinity;
let machine = powerUp();
tellTime();
let wake = () => {};

function powerUp() {
  const fresh = new Machine(library, bootrom, flash, (data) => process.stdout.write(data));
  fresh.serial.onDeviceConnected = () => control.write('ready\n');
  return fresh;
}

function reset() {
  const before = machine;
  control.write('reset\n');
  machine = powerUp();
  machine.inherit(before);
  process.stdin.resume();
}

function tellTime() {
  if (machine.nanos - toldNanos < CLOCK_NANOS) return;
  toldNanos = machine.nanos;
  fs.writeSync(clockFile, new BigUint64Array([BigInt(Math.round(toldNanos))]), 0, 8, 0);
}

function statistics() {
  return JSON.stringify({
    cycles: machine.cycles, instructions: machine.instructions,
    clock_hz: machine.mcu.clkSys, nanos: Math.round(machine.nanos),
    erased_sectors: flash.erasedSectors, programmed_pages: flash.programmedPages,
  });
}

process.stdin.on('data', (data) => {
  machine.serial.send(data);
  if (machine.serial.queuedBytes > QUEUE_BYTES) process.stdin.pause();
  wake();
});
process.stdin.on('end', () => process.exit(0));

control.setEncoding('utf8');
control.on('data', (text) => {
  for (const line of text.split('\n')) {
    const [verb, argument] = line.split(' ');
    if (verb === 'stats') control.write(statistics() + '\n');
    else if (verb === 'cut') flash.operationsLeft = Number(argument);
  }
});
control.on('close', () => process.exit(0));

// Simulated time never runs ahead of real time while the board sleeps: its time-outs and sleeps
// take as long as on a real one.
async function sleep() {
  const { clock } = machine, start = performance.now();
  const nanos = clock.nextAlarm ? clock.nanosToNextAlarm : 1e9;
  if (nanos <= SHORT_WAIT_NANOS) {
    clock.tick(nanos);
    return;
  }
  await new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.ceil(nanos / 1e6));
    wake = () => { clearTimeout(timer); resolve(); };
  });
  wake = () => {};
  clock.tick(Math.min(nanos, (performance.now() - start) * 1e6));
}

for (;;) {
  machine.run(SLICE_INSTRUCTIONS);
  if (machine.inBootloader) control.end('bootloader\n', () => process.exit(0));
  else if (machine.resetWanted) reset();
  else if (machine.isIdle) await sleep();
  tellTime();
  if (process.stdin.isPaused() && machine.serial.queuedBytes < QUEUE_BYTES) process.stdin.resume();
  await new Promise(setImmediate);
}
