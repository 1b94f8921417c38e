"""Both cores of an emulated Pico: the same bytes as with one, and nothing that MicroPython does
meanwhile is in the way.

PRIOT_CREW says how often core 1 is started and stopped: 1000 takes some minutes.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from pico_support import PROMPT, Person, pass_time, running_pico
from priot.board.connection import Connection
from priot.emulator import Pico
from support import micropython, random_dataset, random_model

STARTS = int(os.environ.get("PRIOT_CREW", "30"))
SPEC = ("conv 8 3, relu, maxpool 2, conv 12 3 pad 1, relu, conv 4 3, relu, flatten, "
        "linear 12, relu, linear 10")
IMPORTED = ("conv 8 3 stride 2 pad 0x1x0x1 bias, relu, dw 3 pad 1 bias, relu, conv 12 1 bias, "
            "relu as x, conv 12 3 pad 1 bias, add x, relu, dw 3 stride 2 pad 1, relu, globalpool, "
            "linear 10 bias")
SCRIPT = Path(__file__).parent / "device" / "both_cores.py"
HOLD = "b = priot.BothCores()\n_ = b.__enter__()\nassert priot.cores.at_work == 2\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("cores")
    model = random_model(SPEC, (1, 14, 14), seed=4)
    model.write(folder / "a.priot")
    random_dataset(model, 5, seed=3).write(folder / "data.prd")
    random_model(IMPORTED, (1, 14, 14), seed=4).write(folder / "imported.priot")
    return {"both.py": SCRIPT.read_bytes(), **{
        name: (folder / name).read_bytes() for name in ("a.priot", "imported.priot", "data.prd")}}


@pytest.fixture(scope="module")
def pico(tmp_path_factory, files) -> Iterator[Pico]:
    with running_pico(tmp_path_factory.mktemp("pico"), files) as running:
        yield running


@pytest.fixture(scope="module")
def board(pico) -> Iterator[Connection]:
    """A connection to the board, which has imported the script of these tests as `both`."""
    connection = Connection(pico.port)
    try:
        fresh(connection)
        yield connection
    finally:
        connection.close()


def fresh(board: Connection) -> None:
    board.soft_reset()
    board.execute("import both, gc, priot, time")


def lines(board: Connection, code: str) -> list[str]:
    """What the board prints."""
    return board.execute(code).replace("\r", "").splitlines()


def expected(board: Connection) -> str:
    """What training by two cores prints."""
    return lines(board, "_ = both.train(1)")[0].replace("[1]", "[2]")


METHODS = ["'priot'", "'priot-s'", "'weights'", "'gain', layout='small'", "'priot', keep=50"]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_bytes_as_with_one_core(board, method):
    one, two = (lines(board, f"_ = both.train({cores}, method={method})") for cores in (1, 2))
    assert "[1] 1" in one[0] and "[2] 1" in two[0]
    assert one[0].replace("[1]", "[2]") == two[0]


@pytest.mark.parametrize("method", ["'priot'", "'gain', fraction=20"])
def test_an_imported_network_learns_the_same_by_all_kernels(board, method):
    """By priot_layers and priot_backward, on one core and on two, as by portable C."""
    call = f"method={method}, model='imported.priot')"
    one, two = (lines(board, f"_ = both.train({cores}, {call}") for cores in (1, 2))
    assert one[0].replace("[1]", "[2]") == two[0]
    assert lines(board, "import sys; print('priot_backward' in sys.modules)\n"
                        "print('priot_portable' in sys.modules)") == ["True", "False"]
    portable = lines(board, f"priot.backend.use('portable')\n_ = both.train(1, {call}")
    fresh(board)
    assert portable == one


@pytest.mark.parametrize("what", ["collect", "write"])
def test_while_core_1_waits(board, what):
    """Collections, and writing to flash, before every sample."""
    plain, disturbed = (
        lines(board, f"_ = both.train({cores}, source=both.Samples({before}))")
        for cores, before in ((1, "lambda i: None"), (2, f"both.{what}")))
    assert plain[0].replace("[1]", "[2]") == disturbed[0]


def test_what_is_said(board):
    """repr of network and trainer, the line of an epoch; with one core not a word."""
    two = lines(board, "n = priot.load('a.priot'); t = priot.Trainer(n)\n"
                       "print(n); print(t); _ = t.fit('data.prd')")
    one = lines(board, "priot.cores.use(1)\nprint(n); print(t); _ = t.fit('data.prd')")
    assert sum("native backend, 2 cores" in line for line in two) == 2
    assert two[-1].endswith("ms a sample on 2 cores")
    assert not any("cores" in line for line in one) and one[-1].endswith("ms a sample")


def test_a_loop_around_learn(board):
    """The context manager; it ends with its block, however that ends, and may stand in another."""
    assert lines(board, """
