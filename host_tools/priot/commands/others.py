"""The options of samples that are no pictures: `dataset`, `push` and `adapt` share them."""

import argparse
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from priot.data.reading import FRAMES, MELS
from priot.errors import PriotError
from priot.network.stage import Shape

if TYPE_CHECKING:
    from priot.data.others import Others
    from priot.data.windows import Part
    from priot.formats import Dataset, Model


def words(text: str) -> tuple[str, ...]:
    """Words between commas, of an option."""
    found = tuple(word.strip() for word in text.split(","))
    if "" in found:
        raise argparse.ArgumentTypeError(f"found {text}, expected NAME or NAME,NAME,...")
    return found


def _numbers(kind: type) -> Callable[[str], tuple]:
    def parse(text: str) -> tuple:
        try:
            found = tuple(kind(word) for word in text.split(","))
        except ValueError:
            found = ()
        if not found or not all(map(isfinite, found)):
            raise argparse.ArgumentTypeError(f"found {text}, expected numbers, as 1 or 1,2,3")
        return found

    return parse


def _shape(text: str) -> Shape:
    sides = text.split("x")
    if len(sides) != 3 or not all(side.isdecimal() and 1 <= int(side) <= 65535 for side in sides):
        raise argparse.ArgumentTypeError(f"found {text}, expected CHANNELSxHEIGHTxWIDTH, "
                                         "as 1x28x28")
    return int(sides[0]), int(sides[1]), int(sides[2])


def add_other_options(parser: argparse.ArgumentParser) -> None:
    """Add the options; `others_from` makes Others of them."""
    _add_sample_options(parser)
    _add_sound_options(parser)


def _add_sample_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "samples of other kinds: tables, arrays of any numbers, time series")
    group.add_argument("--x", metavar="NAME", help="array of the samples in an .npz file "
                       "(default: x, images, data, x_train, x_test)")
    group.add_argument("--y", metavar="NAME", help="array of the labels")
    group.add_argument("--label", metavar="COLUMN", help="column of the labels in a table, by "
                       "its name, or its number from 1 where there are no names (default: label, "
                       "class, target or y)")
    group.add_argument("--columns", type=words, default=(), metavar="COLUMN,...",
                       help="columns of a table that are values (default: all others)")
    group.add_argument("--group", metavar="COLUMN", help="column or array that says of whom a "
                       "sample is: parts (--split, --leave) share none, --split counts groups")
    group.add_argument("--series", metavar="COLUMN", help="column or array that numbers the "
                       "recordings: no window lies in two")
    group.add_argument("--window", type=int, metavar="ROWS", help="cut time series, a row a "
                       "moment, into windows of so many rows: samples of CHANNELSx1xROWS")
    group.add_argument("--hop", type=int, metavar="ROWS",
                       help="from one window to the next (default: a window)")
    group.add_argument("--shape", type=_shape, metavar="CxHxW", help="of a sample (default: as it "
                       "is, that of --for)")
    group.add_argument("--counts", type=_numbers(float), default=(), metavar="N[,N...]",
                       help="what the board's sensor reads for 1 of the file's unit, of all "
                       "channels or of each: values are scaled as readings")
    group.add_argument("--scale", type=_numbers(float), default=(), metavar="S[,S...]",
                       help="a value is round(x / S) + Z, of all channels or of each; "
                       "--range LOW HIGH says the ends instead")
    group.add_argument("--zero", type=_numbers(int), default=(), metavar="Z[,Z...]",
                       help="Z of --scale (default 0)")
    group.add_argument("--standardise", "--standardize", action="store_true",
                       help="scale each channel by the mean and deviation of these samples, "
                       "127 is 4 deviations (default of tables and time series)")


def _add_sound_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "sound: a folder of wav files", "in a folder for each class, or named "
        "CLASS_SPEAKER_NUMBER.wav; --leave and --split keep speakers apart, --hop N is the "
        "samples from one column to the next (default: 16 ms); --for a model of sound, none of "
        "these is needed")
    group.add_argument("--rate", type=int, metavar="N", help="samples a second; files of another "
                       "rate are converted (default: that of the files)")
    group.add_argument("--frames", type=int, metavar="N",
                       help=f"columns of a sample (default {FRAMES})")
    group.add_argument("--mels", type=int, metavar="N",
                       help=f"bands of frequencies (default {MELS})")


def others_from(args: argparse.Namespace, labels: Path | None = None, part: "Part | None" = None,
                n: int | None = None, seed: int = 0) -> "Others":
    """What the options ask for. Raises PriotError.

    labels, part, n, seed: see Wanted.
    """
    # numpy and scipy come with these, which `--help` needs not
    from priot.data.numbers import Columns
    from priot.data.others import Others
    from priot.data.recordings import Sound
    from priot.data.samples import Wanted
    from priot.data.windows import Part

    for option in ("window", "hop"):
        value = getattr(args, option)
        if value is not None and not 1 <= value <= 65535:
            raise PriotError(f"--{option}", f"found {value}, expected 1..65535")
    if any(count == 0 for count in args.counts):
        raise PriotError("--counts", "found 0, expected other numbers")
    wanted = Wanted(Columns(args.x, args.y, args.label, args.columns, args.group, args.series),
                    labels, args.window, args.hop, part or Part(), args.counts, args.scale,
                    args.zero, args.standardise, args.shape, n, seed)
    return Others(wanted, Sound(args.rate, args.frames, args.mels, args.hop),
                  _of_pictures(args))


def _of_pictures(args: argparse.Namespace) -> str:
    """The first option given that only pictures have."""
    for option, given in (("--rotate", getattr(args, "rotate", 0)), ("--resize", args.resize),
                          (f"--{args.fit}", args.fit), ("--grey", args.grey is not None),
                          ("--invert", args.invert), ("--background", args.background),
                          ("--layout", args.layout)):
        if given:
            return option
    return ""


def made_for(path: Path | None) -> "Model | Dataset | None":
    """The model or dataset that says what shape its samples have and what their values mean."""
    from priot.formats import Dataset, Model, read_magic

    if path is None:
        return None
    magic = read_magic(path)
    return (Model.read(path) if magic == b"PRIM" else
            Dataset.read(path) if magic == b"PRID" else None)
