"""The emulated boards: real firmware, real mpremote, flash that outlives power cuts."""
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from pico_support import MPREMOTE, start_priot
from priot.board import Board, BoardBusy, BoardGone, connection
from priot.emulator import Pico, Qemu, qemu
from priot.errors import PriotError
from support import HANG_S, children, ends

ARMV6M_MPY_6_3 = "4870"


def mpremote(board, *arguments):
    """Run mpremote as a user would; its output."""
    result = subprocess.run([*MPREMOTE, "connect", board.port, *arguments],
                            capture_output=True, text=True, timeout=HANG_S)
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


def reset_cause(pico):
    """machine.reset_cause() of a board that is resetting itself."""
    while True:
        try:
            return mpremote(pico, "exec", "import machine; print(machine.reset_cause())")
        except AssertionError:
            assert pico.running
            time.sleep(0.2)


def test_reset_replugs_the_port(pico):
    with pytest.raises(AssertionError):  # the port vanishes under mpremote, as a real one does
        mpremote(pico, "exec", "import machine; machine.reset()")
    assert reset_cause(pico) == "3"  # machine.WDT_RESET, what machine.reset() is on an RP2040


@pytest.mark.parametrize("rest", ["while True: pass", "import time; time.sleep(5)"])
def test_a_watchdog_that_nobody_feeds_resets_the_board(pico, rest):
    nanos = pico.statistics()["nanos"]
    with pytest.raises(AssertionError):
        mpremote(pico, "exec", f"import machine; dog = machine.WDT(timeout=300)\n{rest}")
    assert reset_cause(pico) == "3"
    by_timer = "import machine; print(machine.mem32[0x40058008])"
    assert mpremote(pico, "exec", by_timer) == "1"  # REASON of the data sheet: TIMER, not FORCE
    assert pico.statistics()["nanos"] > nanos + 300e6  # time goes on


def test_a_watchdog_that_is_fed_keeps_quiet(pico):
    code = """
import machine, time
dog = machine.WDT(timeout=200)
for _ in range(8):
    time.sleep_ms(50)
    dog.feed()
print(machine.reset_cause())
machine.mem32[0x40058000] = 0"""
    assert mpremote(pico, "exec", code) == "1"  # machine.PWRON_RESET


def test_the_bootloader_ends_it(pico):
    with pytest.raises(AssertionError):
        mpremote(pico, "exec", "import machine; machine.bootloader()")
    pico.wait()
    assert pico.in_bootloader
    pico.start()
    assert reset_cause(pico) == "1"
    assert not pico.in_bootloader


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_emulator_ends_with_its_command(tmp_path, how):
    """Even one that hangs, when `priot pico` is killed or its terminal closed; it starts again."""
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where nohup runs the tests
    command = start_priot("pico", "--folder", tmp_path)
    signal.signal(signal.SIGHUP, inherited)
    while command.stdout.readline() != "Ctrl-C here switches it off.\n":
        assert command.poll() is None, command.communicate()
    second = start_priot("pico", "--folder", tmp_path)
    assert second.communicate(timeout=HANG_S)[1] == (
        f"priot: {tmp_path}: another emulated Pico uses this folder\n")
    [emulator] = children(command.pid, "pico.mjs")
    os.kill(emulator, signal.SIGSTOP)
    command.send_signal(how)
    command.communicate(timeout=HANG_S)
    ends(emulator)
    with Pico(tmp_path) as pico:
        assert mpremote(pico, "exec", "print(1)") == "1"


def test_an_emulator_that_hangs_costs_no_patience(pico):
    """Time-outs are the board's: what takes it 0.3 s may take this machine as long as it likes."""
    emulator = pico._serial._process.pid
    with Board(pico.port) as board:
        stop = threading.Timer(0.1, os.kill, (emulator, signal.SIGSTOP))
        go_on = threading.Timer(4, os.kill, (emulator, signal.SIGCONT))
        stop.start(), go_on.start()
        code = "import time\nt = time.ticks_ms()\nwhile time.ticks_ms() - t < 300: pass\nprint(1)"
        assert board.execute(code, timeout_s=2) == "1\r\n"
        go_on.join()


def test_silence_is_told_from_absence(pico, monkeypatch):
    monkeypatch.setattr(connection, "_WAKE_S", 2.0)
    with Board(pico.port) as board:
        with pytest.raises(BoardBusy) as caught:
            board.execute("import time\nwhile True: time.sleep(1)", timeout_s=0.5)
        assert str(caught.value) == (
            f"{pico.port}: the board printed nothing for 0.5 s while running 'import time'; it is "
            "well, Ctrl-C has stopped that; timeout_s=SECONDS waits longer")
        assert board.execute("import time; time.sleep(1); print(2)", timeout_s=None) == "2\r\n"
        with pytest.raises(BoardGone, match="does not answer to Ctrl-C; unplug it"):
            board.execute("import micropython; micropython.kbd_intr(-1)\nwhile True: pass", 0.5)
    pico.kill()


def test_a_long_wait_is_told_of(pico, monkeypatch, capsys):
    monkeypatch.setattr(connection, "_NOTICE_S", 0.3)
    with Board(pico.port, show_progress=True) as board, pytest.raises(BoardBusy):
        board.execute("import time\nwhile True: time.sleep(1)", timeout_s=1)
    assert capsys.readouterr().err == (
        f"priot: {pico.port}: waiting: the board has printed nothing for 0.3 s while running "
        "'import time'\n")


def test_mpremote_waits_in_the_boards_time(pico):
    """As the tests run it: its own limit is 10 s of silence."""
    emulator = pico._serial._process.pid
    code = "import time\nprint(0)\nt = time.ticks_ms()\nwhile time.ticks_ms() - t < 900: pass"
    running = subprocess.Popen([*MPREMOTE, "connect", pico.port, "exec", f"{code}\nprint(1)"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout.readline() == b"0\r\n"
    os.kill(emulator, signal.SIGSTOP)
    time.sleep(11)
    os.kill(emulator, signal.SIGCONT)
    assert running.communicate(timeout=HANG_S) == (b"1\r\n", b"")


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


def test_qemu_ends_with_what_started_it(tmp_path):
    code = (f"from priot.emulator import Qemu; q = Qemu(folder={tmp_path!r}); q.start(); "
            "print(q._serial._process.pid, flush=True); input()")
    code = f"from pathlib import Path, PosixPath; {code}"
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    emulator = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    ends(emulator)


def test_a_failed_start_of_qemu_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(qemu, "_UNPACK", "1 / 0  # {table}")
    machine = Qemu({}, tmp_path)
    with pytest.raises(PriotError, match="ZeroDivisionError"):
        machine.start()
    assert not machine.running
    assert not list(tmp_path.glob("port*"))


def test_qemu_time_and_atomic_files(tmp_path):
    with Qemu({}, tmp_path) as qemu:
        qemu.run("import time, os\nwith open('new', 'w') as f: f.write('x')\n"
                 "os.rename('new', 'old')")
        slept = qemu.run("t = time.ticks_ms()\ntime.sleep_ms(120)\n"
                         "print(time.ticks_diff(time.ticks_ms(), t), os.listdir())").split(" ", 1)
        assert 120 <= int(slept[0]) < 1000
        assert slept[1] == "['old']\n"
