"""Reads numpy's .npz files: arrays by name, whatever else a file of that name may be."""

import io
from pathlib import Path

import numpy as np

from priot.errors import FileError, brief, mismatch
from priot.formats.container import KINDS


def read_npz(path: Path | str, what: str = "an .npz file of arrays") -> dict[str, np.ndarray]:
    """All arrays of an .npz file, by name. Raises FileError, OSError.

    what: is expected, in the words of an error, which says what the file is instead.
    """
    with open(path, "rb") as file:
        start = file.read(6)
        data = start + file.read() if start[:4] not in KINDS else start
    if start[:4] in KINDS:
        raise FileError(path, mismatch("kind", KINDS[start[:4]], what))
    if start == b"\x93NUMPY":
        raise FileError(path, f"not {what}: one array without a name (.npy); numpy.savez writes "
                        "several")
    if start[:2] != b"PK":
        raise FileError(path, f"not {what}: {'empty' if not start else 'not a zip file'}")
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
