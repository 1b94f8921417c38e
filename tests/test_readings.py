"""A sensor's readings on the device: the bytes that the PC makes of the same numbers."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from priot.backbone.quantize import calibrate
from priot.data.scaling import Scaling, quantised, scaled
from priot.formats import Dataset, Model
from support import import_device, micropython, random_dataset, random_model
from test_dataset import run

RNG = np.random.default_rng(12)
SPEC = "conv 3 1x3, relu, globalpool, flatten, linear 3"
SCALES = ((1.0, 0), (0.37, -5), (1234.5, 90), (2.0**-13, 0), (3e4, 7), (1e9, -3))


@pytest.fixture
def readings():
    return import_device("readings")


def model_for(folder: Path, scales=SCALES, length: int = 1, signed: bool = True) -> Model:
    model = random_model(SPEC if length > 2 else "flatten, linear 3", (len(scales), 1, length), 2,
                         3)
    model.scales, model.signed, model.names = scales, signed, ("sit", "run", "walk")
    calibrate(model, random_dataset(model, 8, seed=3))
    model.write(folder / "net.priot")
    return model


def load(folder: Path):
    return import_device().load(str(folder / "net.priot"))


EDGES = [-32768, -32767, -1000, -617, -618, -1, 0, 1, 617, 618, 1234, 32766, 32767]


@pytest.mark.parametrize("signed", [True, False])
def test_every_reading_becomes_the_same_byte(tmp_path, readings, signed):
    model_for(tmp_path, signed=signed)
    windows = readings.Windows(load(tmp_path))
    rows = np.concatenate([np.array(EDGES)[:, None].repeat(len(SCALES), 1),
                           RNG.integers(-32768, 32768, (3000, len(SCALES))),
                           RNG.integers(-300, 300, (3000, len(SCALES)))])
    levels = scaled(rows[:, :, None].astype(float), Scaling(SCALES, signed))
    wanted = np.clip(levels, -127 if signed else 0, 127).astype(np.int8)[:, :, 0]
    assert len(np.unique(wanted)) > 100
    for row, expected in zip(rows.tolist(), wanted, strict=True):
        assert windows.add(row)
        assert bytes(windows.image) == expected.tobytes()


def test_one_scale_for_all_channels(tmp_path, readings):
    model = model_for(tmp_path, ((1.0, 0), (1.0, 0)))
    model.scales, model.scale, model.zero = (), 1.5, 3
    model.write(tmp_path / "net.priot")
    windows = readings.Windows(load(tmp_path))
    assert windows.add([3, -4]) and bytes(windows.image) == bytes([5, 0])  # -2.67 + 3: 0.33


def rows_of(n: int) -> list[list[int]]:
    return [[i, -i] for i in range(n)]


@pytest.mark.parametrize("hop", [1, 2, 4, 5, 9])
def test_windows_slide(tmp_path, readings, hop):
    model_for(tmp_path, ((1.0, 0), (1.0, 0)), 4)
    windows = readings.Windows(load(tmp_path), hop)
    found = [(i, np.frombuffer(bytes(windows.image), np.int8).tolist())
             for i, row in enumerate(rows_of(30)) if windows.add(row)]
    expected = [(at, [*range(at - 3, at + 1), *range(3 - at, -at - 1, -1)])
                for at in range(3, 30, hop)]
    assert found == expected
    windows.restart()
    assert [windows.add(row) for row in rows_of(5)] == [False] * 3 + [True, hop == 1]


def test_what_is_no_reading_is_refused(tmp_path, readings):
    model_for(tmp_path, ((1.0, 0), (1.0, 0)), 4)
    net = load(tmp_path)
    windows = readings.Windows(net)
    for bad, message in (([1], "1 numbers, expected 2"), ([1, 2, 3], "3 numbers"),
                         ([1, 0.5], "0.5, expected integers"), ([1, None], "expected integers")):
        with pytest.raises(ValueError, match=message):
            windows.add(bad)
    with pytest.raises(ValueError, match="hop 0"):
        readings.Windows(net, 0)
    model_for(tmp_path, ((2.0**-14, 0), (1.0, 0)), 4)
    with pytest.raises(ValueError, match="of channel 0, expected 2\\^-13 or more"):
        readings.Windows(load(tmp_path))
    random_model("flatten, linear 3", (1, 3, 4), 1, 3).write(tmp_path / "net.priot")
    with pytest.raises(ValueError, match="expected a height of 1"):
        readings.Windows(load(tmp_path))
    random_model(SPEC, (1, 1, 4), 1, 3).write(tmp_path / "net.priot")
    with pytest.raises(ValueError, match="does not say how readings are scaled"):
        readings.Windows(load(tmp_path))


def table(path: Path, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Readings in a table, as a board writes and a PC reads them."""
    values = RNG.normal([0, 900, -4000], [3, 100, 2000], (n, 3)).astype(int)
    labels = np.arange(n) // 13 % 3
    lines = [",".join(map(str, [*row, label]))
             for row, label in zip(values.tolist(), labels, strict=True)]
    path.write_text("\n".join(["x,y,z,label", *lines]) + "\n")
    return values, labels


