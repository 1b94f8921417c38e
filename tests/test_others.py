"""Sound, tables and time series, taken by `push` and `adapt` as `dataset` takes them."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from priot import cli
from priot.board.board import _for_file, _together
from priot.board.files import DatasetHead
from priot.board.install import Copied
from priot.commands import push
from priot.data.log_mel import LEVELS
from priot.data.reading import Reading
from priot.data.recordings import ZERO
from priot.errors import PriotError
from priot.formats import Dataset, Model
from priot.formats.container import Sound
from scipy.io import wavfile
from support import random_model

RNG = np.random.default_rng(4)


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """Twelve recordings of two words, a folder each."""
    folder = tmp_path_factory.mktemp("words")
    for name in ("down", "up"):
        (folder / name).mkdir()
        for i in range(6):
            noise = RNG.normal(0, 1000 + 500 * i, 3000).astype(np.int16)
            wavfile.write(folder / name / f"ann_{i}.wav", 8000, noise)
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """Two channels of 96 moments, two labels."""
    path = tmp_path_factory.mktemp("table") / "imu.csv"
    rows = [f"{x:.3f},{y:.3f},{'run' if i // 24 % 2 else 'walk'}"
            for i, (x, y) in enumerate(RNG.normal(0, 1, (96, 2)))]
    path.write_text("\n".join(["ax,ay,label", *rows]) + "\n")
    return path


def network(path: Path, shape: tuple[int, int, int], names: tuple[str, ...], scale: float,
            zero: int) -> Path:
    model = random_model(f"flatten, linear 8 bias, relu, linear {len(names)} bias", shape, 1,
                         len(names))
    model.signed, model.names, model.scale, model.zero = True, names, scale, zero
    model.write(path)
    return path


class Pushed:
    """What is copied, in the place of a board."""

    def __init__(self) -> None:
        self.files: dict[str, Dataset] = {}

    def push(self, source, name, reading):
        assert isinstance(source, Dataset)
        self.files[name] = source
        return Copied(name, len(source), "copied")

    def free_flash(self) -> int:
        return 0


@pytest.fixture
def board(monkeypatch) -> Pushed:
    board = Pushed()
    monkeypatch.setattr(push, "choose_board", lambda args: nullcontext(board))
    return board


def same(found: Dataset, path: Path) -> bool:
    return found.to_bytes() == path.read_bytes()


def test_push_makes_what_dataset_makes(board, sounds, table, tmp_path):
    """Byte by byte, of recordings and of windows, whatever options are given."""
    assert run("push", sounds, "--frames", 20, "--mels", 8) == 0
    assert run("dataset", sounds, "--frames", 20, "--mels", 8, "-o", tmp_path / "a.prd") == 0
    assert same(board.files[f"/{sounds.name}.prd"], tmp_path / "a.prd")
    windows = "--window", 6, "--range", -4, 4
    assert run("push", table, *windows) == 0
    assert run("dataset", table, *windows, "-o", tmp_path / "b.prd") == 0
    assert same(board.files["/imu.prd"], tmp_path / "b.prd")
    assert board.files["/imu.prd"].shape == (2, 1, 6)


@pytest.mark.parametrize("options, said", [
    (["--hop", 3], "--hop: goes with --window"), (["--grey"], "--grey: is for pictures"),
    (["--label", "mood"], "mood"), (["--window", 99], "has 99 rows")])
def test_push_refuses_as_dataset_does(board, table, tmp_path, capsys, options, said):
    for command in (["push", table], ["dataset", table, "-o", tmp_path / "x.prd"]):
        assert run(*command, *options) == 1
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert not board.files


def test_what_is_added_has_the_scale_of_what_is_there(table, tmp_path):
    """Else the same byte would mean two things in one file."""
    assert run("dataset", table, "--window", 6, "--range", -4, 4, "-o", tmp_path / "a.prd") == 0
    assert run("dataset", table, "--window", 6, "--range", -8, 8, "-o", tmp_path / "b.prd") == 0
    one, other = (Dataset.read(tmp_path / name) for name in ("a.prd", "b.prd"))

    def join(added: Dataset, **changed: object) -> Dataset:
        head = {"version": 2, "samples": 9, "shape": one.shape, "classes": 2, "names": one.names,
                "signed": True, "n_targets": 0, "scaling": one.scaling, **changed}
        return _for_file("/a.prd", DatasetHead(**head), added, None, None,  # type: ignore[arg-type]
                         Reading(say=lambda line: None))

    assert join(one).to_bytes() == one.to_bytes()
    with pytest.raises(PriotError, match="/a.prd: holds samples of another scale"):
        join(other)
    with pytest.raises(PriotError, match=r"holds values of 0\.\.127, .* are values of -127"):
        join(one, signed=False)
    one.sound = Sound(8000, 256, 128)
    assert join(one).sound == one.sound == join(one, sound=one.sound).sound
    with pytest.raises(PriotError, match="/a.prd: sound of the samples to add: found 8000 .* 128, "
                       "expected .* 160; --for its model"):
        join(one, sound=Sound(8000, 256, 160))
    with pytest.raises(PriotError, match="the sources differ in scale"):
        _together([one, other])


def test_adapt_learns_from_recordings(sounds, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = network(tmp_path / "n.priot", (1, 20, 8), ("down", "up", "hum"), 1 / LEVELS, ZERO)
    assert run("adapt", sounds, "--model", model, "--epochs", 1, "--method", "weights", "--name",
               "w") == 0
    said = capsys.readouterr().out
    assert "split: 8 samples to learn and 4 to test" in said and "of -127..127" in said
    learned, tested = (Dataset.read(tmp_path / "w-adapted" / f"w-{part}.prd")
                       for part in ("train", "test"))
    assert run("dataset", sounds, "--for", model, "-o", tmp_path / "all.prd") == 0
    whole = Dataset.read(tmp_path / "all.prd")
    both = np.concatenate([learned.images, tested.images])
    assert sorted(map(bytes, both)) == sorted(map(bytes, whole.images))
    assert learned.names == Model.read(model).names and learned.counts == [4, 4, 0]


def test_adapt_learns_from_windows(table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = network(tmp_path / "n.priot", (2, 1, 6), ("run", "walk"), 4 / 127, 0)
    words = ["adapt", table, "--model", model, "--window", 6, "--epochs", 1, "--method", "weights"]
    assert run(*words, "--hop", 2) == 1
    assert "--hop: windows that overlap would share rows" in capsys.readouterr().err
    assert run(*words, "--test", table, "--hop", 2) == 0
    assert run(*words, "--add-class", "swim") == 1
    assert run(*words) == 0
    assert len(Dataset.read(tmp_path / "imu-adapted" / "imu-test.prd")) == 4


def test_a_dataset_file_is_pushed_as_it_is(board, table, tmp_path, monkeypatch, capsys):
    """Its values are scaled already."""
    assert run("dataset", table, "--window", 6, "-o", tmp_path / "a.prd") == 0
    given = []
    monkeypatch.setattr(board, "push", lambda source, name, reading:
                        given.append((source, name)) or Copied(name, 1, "copied"))
    assert run("push", tmp_path / "a.prd") == 0
    assert given == [(tmp_path / "a.prd", "/a.prd")]
    assert run("push", tmp_path / "a.prd", "--window", 3) == 1
    assert "dataset: has pictures: --window" in capsys.readouterr().err
