"""Images with labels from scikit-learn's digits, MNIST, CIFAR-10, arrays and folders of images."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from priot.data.raw_files import existing_file, read_cifar_binary, read_cifar_python, read_idx
from priot.errors import FileError, PriotError, mismatch
from priot.formats.npz import read_npz

IDX_IMAGES, IDX_LABELS = 0x803, 0x801  # big-endian magic: uint8, and the number of axes

Size = tuple[int, int]  # height, width


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

    read(path, test, size): all images of the source, or of its own test part; `size` (height,
    width) or None matters to images of different sizes alone. needs: what the path is, empty
    where there is none. split: usual sizes of the parts (pretrain, train and, unless the source
    has a test part of its own, test). shuffled: the parts are taken from a fixed random order of
    the images, not from the order they come in.
    """

    read: Callable[[Any, bool, Size | None], Images]
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


def read_digits(_path: Path | None, _test: bool, _size: Size | None = None) -> Images:
    """scikit-learn's 1797 digits of 8x8 pixels, their values 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits  # here: it takes a second to import

    digits = load_digits()
    pixels = (digits.images.astype(np.int32) * 255 + 8) // 16
    return checked("digits", pixels.astype(np.uint8)[:, None], digits.target, 10)


def read_mnist(folder: Path, test: bool, _size: Size | None = None) -> Images:
    """Digits from a folder of MNIST's idx files, as they are or as .gz. Raises FileError."""
    prefix = "t10k" if test else "train"
    paths = [existing_file(folder, [f"{prefix}-{what}{dot}idx{axes}-ubyte{gz}"
                                    for dot in "-." for gz in ("", ".gz")])
             for what, axes in (("images", 3), ("labels", 1))]
    pixels, labels = read_idx(paths[0], IDX_IMAGES), read_idx(paths[1], IDX_LABELS)
    return checked(paths[1], pixels[:, None], labels, 10)


def read_cifar10(folder: Path, test: bool, _size: Size | None = None) -> Images:
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


def read_arrays(path: Path, _test: bool, _size: Size | None = None) -> Images:
    """Arrays `x` and `y` of an .npz file, see from_arrays. Raises FileError."""
    arrays = read_npz(path)
    for name in ("x", "y"):
        if name not in arrays:
            raise FileError(path, f"has no array {name}; it holds "
                            f"{', '.join(sorted(arrays)) or 'none'}")
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


def read_folders(path: Path, _test: bool, size: Size | None = None) -> Images:
    """Images from one sub-folder per class, in the order of their names; grey where all are.

    All are resized to `size`, or must be of one. Raises FileError, OSError.
    """
    folders = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not 2 <= len(folders) <= 256:
        raise FileError(path, mismatch("sub-folders, one a class", len(folders), "2..256"))
    suffixes = Image.registered_extensions()
    files = [(file, label) for label, folder in enumerate(folders)
             for file in sorted(folder.iterdir()) if file.suffix.lower() in suffixes]
    if not files:
        raise FileError(path, "no images")
    images = [_open_image(file, size) for file, _ in files]
    if any(image.mode == "RGB" for image in images):
        images = [image.convert("RGB") for image in images]
    for image, (file, _) in zip(images, files, strict=True):
        if image.size != images[0].size:
            raise FileError(file, mismatch("width, height", image.size, images[0].size)
                            + ", or --resize")
    pixels = np.array([np.atleast_3d(np.asarray(image)) for image in images], np.uint8)
    labels = np.array([label for _, label in files])
    return checked(path, pixels.transpose(0, 3, 1, 2), labels, len(folders))


def _open_image(path: Path, size: Size | None) -> Image.Image:
    try:
        with Image.open(path) as image:
            pixels = image.convert("L" if image.mode in ("1", "L") else "RGB")
            return pixels.resize(size[::-1], Image.Resampling.BILINEAR) if size else pixels
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FileError(path, f"not an image: {error}") from None


SOURCES = {
    "digits": Source(read_digits, "", (900, 448, 449), shuffled=True),
    "mnist": Source(read_mnist, "a folder of idx files", (50000, 10000), own_test=True),
    "cifar10": Source(read_cifar10, "a folder of batches", (40000, 10000), own_test=True),
    "arrays": Source(read_arrays, "an .npz file", shuffled=True),
    "folders": Source(read_folders, "a folder with one folder per class", shuffled=True),
}


def load(name: str, path: Path | None, test: bool = False, size: Size | None = None) -> Images:
    """All images of a source, or of its own test part. Raises PriotError, OSError."""
    source = SOURCES[name]
    if bool(source.needs) != bool(path):
        raise PriotError(name, f"needs {source.needs}" if source.needs else "takes no path")
    return source.read(path, test, size)
