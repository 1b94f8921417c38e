"""The example of a machine's sound: its sounds, its script under MicroPython, its table."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from priot.formats import Dataset, Model
from priot.paths import ROOT
from support import micropython

EXAMPLE = ROOT / "device" / "examples" / "anomaly"


def load(name: str):
    """A script of the example as a module."""
    spec = importlib.util.spec_from_file_location(f"anomaly_{name}", EXAMPLE / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sounds():
    return load("sounds")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, sounds) -> Path:
    """Four places of a few files each, and what the board plays."""
    folder = tmp_path_factory.mktemp("anomaly")
    sounds.N_NORMAL, sounds.N_OTHER = 8, 1
    sounds.main(str(folder), "4")
    return folder


def test_sounds_follow_from_the_number_of_the_place(sounds):
    one, same, other = (sounds.sound(sounds.place(n), "", np.random.RandomState(1))
                        for n in (3, 3, 4))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert one.dtype == np.int16 and len(one) == 16000 and 300 < np.abs(one).max() < 0x7FFF
    for fault in sounds.FAULTS:
        assert not np.array_equal(one, sounds.sound(sounds.place(3), fault,
                                                    np.random.RandomState(1)))


def test_the_script_learns_what_is_normal_here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    Path("anomaly.priot").write_bytes((EXAMPLE / "anomaly.priot").read_bytes())
    said = micropython(EXAMPLE / "anomaly.py", backend="native").stdout
    (falsely, n, found, of), after = [
        [int(number) for number in re.findall(r"\d+", line)]
        for line in said.splitlines() if line.startswith("alarms ")]
    assert n == of == 61  # 8 s: 250 columns, a sample of 8 every 4
    assert after[1::2] == [61, 61]
    assert after[2] > found and after[2] > 20 and after[0] <= 6
    assert Path("place.scores").is_file()


def test_the_board_cuts_sounds_as_the_pc_does(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    samples = np.fromfile("normal.pcm", "<i2")
    expected = load("measure").windows(samples, 8000)
    script = tmp_path / "cut.py"
    code = (EXAMPLE / "anomaly.py").read_text().rsplit("main()", 1)[0]
    script.write_text(code + f"MODEL = {str(EXAMPLE / 'anomaly.priot')!r}" + """
net = priot.load(MODEL)
with open("cut.bin", "wb") as f:
    for image in windows(net, play("normal.pcm")):
        f.write(image)
""")
    micropython(script, backend="native")
    found = np.fromfile("cut.bin", np.int8).reshape(-1, 1, 8, 16)
    assert np.array_equal(found, expected)


def test_the_table(folder, tmp_path, capsys):
    measure = load("measure")
    assert measure.main([str(folder / "sounds"), "--new", "0", "2", "-o", str(tmp_path),
                         "--methods", "gain", "weights", "--seeds", "1", "--epochs", "8"]) == 0
    rows = [[float(cell) for cell in line.split("|")[2:-1]]
            for line in capsys.readouterr().out.splitlines()[2:]]
    assert len(rows) == 3 and np.allclose(np.mean(rows[:2], axis=0), rows[2], atol=0.1)
    before, *after = rows[2]
    assert all(value > before + 5 for value in after)
    assert Dataset.read(tmp_path / "0-learn.prd").shape == (1, 8, 16)


def test_a_place_without_sounds_is_one_line(tmp_path, capsys):
    (tmp_path / "1").mkdir()
    assert load("measure").main([str(tmp_path), "--new", "0", "-o", str(tmp_path / "o")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_network_is_an_autoencoder_of_sound():
    model = Model.read(EXAMPLE / "anomaly.priot")
    assert model.shape == (1, 8, 16) and model.signed and model.scale == 1 / 8
    assert model.classes == 128 and not model.n_targets
    assert model.sound == (8000, 256, 256)
