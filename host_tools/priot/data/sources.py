"""Images with labels from scikit-learn's digits, MNIST, CIFAR-10, arrays, folders and datasets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from priot.data.arrays import has_test_arrays, read_arrays
from priot.data.classes import with_classes
from priot.data.folders import read_folders
from priot.data.images import Images, checked
from priot.data.raw_files import (
    existing_file,
    find_idx,
    idx_set,
    is_idx,
    labels_beside,
    read_cifar_binary,
    read_cifar_python,
    read_idx,
)
from priot.data.reading import Reading
from priot.errors import FileError, PriotError
from priot.formats import Dataset, read_magic
from priot.formats.container import KINDS

IDX_IMAGES, IDX_LABELS = 0x803, 0x801  # big-endian magic: uint8, and the number of axes


@dataclass(frozen=True)
class Source:
    """Where images come from.

    read(path, test, reading): all images of the source, or of its own test part. needs: what the
    path is, empty where there is none. split: usual sizes of the parts (pretrain, train and,
    unless the source has a test part of its own, test). shuffled: the parts are taken from a
    fixed random order of the images, not from the order they come in. takes: which of the options
    in reading.SPECIAL it can use. finds_test(path, reading): whether this one has a test part.
    """

    read: Callable[[Any, bool, Reading], Images]
    needs: str
    split: tuple[int, ...] = ()
    own_test: bool = False
    shuffled: bool = False
    takes: tuple[str, ...] = ()
    finds_test: Callable[[Any, Reading], bool] | None = None

    def has_test(self, path: Path | None, reading: Reading) -> bool:
        """Whether there is a test part of its own. Raises FileError, OSError."""
        return self.own_test or bool(self.finds_test and self.finds_test(path, reading))


def read_digits(_path: Path | None, _test: bool, _reading: Reading) -> Images:
    """scikit-learn's 1797 digits of 8x8 pixels, their values 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits  # here: it takes a second to import

    digits = load_digits()
    pixels = (digits.images.astype(np.int32) * 255 + 8) // 16
    return checked("digits", pixels.astype(np.uint8)[:, None], digits.target, 10)


def read_mnist(path: Path, test: bool, _reading: Reading) -> Images:
    """Images from a folder of idx files, as they are or as .gz, or from one file of images beside
    that of its labels. Raises FileError."""
    paths = ([path, labels_beside(path)] if path.is_file() else
             [find_idx(path, test, what) for what in ("images", "labels")])
    pixels, labels = read_idx(paths[0], IDX_IMAGES), read_idx(paths[1], IDX_LABELS)
    classes = max(10, int(labels.max(initial=0)) + 1) if idx_set(paths[0]) else 10
    return checked(paths[1], pixels[:, None], labels, classes)


def read_cifar10(folder: Path, test: bool, _reading: Reading) -> Images:
    """CIFAR-10 from the folder of its python or binary batches. Raises FileError."""
    for inner in ("cifar-10-batches-py", "cifar-10-batches-bin"):
        if (folder / inner).is_dir():
            folder = folder / inner
    names = ["test_batch"] if test else [f"data_batch_{i}" for i in range(1, 6)]
    paths = [existing_file(folder, (name, f"{name}.bin")) for name in names]
    parts = [read_cifar_binary(path) if path.suffix == ".bin" else read_cifar_python(path)
             for path in paths]
    return checked(folder, np.concatenate([pixels for pixels, _ in parts]),
                   np.concatenate([labels for _, labels in parts]), 10)


def read_dataset(path: Path, _test: bool, _reading: Reading) -> Images:
    """Images of a dataset file, their 0..127 doubled. Raises FileError, OSError."""
    found = Dataset.read(path)
    if found.scale or found.zero or found.scales or found.signed:
        raise FileError(path, "has a scale, which a dataset made of it would lose")
    return Images(found.images << 1, found.labels, found.classes, found.names)


SOURCES = {
    "digits": Source(read_digits, "", (900, 448, 449), shuffled=True),
    "mnist": Source(read_mnist, "a folder of idx files, or one of them", (50000, 10000),
                    own_test=True),
    "cifar10": Source(read_cifar10, "a folder of batches", (40000, 10000), own_test=True),
    "arrays": Source(read_arrays, "an .npz file", shuffled=True,
                     takes=("background", "range", "layout", "x", "y", "labels"),
                     finds_test=has_test_arrays),
    "folders": Source(read_folders, "a folder with one folder per class", shuffled=True,
                      takes=("background", "range", "skip_bad")),
    "dataset": Source(read_dataset, "a dataset file", shuffled=True),
}


def source_of(path: Path) -> str:
    """The name of the source that a folder or file is. Raises PriotError, OSError."""
    if path.is_dir():
        if any(is_idx(file) for file in path.iterdir()):
            return "mnist"
        for mark in ("data_batch_1*", "cifar-10-batches-*"):
            if next(path.glob(mark), None):
                return "cifar10"
        return "folders"
    if is_idx(path):
        return "mnist"
    return "dataset" if path.suffix == ".prd" or read_magic(path) in KINDS else "arrays"


def load(name: str, path: Path | None, test: bool = False,
         reading: Reading | None = None) -> Images:
    """All images of a source, or of its own test part. Raises PriotError, OSError."""
    source, reading = SOURCES[name], reading or Reading()
    if bool(source.needs) != bool(path):
        raise PriotError(name, f"needs {source.needs}" if source.needs else "takes no path")
    reading.check(name, source.takes)
    return with_classes(path or name, source.read(path, test, reading), reading)
