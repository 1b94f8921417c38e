"""Images with labels from scikit-learn's digits, MNIST, CIFAR-10, arrays and folders of images."""

import gzip
import pickle
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from host_tools.errors import FileError, PriotError, mismatch

IDX_IMAGES, IDX_LABELS = 0x803, 0x801  # big-endian magic: uint8, and the number of axes
CIFAR_SHAPE = (3, 32, 32)


@dataclass(frozen=True)
class Images:
    """`pixels` uint8 [n][channels][height][width], 0..255; `labels` uint8 [n], below classes."""

    pixels: np.ndarray
    labels: np.ndarray
    classes: int

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, chosen: np.ndarray | slice) -> "Images":
        """The chosen ones, in the order chosen."""
        return Images(self.pixels[chosen], self.labels[chosen], self.classes)


@dataclass(frozen=True)
class Source:
    """Where images come from.

    read(path, test): all images of the source, or of its own test part. needs: what the path is,
    empty where there is none. split: usual sizes of the parts (pretrain, train and, unless the
    source has a test part of its own, test). shuffled: the parts are taken from a fixed random
    order of the images, not from the order they come in.
    """

    read: Callable[[Any, bool], Images]
    needs: str
    split: tuple[int, ...] = ()
    own_test: bool = False
    shuffled: bool = False


def checked(where: object, pixels: np.ndarray, labels: np.ndarray, classes: int) -> Images:
    """Images of checked counts and labels. Raises FileError."""
    if not len(pixels) or 0 in pixels.shape:
        raise FileError(where, "no images")
    if len(pixels) != len(labels):
        raise FileError(where, mismatch("labels", len(labels), f"{len(pixels)}, one an image"))
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= classes:
        raise FileError(where, mismatch(
            "label", lowest if lowest < 0 else highest, f"0..{classes - 1}"))
    return Images(np.ascontiguousarray(pixels), labels.astype(np.uint8), classes)


def read_digits(_path: Path | None, _test: bool) -> Images:
    """scikit-learn's 1797 digits of 8x8 pixels, their values 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits  # here: it takes a second to import

    digits = load_digits()
    pixels = (digits.images.astype(np.int32) * 255 + 8) // 16
    return checked("digits", pixels.astype(np.uint8)[:, None], digits.target, 10)


def read_mnist(folder: Path, test: bool) -> Images:
    """Digits from a folder of MNIST's idx files, as they are or as .gz. Raises FileError."""
    prefix = "t10k" if test else "train"
    paths = [_existing(folder, [f"{prefix}-{what}{dot}idx{axes}-ubyte{gz}"
                                for dot in "-." for gz in ("", ".gz")])
             for what, axes in (("images", 3), ("labels", 1))]
    pixels, labels = _read_idx(paths[0], IDX_IMAGES), _read_idx(paths[1], IDX_LABELS)
    return checked(paths[1], pixels[:, None], labels, 10)


def _read_idx(path: Path, magic: int) -> np.ndarray:
    """uint8 array of an idx file: big-endian magic, sizes of the axes, then the values."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            data = file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileError(path, f"damaged gzip file: {error}") from None
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


def _existing(folder: Path, names: Sequence[str]) -> Path:
    """The first of these files that the folder has. Raises FileError."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    what = "has no" if folder.is_dir() else "is no folder with"
    raise FileError(folder, f"{what} {names[0]}")


def read_cifar10(folder: Path, test: bool) -> Images:
    """CIFAR-10 from the folder of its python or binary batches. Raises FileError."""
    for inner in ("cifar-10-batches-py", "cifar-10-batches-bin"):
        if (folder / inner).is_dir():
            folder = folder / inner
    names = ["test_batch"] if test else [f"data_batch_{i}" for i in range(1, 6)]
    paths = [_existing(folder, (name, f"{name}.bin")) for name in names]
    parts = [_read_cifar_binary(path) if path.suffix == ".bin" else _read_cifar_python(path)
             for path in paths]
    return checked(folder, np.concatenate([pixels for pixels, _ in parts]),
                   np.concatenate([labels for _, labels in parts]), 10)


