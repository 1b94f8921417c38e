"""`priot dataset`: a dataset file of images or other samples from one of several sources."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from priot.commands.options import add_json_option
from priot.commands.reading import add_reading_options, reading_from
from priot.data.numbers import Columns
from priot.data.prepare import PARTS, prepare, summary
from priot.data.reading import Reading
from priot.data.recordings import Sound, is_sound, prepare_sound
from priot.data.samples import READERS, Wanted, prepare_samples
from priot.data.scaling import scaling_of
from priot.data.sources import SOURCES, source_of
from priot.data.windows import Part
from priot.errors import PriotError
from priot.formats import Dataset, Model, read_magic
from priot.network.stage import Shape
from priot.reports.json_file import write_json

TABLES = tuple(ending for ending in READERS if ending != ".prd")


def _split(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if len(words) > len(PARTS) or not all(word.isdecimal() and int(word) for word in words):
        raise argparse.ArgumentTypeError(f"found {text}, expected sizes of the parts "
                                         f"{', '.join(PARTS)}, as 900,448,449")
    return tuple(map(int, words))


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    if "" in words:
        raise argparse.ArgumentTypeError(f"found {text}, expected NAME or NAME,NAME,...")
    return words


def _numbers(kind: type) -> Callable[[str], tuple]:
    def parse(text: str) -> tuple:
        try:
            found = tuple(kind(word) for word in text.split(","))
        except ValueError:
            found = ()
        if not found or not np.isfinite(found).all():
            raise argparse.ArgumentTypeError(f"found {text}, expected numbers, as 1 or 1,2,3")
        return found

    return parse


def _shape(text: str) -> Shape:
    sides = text.split("x")
    if len(sides) != 3 or not all(side.isdecimal() and 1 <= int(side) <= 65535 for side in sides):
        raise argparse.ArgumentTypeError(f"found {text}, expected CHANNELSxHEIGHTxWIDTH, "
                                         "as 1x28x28")
    return int(sides[0]), int(sides[1]), int(sides[2])


def _add_sample_options(parser: argparse.ArgumentParser) -> None:
    """Of samples that are no pictures; `_wanted` makes a Wanted of them."""
    group = parser.add_argument_group(
        "samples of other kinds: tables, arrays of any numbers, time series")
    group.add_argument("--x", metavar="NAME", help="array of the samples in an .npz file "
                       "(default: x, images, data, x_train, x_test)")
    group.add_argument("--y", metavar="NAME", help="array of the labels")
    group.add_argument("--label", metavar="COLUMN", help="column of the labels in a table, by "
                       "its name, or its number from 1 where there are no names (default: label, "
                       "class, target or y)")
    group.add_argument("--columns", type=_words, default=(), metavar="COLUMN,...",
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
    """Of recordings; `_sound` makes a dataset of them."""
    usual = Sound()
    group = parser.add_argument_group(
        "sound: a folder of wav files", "in a folder for each class, or named "
        "CLASS_SPEAKER_NUMBER.wav; --leave and --split keep speakers apart, --hop N is the "
        "samples from one column to the next (default: 16 ms)")
    group.add_argument("--rate", type=int, metavar="N", help="samples a second; files of another "
                       "rate are converted (default: that of the files)")
    group.add_argument("--frames", type=int, default=usual.columns, metavar="N",
                       help=f"columns of a sample (default {usual.columns})")
    group.add_argument("--mels", type=int, default=usual.mels, metavar="N",
                       help=f"bands of frequencies (default {usual.mels})")


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add `dataset` to the subcommands."""
    parser = subparsers.add_parser(
        "dataset", help="make a dataset file from digits, MNIST, arrays, tables or image folders",
        description="Make a dataset file (.prd): images of 0..127, or other samples, with labels.")
    parser.add_argument("source", help="digits; or a folder or file, alone or after what it is: "
                        + "; ".join(f"{name}: {source.needs}" for name, source in SOURCES.items()
                                    if source.needs) + f"; or a table ({', '.join(TABLES)})")
    parser.add_argument("path", type=Path, nargs="?", help="folder or file after its kind; the "
                        "labels after an .npy file of samples")
    parser.add_argument("--part", choices=PARTS,
                        help="pretrain: for the backbone; train: to adapt it; test: to measure")
    parser.add_argument("--split", type=_split, metavar="N,N[,N]",
                        help="images in the parts pretrain, train and test, for example "
                        "900,448,449 (sources with test images of their own: the first two)")
    parser.add_argument("--leave", type=_words, default=(), metavar="GROUP[,GROUP]",
                        help="these groups are --part test, all others --part train (or pretrain)")
    parser.add_argument("--subset", type=int, metavar="N", help="draw N images of the part")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default 0)")
    parser.add_argument("--rotate", type=float, default=0, metavar="DEGREES",
                        help="turn counterclockwise, bilinear, black outside (default 0)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE",
                        help="dataset file to write (.prd)")
    add_reading_options(parser)
    _add_sample_options(parser)
    _add_sound_options(parser)
    add_json_option(parser)
    return parser


