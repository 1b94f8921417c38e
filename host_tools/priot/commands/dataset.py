"""`priot dataset`: a dataset file of upright or rotated images from one of several sources."""

import argparse
from pathlib import Path

import numpy as np

from priot.commands.options import add_json_option
from priot.commands.reading import add_reading_options, reading_from
from priot.data.prepare import PARTS, prepare, summary
from priot.data.samples import samples_for
from priot.data.sources import SOURCES, source_of
from priot.errors import PriotError
from priot.formats import Model, read_magic
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
        "dataset", help="make a dataset file from digits, MNIST, arrays or image folders",
        description="Make a dataset file (.prd): images of 0..127 with labels.")
    parser.add_argument("source", help="digits; or a folder or file, alone or after what it is: "
                        + "; ".join(f"{name}: {source.needs}" for name, source in SOURCES.items()
                                    if source.needs))
    parser.add_argument("path", type=Path, nargs="?", help="folder or file after its kind")
    parser.add_argument("--part", choices=PARTS,
                        help="pretrain: for the backbone; train: to adapt it; test: to measure")
    parser.add_argument("--split", type=_split, metavar="N,N[,N]",
                        help="images in the parts pretrain, train and test, for example "
                        "900,448,449 (sources with test images of their own: the first two)")
    parser.add_argument("--subset", type=int, metavar="N", help="draw N images of the part")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default 0)")
    parser.add_argument("--rotate", type=float, default=0, metavar="DEGREES",
                        help="turn counterclockwise, bilinear, black outside (default 0)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE",
                        help="dataset file to write (.prd)")
    add_reading_options(parser)
    add_json_option(parser)
    return parser


def _source(args: argparse.Namespace) -> tuple[str, Path | None]:
    """The kind of source and where it lies. Raises PriotError, OSError."""
    if args.source in SOURCES:
        return args.source, args.path
    if args.path is not None:
        raise PriotError(args.source, f"expected one of {', '.join(SOURCES)} before {args.path}")
    if not Path(args.source).exists() and not {".", "/"} & set(args.source):
        raise PriotError(args.source, f"no folder or file, and none of {', '.join(SOURCES)}")
    return source_of(Path(args.source)), Path(args.source)


def _scaled(path: Path | None) -> Model | None:
    """The model that says what raw numbers its values stand for, if `path` is one."""
    if path is None or read_magic(path) != b"PRIM":
        return None
    model = Model.read(path)
    return model if model.scale else None


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

    model = _scaled(args.made_for) if source == "arrays" else None
    if model is not None and path is not None:
        if args.part or args.split or args.subset or args.rotate or args.range:
            raise PriotError("--for", f"{args.made_for} says what its values are: leave out "
                             "--part, --split, --subset, --rotate and --range")
        dataset = samples_for(path, model)
    else:
        dataset = prepare(source, path, args.part, args.split, None, args.rotate, args.subset,
                          args.seed, reading_from(args, say))
    dataset.write(args.output)
    report = {"dataset": str(args.output), "source": source, "part": args.part,
              "images": len(dataset), "shape": list(dataset.shape), "classes": dataset.classes,
              "rotate": args.rotate, "seed": args.seed,
              "images_per_class": np.bincount(dataset.labels, minlength=dataset.classes).tolist(),
              "names": list(dataset.names), "notes": notes}
    print(summary(args.output, dataset, args.rotate))
    write_json(args.json, report)
    return 0
