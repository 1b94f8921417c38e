"""Classes go by their names: from folders to dataset files, and where two files meet."""

import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from priot import cli
from priot.board.board import _for_file
from priot.board.errors import BoardError
from priot.board.files import DatasetHead
from priot.data.as_dataset import as_dataset
from priot.data.classes import natural
from priot.data.reading import Reading
from priot.errors import PriotError
from priot.formats import Adapter, Dataset
from priot.formats.adapter import AdapterLayer
from priot.paths import BACKBONES
from support import random_model

GREYS = {"cat": 40, "dog": 120, "owl": 200}  # of the upper half of each class's pictures


def run(*arguments: object) -> int:
    return cli.main(["dataset", *map(str, arguments)])


def refused(capsys, *arguments: object) -> str:
    """The line that a refused command prints."""
    capsys.readouterr()
    assert run(*arguments) == 1
    line = capsys.readouterr().err
    assert line.startswith("priot: ") and line.count("\n") == 1, line
    return line


def session(folder: Path, *names: str, n: int = 3, size: tuple[int, int] = (6, 4)) -> Path:
    """A folder with n pictures in a folder for each class, from which the class can be told."""
    for i, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for j in range(n):
            picture = Image.new("L", size, 0)
            picture.paste(GREYS.get(name, 20 + 3 * i), (0, 0, size[0], size[1] // 2))
            picture.save(folder / name / f"{j}.png")
    return folder


def seen(dataset: Dataset) -> dict[int, set[int]]:
    """The greys that the images of each label show."""
    return {int(label): {int(v) for v in dataset.images[dataset.labels == label, 0, 0, 0]}
            for label in np.unique(dataset.labels)}


def made(tmp_path: Path, *arguments: object) -> Dataset:
    assert run(*arguments, "-o", tmp_path / "made.prd") == 0
    return Dataset.read(tmp_path / "made.prd")


def test_names_are_sorted_as_people_count():
    names = ["10", "2", "a10", "a9", "b", "1", "a", "Z", "a9b1"]
    assert sorted(names, key=natural) == ["1", "2", "10", "Z", "a", "a9", "a9b1", "a10", "b"]


def test_folders_number_and_name_the_classes(tmp_path, capsys):
    folder = session(tmp_path / "f", *map(str, range(1, 12)))
    dataset = made(tmp_path, folder, "--json", tmp_path / "r.json")
    assert dataset.names == tuple(map(str, range(1, 12))) and dataset.classes == 11
    assert dataset.labels.tolist() == [label for label in range(11) for _ in range(3)]
    said = capsys.readouterr().out
    assert "classes: 0=1 (3), 1=2 (3), 2=3 (3)" in said and "9=10 (3), 10=11 (3)" in said
    assert json.loads((tmp_path / "r.json").read_text())["names"] == list(dataset.names)
    assert cli.main(["inspect", str(tmp_path / "made.prd")]) == 0
    assert "9=10 (3), 10=11 (3)" in capsys.readouterr().out


def test_only_folders_of_pictures_are_classes(tmp_path, capsys):
    folder = session(tmp_path / "f", "cat", "owl")
    session(folder / "older", "dog")
    session(folder, "__MACOSX", ".hidden", "@eaDir")
    (folder / "empty").mkdir()
    (folder / "notes").mkdir()
    (folder / "notes" / "why.txt").write_text("so")
    (folder / "cat" / "Thumbs.db").write_bytes(b"x")
    (folder / "cat" / ".DS_Store").write_bytes(b"x")
    session(folder / "cat", "kitten")
    Image.new("L", (6, 4)).save(folder / "loose.png")
    dataset = made(tmp_path, folder)
    assert dataset.names == ("cat", "owl") and dataset.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert capsys.readouterr().out.splitlines()[:-2] == [
        "left out: folder .hidden, of the system", "left out: folder @eaDir, of the system",
        "left out: folder __MACOSX, of the system", "left out: folders in cat: kitten",
        "left out: folder empty, no pictures",
        "left out: folder notes, no pictures but .txt (1)",
        "left out: folder older, pictures only deeper: dog",
        "left out: pictures beside the folders: 1, as loose.png"]


def test_a_folder_of_folders_of_classes(tmp_path, capsys):
    session(tmp_path / "f" / "all", "cat", "owl")
    line = refused(capsys, tmp_path / "f", "-o", tmp_path / "x.prd")
    assert f"found 0, expected 1..256; there are pictures deeper: give {tmp_path}/f/all" in line


@pytest.fixture
def first(tmp_path) -> Path:
    """A dataset file of {cat, dog, owl}."""
    path = tmp_path / "first.prd"
    assert run(session(tmp_path / "one", "cat", "dog", "owl"), "-o", path) == 0
    return path


def carriers(tmp_path: Path, first: Path) -> dict[str, list[object]]:
    """What says that the classes are cat, dog, owl."""
    model = random_model("flatten, linear 3", (1, 4, 6), 1, classes=3)
    model.names = ("cat", "dog", "owl")
    model.write(tmp_path / "net.priot")
    return {"dataset": ["--for", first], "model": ["--for", tmp_path / "net.priot"],
            "classes": ["--classes", "cat,dog,owl"], "names": ["--names", "cat, dog, owl"]}


@pytest.mark.parametrize("by", ["dataset", "model", "classes", "names"])
@pytest.mark.parametrize("names", [("cat", "owl"), ("owl",), ("cat", "dog", "owl")])
def test_a_later_session_gets_the_same_numbers(tmp_path, first, by, names):
    number = {"cat": 0, "dog": 1, "owl": 2}
    options = carriers(tmp_path, first)[by]
    later = made(tmp_path, session(tmp_path / "two", *names), *options)
    assert later.names == ("cat", "dog", "owl") and later.classes == 3
    assert seen(later) == {number[name]: {GREYS[name] >> 1} for name in names}


def test_a_class_that_is_not_known(tmp_path, first, capsys):
    folder = session(tmp_path / "two", "cat", "mug")
    line = refused(capsys, folder, "--for", first, "-o", tmp_path / "x.prd")
    assert "two/mug: expected one of the classes cat, dog, owl" in line


def test_one_class_is_what_an_autoencoder_takes(tmp_path, capsys):
    dataset = made(tmp_path, session(tmp_path / "one", "cat"))
    assert dataset.names == ("cat",) and dataset.classes == 1 and not dataset.labels.any()
    assert ("one class, cat: what an autoencoder takes; of a part of the classes: --for FILE or "
            "--classes NAME,NAME,...") in capsys.readouterr().out


def test_for_brings_size_and_channels(tmp_path, first):
    larger = session(tmp_path / "large", "owl", size=(60, 40))
    dataset = made(tmp_path, larger, "--for", first)
    assert dataset.shape == (1, 4, 6) and seen(dataset) == {2: {GREYS["owl"] >> 1}}
    model = random_model("flatten, linear 3", (3, 8, 12), 1, classes=3)
    model.names = ("cat", "dog", "owl")
    model.write(tmp_path / "colour.priot")
    assert made(tmp_path, larger, "--for", tmp_path / "colour.priot").shape == (3, 8, 12)


@pytest.mark.parametrize("options, message", [
    (["--classes", "cat,owl,dog"], "--classes: differ from those of"),
    (["--classes", "4"], "first.prd has 3"),
    (["--resize", "9x9"], "--resize: "),
    (["--no-grey"], "--no-grey: "),
])
def test_options_that_contradict_the_file(tmp_path, first, capsys, options, message):
    line = refused(capsys, tmp_path / "one", "--for", first, *options, "-o", tmp_path / "x.prd")
    assert message in line


def test_a_model_without_names_takes_folders_called_by_numbers(tmp_path, capsys):
    """The shipped digits have ten classes and no names."""
    digits = BACKBONES / "digits-0.priot"
    dataset = made(tmp_path, session(tmp_path / "f", "3", "7"), "--for", digits)
    assert dataset.classes == 10 and set(dataset.labels) == {3, 7} and dataset.names == ()
    line = refused(capsys, session(tmp_path / "g", "cat", "owl"), "--for", digits, "-o",
                   tmp_path / "x.prd")
    assert "which of 10 classes are cat, owl? Name them all in order" in line
    words = "zero,one,two,three,four,five,six,seven,eight,nine"
    named = made(tmp_path, session(tmp_path / "h", "seven", "two"), "--for", digits,
                 "--classes", words)
    assert set(named.labels) == {2, 7} and named.names[7] == "seven"


def test_parts_share_the_list(tmp_path):
    """A part may lack a class: its number stays free."""
    folder = session(tmp_path / "f", "cat", "dog", "owl", n=4)
    parts = [made(tmp_path, folder, "--part", part, "--split", "4,4,4")
             for part in ("pretrain", "train", "test")]
    assert {part.names for part in parts} == {("cat", "dog", "owl")}
    for part in parts:
        assert all(greys == {GREYS[part.names[label]] >> 1} for label, greys in seen(part).items())


def test_macos_takes_letters_apart(tmp_path):
    name = "größe"
    session(tmp_path / "f", unicodedata.normalize("NFD", name), "z")
    assert made(tmp_path, tmp_path / "f").names == (name, "z")
    session(tmp_path / "f", name)
    with pytest.raises(PriotError, match="there are two folders größe"):
        as_dataset(tmp_path / "f")


def test_names_that_no_file_can_hold(tmp_path, capsys):
    for name in ("n" * 64, "a\nb"):
        line = refused(capsys, session(tmp_path / name[:2].strip(), name, "b"), "-o",
                       tmp_path / "x.prd")
        assert "as the name of a class: expected 1..63 bytes of text" in line


def test_a_file_without_names_gets_some(tmp_path, first):
    """And one with names another order of them."""
    old = Dataset.read(first)
    Dataset(old.images, old.labels, 3).write(tmp_path / "old.prd")
    assert made(tmp_path, tmp_path / "old.prd").to_bytes() == (
        tmp_path / "old.prd").read_bytes()
    assert made(tmp_path, tmp_path / "old.prd", "--classes", "cat,dog,owl").to_bytes() == (
        first.read_bytes())
    turned = made(tmp_path, first, "--classes", "owl,dog,cat")
    assert seen(turned) == {0: {100}, 1: {60}, 2: {20}} and turned.names[0] == "owl"


def test_a_dataset_keeps_what_its_values_mean(tmp_path, first):
    """On its way to a board, and with other names of its classes."""
    source = replace(Dataset.read(first), scale=0.5, zero=-3)
    assert as_dataset(source).to_bytes() == source.to_bytes()
    named = as_dataset(source, classes=("owl", "dog", "cat", "mug"))
    assert (named.scale, named.zero, named.classes) == (0.5, -3, 4)
    assert seen(named) == {0: {100}, 1: {60}, 2: {20}}
    assert as_dataset(source, reading=Reading(invert=True)).images[0, 0, 3, 0] == 127
    with pytest.raises(PriotError, match="--layout: does not go with dataset"):
        as_dataset(source, reading=Reading(layout="hwc"))
    source.write(tmp_path / "scaled.prd")
    with pytest.raises(PriotError, match="scaled.prd: class cat: expected one of a, b, c"):
        as_dataset(tmp_path / "scaled.prd", classes=("a", "b", "c"))


def test_names_of_arrays(tmp_path, capsys):
    x = np.arange(0, 240, 10, dtype=np.uint8).reshape(6, 2, 2)
    y = np.array([0, 1, 1, 0, 1, 0])
    np.savez(tmp_path / "a.npz", x=x, y=y, names=["cat", "owl"])
    dataset = made(tmp_path, tmp_path / "a.npz", "--classes", "cat,dog,owl")
    assert dataset.labels.tolist() == [0, 2, 2, 0, 2, 0]
    np.savez(tmp_path / "b.npz", x=x, y=y + 2)
    line = refused(capsys, tmp_path / "b.npz", "--classes", "cat,dog,owl", "-o",
                   tmp_path / "x.prd")
    assert "label: found 3, expected 0..2" in line
    assert as_dataset(x, y, classes=("a", "b", "c")).names == ("a", "b", "c")


def test_an_adapter_says_the_names(tmp_path, capsys):
    for names in (("cat", "dog", "owl"), ()):
        Adapter(1, "gains", "gain", [AdapterLayer(0, np.ones(3, np.int8))], names=names).write(
            tmp_path / "a.gains")
        if names:
            dataset = made(tmp_path, session(tmp_path / "f", "owl"), "--for", tmp_path / "a.gains")
            assert dataset.names == names and set(dataset.labels) == {2}
            assert cli.main(["inspect", str(tmp_path / "a.gains")]) == 0
            assert "classes: 0=cat, 1=dog, 2=owl" in capsys.readouterr().out
    assert "a.gains: holds no names of classes" in refused(
        capsys, tmp_path / "f", "--for", tmp_path / "a.gains", "-o", tmp_path / "x.prd")


def test_classes_that_are_none(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, "--classes", "cat", "-o", tmp_path / "x.prd")
    assert "or the names of all classes, as cat,dog,owl" in capsys.readouterr().err
    assert "--classes: classes: cat stands there twice" in refused(
        capsys, tmp_path, "--classes", "cat,cat", "-o", tmp_path / "x.prd")


# ---- what `push --append` makes of samples for a file on the board ----------------------------


def head(names: tuple[str, ...] = ("cat", "dog", "owl")) -> DatasetHead:
    return DatasetHead(2, 9, (1, 4, 6), 3, names)


def joined(found: DatasetHead, source: object, labels: np.ndarray | None = None) -> Dataset:
    return _for_file("/k.prd", found, source, labels, None, Reading(say=lambda line: None))


@pytest.mark.parametrize("names", [("cat", "owl"), ("owl",), ("cat", "dog", "owl")])
def test_appended_samples_get_the_numbers_of_the_file(tmp_path, names):
    folder = session(tmp_path / "f", *names)
    for source in (folder, as_dataset(folder)) if len(names) > 1 else (folder,):
        added = joined(head(), source)
        assert added.names == ("cat", "dog", "owl")
        assert seen(added) == {head().names.index(name): {GREYS[name] >> 1} for name in names}


def test_appended_samples_of_an_unknown_class(tmp_path):
    folder = session(tmp_path / "f", "cat", "owl")
    (folder / "owl").rename(folder / "mug")
    with pytest.raises(PriotError, match="/k.prd: class mug: expected one of cat, dog, owl"):
        joined(head(), as_dataset(folder))
    with pytest.raises(PriotError, match="f/mug: expected one of the classes cat, dog, owl"):
        joined(head(), folder)


def test_a_file_without_names_takes_folders_called_by_numbers(tmp_path):
    assert joined(head(()), session(tmp_path / "f", "0", "2")).labels.tolist() == [
        0, 0, 0, 2, 2, 2]
    assert joined(head(()), session(tmp_path / "g", "2")).labels.tolist() == [2, 2, 2]
    whole = joined(head(()), session(tmp_path / "h", "0", "1", "2"))
    assert whole.names == () and whole.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    with pytest.raises(PriotError, match="which of 3 classes are 7. Name them all in order"):
        joined(head(()), session(tmp_path / "i", "2", "7"))


def test_appended_pictures_get_the_size_of_the_file(tmp_path):
    added = joined(head(), session(tmp_path / "f", "owl", size=(60, 40)))
    assert added.shape == (1, 4, 6) and seen(added) == {2: {GREYS["owl"] >> 1}}


def test_named_and_nameless_are_not_mixed(tmp_path):
    named = as_dataset(session(tmp_path / "f", "cat", "owl"))
    nameless = Dataset(named.images, named.labels, 2)
    with pytest.raises(BoardError, match="holds the classes cat, dog, owl, the samples to add say "
                                         "no names"):
        joined(head(), nameless)
    with pytest.raises(BoardError, match="holds classes without names, the samples to add are of "
                                         "cat, owl"):
        joined(head(()), named)
    assert joined(head(()), nameless).labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert joined(head(), nameless.images * 2, nameless.labels).labels.tolist() == [
        0, 0, 0, 1, 1, 1]