def _read_cifar_binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Records of a label byte and 3072 bytes of pixels."""
    record = 1 + 3 * 32 * 32
    data = np.fromfile(path, np.uint8)
    if not data.size or data.size % record:
        raise FileError(path, mismatch("bytes", data.size, f"a multiple of {record}"))
    records = data.reshape(-1, record)
    return records[:, 1:].reshape(-1, *CIFAR_SHAPE), records[:, 0]


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles arrays alone: a pickle that names anything else could run any code."""

    _ALLOWED = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"),
                ("numpy._core.multiarray", "_reconstruct"), ("numpy", "dtype"),
                ("_codecs", "encode")}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"holds {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _read_cifar_python(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A pickled dict of b"data" uint8 [n][3072] and b"labels"."""
    try:
        with open(path, "rb") as file:
            batch = _ArrayUnpickler(file, encoding="bytes").load()
        pixels, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"], np.int64)
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise FileError(path, f"no CIFAR-10 batch: {error}") from None
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3072):
        raise FileError(path, mismatch("data", f"{pixels.dtype} {pixels.shape}",
                                       f"uint8 ({len(labels)}, 3072)"))
    return pixels.reshape(-1, *CIFAR_SHAPE), labels


def read_arrays(path: Path, _test: bool) -> Images:
    """Arrays `x` and `y` of an .npz file, see from_arrays. Raises FileError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("x", "y") if name in file}
    except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile,
            zlib.error) as error:
        raise FileError(path, f"not an .npz file of arrays: {error}") from None
    for name in ("x", "y"):
        if name not in arrays:
            raise FileError(path, f"has no array {name}")
    return from_arrays(path, arrays["x"], arrays["y"])


def from_arrays(where: object, x: np.ndarray, y: np.ndarray) -> Images:
    """Images from arrays; as many classes as the largest label asks for.

    x: uint8 [n][h][w], [n][h][w][c] (c 1 or 3) or [n][c][h][w]. y: integers [n]. Raises FileError.
    """
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        raise FileError(where, mismatch("x", f"{x.dtype} of {x.ndim} axes",
                                        "uint8 [n][h][w], [n][h][w][c] or [n][c][h][w]"))
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise FileError(where, mismatch("y", f"{y.dtype} of {y.ndim} axes", "integers [n]"))
    if x.ndim == 3:
        x = x[:, None]
    elif x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    classes = max(2, min(256, int(y.max(initial=0)) + 1))
    return checked(where, x, y, classes)


def read_folders(path: Path, _test: bool) -> Images:
    """Images from one sub-folder per class, in the order of their names; grey where all are.

    All must be of one size. Raises FileError, OSError.
    """
    folders = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not 2 <= len(folders) <= 256:
        raise FileError(path, mismatch("sub-folders, one a class", len(folders), "2..256"))
    suffixes = Image.registered_extensions()
    files = [(file, label) for label, folder in enumerate(folders)
             for file in sorted(folder.iterdir()) if file.suffix.lower() in suffixes]
    if not files:
        raise FileError(path, "no images")
    images = [_open_image(file) for file, _ in files]
    if any(image.mode == "RGB" for image in images):
        images = [image.convert("RGB") for image in images]
    for image, (file, _) in zip(images, files, strict=True):
        if image.size != images[0].size:
            raise FileError(file, mismatch("width, height", image.size, images[0].size))
    pixels = np.array([np.atleast_3d(np.asarray(image)) for image in images], np.uint8)
    labels = np.array([label for _, label in files])
    return checked(path, pixels.transpose(0, 3, 1, 2), labels, len(folders))


def _open_image(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("L" if image.mode in ("1", "L") else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FileError(path, f"not an image: {error}") from None


SOURCES = {
    "digits": Source(read_digits, "", (900, 448, 449), shuffled=True),
    "mnist": Source(read_mnist, "a folder of idx files", (50000, 10000), own_test=True),
    "cifar10": Source(read_cifar10, "a folder of batches", (40000, 10000), own_test=True),
    "arrays": Source(read_arrays, "an .npz file", shuffled=True),
    "folders": Source(read_folders, "a folder with one folder per class", shuffled=True),
}


def load(name: str, path: Path | None, test: bool = False) -> Images:
    """All images of a source, or of its own test part. Raises PriotError, OSError."""
    source = SOURCES[name]
    if bool(source.needs) != bool(path):
        raise PriotError(name, f"needs {source.needs}" if source.needs else "takes no path")
    return source.read(path, test)
