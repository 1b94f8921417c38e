"""The flash cache of the emulated Pico: hits, misses and their cost, aliases, registers."""

import json
import subprocess

import pytest
from pico_support import running_pico
from priot.board import Board
from priot.emulator import pico as pico_module
from priot.paths import BUILD
from support import HANG_S

XIP = pico_module._SCRIPT.with_name("xip.mjs")
CACHED, NO_ALLOCATE, NO_LOOKUP, UNCACHED = (0x10000000, 0x11000000, 0x12000000, 0x13000000)
LINE, WAY = 8, 8192  # bytes: addresses a way apart share a set of two lines
LINE_CYCLES, WORD_CYCLES = 56, 40  # (8 + 4 + 16) and (8 + 4 + 8) clocks at half the system's


def cycles(*steps):
    """What each step costs on a fresh cache: an address to read, or ("method", argument).

    Then the counters of accesses and hits. Methods: "invalidate" an address, "flush", and the
    writes of registers "ctrl", "ctr_hit", "ctr_acc".
    """
    code = f"""
import {{ XipCache, XipControl }} from '{XIP}';
const cache = new XipCache(), control = new XipControl(cache);
const registers = {{ ctrl: 0, flush: 4, ctr_hit: 12, ctr_acc: 16 }};
const spent = {json.dumps(steps)}.map((step) => {{
  if (typeof step === 'number') cache.access(step);
  else if (step[0] === 'invalidate') cache.invalidate(step[1]);
  else control.writeUint32(registers[step[0]], step[1]);
  const {{ stall }} = cache;
  cache.stall = 0;
  return stall;
}});
console.log(JSON.stringify([spent, control.readUint32(16), control.readUint32(12)]));"""
    done = subprocess.run([BUILD / "bin" / "node", "--input-type=module", "-e", code],
                          capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_line_is_missed_once():
    spent, accesses, hits = cycles(CACHED, CACHED, CACHED + 7, CACHED + LINE, CACHED + 4)
    assert spent == [LINE_CYCLES, 0, 0, LINE_CYCLES, 0]
    assert (accesses, hits) == (5, 3)


def test_the_line_used_longest_ago_goes():
    a, b, c = CACHED, CACHED + WAY, CACHED + 2 * WAY
    spent = cycles(a, b, a, c, a, c, b, c, a)[0]
    assert spent == [56, 56, 0, 56, 0, 0, 56, 0, 56]


def test_16_kb_stay():
    lines = [CACHED + LINE * i for i in range(2 * WAY // LINE)]
    assert cycles(*lines, *lines)[1:] == [4096, 2048]
    assert cycles(*lines, CACHED + 2 * WAY, *lines)[1:] == [4097, 2046]  # set 0 holds two of three


def test_aliases_on_a_miss():
    for alias, cost, then in ((CACHED, LINE_CYCLES, 0), (NO_ALLOCATE, WORD_CYCLES, LINE_CYCLES),
                              (NO_LOOKUP, LINE_CYCLES, 0), (UNCACHED, WORD_CYCLES, LINE_CYCLES)):
        assert cycles(alias, CACHED) == [[cost, then], 2, int(then == 0)]


def test_aliases_on_a_cached_line():
    for alias, cost in ((CACHED, 0), (NO_ALLOCATE, 0), (NO_LOOKUP, LINE_CYCLES),
                        (UNCACHED, WORD_CYCLES)):
        assert cycles(CACHED, alias, CACHED) == [[LINE_CYCLES, cost, 0], 3, 1 + (cost == 0)]


def test_reading_past_the_cache_does_not_evict():
    spent = cycles(CACHED, CACHED + WAY, NO_ALLOCATE + 2 * WAY, UNCACHED + 2 * WAY, CACHED,
                   CACHED + WAY)[0]
    assert spent == [56, 56, 40, 40, 0, 0]


def test_a_line_that_is_written_is_forgotten():
    a, b, c = CACHED, CACHED + WAY, CACHED + 2 * WAY
    for gone, kept in ((a, b), (b, a)):
        assert cycles(a, b, ["invalidate", gone + 4], kept, gone, kept)[0] == [56, 56, 0, 0, 56, 0]
    assert cycles(a, b, ["invalidate", c], a, b)[0] == [56, 56, 0, 0, 0]


def test_a_flush_forgets_all_and_takes_a_cycle_a_set():
    assert cycles(CACHED, ["flush", 1], CACHED, ["flush", 0], CACHED)[0] == [56, 1024, 56, 0, 0]


@pytest.mark.parametrize("off", [0, 9])  # POWER_DOWN forces it off
def test_switched_off(off):
    spent = cycles(CACHED, ["ctrl", off], CACHED, CACHED + LINE, ["ctrl", 1], CACHED,
                   CACHED + LINE)[0]
    assert spent == [56, 0, 40, 40, 0, 0, 56]


def test_counters_are_cleared_by_any_write():
    assert cycles(CACHED, CACHED, ["ctr_hit", 5], CACHED)[1:] == [3, 1]
    assert cycles(CACHED, CACHED, ["ctr_acc", 0], CACHED)[1:] == [1, 2]


# Viper from RAM, with interrupts off: nothing else reads the flash between two looks.
ON_BOARD = """
import machine, time
@micropython.viper
def sequence(out: ptr32, at: int):
    x = ptr32(0x14000000)
    x[1] = 1
    while not x[2] & 1: pass
    x[3] = 1; x[4] = 1
    p = ptr32(at)
    p[0]; out[0] = x[3]; out[1] = x[4]
    p[0]; out[2] = x[3]; out[3] = x[4]
    p[0] = 0
    p[0]; out[4] = x[3]; out[5] = x[4]
    p[0]; out[6] = x[3]; out[7] = x[4]
@micropython.viper
def stream(at: int, n: int):
    p = ptr32(at)
    i = 0
    while i < n:
        p[0]
        p = ptr32(int(p) + 8)
        i += 1
def us(at, n):
    t = time.ticks_us()
    stream(at, n)
    return time.ticks_diff(time.ticks_us(), t)
"""


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    with (running_pico(tmp_path_factory.mktemp("pico"), with_package=False) as pico,
          Board(pico.port) as board):
        board.execute(ON_BOARD)
        yield board


def test_the_check_of_the_makers_example(board):
    """What a real RP2040 answers: cache_perfctr of the makers' examples."""
    told = board.execute("""
import array
out = array.array("i", [0] * 8)
before = machine.mem32[0x10000800]
off = machine.disable_irq(); sequence(out, 0x10000800); machine.enable_irq(off)
print(list(out), machine.mem32[0x10000800] == before)""")
    assert told.strip() == "[0, 1, 1, 2, 1, 3, 2, 4] True"


def test_misses_take_their_time(board):
    """1,000 lines, from flash and then from the cache."""
    told = board.execute("""
off = machine.disable_irq()
machine.mem32[0x14000004] = 1
first, second = us(0x10001000, 1000), us(0x10001000, 1000)
uncached = us(0x13001000, 1000)
machine.enable_irq(off)
print(first - second, uncached - second)""")
    first, uncached = (int(us) for us in told.split())
    assert abs(first - 1000 * LINE_CYCLES / 125) < 40  # what the interpreter evicted is in it
    assert abs(uncached - 1000 * WORD_CYCLES / 125) < 40


@pytest.mark.parametrize("before", ["", "open('x', 'w').write('y' * 5000)"])
def test_the_firmware_reads_at_the_speed_that_is_assumed(board, before):
    """Registers of the serial interface, also after a write to the flash."""
    told = board.execute(f"""{before}
baud, ctrlr0, spi = [machine.mem32[0x18000000 + r] for r in (0x14, 0, 0xf4)]
print(baud, ctrlr0 >> 21 & 3, spi >> 2 & 15, spi >> 11 & 31)""")
    clocks_per_cycle, lines, address, wait = (int(n) for n in told.split()[-4:])
    assert lines == 2  # quad
    assert clocks_per_cycle * (address + wait + 2 * LINE) == LINE_CYCLES
