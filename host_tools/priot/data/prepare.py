"""Parts of a source's images, resized, turned and halved to what a board reads.

Images keep their place: a source is split into the parts pretrain, train and test once and for
all, so that no image is in two of them whatever the other options are; a seed then draws some of
a part. The same arguments give the same dataset.
"""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from scipy import ndimage

from priot.data.images import Images
from priot.data.look import check_look
from priot.data.numbers import Samples
from priot.data.pictures import fitted, grey_of, is_stretched
from priot.data.reading import Reading, Size
from priot.data.sources import SOURCES, load
from priot.errors import PriotError, mismatch
from priot.formats import Dataset
from priot.reports.describe import classes_lines

Some = TypeVar("Some", Images, Samples)

PARTS = ("pretrain", "train", "test")


def permutation(n: int, seed: int) -> np.ndarray:
    """A seeded order of 0 .. n - 1; numpy froze this generator, so it is the same everywhere."""
    return np.random.RandomState(seed).permutation(n)


def read_part(name: str, path: Path | None, part: str | None,
              split: tuple[int, ...] | None = None, reading: Reading | None = None) -> Images:
    """All images of a part of a source; part None: of a source that is not split.

    split: sizes of the parts, pretrain first, instead of the source's usual ones; in a source
    with a test part of its own they divide its other images. Raises PriotError, OSError.
    """
    source = SOURCES[name]
    if name == "mnist" and path is not None and path.is_file():  # all of it: no part of a folder
        source = replace(source, split=(), own_test=False)
    sizes = split or source.split
    names = PARTS[: len(sizes)]
    own_test = source.has_test(path, reading or Reading())
    if own_test and not sizes:
        names = ("train",)
    known = names + PARTS[2:] if own_test else names
    if part is None and not known:
        return load(name, path, reading=reading)
    if part not in known:
        raise PriotError(f"{name}: --part", f"found {part or 'none'}, expected " + (
            f"one of {', '.join(known)}" if known else "none, or --split with sizes of parts"))
    if part not in names:
        return load(name, path, test=True, reading=reading)
    images = load(name, path, reading=reading)
    if not sizes:
        return images
    if sum(sizes) > len(images):
        raise PriotError(f"{name}: --split", f"found {'+'.join(map(str, sizes))}, "
                         f"expected at most {len(images)} images")
    start = sum(sizes[: names.index(part)])
    order = permutation(len(images), 0) if source.shuffled else np.arange(len(images))
    return images.take(order[start : start + sizes[names.index(part)]])


def subset(images: Some, n: int, seed: int) -> Some:
    """n images, or samples, drawn by a seed. Raises PriotError where there are fewer."""
    if not 1 <= n <= len(images):
        raise PriotError("--subset", f"found {n}, expected 1..{len(images)}")
    return images.take(permutation(len(images), seed)[:n])


def resize(pixels: np.ndarray, height: int, width: int, fit: str = "stretch",
           ground: int = 0) -> np.ndarray:
    """Images uint8 [n][c][h][w] of another size, by Pillow's bilinear filter; see Reading.

    ground: 0..255, what `fit` "fit" puts around them.
    """
    n, channels = pixels.shape[:2]
    if pixels.shape[2:] == (height, width):
        return pixels
    planes = [fitted(Image.fromarray(plane), (height, width), fit, (ground, ground, ground))
              for plane in pixels.reshape(-1, *pixels.shape[2:])]
    return np.array([np.asarray(plane) for plane in planes], np.uint8).reshape(
        n, channels, height, width)


def rotate(pixels: np.ndarray, degrees: float) -> np.ndarray:
    """Images uint8 [n][c][h][w] turned counterclockwise about their centre.

    Bilinear; what comes from outside the image is black; rounded to the nearest of 0..255.
    """
    if degrees % 360 == 0:
        return pixels
    turned = ndimage.rotate(pixels.astype(np.float32), degrees, axes=(3, 2), reshape=False,
                            order=1, mode="constant", cval=0)
    return np.clip(np.rint(turned), 0, 255).astype(np.uint8)


def finish(images: Images, reading: Reading) -> Images:
    """Images of the channels, size and sign that are asked for. Raises PriotError."""
    pixels = images.pixels
    if reading.channels is not None and pixels.shape[1] != reading.channels:
        pixels = _with_channels(pixels, reading.channels)
    if reading.size is not None and pixels.shape[2:] != reading.size:
        if is_stretched(Image.fromarray(pixels[0, 0]), reading):
            reading.note("images were stretched to the size (--crop or --fit keep proportions)")
        ground = grey_of(reading.background) if reading.background else 0
        pixels = resize(pixels, *reading.size, reading.fit, ground)
    return replace(images, pixels=255 - pixels if reading.invert else pixels)


def _with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    found = pixels.shape[1]
    if (found, channels) == (3, 1):  # weighed as Pillow weighs them
        red, green, blue = (pixels[:, i : i + 1].astype(np.uint32) for i in range(3))
        grey = red * 19595 + green * 38470 + blue * 7471 + 0x8000
        return (grey >> 16).astype(np.uint8)
    if (found, channels) == (1, 3):
        return np.repeat(pixels, 3, axis=1)
    raise PriotError("images", mismatch("channels", found, channels))


def to_dataset(images: Images) -> Dataset:
    """What a board reads: pixels 0..255 halved to 0..127."""
    return Dataset(images.pixels >> 1, images.labels, images.classes, images.names)


def prepare(source: str, path: Path | None = None, part: str | None = None,
            split: tuple[int, ...] | None = None, size: Size | None = None,
            degrees: float = 0, n: int | None = None, seed: int = 0,
            reading: Reading | None = None) -> Dataset:
    """A dataset of a part of a source, or of n images of it drawn by a seed; resized, then turned.

    source, path, part, split: see read_part. size: height, width, instead of that of `reading`.
    Raises PriotError, OSError.
    """
    reading = reading or Reading()
    if size:
        reading = replace(reading, size=size)
    images = read_part(source, path, part, split, reading)
    if n is not None:
        images = subset(images, n, seed)
    images = finish(images, reading)
    dataset = to_dataset(replace(images, pixels=rotate(images.pixels, degrees)))
    check_look(path or source, dataset, reading)
    return dataset


def summary(path: Path, dataset: Dataset, degrees: float) -> str:
    """One line on a dataset file whose images were turned, and one on its classes' names."""
    shape = "x".join(map(str, dataset.shape))
    turned = f", rotated by {degrees:g} degrees" if degrees else ""
    text = f"{path}: {len(dataset)} images of {shape}, {dataset.classes} classes{turned}"
    counts = np.bincount(dataset.labels, minlength=dataset.classes).tolist()
    return "\n".join([text, *classes_lines(dataset.names, counts)])
