"""Everything that goes wrong between host and board ends in one line; a repeat completes."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from pico_support import MPREMOTE, complaint, pass_time, priot, running_pico, start_priot
from priot import cli
from priot.board import Board, BoardError, connection, info
from priot.board.files import Files
from priot.board.install import package_files
from priot.errors import PriotError
from priot.formats import Adapter, Dataset, Model
from priot.jobs.train import TrainJob, train
from priot.network.named import network_line
from priot.targets.unix import UnixTarget
from priot.transport import clock_of
from support import HANG_S, random_dataset, random_model

FLASH_BYTES = 1408 * 1024
BLOCK_BYTES = 4096
COMMIT_BYTES = 16384  # on_board.py puts a partial file on record so often


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """Network A, few samples to learn, and a dataset that takes a while to copy."""
    folder = tmp_path_factory.mktemp("files")
    model = random_model(network_line("network-a", 10), (1, 28, 28), seed=1)
    model.write(folder / "model.priot")
    random_dataset(model, 12, seed=1).write(folder / "train.prd")
    random_dataset(model, 80, seed=2).write(folder / "big.prd")
    return {path.stem: path for path in sorted(folder.iterdir())}


def contents(files: dict[str, Path], *names: str) -> dict[str, bytes]:
    return {files[name].name: files[name].read_bytes() for name in names}


@pytest.fixture(scope="module")
def pico(files, tmp_path_factory):
    """A Pico with the package, model and samples, for tests that leave it as it was."""
    with running_pico(tmp_path_factory.mktemp("pico"),
                      contents(files, "model", "train")) as running:
        yield running


def end(process: subprocess.Popen[str]) -> str:
    """Wait for a command that fails with status 1; its line."""
    output = process.communicate(timeout=HANG_S)
    assert process.returncode == 1, output
    return complaint(output)


def whole_files(pico) -> dict[str, bytes]:
    """Files under their final names in the flash of a Pico that is off."""
    return {name: data for name, data in pico.read_files().items()
            if not name.endswith((".part", ".tmp", ".more"))}


def test_power_lost_in_deploy(files, tmp_path):
    expected = {path.lstrip("/"): data for path, data in package_files().items()}
    expected |= contents(files, "model")
    with running_pico(tmp_path / "pico", with_package=False) as pico:
        pico.cut_power_after(300)
        said = end(start_priot("deploy", "--port", pico.port, files["model"]))
        assert "the board went away while copying /lib/priot" in said
        assert said.endswith("plug it in and repeat the command")
        pico.wait()
        there = whole_files(pico)
        assert 1 <= len(there) < len(expected)
        assert all(expected[name] == data for name, data in there.items())
        pico.start()
        again = priot("deploy", "--port", pico.port, files["model"])
        assert again.returncode == 0, again.stderr
    assert pico.read_files() == expected


def test_power_lost_in_push(files, tmp_path):
    """A repeat goes on where the copy was last put on record."""
    with running_pico(tmp_path / "pico") as pico:
        pico.cut_power_after(200)
        said = end(start_priot("push", "--port", pico.port, files["big"]))
        assert "the board went away while copying /big.prd" in said
        pico.wait()
        there = pico.read_files()
        assert "big.prd" not in there
        part = there["big.prd.part"]
        size = files["big"].stat().st_size
        assert COMMIT_BYTES <= len(part) < size
        assert part == files["big"].read_bytes()[: len(part)]
        pico.start()
        again = priot("push", "--port", pico.port, files["big"])
        assert again.returncode == 0, again.stderr
        written = 256 * pico.statistics()["programmed_pages"]
        assert written < size - len(part) + 5 * BLOCK_BYTES
    there = pico.read_files()
    assert there["big.prd"] == files["big"].read_bytes()
    assert "big.prd.part" not in there


@pytest.mark.parametrize("operation", [pytest.param(1, marks=pytest.mark.long), 60, 200])
def test_power_lost_in_writing_scores(files, tmp_path, operation):
    """In the first save, and in one that replaces another: no half a file, training goes on."""
    saved = tmp_path / "a.scores"
    hint = "then add --resume a.scores to the command"
    command = ("train", files["model"], files["train"], "--epochs", 3, "--save", saved)
    with running_pico(tmp_path / "pico", contents(files, "model", "train")) as pico:
        pico.cut_power_after(operation)
        said = end(start_priot(*command, "--port", pico.port))
        assert "the board went away while running the job" in said
        assert (hint in said) == (operation > 140)
        assert not saved.exists()
        pico.wait()
        there = whole_files(pico)
        assert ("a.scores" in there) == (operation > 140)
        if "a.scores" in there:
            Adapter.from_bytes(there["a.scores"]).check_backbone(Model.read(files["model"]))
        pico.start()
        if operation == 200:
            pulled = priot("pull", "a.scores", "--port", pico.port, "-o", tmp_path)
            assert pulled.returncode == 0, pulled.stderr
            again = priot(*command, "--resume", saved, "--port", pico.port)
            assert again.returncode == 0, again.stderr
            whole = TrainJob(files["model"], files["train"], epochs=3, save=tmp_path / "b.scores")
            train(whole, UnixTarget())
            assert saved.read_bytes() == (tmp_path / "b.scores").read_bytes()


def test_power_lost_while_samples_are_added(tmp_path, long):
    """At writes to flash all along, to an old file and to a new one: added once by a repeat."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 128, (9, 1, 8, 8), dtype=np.uint8)
    labels = np.arange(9, dtype=np.uint8)
    first, more, whole = (Dataset(images[some], labels[some], 9)
                          for some in (slice(4), slice(4, 9), slice(9)))
    cuts = 0
    for name, there, expected in (("old.prd", {"old.prd": first.to_bytes()}, whole),
                                  ("new.prd", {}, more)):
        operation, is_cut = 0, True
        while is_cut:
            operation += (1 if operation < 6 else 3) if long else 1 + operation
            with running_pico(tmp_path / f"{name}{operation}", there, with_package=False) as pico:
                pico.cut_power_after(operation)
                is_added = add(pico, name, more, len(expected))
                # power may be lost after the last answer
                pass_time(pico.port, 1 if is_added else 0)
                is_cut = not is_added or not pico.running
                if is_cut:
                    cuts += 1
                    pico.wait()
                    pico.start()
                assert is_added or (is_cut and add(pico, name, more, len(expected)))
                try:
                    pico.cut_power_after(1 << 30)  # what reading may write is none of the adding
                except PriotError:  # it was off by now
                    is_cut = True
                    cuts += 1
                    pico.wait()
                    pico.start()
                    pico.cut_power_after(1 << 30)
                with Board(pico.port) as board:
                    assert board.read(name) == expected.to_bytes()
    assert cuts > (20 if long else 5)


