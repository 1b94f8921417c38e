"""What a user has of a new place as the two datasets of an adaptation: to learn and to test."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from priot.data.classes import with_classes
from priot.data.folders import read_folders
from priot.data.images import Images
from priot.data.look import check_look
from priot.data.others import Others, read_others
from priot.data.pictures import is_picture
from priot.data.prepare import finish, to_dataset
from priot.data.reading import Reading, listed
from priot.data.recordings import is_sound
from priot.data.sources import SOURCES, load
from priot.data.split import stratified
from priot.errors import PriotError
from priot.formats import Dataset, Model

_SOUND = frozenset(".aac .aif .aiff .amr .au .caf .flac .m4a .mp3 .oga .ogg .opus .wav "
                   ".wma".split())


@dataclass(frozen=True)
class Pictures:
    """Where pictures lie, or other samples, and how they are divided.

    test: a folder, or file, of those to test; None: the folder's own part `test`, where it has
    parts `train` and `test`, or `percent` of each class, drawn by `seed`. others: how tables,
    arrays of numbers and recordings are read.
    """

    folder: Path
    test: Path | None = None
    percent: int = 25
    seed: int = 0
    others: Others = field(default_factory=Others)


def make_datasets(pictures: Pictures, model: Model, add: list[str],
                  reading: Reading) -> tuple[Dataset, Dataset]:
    """Datasets to learn and to test, with the model's numbers of the classes.

    add: names of classes that take the model's spare outputs; reading: of the model's size,
    channels and classes. Raises PriotError, OSError.
    """
    if add:
        reading = replace(reading, names=model.with_classes(add).names, classes=None)
    others = _make_others(pictures, model, add, reading)
    if others is not None:
        return others
    folder, test = _parts(pictures, reading)
    images = _read(folder, model, add, reading)
    if test is None:
        images, tested = stratified(images, pictures.percent, pictures.seed)
        if not len(tested):
            raise PriotError(folder, "no class has two pictures that differ, one to learn and "
                             "one to test: add pictures, or give --test FOLDER")
        reading.note(f"split: {len(images)} pictures to learn and {len(tested)} to test, "
                     f"{pictures.percent} % of each class, seed {pictures.seed} (--split, "
                     "--split-seed, --test FOLDER)", usual=True)
        _warn(images, tested, reading)
        test = folder
    else:
        names = replace(reading, names=images.names, classes=None) if images.names else reading
        _refuse_sound(test, reading)
        tested = load("folders", test, reading=names)
        reading.note(f"split: {len(images)} pictures to learn in {folder}, {len(tested)} to test "
                     f"in {test}", usual=True)
    return _dataset(folder, images, reading), _dataset(test, tested, reading)


def _make_others(pictures: Pictures, model: Model, add: list[str],
                 reading: Reading) -> tuple[Dataset, Dataset] | None:
    """Datasets of recordings, tables and arrays of numbers; None where there are pictures."""
    folder, test = pictures.folder, pictures.test
    own = (folder / "train", folder / "test")
    if test is None and all(map(is_sound, own)):
        folder, test = own
    if not (folder.is_file() or (is_sound(folder) and not _has_pictures(folder))):
        return None
    learned = read_others(folder, pictures.others, reading, model)
    if learned is None:
        return None
    there = {learned.names[i] for i in np.unique(learned.labels)} if learned.names else set()
    absent = [name for name in add if name not in there]
    if absent:
        raise PriotError(folder, f"--add-class {listed(absent)}: there is no sample of that class")
    if test is not None:
        tested = read_others(test, pictures.others, reading, model)
        if tested is None:
            raise PriotError(test, f"has pictures, {folder} has other samples")
        reading.note(f"split: {len(learned)} samples to learn in {folder}, {len(tested)} to test "
                     f"in {test}", usual=True)
        return learned, tested
    window, hop = pictures.others.wanted.window, pictures.others.wanted.hop
    if window and hop and hop < window:
        raise PriotError("--hop", "windows that overlap would share rows, some learned and some "
                         "tested: give --test FILE, or leave --hop out")
    both = stratified(Images(learned.images, learned.labels, learned.classes, learned.names),
                      pictures.percent, pictures.seed)
    if not len(both[1]):
        raise PriotError(folder, "no class has two samples that differ, one to learn and one to "
                         "test: add some, or give --test")
    reading.note(f"split: {len(both[0])} samples to learn and {len(both[1])} to test, "
                 f"{pictures.percent} % of each class, seed {pictures.seed} (--split, "
                 "--split-seed, --test)", usual=True)
    _warn(*both, reading)
    learn, rest = (replace(learned, images=some.pixels, labels=some.labels) for some in both)
    return learn, rest


def _has_pictures(folder: Path) -> bool:
    return any(is_picture(file) for file in folder.rglob("*") if file.is_file())


def _dataset(where: Path, images: Images, reading: Reading) -> Dataset:
    dataset = to_dataset(finish(images, reading))
    check_look(where, dataset, reading)
    return dataset


def _parts(pictures: Pictures, reading: Reading) -> tuple[Path, Path | None]:
    """The folder of those to learn, and that of those to test where it is another."""
    folder, test = pictures.folder, pictures.test
    for path in (folder, *([test] if test else [])):
        if not path.is_dir():
            raise PriotError(path, ("is a file" if path.exists() else "no such folder") +
                             ": expected a folder that holds a folder of pictures for each class")
    own = (folder / "train", folder / "test")
    if not all(part.is_dir() and not _holds_pictures(part) for part in own):
        return folder, test
    if test is not None:
        raise PriotError("--test", f"{folder} has a part {own[1]} itself: give {own[0]} with "
                         "--test, or leave --test out")
    others = [path.name for path in sorted(folder.iterdir())
              if path.is_dir() and path not in own and not path.name.startswith(".")]
    if others:
        reading.note(f"left out: beside the parts train and test: {listed(others)}")
    return own


def _holds_pictures(folder: Path) -> bool:
    return any(is_picture(file) for file in folder.iterdir() if file.is_file())


def _read(folder: Path, model: Model, add: list[str], reading: Reading) -> Images:
    """The pictures to learn, every class one of the model's or added to it."""
    _refuse_sound(folder, reading)
    reading.check("folders", SOURCES["folders"].takes)
    images = read_folders(folder, False, replace(reading, names=(), classes=1))
    absent = [name for name in add if name not in images.names]
    if absent:
        raise PriotError(folder, f"--add-class {listed(absent)}: there is no folder of that name "
                         "with pictures")
    known = reading.names or tuple(map(str, range(model.classes)))
    new = [name for name in images.names if name not in known]
    # a model without names takes any, in their order, where there are as many
    if new and (reading.names or len(new) < len(images.names)):
        raise PriotError(folder, _offer(new, known, model, add))
    return with_classes(folder, images, reading)


