"""The options that say how pictures and arrays become a dataset; `dataset` and `push` share them.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from priot.data.reading import LAYOUTS, Colour, Reading, Size
from priot.errors import PriotError


def _size(text: str) -> Size:
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and 1 <= int(height) <= 4096
            and 1 <= int(width) <= 4096):
        raise argparse.ArgumentTypeError(f"found {text}, expected HEIGHTxWIDTH, as 28x28")
    return int(height), int(width)


def _colour(text: str) -> Colour:
    from PIL import ImageColor  # here: `push` of a dataset file needs no Pillow

    try:
        red, green, blue, *_ = ImageColor.getrgb(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text}, expected a colour, as white or "
                                         "#ff8000") from None
    return red, green, blue


def _classes(text: str) -> int | tuple[str, ...]:
    if text.isdecimal():
        return int(text)
    names = tuple(name.strip() for name in text.split(","))
    if len(names) < 2 or "" in names:
        raise argparse.ArgumentTypeError(f"found {text}, expected a number, or the names of all "
                                         "classes, as cat,dog,owl")
    return names


def add_reading_options(parser: argparse.ArgumentParser, pictures: bool = False) -> None:
    """Add the options; `reading_from` makes a Reading of them.

    pictures: without those for arrays, and without --for: there is a model.
    """
    group = parser.add_argument_group(
        "how pictures and arrays are read",
        "what is not given is decided by rule, and a line says how")
    if not pictures:
        group.add_argument("--for", type=Path, metavar="FILE", dest="made_for",
                           help="a model, dataset or adapter file the images are made for: they "
                           "get its classes' numbers, and its size and channels")
    group.add_argument("--classes", "--names", type=_classes, metavar="N|NAME,NAME,...",
                       help="number of classes, where the labels do not reach the last one, or "
                       "the names of all in the order of their numbers (default: the folders, "
                       "2 before 10)")
    group.add_argument("--resize", "--size", type=_size, metavar="HxW", dest="resize",
                       help="bring images to this size, before rotating")
    fit = group.add_mutually_exclusive_group()
    fit.add_argument("--crop", action="store_const", const="crop", dest="fit",
                     help="keep proportions: cut off what protrudes (default: stretch)")
    fit.add_argument("--fit", action="store_const", const="fit", dest="fit",
                     help="keep proportions: add background around")
    group.add_argument("--grey", action=argparse.BooleanOptionalAction,
                       help="one channel, or three (default: one where all pictures are grey)")
    group.add_argument("--invert", action="store_true", help="make black white")
    group.add_argument("--background", type=_colour, metavar="COLOUR",
                       help="behind transparent pictures and around those of --fit, a name or "
                       "#rrggbb (default white; around arrays black)")
    group.add_argument("--range", type=float, nargs=2, metavar=("LOW", "HIGH"),
                       help="values that are black and white (default by rule: 0..1, 0..16, "
                       "0..255, ... the first that holds all, or -1..1)")
    if not pictures:
        group.add_argument("--layout", choices=LAYOUTS,
                           help="of arrays of 4 axes: channels last or first, rgba with "
                           "transparency (default: an axis of 1 or 3, else the shorter one)")
    group.add_argument("--skip-bad", action="store_true",
                       help="leave out pictures that cannot be read")


def reading_from(args: argparse.Namespace, say: Callable[[str], object] = print) -> Reading:
    """What the options ask for. Raises PriotError, OSError."""
    # numpy comes with these, which `--help` needs not
    from priot.data.classes import class_names, known_classes

    names: tuple[str, ...] = ()
    classes = size = channels = None
    if args.made_for:
        classes, names, shape = known_classes(args.made_for)
        if shape is not None:
            channels, size = shape[0], shape[1:]
    if isinstance(args.classes, int):
        if not 2 <= args.classes <= 256:
            raise PriotError("--classes", f"found {args.classes}, expected 2..256")
        if names and args.classes != len(names):
            raise PriotError("--classes", f"{args.made_for} has {len(names)}")
        classes = args.classes
    elif args.classes:
        given = class_names(args.classes, "--classes")
        if names and names != given:
            raise PriotError("--classes", f"differ from those of {args.made_for}: "
                             f"{', '.join(names)}")
        if classes is not None and len(given) > classes:
            raise PriotError("--classes", f"found {len(given)}, expected at most {classes} as "
                             f"{args.made_for} has")
        names = given
    if args.grey is not None:
        wanted = 1 if args.grey else 3
        if channels not in (None, wanted):
            raise PriotError("--grey" if args.grey else "--no-grey",
                             f"{args.made_for} takes {channels} channels")
        channels = wanted
    if args.resize and size not in (None, args.resize):
        raise PriotError("--resize", f"{args.made_for} takes {'x'.join(map(str, size))}")
    if args.range and not 0 < abs(args.range[0] - args.range[1]) < 1e30:
        raise PriotError("--range", f"found {args.range[0]:g} {args.range[1]:g}, expected two "
                         "numbers: black and white")
    return Reading(args.resize or size, args.fit or "stretch", channels, args.invert,
                   args.background, tuple(args.range) if args.range else None, args.layout,
                   classes, names, args.skip_bad, say=say)
