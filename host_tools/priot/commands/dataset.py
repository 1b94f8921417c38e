"""`priot dataset`: a dataset file of images or other samples from one of several sources."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from priot.commands.options import add_json_option
from priot.commands.others import add_other_options, made_for, others_from, words
from priot.commands.reading import add_reading_options, reading_from
from priot.data.others import TABLES, read_others
from priot.data.prepare import PARTS, prepare, summary
from priot.data.reading import Reading
from priot.data.sources import SOURCES, source_of
from priot.data.windows import Part
from priot.errors import PriotError
from priot.formats import Dataset
from priot.reports.json_file import write_json


def _split(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if len(words) > len(PARTS) or not all(word.isdecimal() and int(word) for word in words):
        raise argparse.ArgumentTypeError(f"found {text}, expected sizes of the parts "
                                         f"{', '.join(PARTS)}, as 900,448,449")
    return tuple(map(int, words))


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
    parser.add_argument("--leave", type=words, default=(), metavar="GROUP[,GROUP]",
                        help="these groups are --part test, all others --part train (or pretrain)")
    parser.add_argument("--subset", type=int, metavar="N", help="draw N images of the part")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default 0)")
    parser.add_argument("--rotate", type=float, default=0, metavar="DEGREES",
                        help="turn counterclockwise, bilinear, black outside (default 0)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE",
                        help="dataset file to write (.prd)")
    add_reading_options(parser)
    add_other_options(parser)
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

    reading = reading_from(args, say)
    is_said = args.source in SOURCES
    others = others_from(args, None if is_said else args.path,
                         Part(args.part, args.split or (), args.leave), args.subset, args.seed)
    dataset = read_others(path, others, reading, made_for(args.made_for),
                          source if is_said else None)
    if dataset is None:
        dataset = _images(source, path, args, reading)
    dataset.write(args.output)
    report = {"dataset": str(args.output), "source": source, "part": args.part,
              "images": len(dataset), "shape": list(dataset.shape), "classes": dataset.classes,
              "rotate": args.rotate, "seed": args.seed,
              "images_per_class": np.bincount(dataset.labels, minlength=dataset.classes).tolist(),
              "names": list(dataset.names), "notes": notes}
    print(summary(args.output, dataset, args.rotate))
    write_json(args.json, report)
    return 0


def _images(source: str, path: Path | None, args: argparse.Namespace, reading: Reading) -> Dataset:
    labels = args.path if args.source not in SOURCES else None
    reading = replace(reading, x=args.x, y=args.y, labels=labels)
    return prepare(source, path, args.part, args.split, None, args.rotate, args.subset, args.seed,
                   reading)
