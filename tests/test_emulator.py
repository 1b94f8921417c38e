"""The emulated boards: real firmware, real mpremote, flash that outlives power cuts."""
import os
import signal
import subprocess
import sys
import time

import pytest
from priot.emulator import Pico, Qemu
from priot.errors import PriotError

ARMV6M_MPY_6_3 = "4870"


def mpremote(board, *arguments, timeout_s=60):
    """Run mpremote as a user would; its output."""
    result = subprocess.run([sys.executable, "-m", "mpremote", "connect", board.port, *arguments],
                            capture_output=True, text=True, timeout=timeout_s)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip()


@pytest.fixture(scope="module")
def flash_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pico")


@pytest.fixture
def pico(flash_folder):
    with Pico(flash_folder) as board:
        yield board


def test_real_firmware_answers_mpremote(pico):
    told = mpremote(pico, "exec", "import sys; print(sys.implementation._mpy, sys.platform)")
    assert told == f"{ARMV6M_MPY_6_3} rp2"


def test_heap_is_a_picos(pico):
    code = "import gc; gc.collect(); print(gc.mem_alloc() + gc.mem_free())"
    assert 230_000 < int(mpremote(pico, "exec", code)) < 250_000


def test_file_survives_power_loss(pico):
    mpremote(pico, "exec", "f = open('kept', 'w'); f.write('before'); f.close()")
    pico.kill()
    pico.start()
    assert mpremote(pico, "exec", "print(open('kept').read())") == "before"


def test_power_loss_in_a_write_keeps_the_old_file(pico):
    """littlefs' promise, with the power cut inside each of the first erases and programs."""
    rewrite = "f = open('kept', 'w'); f.write('after ' * 200); f.close()"
    for operation in range(1, 4):
        mpremote(pico, "exec", "f = open('kept', 'w'); f.write('before'); f.close()")
        pico.cut_power_after(operation)
        with pytest.raises(AssertionError):
            mpremote(pico, "exec", rewrite)
        pico.wait()
        pico.start()
        assert mpremote(pico, "exec", "print(open('kept').read())") == "before"


def test_an_emulator_that_somebody_kills_says_so(pico):
    os.kill(pico._serial._process.pid, signal.SIGKILL)
    with pytest.raises(PriotError, match="the emulator was killed by signal 9"):
        pico.wait()


def test_files_go_in_and_out_while_off(pico):
    pico.kill()
    data = bytes(range(256)) * 20
    pico.write_files({"lib/data.bin": data, "empty": b""})
    pico.start()
    code = "print(sum(open('lib/data.bin', 'rb').read()), open('empty').read() == '')"
    assert mpremote(pico, "exec", code) == f"{sum(data)} True"
    mpremote(pico, "exec", "f = open('made', 'w'); f.write('on board'); f.close()")
    pico.kill()
    files = pico.read_files()
    assert (files["lib/data.bin"], files["empty"], files["made"]) == (data, b"", b"on board")


def test_flash_in_use_is_refused(pico):
    with pytest.raises(PriotError, match="uses this folder"):
        Pico(pico.folder).start()
    with pytest.raises(PriotError, match="the Pico is on"):
        pico.write_files({"x": b""})


def test_both_cores_run(pico):
    code = """
import _thread
done = []
def count(n):
    i = 0
    while i < n: i += 1
    done.append(i)
_thread.start_new_thread(count, (2000,))
turns = 0
while not done: turns += 1
print(done[0], turns > 500)"""
    assert mpremote(pico, "exec", code) == "2000 True"


def test_cycles_follow_the_table_of_the_cortex_m0plus(pico):
    """A loop of two instructions of 1 and 2 cycles, a million times."""
    code = """
import time
@micropython.asm_thumb
def spin(r0):
    label(LOOP)
    sub(r0, r0, 1)
    bne(LOOP)
def us(n):
    start = time.ticks_us()
    spin(n)
    return time.ticks_diff(time.ticks_us(), start)
print(us(1000000) - us(1))"""
    elapsed_us = int(mpremote(pico, "exec", code))
    assert abs(elapsed_us - 3000000 // 125) < 100  # at 125 MHz; interrupts may take some


def test_sleep_takes_real_time(pico):
    start = time.monotonic()
    mpremote(pico, "exec", "import time; time.sleep_ms(1500)")
    assert time.monotonic() - start >= 1.5


def test_reset_replugs_the_port(pico):
    with pytest.raises(AssertionError):  # the port vanishes under mpremote, as a real one does
        mpremote(pico, "exec", "import machine; machine.reset()")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            cause = mpremote(pico, "exec", "import machine; print(machine.reset_cause())")
            break
        except AssertionError:
            time.sleep(0.2)
    assert cause == "3"  # machine.WDT_RESET, what machine.reset() is on an RP2040


def test_firmware_that_is_no_uf2(tmp_path):
    uf2 = tmp_path / "bad.uf2"
    uf2.write_bytes(b"\0" * 512)
    with pytest.raises(PriotError, match="not a UF2 file"):
        Pico(tmp_path, uf2).start()


def test_firmware_that_does_not_boot(tmp_path):
    with pytest.raises(PriotError, match="missing: run 'make firmware'"):
        Pico(tmp_path, tmp_path / "none.uf2").start()


def test_qemu_runs_the_picos_code(tmp_path):
    data = bytes(range(256)) * 10
    with Qemu({"a/b.bin": data, "module.py": b"answer = 42\n", "empty": b""}, tmp_path) as qemu:
        assert qemu.run("import sys; print(sys.implementation._mpy)") == f"{ARMV6M_MPY_6_3}\n"
        code = "import module; print(module.answer, sum(open('a/b.bin', 'rb').read()))"
        assert qemu.run(code) == f"42 {sum(data)}\n"
        viper = """
@micropython.viper
def wraps(x: int) -> int:
    return (x * 65536) * 65536
print(wraps(3))"""
        assert qemu.run(viper) == "0\n"  # 32-bit integers: on the PC this is 3 << 32
        with pytest.raises(PriotError, match="ZeroDivisionError"):
            qemu.run("1 / 0")
        assert mpremote(qemu, "resume", "exec", "print(open('module.py').read())") == "answer = 42"


def test_qemu_time_and_atomic_files(tmp_path):
    with Qemu({}, tmp_path) as qemu:
        qemu.run("import time, os\nwith open('new', 'w') as f: f.write('x')\n"
                 "os.rename('new', 'old')")
        slept = qemu.run("t = time.ticks_ms()\ntime.sleep_ms(120)\n"
                         "print(time.ticks_diff(time.ticks_ms(), t), os.listdir())").split(" ", 1)
        assert 120 <= int(slept[0]) < 1000
        assert slept[1] == "['old']\n"
