"""Reads the files that MNIST and CIFAR-10 come in: idx, and binary and python batches."""

import gzip
import pickle
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from priot.errors import FileError, brief, mismatch

_GZIP = b"\x1f\x8b"
_IDX = re.compile(r"(?P<set>.*?)-?(?P<part>train|t10k|test)-(?P<what>images|labels)"
                  r"[-.]idx[13]-ubyte(\.gz)?")
_CIFAR_SHAPE = (3, 32, 32)


def existing_file(folder: Path, names: Sequence[str]) -> Path:
    """The first of these files that the folder has. Raises FileError."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    what = "has no" if folder.is_dir() else "is no folder with"
    raise FileError(folder, f"{what} {names[0]}")


def is_idx(path: Path) -> bool:
    """Whether a file is one of images, by its name."""
    found = _IDX.fullmatch(path.name)
    return found is not None and found["what"] == "images"


def idx_set(path: Path) -> str:
    """What stands before train or test in a file's name, as "emnist-letters"; "" for MNIST."""
    found = _IDX.fullmatch(path.name)
    return found["set"] if found else ""


def find_idx(folder: Path, test: bool, what: str) -> Path:
    """The file of images or labels to learn or to test, by any of its usual names. FileError.

    train-images-idx3-ubyte, t10k-labels.idx1-ubyte, emnist-digits-test-images-idx3-ubyte.gz ...
    """
    found = [path for path in sorted(folder.iterdir() if folder.is_dir() else [])
             if (name := _IDX.fullmatch(path.name)) and name["what"] == what
             and (name["part"] != "train") == test]
    names = sorted({idx_set(path) for path in found})
    if len(names) > 1:
        raise FileError(folder, f"has files of several sets: {', '.join(n or '-' for n in names)}")
    if found:
        return found[0]
    part, axes = "t10k" if test else "train", 3 if what == "images" else 1
    return existing_file(folder, [f"{part}-{what}-idx{axes}-ubyte"])


def labels_beside(images: Path) -> Path:
    """The file of labels beside one of images, packed or not. Raises FileError."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    plain = name.removesuffix(".gz")
    return existing_file(images.parent, (name, plain, f"{plain}.gz"))


def read_idx(path: Path, magic: int) -> np.ndarray:
    """uint8 array of an idx file: big-endian magic, sizes of the axes, then the values.

    magic: what the file must begin with; its low byte is the number of axes. Raises FileError.
    """
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP):  # whatever its name says: programs unpack a file in its place
            data = gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileError(path, f"damaged gzip file: {brief(error)}") from None
    found = int.from_bytes(data[:4], "big")
    if len(data) < 4 or found != magic:
        raise FileError(path, mismatch("magic", f"{found:#06x}", f"{magic:#06x}"))
    axes = magic & 15
    if len(data) < 4 + 4 * axes:
        raise FileError(path, mismatch("bytes", len(data), f"at least {4 + 4 * axes}"))
    shape = [int(size) for size in np.frombuffer(data, ">u4", axes, 4)]
    count = 1
    for size in shape:  # Python integers: sizes of a damaged header must not wrap round
        count *= size
    if len(data) != 4 + 4 * axes + count:
        raise FileError(path, mismatch("bytes", len(data), f"{4 + 4 * axes + count} as its "
                                       f"header says ({'x'.join(map(str, shape))})"))
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def read_cifar_binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Records of a label byte and 3072 bytes of pixels."""
    record = 1 + 3 * 32 * 32
    data = np.fromfile(path, np.uint8)
    if not data.size or data.size % record:
        raise FileError(path, mismatch("bytes", data.size, f"a multiple of {record}"))
    records = data.reshape(-1, record)
    return records[:, 1:].reshape(-1, *_CIFAR_SHAPE), records[:, 0]


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles arrays alone: a pickle that names anything else could run any code."""

    _ALLOWED = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"),
                ("numpy._core.multiarray", "_reconstruct"), ("numpy", "dtype"),
                ("_codecs", "encode")}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"holds {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_cifar_python(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A pickled dict of b"data" uint8 [n][3072] and b"labels"."""
    try:
        with open(path, "rb") as file:
            batch = _ArrayUnpickler(file, encoding="bytes").load()
        pixels, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"], np.int64)
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise FileError(path, f"no CIFAR-10 batch: {brief(error)}") from None
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3072):
        raise FileError(path, mismatch("data", f"{pixels.dtype} {pixels.shape}",
                                       f"uint8 ({len(labels)}, 3072)"))
    return pixels.reshape(-1, *_CIFAR_SHAPE), labels