def add(pico, name: str, samples: Dataset, total: int) -> bool:
    """Add samples to a dataset on a board; False where the board goes away meanwhile."""
    try:
        with Board(pico.port) as board:
            assert board.append(name, samples) == total
    except BoardError:
        return False
    return True


RESET_IN_COPY = """
import os
from machine import Timer, reset
def look(timer):
    try:
        if os.stat("/big.prd.part")[6]:
            reset()
    except OSError:
        pass
Timer(period=50, callback=look)
"""


def test_the_board_resets_in_push(files, tmp_path):
    """The port vanishes and comes back under its name."""
    with running_pico(tmp_path / "pico") as pico:
        with Board(pico.port) as board:
            board.execute(RESET_IN_COPY)
            with pytest.raises(BoardError, match="the board went away while copying /big.prd"):
                board.push(files["big"])
        again = priot("push", "--port", pico.port, files["big"])
        assert again.returncode == 0, again.stderr


FILL = """
n = 0
try:
    while True:
        with open("/junk%d" % n, "wb") as f:
            f.write(bytes(4096))
        n += 1
except OSError:
    pass
"""


def test_flash_full(files, tmp_path, monkeypatch):
    """A dataset is refused before anything is written; nothing is left in halves."""
    package = sum(-(-len(data) // BLOCK_BYTES) + 1 for data in package_files().values())
    filler = bytes(FLASH_BYTES - (package + 20) * BLOCK_BYTES)
    command = ("train", files["model"], files["train"], "--epochs", 1, "--save",
               tmp_path / "a.scores")
    with running_pico(tmp_path / "pico", {
            "filler": filler, **contents(files, "model", "train")}) as pico:
        with Board(pico.port) as board:
            board.execute(FILL)
        pushed = priot("push", "--port", pico.port, files["big"])
        assert pushed.returncode == 1
        assert "/big.prd: needs 62848 bytes, the board's flash has" in complaint(pushed)
        with monkeypatch.context() as patch, Board(pico.port) as board:
            patch.setattr(Files, "check_space", lambda *_: None)  # as if the count were wrong
            with pytest.raises(BoardError, match="the board's flash is full; remove files"):
                board.push(files["big"])
            assert "big.prd.part" not in [entry.name for entry in board.listing()]
        trained = priot(*command, "--port", pico.port)
        assert trained.returncode == 1
        assert re.search(r"/a.scores: needs \d+ bytes, the board's flash has \d+ free",
                         complaint(trained))
        with Board(pico.port) as board:
            board.remove("filler")
        again = priot(*command, "--port", pico.port)
        assert again.returncode == 0, again.stderr
    assert {name for name in pico.read_files() if "/" not in name and "junk" not in name} == {
        "model.priot", "train.prd", "a.scores"}


@pytest.mark.parametrize("answer, said", [
    ("(1, 19), 5126, 'Pico', 0, 'rp2'", "MicroPython 1.19 with .mpy files 6.0 is on the board, "
     "6.3 is needed: install firmware 1.23 or later"),
    ("(1, 25), 774, 'webassembly', 0, 'webassembly'", "the firmware (webassembly) runs no native "
     "code, not even viper kernels: use a Raspberry Pi Pico or another board with an Arm "
     "Cortex-M, ESP32 or RISC-V processor"),
])
def test_a_board_that_cannot_run_it(pico, monkeypatch, capsys, answer, said):
    monkeypatch.setattr(info, "_QUESTION", f'print("({answer})")')
    assert cli.main(["deploy", "--port", pico.port]) == 1
    assert capsys.readouterr().err.strip() == f"priot: {pico.port}: {said}"


def start_program(port: str, code: str) -> None:
    """Leave a program running on the board, as somebody else would."""
    subprocess.run([*MPREMOTE, "connect", port, "exec", "--no-follow", code], check=True,
                   timeout=HANG_S)
    pass_time(port, 0.5)


def test_a_program_in_the_repl_is_interrupted(pico, files):
    start_program(pico.port, "import time\nwhile True: print('busy'); time.sleep(0.1)")
    pushed = priot("push", "--port", pico.port, files["train"])
    assert pushed.returncode == 0, pushed.stderr


def test_a_program_that_ignores_ctrl_c(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(connection, "_WAKE_S", 2)
    with running_pico(tmp_path / "pico") as pico:
        start_program(pico.port, "import micropython\nmicropython.kbd_intr(-1)\nwhile True: pass")
        assert cli.main(["push", "--port", pico.port, str(files["train"])]) == 1
        assert ("a program on the board ignores Ctrl-C; unplug the board"
                in capsys.readouterr().err)
        pico.kill()
        pico.start()
        again = priot("push", "--port", pico.port, files["train"])
        assert again.returncode == 0, again.stderr


def test_two_hosts_at_once(pico, files):
    with Board(pico.port):
        second = priot("push", "--port", pico.port, files["train"])
    assert second.returncode == 1
    assert complaint(second) == (f"priot: {pico.port}: in use by another priot (process "
                                 f"{os.getpid()}); wait for it to end, or stop it")
    other = subprocess.Popen([*MPREMOTE, "connect", pico.port, "exec",
                              "print('on'); import time; time.sleep(60)"], stdout=subprocess.PIPE)
    assert other.stdout is not None and other.stdout.readline().strip() == b"on"
    second = priot("push", "--port", pico.port, files["train"])
    other.kill()
    other.communicate()
    assert second.returncode == 1
    assert "in use by another program; close mpremote" in complaint(second)
    again = priot("push", "--port", pico.port, files["train"])
    assert again.returncode == 0, again.stderr


def until_written(pico, process: subprocess.Popen[str], pages: int) -> None:
    """Wait until a command has made the board program so many pages of flash."""
    clock = clock_of(pico.port)
    deadline = clock() + 120
    while pico.statistics()["programmed_pages"] < pages:
        assert process.poll() is None, process.communicate()
        assert clock() < deadline, pico.statistics()
        time.sleep(0.05)


def test_ctrl_c_in_push(files, tmp_path):
    with running_pico(tmp_path / "pico") as pico:
        process = start_priot("push", "--port", pico.port, files["big"])
        until_written(pico, process, 60)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=HANG_S)
        assert process.returncode == 130
        assert output[1] == "priot: stopped: interrupted from the keyboard\n"
        again = priot("push", "--port", pico.port, files["big"])
        assert again.returncode == 0, again.stderr
    assert pico.read_files()["big.prd"] == files["big"].read_bytes()


def test_ctrl_c_in_training(files, tmp_path):
    """The board stops after the sample at hand; what it learned comes back."""
    saved = tmp_path / "a.scores"
    with running_pico(tmp_path / "pico", contents(files, "model", "train")) as pico:
        process = start_priot("train", files["model"], files["train"], "--epochs", 500, "--save",
                              saved, "--port", pico.port)
        until_written(pico, process, 300)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=HANG_S)
        assert process.returncode == 130, output
        assert "stopped early; what was learned is saved" in output[0]
        assert Adapter.read(saved).epochs >= 2
