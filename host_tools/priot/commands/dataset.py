"""`priot dataset`: a dataset file of upright or rotated images from one of several sources."""

import argparse
from pathlib import Path

import numpy as np

from priot.commands.options import add_json_option
from priot.data.prepare import PARTS, prepare, summary
from priot.data.sources import SOURCES, Size
from priot.errors import PriotError
from priot.reports.json_file import write_json


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
    dataset = prepare(args.source, args.path, args.part, args.split, args.resize, args.rotate,
                      args.subset, args.seed)
    dataset.write(args.output)
    report = {"dataset": str(args.output), "source": args.source, "part": args.part,
              "images": len(dataset), "shape": list(dataset.shape), "classes": dataset.classes,
              "rotate": args.rotate, "seed": args.seed,
              "images_per_class": np.bincount(dataset.labels, minlength=dataset.classes).tolist()}
    print(summary(args.output, dataset, args.rotate))
    write_json(args.json, report)
    return 0
