"""Arrays by name from .npz files, and from pairs of .npy files."""

import io
from pathlib import Path

import numpy as np

from priot.data.numbers import Columns
from priot.errors import FileError, brief, mismatch
from priot.formats.npz import read_npz
from priot.formats.sniff import START_BYTES, what_is

Arrays = dict[str, np.ndarray]

TRAIN, TEST = ("x_train", "y_train"), ("x_test", "y_test")  # as Keras' data sets have them
_PAIRS = (("x", "y"), ("images", "labels"), ("data", "labels"), ("data", "target"),
          ("X", "y"), ("X", "Y"))
_SAVE = "numpy.savez(FILE, x=images, y=labels) writes one"


def find_xy(path: Path, arrays: Arrays, columns: Columns, test: bool = False) -> tuple[str, str]:
    """The names of the arrays of samples and of labels. Raises FileError.

    Those that the user names; else x and y or another usual pair; else x_train and y_train, or
    with `test` x_test and y_test.
    """
    if columns.x or columns.y:
        pair = (columns.x or "x", columns.y or "y")
        for option, name in zip(("--x", "--y"), pair, strict=True):
            if name not in arrays:
                raise FileError(path, f"{option}: has no array {name}; it holds {held(arrays)}")
        return pair
    split = TEST if test else TRAIN
    for pair in (split, *_PAIRS) if has_test(arrays) else (*_PAIRS, split):
        if pair[0] in arrays and pair[1] in arrays:
            return pair
    missing = "x" if "x" not in arrays else "y"
    raise FileError(path, f"has no array {missing}; it holds {held(arrays)}"
                    + ("; --x NAME --y NAME say which" if len(arrays) > 1 else ""))


def find_x(arrays: Arrays, columns: Columns) -> str | None:
    """The name of the array of samples where none holds their labels; None: one may.

    That which the user names, or the only one, or the first of a usual pair.
    """
    pairs = (*_PAIRS, TRAIN)
    if columns.y or any(y in arrays for _, y in pairs):
        return None
    if columns.x:
        return columns.x if columns.x in arrays else None
    names = [*arrays] if len(arrays) == 1 else [x for x, _ in pairs if x in arrays]
    return names[0] if names else None


def has_test(arrays: Arrays) -> bool:
    """Whether arrays are in two parts, to learn and to test."""
    return {*TRAIN, *TEST} <= set(arrays)


def held(arrays: Arrays) -> str:
    """Names, types and shapes, for the line of an error."""
    texts = [f"{name} ({array.dtype} {'x'.join(map(str, array.shape))})"
             for name, array in arrays.items()]
    return ", ".join(texts[:10]) or "none"


def read_pair(x: Path, y: Path) -> Arrays:
    """Two .npy files as arrays x and y. Raises FileError, OSError."""
    return {"x": read_npy(x), "y": read_npy(y)}


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy file. Raises FileError, OSError."""
    data = path.read_bytes()
    if data[:6] != b"\x93NUMPY":
        raise FileError(path, mismatch("kind", what_is(data[:START_BYTES]),
                                       "a numpy array (.npy)"))
    try:
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # a damaged header raises nearly anything
        reason = ("it holds Python objects" if "Object arrays" in str(error) else brief(error))
        raise FileError(path, f"not an array: {reason}") from None


def read_arrays_of(path: Path, labels: Path | None) -> Arrays:
    """All arrays of an .npz file, or x and y of two .npy files. Raises FileError, OSError."""
    with open(path, "rb") as file:
        start = file.read(512)
    if start[:6] == b"\x93NUMPY":
        if labels is None:
            raise FileError(path, "a single array (.npy): give the file of its labels behind it, "
                            f"as {path.name} y.npy")
        return read_pair(path, labels)
    if labels is not None:
        raise FileError(labels, f"labels beside {path.name}, which is no .npy file")
    if path.suffix.lower() in (".csv", ".tsv"):
        raise FileError(path, f"is a table: 'priot dataset {path.name}' makes a dataset of it")
    if start[:2] != b"PK":
        raise FileError(path, f"not an .npz file of arrays: {_kind(start)}; {_SAVE}")
    return read_npz(path)


def _kind(start: bytes) -> str:
    """What a file is that is no zip archive."""
    if start and all(byte >= 32 or byte in b"\t\r\n\f" for byte in start):
        return "it is text; a table has .csv as the end of its name"
    return "it is another file" if start else "it is empty"
