"""Images from numpy's arrays: which axis is the channel, and which values are black and white."""

from pathlib import Path

import numpy as np

from priot.data.array_files import find_xy, has_test, read_arrays_of
from priot.data.classes import class_names
from priot.data.images import Images, checked
from priot.data.numbers import Columns
from priot.data.reading import Reading
from priot.data.values import extent, range_text, to_bytes, usual_range
from priot.errors import FileError, mismatch
from priot.formats.npz import read_npz


def read_arrays(path: Path, test: bool, reading: Reading) -> Images:
    """Arrays `x`, `y` and, where it is there, `names` of an .npz file, or those of two .npy files,
    see from_arrays.

    test: of a file with x_train and x_test the second. Raises FileError, OSError.
    """
    found = read_arrays_of(path, reading.labels)
    x, y = find_xy(path, found, Columns(x=reading.x, y=reading.y), test)
    names = found.get("names", np.array([]))
    if names.size and (names.ndim != 1 or names.dtype.kind != "U"):
        raise FileError(path, mismatch("names", f"{names.dtype} of {names.ndim} axes",
                                       "text, one for each class"))
    own = class_names(names.tolist(), path) if names.size else ()
    return from_arrays(path, found[x], found[y], reading, own)


def has_test_arrays(path: Path | None, reading: Reading) -> bool:
    """Whether a file has x_train and x_test, and the user names no others."""
    if path is None or reading.x or reading.y or reading.labels is not None:
        return False
    with open(path, "rb") as file:
        return file.read(2) == b"PK" and has_test(read_npz(path))


def from_arrays(where: object, x: np.ndarray, y: np.ndarray, reading: Reading | None = None,
                names: tuple[str, ...] = ()) -> Images:
    """Images from arrays; as many classes as the largest label asks for, or as have names.

    x: numbers or booleans [n][h][w], [n][h][w][c] or [n][c][h][w]. y: integers [n]. Layout and
    range are those of `reading`, or by rule: _channels_last, usual_range. Raises FileError.
    """
    reading = reading or Reading()
    if x.dtype.kind not in "buif" or x.ndim not in (3, 4):
        raise FileError(where, mismatch("x", f"{x.dtype} of {x.ndim} axes",
                                        "numbers [n][h][w], [n][h][w][c] or [n][c][h][w]"))
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise FileError(where, mismatch("y", f"{y.dtype} of {y.ndim} axes", "integers [n]"))
    if x.size == 0:
        raise FileError(where, "no images")
    x, layout = _planes(where, x, reading)
    low, high, whole = extent(where, x)
    black_white = reading.range or usual_range(where, low, high, whole)
    usual = x.dtype == np.uint8 and black_white == (0, 255) and x.shape[1] in (1, 3)
    text = f"{where}: {x.dtype} {layout}; {range_text(low, high, black_white)}"
    reading.note(text if reading.range else f"{text} (--layout, --range say otherwise)", usual)
    pixels = to_bytes(x, black_white)
    if reading.layout == "rgba" or (pixels.shape[1] == 4 and reading.channels in (1, 3)):
        pixels = _composed(where, pixels, reading)
    classes = max(1 if names else 2, min(256, int(y.max(initial=0)) + 1), len(names))
    if names and classes > len(names):
        raise FileError(where, mismatch("label", classes - 1, f"below {len(names)}"))
    return checked(where, pixels, y, classes, names)


def _planes(where: object, x: np.ndarray, reading: Reading) -> tuple[np.ndarray, str]:
    """x as [n][c][h][w], and what it was taken for."""
    if x.ndim == 3:
        if reading.layout:
            raise FileError(where, mismatch("x", "3 axes: [n][h][w]", "4 with --layout"))
        x, name = x[:, None], "[n][h][w]"
    elif (reading.layout != "chw" if reading.layout else _channels_last(x.shape)):
        x, name = x.transpose(0, 3, 1, 2), "[n][h][w][c]"
    else:
        name = "[n][c][h][w]"
    channels, height, width = x.shape[1:]
    count = f"{channels} channel{'s' if channels > 1 else ''}"
    return x, f"{name}: {count} of {height}x{width}"


def _channels_last(shape: tuple[int, ...]) -> bool:
    """Whether the last of 4 axes is the channel: an axis of 1 or 3, else the shorter one is.

    Where both could be, the first is, as in dataset files.
    """
    first, last = shape[1], shape[3]
    if (first in (1, 3)) != (last in (1, 3)):
        return last in (1, 3)
    return first not in (1, 3) and last < first


def _composed(where: object, pixels: np.ndarray, reading: Reading) -> np.ndarray:
    """Four channels, the last of them opacity, as three on the background."""
    if pixels.shape[1] != 4:
        raise FileError(where, mismatch("--layout rgba: channels", pixels.shape[1], 4))
    opacity = pixels[:, 3:].astype(np.int32)
    ground = np.array(reading.ground, np.int32)[:, None, None]
    mixed = (pixels[:, :3] * opacity + ground * (255 - opacity) + 127) // 255
    if (opacity < 255).any():
        reading.note(f"{where}: transparent ground filled with {_colour(reading)} (--background)")
    return mixed.astype(np.uint8)


def _colour(reading: Reading) -> str:
    return "#{:02x}{:02x}{:02x}".format(*reading.ground)
