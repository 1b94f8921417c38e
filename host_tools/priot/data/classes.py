"""Classes by their names: in natural order, and numbered as another file numbers them."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from priot.data.images import Images
from priot.data.reading import Reading, listed
from priot.errors import FileError, PriotError, mismatch
from priot.formats import Adapter, Dataset, Model, read_magic
from priot.formats.container import pack_names
from priot.network import fields as f

Known = tuple[int | None, tuple[str, ...], tuple[int, int, int] | None]


def natural(name: str) -> tuple[list[str | int], str]:
    """What names are sorted by: "2" before "10"."""
    parts = re.split("([0-9]+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def class_name(name: str, where: object) -> str:
    """A name as files hold it: composed letters (macOS takes them apart). Raises FileError."""
    name = unicodedata.normalize("NFC", name)
    try:
        pack_names((name,), where)
    except (FileError, UnicodeEncodeError):
        raise FileError(where, "as the name of a class: expected 1..63 bytes of text") from None
    return name


def class_names(names: Sequence[str], where: object) -> tuple[str, ...]:
    """Names of all classes, checked. Raises FileError."""
    found = tuple(class_name(name, where) for name in names)
    if not 1 <= len(found) <= 256:  # one: what is normal
        raise FileError(where, mismatch("classes", len(found), "1..256"))
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise FileError(where, f"classes: {twice[0]} stands there twice")
    return found


def renumbered(where: object, labels: np.ndarray, names: Sequence[str],
               known: Sequence[str]) -> np.ndarray:
    """Labels by the order of `names` as labels by that of `known`, uint8.

    Names that no label uses need not be known. Raises FileError.
    """
    table = np.zeros(max(len(names), 1), np.uint8)
    for label in np.unique(labels):
        if names[label] not in known:
            raise FileError(where, f"class {names[label]}: expected one of {listed(list(known))}")
        table[label] = list(known).index(names[label])
    return table[labels]


def with_classes(where: object, images: Images, reading: Reading) -> Images:
    """Images whose classes are those that the user has named or counted. Raises FileError."""
    names, classes = reading.names, len(reading.names) or reading.classes
    if not classes:
        return images
    labels = images.labels
    if names and images.names:
        labels = renumbered(where, labels, images.names, names)
    elif not names and images.names:
        names = images.names if len(images.names) == classes else ()
        if not names:
            labels = _numbers(where, images, classes)
        elif any(not name.isdecimal() for name in names):
            reading.note(f"classes are numbered in this order: {listed(names)} "
                         "(--classes NAME,NAME,... says otherwise)", usual=True)
    if int(labels.max()) >= classes:
        raise FileError(where, mismatch("label", int(labels.max()), f"0..{classes - 1}"))
    return replace(images, labels=labels, classes=classes, names=names)


def _numbers(where: object, images: Images, classes: int) -> np.ndarray:
    """Labels of classes that are called by their numbers."""
    known = [str(i) for i in range(classes)]
    strangers = [name for name in images.names if name not in known]
    if strangers:
        raise FileError(where, f"which of {classes} classes are {listed(strangers)}? "
                        "Name them all in order: --classes NAME,NAME,...")
    return renumbered(where, images.labels, images.names, known)


def known_classes(path: Path) -> Known:
    """Number and names of the classes of a model, dataset or adapter file, and its image's shape.

    Of an adapter there are only names; a model without classes leaves the data theirs. Raises
    FileError, OSError.
    """
    magic = read_magic(path)
    if magic == b"PRIM":
        model = Model.read(path)
        classes = model.classes if model.loss == f.CROSS_ENTROPY else None
        return classes, model.names, model.shape
    if magic == b"PRID":
        dataset = Dataset.read(path)
        return dataset.classes, dataset.names, dataset.shape
    if magic != b"PRIA":
        raise FileError(path, "not a model, dataset or adapter file")
    names = Adapter.read(path).names
    if not names:
        raise PriotError(path, "holds no names of classes: give its model instead")
    return len(names), names, None
