"""Reads numpy's .npz files: arrays by name, whatever else a file of that name may be."""

import io
from pathlib import Path

import numpy as np

from priot.errors import FileError, brief, mismatch
from priot.formats.sniff import START_BYTES, what_is

_ZIP, _NPY = b"PK", b"\x93NUMPY"


def read_npz(path: Path | str, what: str = "an .npz file of arrays") -> dict[str, np.ndarray]:
    """All arrays of an .npz file, by name. Raises FileError, OSError.

    what: is expected, in the words of an error, which says what the file is instead.
    """
    with open(path, "rb") as file:
        start = file.read(START_BYTES)
        data = start + file.read() if start[:2] == _ZIP else start
    if start[:2] != _ZIP:
        hint = "; numpy.savez writes several, with names" if start[:6] == _NPY else ""
        raise FileError(path, mismatch("kind", what_is(start), what) + hint)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            found = dict(arrays)
    except Exception as error:  # a damaged archive raises nearly anything
        reason = "it holds Python objects" if "allow_pickle" in str(error) else brief(error)
        raise FileError(path, f"not {what}: {reason}") from None
    for name, values in found.items():
        if not isinstance(values, np.ndarray):  # another file in the archive, as bytes
            raise FileError(path, f"not {what}: {name} in it is no array")
    return found
