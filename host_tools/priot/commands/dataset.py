"""`priot dataset`: a dataset file of upright or rotated images from one of several sources.

Images keep their place: a source is split into the parts pretrain, train and test once and for
all, so that no image is in two of them whatever the other options are; `--subset N --seed S`
then draws N images of a part. The same options give the same bytes.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from priot.data.sources import SOURCES, Images, Size, load
from priot.errors import PriotError
from priot.formats import Dataset
from priot.reports.json_file import add_json_option, write_json

PARTS = ("pretrain", "train", "test")


def permutation(n: int, seed: int) -> np.ndarray:
    """A seeded order of 0 .. n - 1; numpy froze this generator, so it is the same everywhere."""
    return np.random.RandomState(seed).permutation(n)


def read_part(name: str, path: Path | None, part: str | None,
              split: tuple[int, ...] | None = None, size: Size | None = None) -> Images:
    """All images of a part of a source; part None: of a source that is not split.

    split: sizes of the parts, pretrain first, instead of the source's usual ones; in a source
    with a test part of its own they divide its other images. size: as `Source.read` takes it.
    Raises PriotError, OSError.
    """
    source = SOURCES[name]
    sizes = split or source.split
    names = PARTS[: len(sizes)]
    known = names + PARTS[2:] if source.own_test else names
    if part is None and not sizes:
        return load(name, path, size=size)
    if part not in known:
        raise PriotError(f"{name}: --part", f"found {part or 'none'}, expected " + (
            f"one of {', '.join(known)}" if known else "none, or --split with sizes of parts"))
    if part not in names:
        return load(name, path, test=True, size=size)
    images = load(name, path, size=size)
    if sum(sizes) > len(images):
        raise PriotError(f"{name}: --split", f"found {'+'.join(map(str, sizes))}, "
                         f"expected at most {len(images)} images")
    start = sum(sizes[: names.index(part)])
    order = permutation(len(images), 0) if source.shuffled else np.arange(len(images))
    return images.take(order[start : start + sizes[names.index(part)]])


def subset(images: Images, n: int, seed: int) -> Images:
    """n images drawn by a seed. Raises PriotError where there are fewer."""
    if not 1 <= n <= len(images):
        raise PriotError("--subset", f"found {n}, expected 1..{len(images)}")
    return images.take(permutation(len(images), seed)[:n])


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Images uint8 [n][c][h][w] of another size, by Pillow's bilinear filter."""
    n, channels = pixels.shape[:2]
    if pixels.shape[2:] == (height, width):
        return pixels
    planes = [Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
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


def to_dataset(images: Images) -> Dataset:
    """What a board reads: pixels 0..255 halved to 0..127."""
    return Dataset(images.pixels >> 1, images.labels, images.classes)


def _size(text: str) -> Size:
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and 1 <= int(height) <= 4096
            and 1 <= int(width) <= 4096):
        raise argparse.ArgumentTypeError(f"found {text}, expected HEIGHTxWIDTH, as 28x28")
    return int(height), int(width)


def _split(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if len(words) > len(PARTS) or not all(word.isdecimal() and int(word) for word in words):
        raise argparse.ArgumentTypeError(f"found {text}, expected sizes of the parts "
                                         f"{', '.join(PARTS)}, as 900,448,449")
    return tuple(map(int, words))


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add `dataset` to the subcommands."""
    parser = subparsers.add_parser(
        "dataset", help="make a dataset file from digits, MNIST or arrays",
        description="Make a dataset file (.prd): images of 0..127 with labels.")
    parser.add_argument("source", choices=SOURCES, help="; ".join(
        f"{name}: {source.needs}" for name, source in SOURCES.items() if source.needs))
    parser.add_argument("path", type=Path, nargs="?", help="folder or file; digits take none")
    parser.add_argument("--part", choices=PARTS,
                        help="pretrain: for the backbone; train: to adapt it; test: to measure")
    parser.add_argument("--split", type=_split, metavar="N,N[,N]",
                        help="images in the parts pretrain, train and test, for example "
                        "900,448,449 (sources with test images of their own: the first two)")
    parser.add_argument("--subset", type=int, metavar="N", help="draw N images of the part")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default 0)")
    parser.add_argument("--resize", type=_size, metavar="HxW", help="resize before rotating")
    parser.add_argument("--rotate", type=float, default=0, metavar="DEGREES",
                        help="turn counterclockwise, bilinear, black outside (default 0)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE",
                        help="dataset file to write (.prd)")
    add_json_option(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Run `priot dataset`."""
    if not 0 <= args.seed <= 0xFFFFFFFF:
        raise PriotError("--seed", f"found {args.seed}, expected 0..4294967295")
    if not np.isfinite(args.rotate):
        raise PriotError("--rotate", f"found {args.rotate}, expected degrees")
    own_test = SOURCES[args.source].own_test
    if args.split and len(args.split) > 2 and own_test:
        raise PriotError("--split", f"{args.source} has test images of its own: "
                         "expected sizes of pretrain and train")
    images = read_part(args.source, args.path, args.part, args.split, args.resize)
    if args.subset is not None:
        images = subset(images, args.subset, args.seed)
    pixels = resize(images.pixels, *args.resize) if args.resize else images.pixels
    dataset = to_dataset(Images(rotate(pixels, args.rotate), images.labels, images.classes))
    dataset.write(args.output)
    report = {"dataset": str(args.output), "source": args.source, "part": args.part,
              "images": len(dataset), "shape": list(dataset.shape), "classes": dataset.classes,
              "rotate": args.rotate, "seed": args.seed,
              "images_per_class": np.bincount(dataset.labels, minlength=dataset.classes).tolist()}
    print(f"{args.output}: {len(dataset)} images of {'x'.join(map(str, dataset.shape))}, "
          f"{dataset.classes} classes" + (f", rotated by {args.rotate:g} degrees"
                                          if args.rotate else ""))
    write_json(args.json, report)
    return 0
