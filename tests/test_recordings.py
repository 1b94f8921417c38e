"""Folders of wav files as datasets, and the example that learns a new speaker's words."""

import importlib.util
import struct
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from priot.data.log_mel import LogMel
from priot.formats import Dataset
from priot.paths import DEVICE
from scipy.io import wavfile
from support import micropython, random_model
from test_data_sources import one_line, run

EXAMPLE = DEVICE / "examples" / "keywords"
WORDS, SPEAKERS = ("up", "down", "hum"), ("ann", "bob", "cy")


def word(name: str, speaker: str, number: int, rate: int = 8000) -> np.ndarray:
    """int16: a tone that rises, falls or stays, an octave's third higher by speaker."""
    rng = np.random.default_rng(hash_of(f"{name} {speaker} {number}"))
    n = int(rate * rng.uniform(0.3, 0.8))
    t = np.arange(n) / n
    course = {"up": t, "down": 1 - t, "hum": 0.5 + 0 * t}[name]
    hz = 400 * 2 ** (SPEAKERS.index(speaker) / 3 + 1.5 * course + rng.uniform(-0.1, 0.1))
    x = np.sin(2 * np.pi * np.cumsum(hz) / rate) * np.sin(np.pi * t) * rng.uniform(2000, 20000)
    return np.rint(x + rng.normal(0, 20, n)).astype(np.int16)


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode(), "little") % 2**32


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for name in WORDS:
        for speaker in SPEAKERS:
            for number in range(10):
                wavfile.write(folder / f"{name}_{speaker}_{number}.wav", 8000,
                              word(name, speaker, number))
    return folder


def in_the_middle(x: np.ndarray, n: int) -> np.ndarray:
    if len(x) >= n:
        first = (len(x) - n) // 2
        return x[first : first + n]
    padded = np.zeros(n, np.int16)
    first = (n - len(x)) // 2
    padded[first : first + len(x)] = x
    return padded


def test_a_sample_is_the_middle_of_a_recording(recordings, tmp_path):
    assert run(recordings, "--hop", 100, "--frames", 40, "--mels", 20, "-o", tmp_path / "a") == 0
    dataset = Dataset.read(tmp_path / "a")
    assert dataset.shape == (1, 40, 20) and dataset.names == ("down", "hum", "up")
    assert (dataset.signed, dataset.scale, dataset.zero) == (True, 0.125, -113)
    mel, i = LogMel(8000, 20, 100), 0
    for name in dataset.names:
        for speaker in SPEAKERS:
            for number in range(10):
                x = in_the_middle(word(name, speaker, number), 39 * 100 + 256)
                assert (dataset.images[i, 0] == mel.columns(x)).all()
                assert dataset.names[dataset.labels[i]] == name
                i += 1


def test_speakers_are_kept_apart(recordings, tmp_path):
    for part, n in (("train", 60), ("test", 30)):
        assert run(recordings, "--leave", "bob", "--part", part, "-o", tmp_path / part) == 0
        assert len(Dataset.read(tmp_path / part)) == n
    assert run(recordings, "--split", "1,1,1", "--part", "train", "-o", tmp_path / "split") == 0
    assert len(Dataset.read(tmp_path / "split")) == 30


def test_folders_are_classes_and_names_begin_with_the_speaker(recordings, tmp_path):
    for file in recordings.glob("*.wav"):
        name, rest = file.stem.split("_", 1)
        (tmp_path / "words" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "words" / name / f"{rest}.wav").write_bytes(file.read_bytes())
    for source, output in ((recordings, "a"), (tmp_path / "words", "b")):
        assert run(source, "--leave", "cy", "--part", "test", "-o", tmp_path / output) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    (tmp_path / "words" / "up" / "new").mkdir()  # a part of the classes, numbered as in a file
    for name in ("hum", "down"):
        for file in (tmp_path / "words" / name).iterdir():
            file.unlink()
    assert run(tmp_path / "words", "--for", tmp_path / "a", "-o", tmp_path / "c") == 0
    assert set(Dataset.read(tmp_path / "c").labels) == {2}


