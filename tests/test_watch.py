"""The example of a watch: its data, and its script under MicroPython, on recordings made here."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from priot.formats import Dataset, Model
from priot.paths import ROOT
from support import micropython
from test_dataset import run

EXAMPLE = ROOT / "device" / "examples" / "watch"
NAMES = ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What data.py makes of a file as seglearn's: 2 wearers, 7 exercises, both arms."""
    folder = tmp_path_factory.mktemp("watch")
    rng = np.random.default_rng(1)
    keys = [(subject, label, side) for subject in (1, 2) for label in range(7) for side in (0, 1)]
    rng.shuffle(keys)
    series = []
    for subject, label, _ in keys:
        t = np.arange(700 + 20 * label)[:, None] / 50
        series.append(np.sin(t * (label + 2) + np.arange(6)) * np.arange(1, 7) * 0.2 * subject
                      + rng.normal(0, 0.05, (len(t), 6)))
    data = {"X": series, "y": np.array([key[1] for key in keys]),
            "subject": np.array([key[0] for key in keys]),
            "side": np.array([float(key[2]) for key in keys]), "y_labels": list(NAMES)}
    np.save(folder / "source.npy", np.array(data), allow_pickle=True)
    subprocess.run([sys.executable, EXAMPLE / "data.py", folder / "source.npy", folder],
                   check=True)
    return folder


def test_the_data(folder):
    found = np.load(folder / "watch.npz")
    assert found["x"].dtype == np.int16 and len(found["x"]) == 4 * sum(
        700 + 20 * label for label in range(7))
    assert sorted(np.unique(found["piece"])) == sorted(
        f"{who}-{piece}" for who in (1, 2) for piece in ("minute", "later", "left"))
    minute = found["piece"] == "1-minute"
    assert np.bincount(found["y"][minute]).tolist() == [429] * 7
    assert (folder / "minute.imu").stat().st_size == 14 * 7 * 429
    rows = np.fromfile(folder / "minute.imu", "6<i2, u1, u1")
    assert np.array_equal(rows["f0"], found["x"][minute])
    assert np.flatnonzero(rows["f2"]).tolist() == [429 * label for label in range(7)]


def test_the_script_learns_what_the_pc_would(folder, monkeypatch):
    monkeypatch.chdir(folder)
    Path("watch.priot").write_bytes((EXAMPLE / "watch.priot").read_bytes())
    said = micropython(EXAMPLE / "watch.py", backend="native").stdout
    assert run("watch.npz", "--window", 100, "--hop", 25, "--group", "piece", "--series",
               "recording", "--leave", "1-minute", "--part", "test", "--for", "watch.priot",
               "-o", "pc.prd") == 0
    made = Dataset.read("minute.prd")
    assert np.array_equal(made.images, Dataset.read("pc.prd").images)
    assert np.array_equal(made.labels, Dataset.read("pc.prd").labels)
    before, after = [int(line.split()[2]) for line in said.splitlines() if "Evaluation" in line]
    assert after > before and Path("wearer.scores").is_file()


def test_the_network_says_how_readings_are_scaled():
    model = Model.read(EXAMPLE / "watch.priot")
    assert model.shape == (6, 1, 100) and model.signed and len(model.scales) == 6
    assert model.names == NAMES