priot.cores.use(2)
net = priot.load('a.priot')
t = priot.Trainer(net)
image = bytes(14 * 14)
with priot.BothCores():
    t.learn(image, 1)
    with priot.BothCores():
        print(priot.cores.at_work, net.evaluate('data.prd').total)
    print(priot.cores.at_work)
print(priot.cores.at_work)
try:
    with priot.BothCores():
        t.learn(image, 77)
except ValueError:
    print(priot.cores.at_work)
""") == ["2 5", "2", "1", "1"]


def test_a_thread_of_the_users_own(board):
    """It keeps core 1; training says so in a line, and learns the same. Then it may have it."""
    plain = lines(board, "_ = both.train(1)")
    board.execute("priot.cores.use(2); other = both.Other()\n"
                  "n = priot.load('a.priot'); t = priot.Trainer(n, seed=3)")
    said = lines(board, "_ = t.fit('data.prd'); _ = t.evaluate('data.prd')")
    line = "core 1 is in use by another thread: one core computes"
    assert said.count(line) == 2 and not any("2 cores" in text for text in said)
    assert lines(board, "_ = both.train(2)")[-1] == plain[0]
    assert lines(board, "print(other.stop()); _ = both.train(2)") == ["True", expected(board)]


def test_started_and_stopped_many_times(board):
    assert lines(board, f"both.start_and_stop({STARTS})") == [
        f"{STARTS} {-(-STARTS // 10)} True"]


RESETS = {
    "waits": HOLD,
    "waits, stopped": HOLD + "b.__exit__()\n",
    "is about to start": "import _thread\npriot.backend.kernels.crew_want(1)\n"
                         "_thread.start_new_thread(priot.backend.kernels.crew_wait, ())\n",
    "in training": "t = priot.Trainer(priot.load('a.priot'))\n"
                   "import machine\n"
                   "t.fit(both.Samples(lambda i: i < 5 or machine.soft_reset()))\n",
}


@pytest.mark.parametrize("state", RESETS)
def test_a_soft_reset_in_every_state(board, state):
    """Afterwards flash can be written and core 1 be started."""
    board.start(RESETS[state])
    fresh(board)
    assert lines(board, "print(both.flash_works()); _ = both.train(2)") == [
        "True", expected(board)]


def test_ctrl_c_at_any_moment(tmp_path, files):
    """What was learned stays, core 1 is free: for a thread, for training, for flash."""
    with running_pico(tmp_path / "pico", files) as pico:
        person = Person(pico.port)
        chance = random.Random(1)
        try:
            person.type("import both, priot, time, _thread")
            person.type("t = priot.Trainer(priot.load('a.priot')); said = []")
            for _ in range(2):
                person.press(b"t.fit('data.prd', epochs=500)\r")
                person.wait_for(b"2 cores")
                pass_time(pico.port, chance.random())
                person.press(b"\x03" * chance.randint(1, 3))
                person.wait_for(PROMPT)
                person.type("")
                assert person.type("priot.cores.at_work") == "1"
                person.type("_thread.start_new_thread(said.append, (1,)); time.sleep_ms(9)")
                assert person.type("both.flash_works()") == "True"
            assert person.type("len(said)") == "2"
            assert "2 cores" in person.type("t.fit('data.prd')")
            person.press(b"t.fit('data.prd', epochs=500)\r")
            person.wait_for(b"2 cores")
            person.press(b"\x03")
            person.wait_for(PROMPT)
            person.press(b"\x04")  # Ctrl-D
            person.wait_for(b"soft reboot")
            person.wait_for(PROMPT)
            person.type("import both, priot")
            assert person.type("both.flash_works()") == "True"
            assert "[2] 1" in person.type("_ = both.train(2)")
        finally:
            person.leave()


GATE = """
import sys
from priot import cores

class Kernels:
    crew_wait = None

class Sys:
    platform = "rp2"
    class implementation:
        version = (1, 25, 0)

def told(platform, version, kernels):
    Sys.platform, Sys.implementation.version = platform, version
    return cores.available(kernels)

print(cores.available(Kernels))
cores.sys = Sys
print(told("rp2", (1, 25, 0), Kernels), told("rp2", (1, 26, 1, "preview"), Kernels))
print(told("rp2", (1, 24, 1), Kernels), told("esp32", (1, 25, 0), Kernels),
      told("rp2", (1, 25, 0), Sys))
cores.use(1)
print(told("rp2", (1, 25, 0), Kernels))
cores.use(2)
try:
    cores.use(3)
except ValueError as e:
    print(e)
"""


def test_which_boards_use_both_cores():
    """MicroPython 1.25 or later on an RP2040 or RP2350, with kernels for it, unless told not to.

    The port of both is called rp2. RISC-V firmware of an RP2350 has no such kernels.
    """
    assert micropython(GATE).stdout.splitlines() == [
        "1", "2 2", "1 1 1", "1", "cores: 3, expected 1 or 2"]