@pytest.fixture
def one(tmp_path) -> Path:
    """A folder with one good recording of two classes."""
    folder = tmp_path / "one"
    folder.mkdir()
    for name in ("up", "down"):
        wavfile.write(folder / f"{name}_ann_0.wav", 8000, word(name, "ann", 0))
    return folder


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_widths(one, tmp_path, width):
    """More bits are cut to 16, 8 bits are the upper ones; of two channels the mean is taken."""
    x = word("up", "ann", 0)
    raw = {1: ((x >> 8) + 128).astype(np.uint8).tobytes(), 2: x.tobytes(),
           3: b"".join(b"\x55" + struct.pack("<h", v) for v in x),
           4: (x.astype(np.int32) << 16).tobytes()}[width]
    with wave.open(str(one / "up_ann_0.wav"), "wb") as file:
        file.setparams((1, width, 8000, 0, "NONE", ""))
        file.writeframes(raw)
    assert run(one, "-o", tmp_path / "a") == 0
    expected = x >> 8 << 8 if width == 1 else x
    mel = LogMel()
    assert (Dataset.read(tmp_path / "a").images[1, 0]
            == mel.columns(in_the_middle(expected, mel.n_samples(32)))).all()


def test_channels_and_rates(one, tmp_path, capsys):
    assert run(one, "-o", tmp_path / "a") == 0
    x = word("up", "ann", 0)
    wavfile.write(one / "up_ann_0.wav", 8000, np.stack([x // 2 + 5, x // 2 - 5], axis=1))
    assert run(one, "-o", tmp_path / "b") == 0
    assert "1 of 2 recordings have several channels" in capsys.readouterr().out
    wavfile.write(one / "up_ann_0.wav", 16000, word("up", "ann", 0, 16000))
    error = one_line(capsys, one, "-o", tmp_path / "c")
    assert "up_ann_0.wav: samples a second: found 16000, expected 8000" in error
    assert run(one, "--rate", 8000, "-o", tmp_path / "c") == 0
    assert "1 of 2 recordings were converted to 8000" in capsys.readouterr().out
    a, b, c = (Dataset.read(tmp_path / name).images[1].astype(int) for name in "abc")
    loud = a > 0
    assert loud.any() and np.abs(a - b)[loud].max() <= 18  # half as loud: 16 levels
    assert np.median(np.abs(a - c)[loud]) <= 8


def test_bad_recordings_are_refused_in_one_line(one, tmp_path, capsys):
    bad = one / "up_ann_0.wav"
    good = bad.read_bytes()
    as_float = tmp_path / "float.wav"
    wavfile.write(as_float, 8000, word("up", "ann", 0).astype(np.float32))
    for content, said in (
            (b"", "PCM"), (b"RIFF", "PCM"), (b"no wav at all" * 10, "PCM"), (good[:30], "PCM"),
            (good[:44], "PCM|truncated|no samples"), (good[:1001], "truncated"),
            (as_float.read_bytes(), "unknown format: 3"),
            (good[:24] + bytes(4) + good[28:], "truncated|PCM")):
        bad.write_bytes(content)
        error = one_line(capsys, one, "-o", tmp_path / "a")
        assert "up_ann_0.wav: " in error and any(part in error for part in said.split("|")), error
    rng = np.random.default_rng(0)
    for _ in range(300):  # a header with wrong bytes: read, or refused in a line
        head = bytearray(good)
        for at in rng.integers(0, 44, rng.integers(1, 4)):
            head[at] = rng.integers(256)
        bad.write_bytes(head)
        if run(one, "-o", tmp_path / "a") == 1:
            captured = capsys.readouterr()
            assert captured.err.startswith("priot: ") and captured.err.count("\n") == 1
    bad.write_bytes(good)
    bad.rename(one / "up.wav")
    assert "CLASS_SPEAKER_NUMBER.wav" in one_line(capsys, one, "-o", tmp_path / "b")


@pytest.mark.parametrize(("options", "said"), [
    (("--mels", 3), "--mels"), (("--frames", 0), "--frames"), (("--hop", 300), "--hop"),
    (("--hop", 0), "--hop"), (("--rate", 100), "--rate"), (("--rotate", 5), "--rotate"),
    (("--leave", "zoe", "--part", "test"), "zoe"), (("--subset", 9), "--subset")])
def test_options_that_cannot_be(one, tmp_path, capsys, options, said):
    assert said in one_line(capsys, one, *options, "-o", tmp_path / "a")


@pytest.mark.parametrize("kind", ["dataset", "model"])
def test_made_for_a_file_no_option_is_needed(recordings, tmp_path, capsys, kind):
    """Rate, frame, hop, columns and bands are the file's; what contradicts it is refused."""
    size = ("--hop", 160, "--frames", 24, "--mels", 12)
    whole = tmp_path / "whole.prd"
    assert run(recordings, *size, "-o", whole) == 0
    dataset = Dataset.read(whole)
    assert dataset.sound == (8000, 256, 160)
    like = whole
    if kind == "model":
        model = random_model("flatten, linear 3", dataset.shape, 1, 3)
        like = tmp_path / "words.priot"
        replace(model, names=dataset.names, signed=True, scale=dataset.scale, zero=dataset.zero,
                sound=dataset.sound).write(like)
    assert run(recordings, "--for", like, "-o", tmp_path / "again.prd") == 0
    assert (tmp_path / "again.prd").read_bytes() == whole.read_bytes()
    assert run(recordings, "--for", like, *size, "-o", tmp_path / "again.prd") == 0
    capsys.readouterr()
    for option, value, known in (("--hop", 128, 160), ("--frames", 32, 24), ("--mels", 16, 12),
                                 ("--rate", 16000, 8000)):
        error = one_line(capsys, recordings, "--for", like, option, value, "-o", tmp_path / "c")
        assert f"{option}: found {value}, what they are made for has {known}" in error
    faster = tmp_path / "faster"
    faster.mkdir()
    for name in WORDS:
        wavfile.write(faster / f"{name}_ann_0.wav", 16000, word(name, "ann", 0, 16000))
    error = one_line(capsys, faster, "--for", like, "-o", tmp_path / "c")
    assert "samples a second: found 16000, expected 8000 as the model's; --rate 8000" in error
    assert run(faster, "--for", like, "--rate", 8000, "-o", tmp_path / "c") == 0
    assert Dataset.read(tmp_path / "c").sound == dataset.sound


def test_a_file_that_says_no_rate_is_told_of(recordings, tmp_path, capsys):
    assert run(recordings, "-o", tmp_path / "a") == 0
    dataset = Dataset.read(tmp_path / "a")
    dataset.sound = None
    dataset.write(tmp_path / "b")
    capsys.readouterr()
    assert run(recordings, "--for", tmp_path / "b", "-o", tmp_path / "c") == 0
    assert "does not say its rate and hop" in capsys.readouterr().out
    assert run(recordings, "--for", tmp_path / "b", "--rate", 8000, "--hop", 128, "-o",
               tmp_path / "c") == 0
    assert "does not say" not in capsys.readouterr().out
    assert (tmp_path / "c").read_bytes() == (tmp_path / "a").read_bytes()


def test_made_for_another_kind_of_input(one, tmp_path, capsys):
    assert run("digits", "--part", "test", "-o", tmp_path / "digits.prd") == 0
    error = one_line(capsys, one, "--for", tmp_path / "digits.prd", "-o", tmp_path / "a")
    assert "what they are made for is not of sound" in error


# ---- the example --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned(recordings, tmp_path_factory) -> tuple[Path, str]:
    """A folder of what measure.py leaves, and what it printed."""
    spec = importlib.util.spec_from_file_location("measure", EXAMPLE / "measure.py")
    measure = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(measure)
    folder = tmp_path_factory.mktemp("keywords")
    capture = pytest.MonkeyPatch()
    lines: list[str] = []
    capture.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
    try:
        assert measure.main([str(recordings), "cy", "-o", str(folder), "--words", "12",
                             "--epochs", "6"]) == 0
    finally:
        capture.undo()
    return folder, "\n".join(lines)


def test_a_new_speaker_is_learned(learned):
    folder, said = learned
    row = next(line for line in said.splitlines() if line.startswith("| cy |"))
    before, gain, weights = (float(v) for v in row.strip("| ").split("|")[1:])
    assert min(gain, weights) >= 75 and min(gain, weights) >= before


SCRIPT = """
import os, sys
sys.path.append(EXAMPLE)
os.chdir(FOLDER)
import keywords, priot
data = priot.Dataset("cy-test.prd")
net = priot.load("cy.priot")
record = bytearray(data.record_bytes)
n = 0
for image, label in keywords.Words(net, keywords.Recorded("cy.words", first=12)):
    assert data.read(n, record) == label and record[:-1] == image, n
    n += 1
print(n, "equal")
keywords.main("cy", n=12, epochs=4, first=12)
"""


@pytest.mark.parametrize("backend", ["native", "viper"])
def test_the_board_hears_what_the_pc_hears(learned, backend):
    """keywords.py on MicroPython: the bytes of the dataset, from the recordings, and training."""
    script = SCRIPT.replace("EXAMPLE", repr(str(EXAMPLE))).replace("FOLDER", repr(str(learned[0])))
    said = micropython(script, backend=backend).stdout
    assert "18 equal" in said
    line = said.splitlines()[-1]
    assert line.startswith("cy, 12 words: ") and float(line.split()[6]) >= 75, line