SCRIPT = """
import sys, json, priot
from binascii import hexlify
from priot.readings import Recording
def play():
    for i, line in enumerate(open("a.csv")):
        if i:
            *row, label = map(int, line.split(","))
            yield row, label
net = priot.load("net.priot")
recording = Recording(net, play, 2)
print(json.dumps([[hexlify(image).decode(), label] for image, label in recording]))
recording.save("board.prd")
print(json.dumps([net.evaluate(recording).correct, net.evaluate("board.prd").correct]))
t = priot.Trainer(net, "gain", seed=1)
t.fit("board.prd", epochs=1, verbose=False)
t.fit(recording, epochs=1, verbose=False)
print("readings" in [name.split(".")[-1] for name in sys.modules],
      "model_file" in [name.split(".")[-1] for name in sys.modules])
"""


def test_the_pc_and_the_board_make_the_same_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(Path("a.csv"), 200)
    assert run("a.csv", "--window", 5, "--hop", 2, "-o", "pc.prd", "--classes",
               "sit,run,walk") == 0
    dataset = Dataset.read("pc.prd")
    model_for(tmp_path, dataset.scales, 5)
    windows, correct, modules = micropython(SCRIPT).stdout.splitlines()
    found = json.loads(windows)
    assert [bytes.fromhex(image) for image, _ in found] == [
        image.tobytes() for image in dataset.images]
    assert [label for _, label in found] == dataset.labels.tolist()
    assert Path("board.prd").read_bytes() == Path("pc.prd").read_bytes()
    streamed, stored = json.loads(correct)
    assert streamed == stored > 0
    assert modules == "True False"


def test_a_recording_without_a_window_leaves_no_file(tmp_path, readings):
    model_for(tmp_path, ((1.0, 0), (1.0, 0)), 4)
    net, path = load(tmp_path), tmp_path / "x.prd"
    for rows, message in (([([1, 2], i) for i in range(3)] * 3, "no window of 4 readings"),
                          ([([1, 2], 3)] * 9, "label 3, expected 0..2")):
        with pytest.raises(ValueError, match=message):
            readings.Recording(net, lambda rows=rows: iter(rows)).save(str(path))
        assert not path.exists()
    breaks = [([i, 0], 0) if i % 5 else (None, 0) for i in range(1, 15)]
    assert len(list(readings.Recording(net, lambda: iter(breaks)))) == 3


def test_the_scale_lies_where_the_format_says(tmp_path):
    """The device reads it by offset: those of the table of bytes."""
    model = model_for(tmp_path, ((1.5, 3), (0.25, -9)), 4)
    data = (tmp_path / "net.priot").read_bytes()
    names = sum(len(name) + 1 for name in model.names) + 3 & ~3
    at = 64 + 64 * len(model.stages) + names
    assert struct.unpack_from("<fifi", data, at) == (1.5, 3, 0.25, -9)
    assert np.array_equal(
        quantised("x", np.array([[[3.0], [1.0]]]), Scaling(model.scales)), [[[5], [-5]]])