def _source(args: argparse.Namespace) -> tuple[str, Path | None]:
    """The kind of source and where it lies. Raises PriotError, OSError."""
    if args.source in SOURCES:
        return args.source, args.path
    found = Path(args.source)
    if args.path is not None and found.suffix.lower() != ".npy":
        raise PriotError(args.source, f"expected one of {', '.join(SOURCES)} before {args.path}")
    if not found.exists() and not {".", "/"} & set(args.source):
        raise PriotError(args.source, f"no folder or file, and none of {', '.join(SOURCES)}")
    return source_of(found), found


def _made_for(path: Path | None) -> Model | Dataset | None:
    """The model or dataset that says what shape its samples have and what their values mean."""
    if path is None:
        return None
    magic = read_magic(path)
    return (Model.read(path) if magic == b"PRIM" else
            Dataset.read(path) if magic == b"PRID" else None)


def _wanted(args: argparse.Namespace) -> Wanted:
    """What the options ask for of samples that are no pictures. Raises PriotError."""
    if args.hop is not None and args.window is None:
        raise PriotError("--hop", "goes with --window")
    for option in ("window", "hop"):
        value = getattr(args, option)
        if value is not None and not 1 <= value <= 65535:
            raise PriotError(f"--{option}", f"found {value}, expected 1..65535")
    if any(count == 0 for count in args.counts):
        raise PriotError("--counts", "found 0, expected other numbers")
    part = Part(args.part, args.split or (), args.leave)
    return Wanted(Columns(args.x, args.y, args.label, args.columns, args.group, args.series),
                  args.path if args.source not in SOURCES else None, args.window, args.hop, part,
                  args.counts, args.scale, args.zero, args.standardise, args.shape, args.subset,
                  args.seed)


def _refuse_pictures(args: argparse.Namespace, path: Path) -> None:
    """Raise PriotError for an option that only pictures have."""
    for option, given in (("--rotate", args.rotate), ("--resize", args.resize),
                          (f"--{args.fit}", args.fit), ("--grey", args.grey is not None),
                          ("--invert", args.invert), ("--background", args.background),
                          ("--layout", args.layout)):
        if given:
            raise PriotError(option, f"is for pictures, {path} has other samples")


def main(args: argparse.Namespace) -> int:
    """Run `priot dataset`."""
    if not 0 <= args.seed <= 0xFFFFFFFF:
        raise PriotError("--seed", f"found {args.seed}, expected 0..4294967295")
    if not np.isfinite(args.rotate):
        raise PriotError("--rotate", f"found {args.rotate}, expected degrees")
    source, path = _source(args)
    if args.split and len(args.split) > 2 and SOURCES[source].own_test:
        raise PriotError("--split", f"{source} has test images of its own: "
                         "expected sizes of pretrain and train")
    notes: list[str] = []

    def say(line: str) -> None:
        notes.append(line)
        print(line)

    like = _made_for(args.made_for)
    if is_sound(path) and args.source not in SOURCES and path is not None:
        dataset = _sound(path, args, reading_from(args, say), like)
    else:
        dataset = _pictures_or_samples(source, path, args, reading_from(args, say), like)
    dataset.write(args.output)
    report = {"dataset": str(args.output), "source": source, "part": args.part,
              "images": len(dataset), "shape": list(dataset.shape), "classes": dataset.classes,
              "rotate": args.rotate, "seed": args.seed,
              "images_per_class": np.bincount(dataset.labels, minlength=dataset.classes).tolist(),
              "names": list(dataset.names), "notes": notes}
    print(summary(args.output, dataset, args.rotate))
    write_json(args.json, report)
    return 0


def _sound(path: Path, args: argparse.Namespace, reading: Reading,
           like: Model | Dataset | None) -> Dataset:
    _refuse_pictures(args, path)
    hop = 0 if args.hop is None else args.hop
    if args.hop is not None and hop < 1:
        raise PriotError("--hop", f"found {hop}, expected 1 or more samples")
    return prepare_sound(path, Sound(args.rate, args.frames, args.mels, hop),
                         Part(args.part, args.split or (), args.leave), reading, like,
                         args.subset, args.seed)


def _pictures_or_samples(source: str, path: Path | None, args: argparse.Namespace,
                         reading: Reading, like: Model | Dataset | None) -> Dataset:
    wanted = _wanted(args)
    if _are_samples(source, path, wanted, like) and path is not None:
        _refuse_pictures(args, path)
        return prepare_samples(path, wanted, reading, like)
    if args.label or args.columns or args.series:
        raise PriotError("--label, --columns, --series", f"are of tables, which {source} is not")
    return _images(source, path, args, reading)


def _are_samples(source: str, path: Path | None, wanted: Wanted,
                 like: Model | Dataset | None) -> bool:
    """Whether a source is taken as samples of numbers, not as pictures. Raises PriotError."""
    if path is not None and path.suffix.lower() in TABLES and source == "arrays":
        return True
    if source == "arrays":
        return wanted.asks or (like is not None and scaling_of(like) is not None)
    if wanted.asks:
        raise PriotError(source, "has pictures: --window, --shape, --scale, --zero, --counts, "
                         "--standardise, --group and --leave are for tables and arrays")
    return False


def _images(source: str, path: Path | None, args: argparse.Namespace, reading: Reading) -> Dataset:
    labels = args.path if args.source not in SOURCES else None
    reading = replace(reading, x=args.x, y=args.y, labels=labels)
    return prepare(source, path, args.part, args.split, None, args.rotate, args.subset, args.seed,
                   reading)