def _offer(new: list[str], known: tuple[str, ...], model: Model, add: list[str]) -> str:
    """What can be done about folders of classes that the model does not know."""
    spare = len(model.spare) - len(add)
    text = f"not among the model's classes {listed(known)}: {listed(new)}; "
    if len(new) <= spare:
        options = " ".join(f"--add-class {name!r}" for name in new)
        return text + f"the model has room ({spare} spare): add {options}"
    return text + (f"it has {spare} spare outputs for new ones ('priot quantize --spare N' makes "
                   "them): rename the folders or take them out")


def _warn(images: Images, tested: Images, reading: Reading) -> None:
    missing = sorted(set(np.unique(images.labels)) - set(np.unique(tested.labels)))
    if missing:
        names = [images.names[i] if images.names else str(i) for i in missing]
        reading.note(f"warning: no second picture to test with, of {listed(names)}")


def _refuse_sound(folder: Path, reading: Reading) -> None:
    """Recordings are no pictures; raises PriotError where there is nothing else."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    sound = [file for file in files if file.suffix.lower() in _SOUND]
    if not sound:
        return
    if not any(map(is_picture, files)):
        raise PriotError(folder, f"holds {len(sound)} recordings, as {sound[0].name}, and no "
                         "pictures: of sound this takes .wav files, in a folder for each class")
    reading.note(f"warning: {len(sound)} recordings in {folder} are left out, as "
                 f"{sound[0].name}: where there are pictures, this takes them")
