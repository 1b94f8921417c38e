"""Ctrl-C, a full disk, a power loss: nothing learned is lost, no file is left half-written."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from priot.formats import Adapter
from priot.paths import ROOT
from support import (
    HANG_S,
    ends,
    micropython,
    micropython_command,
    random_dataset,
    random_model,
    working,
)

SCRIPTS = Path(__file__).parent / "device"
SPEC = "conv 4 3, relu, maxpool 2, flatten, linear 12, relu, linear 10"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    model = random_model(SPEC, (1, 12, 12), seed=4)
    paths = {"model": folder / "model.priot", "data": folder / "data.prd"}
    model.write(paths["model"])
    random_dataset(model, 40, seed=3).write(paths["data"])
    paths["large"] = folder / "large.prd"
    random_dataset(model, 20000, seed=3).write(paths["large"])
    paths["largest"] = folder / "largest.prd"
    random_dataset(model, 60000, seed=3).write(paths["largest"])
    return paths


def test_power_lost_at_every_write_of_a_save(files):
    """littlefs in RAM: after each power loss the file is the old one or the new one, whole."""
    result = micropython(SCRIPTS / "power_loss.py", str(files["model"]), str(SCRIPTS))
    old, new, other = map(int, result.stdout.splitlines()[-1].split())
    assert other == 0
    assert old > 3 and new >= 1


def test_full_disk(files):
    result = micropython(SCRIPTS / "full_disk.py", str(files["model"]), str(SCRIPTS),
                         str(files["data"]))
    lines = result.stdout.splitlines()
    complaint = "28 /disk/a.scores: no space left; the previous file is untouched"
    assert lines[:2] == [complaint, complaint]
    assert lines[2] == "untouched ['a.scores', 'junk']"
    assert [line for line in lines[3:] if not line.startswith("warning: ")] == [
        "seen 40", "saved"]


@pytest.mark.parametrize("method, options", [
    ("priot", {}), ("priot", {"keep": 70, "layout": "small"}), ("weights", {}), ("niti", {}),
])
@pytest.mark.parametrize("backend", ["native", "viper"])
def test_ctrl_c_leaves_whole_samples(files, backend, method, options, tmp_path):
    """After Ctrl-C at any moment the scores are those of a whole number of samples."""
    saved, again = tmp_path / "saved.scores", tmp_path / "again.scores"
    arguments = [str(files["model"]), str(files["data"])]
    rest = [backend, method, json.dumps({"seed": 3, **options})]
    delay = random.Random(f"{backend} {method} {options}")
    for _ in range(4):
        saved.unlink(missing_ok=True)
        command, environment = micropython_command(
            SCRIPTS / "interrupt.py", *arguments, str(saved), *rest, "-1", backend=backend)
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as child:
            while not saved.exists() and child.poll() is None:
                time.sleep(0.005)
            time.sleep(delay.random() * 0.1)
            child.send_signal(signal.SIGINT)
            out, errors = child.communicate(timeout=HANG_S)
        assert child.returncode == 0, errors
        samples = json.loads(out.splitlines()[-1])
        assert samples > 0
        micropython(SCRIPTS / "interrupt.py", *arguments, str(again), *rest, str(samples),
                    backend=backend)
        assert learned(saved) == learned(again), f"after {samples} samples"


def test_ctrl_c_at_the_command_line(files, tmp_path):
    """`priot train` ends with what was learned, saved; `--resume` goes on from it."""
    saved = tmp_path / "saved.scores"
    command = [sys.executable, "-m", "priot.cli", "train", str(files["model"]),
               str(files["data"]), "--epochs", "60000", "--save", str(saved)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          cwd=ROOT) as child:
        while not saved.exists() and child.poll() is None:
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        out, errors = child.communicate(timeout=HANG_S)
    assert child.returncode == 130, errors
    assert "stopped early; what was learned is saved" in out
    epochs = Adapter.read(saved).epochs
    assert 1 <= epochs < 60000
    again = tmp_path / "again.scores"
    subprocess.run([*command[:5], str(files["data"]), "--epochs", str(epochs + 2), "--resume",
                    str(saved), "--save", str(again)], cwd=ROOT, check=True, capture_output=True)
    assert Adapter.read(again).epochs == epochs + 2


@pytest.mark.parametrize("command", [["evaluate"], ["train", "--test"]])
def test_ctrl_c_while_nothing_is_trained(files, command):
    """A test of accuracy, alone or before training, has nothing to keep: it ends at once."""
    backend = ["--backend", "viper"]  # longer than all this, if it were not stopped
    data = str(files["largest"])
    with subprocess.Popen([sys.executable, "-m", "priot.cli", command[0],
                           str(files["model"]), data, *command[1:], *[data] * len(command[1:]),
                           *backend], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          cwd=ROOT) as child:
        working(child, "priot.remote")
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=HANG_S)
    assert child.returncode in (1, 130) and "%" not in output
    assert "stopped" in errors.splitlines()[-1]


def test_a_second_ctrl_c_gives_up(files, tmp_path):
    """What goes on after the first takes too long: the process is killed, in a line."""
    # first tested on little, in the end on much by slow kernels
    with subprocess.Popen([sys.executable, "-u", "-m", "priot.cli", "train", str(files["model"]),
                           str(files["data"]), "--also", str(files["largest"]), "--test",
                           str(files["data"]), "--backend", "viper", "--epochs", "1000000"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          cwd=ROOT) as child:
        while "by class" not in child.stdout.readline():  # the training begins
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        time.sleep(0.1)
        child.send_signal(signal.SIGINT)  # while the accuracy after training is measured
        _, errors = child.communicate(timeout=HANG_S)
    assert child.returncode == 130
    assert errors.splitlines()[-1] == "priot: stopped: interrupted from the keyboard"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_micropython_ends_with_its_command(files, how):
    """Also an evaluation, which asks nobody whether to go on."""
    with subprocess.Popen([sys.executable, "-m", "priot.cli", "evaluate", str(files["model"]),
                           str(files["largest"]), "--backend", "viper"], stderr=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        trainer = working(child, "priot.remote")
        child.send_signal(how)
        child.communicate(timeout=HANG_S)
        ends(trainer)


def learned(path: Path) -> list[bytes]:
    return [layer.values.tobytes() for layer in Adapter.read(path).layers]
