"""Other hosts than Linux: Windows has no POSIX modules, other names of ports, other paths."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pico_support import running_pico
from priot.backbone.float_network import FloatNetwork
from priot.formats import Dataset
from priot.jobs.train import TrainJob, train
from priot.network.spec import parse_network
from priot.paths import ROOT
from priot.targets.unix import UnixTarget
from support import random_dataset, random_model

SCRIPT = Path(__file__).parent / "hosts" / "without_posix.py"
SPEC = "conv 4 3, relu, maxpool 2, flatten, linear 12, relu, linear 10"


def on_windows(*arguments: object, status: int = 0) -> str:
    """Run `priot` without POSIX modules, and without MicroPython; its output, or its line."""
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", SCRIPT, *map(str, arguments)], cwd=ROOT,
        capture_output=True, encoding="cp1252", timeout=600,
        env=dict(os.environ, PRIOT_MICROPYTHON="/none/micropython", PYTHONIOENCODING="cp1252"))
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, done.stderr
    if not status:
        return done.stdout
    said = done.stderr.splitlines()
    assert len(said) == 1 and said[0].startswith("priot: "), done.stderr
    return said[0]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    model = random_model(SPEC, (1, 12, 12), seed=4)
    model.write(folder / "model.priot")
    random_dataset(model, 40, seed=3).write(folder / "train.prd")
    random_dataset(model, 30, seed=5).write(folder / "test.prd")
    return {path.stem: path for path in sorted(folder.iterdir())}


def test_every_module_imports():
    said = on_windows("--import")
    assert int(said.split()[0]) > 80


def test_work_with_files(files, tmp_path):
    """dataset, quantize and inspect need nothing of the system."""
    made = tmp_path / "digits ☂.prd"
    said = on_windows("dataset", "digits", "--part", "train", "--subset", 60, "-o", made)
    assert str(made).replace("☂", "\\u2602") in said
    digits = Dataset.read(made)
    pixels = digits.images.reshape(len(digits), -1) / 128
    means = np.array([pixels[digits.labels == label].mean(axis=0) for label in range(10)])
    FloatNetwork(parse_network("flatten, linear 10"), [means - pixels.mean(axis=0)]).write(
        tmp_path / "float.npz")
    on_windows("quantize", tmp_path / "float.npz", "--calibrate", made, "-o",
               tmp_path / "small.priot")
    assert "linear 10" in on_windows("inspect", tmp_path / "small.priot")
    assert "60 samples" in on_windows("inspect", made)


@pytest.mark.parametrize("arguments, line", [
    (["plan", "{model}"], "micropython: not found"),
    (["train", "{model}", "{train}"], "micropython: not found"),
    (["train", "{model}", "{train}", "--port", "COM33"], "COM33: no such port"),
    (["deploy", "--port", "COM33", "{model}"], "COM33: no such port"),
    (["push", "--port", "\\\\.\\COM33", "{train}"], "COM33: no such port"),
    (["pull", "--target", "emulator"], "runs on Linux and macOS"),
    (["train", "{model}", "{train}", "--target", "qemu"], "runs on Linux and macOS"),
    (["pico"], "runs on Linux and macOS"),
])
def test_what_is_not_there_is_said_in_a_line(files, arguments, line):
    named = {name: str(path) for name, path in files.items()}
    assert line in on_windows(*(word.format(**named) for word in arguments), status=1)


def test_a_board(files, tmp_path):
    """deploy, push, pull and train at a port, and the bytes that the unix port learns."""
    saved = tmp_path / "a.scores"
    with running_pico(tmp_path / "pico") as pico:
        port = ("--port", pico.port)
        assert "copied" in on_windows("deploy", *port, files["model"])
        assert "/test.prd" in on_windows("push", *port, files["test"])
        on_windows("train", files["model"], files["train"], "--epochs", 1, "--save", saved, *port)
        assert "a.scores" in on_windows("pull", *port, "--list")
        on_windows("pull", *port, "-o", tmp_path, "test.prd")
    assert (tmp_path / "test.prd").read_bytes() == files["test"].read_bytes()
    train(TrainJob(files["model"], files["train"], epochs=1, save=tmp_path / "b.scores"),
          UnixTarget())
    assert saved.read_bytes() == (tmp_path / "b.scores").read_bytes()
