"""`priot adapt`: adapt a model to a folder of pictures, recordings or a table, the whole way.

Divides the samples into those to learn and those to test, makes datasets of them, plans, copies
what the board lacks, trains by the method that the plan recommends, keeps what was learned here
and there, makes a page to look at, and says what to type to use it. A repeat goes on from what is
there; training begins anew, or with --resume from what was learned.
"""

import argparse
from pathlib import Path
from typing import Any

from priot.commands.options import (
    add_target_options,
    add_training_options,
    choose_target,
    options_from,
)
from priot.commands.others import add_other_options, others_from
from priot.commands.reading import add_reading_options, reading_from
from priot.errors import PriotError
from priot.jobs.protocol import PICO_HEAP_BYTES


def add_parser(subparsers: Any) -> None:
    """Add `priot adapt`."""
    parser = subparsers.add_parser(
        "adapt", help="adapt a model to class folders of pictures or sound, or a table, the "
        "whole way",
        description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder of pictures, or of wav files, for "
                        "each class; or two such folders, train and test; or a table (.csv, .tsv) "
                        "or arrays of numbers (.npz)")
    parser.add_argument("--model", type=Path, required=True, help="model file (.priot)")
    parser.add_argument("--test", type=Path, metavar="FOLDER",
                        help="what to test with, a folder or file as that to learn (default: some "
                        "of that)")
    parser.add_argument("--split", type=int, default=25, metavar="PERCENT",
                        help="of the samples of each class that are tested (default 25)")
    parser.add_argument("--split-seed", type=int, default=0, metavar="N",
                        help="which ones (default 0)")
    parser.add_argument("--add-class", action="append", default=[], metavar="NAME", dest="add",
                        help="take a spare output of the model for a new class; may be repeated")
    parser.add_argument("--epochs", type=int, default=30,
                        help="in all, those of earlier runs included (default 30)")
    parser.add_argument("--balance", action="store_true",
                        help="every class equally often, however many samples it has")
    parser.add_argument("--resume", action="store_true",
                        help="go on from what an earlier run has learned")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER",
                        help="where datasets and results go (default: NAME-adapted, here)")
    parser.add_argument("--name", help="begins the names of the files, here and on the board "
                        "(default: the folder's)")
    add_reading_options(parser, pictures=True)
    add_other_options(parser)
    add_training_options(parser, advised=True)
    add_target_options(parser)


def main(args: argparse.Namespace) -> int:
    """Run `priot adapt`."""
    # scipy and Pillow come with it, which `--help` needs not
    from priot.adapting.adapt import Adaptation, adapt
    from priot.adapting.datasets import Pictures

    for name, low, high in (("split", 1, 90), ("split_seed", 0, 0xFFFFFFFF), ("epochs", 1, 65535)):
        if not low <= getattr(args, name) <= high:
            raise PriotError(f"--{name.replace('_', '-')}", f"found {getattr(args, name)}, "
                             f"expected {low}..{high}")
    if args.add and args.classes:
        raise PriotError("--classes", "goes without --add-class: the classes are the model's and "
                         "those added")
    folder = args.folder.resolve()
    name = args.name or (folder.stem if folder.is_file() else folder.name)
    read = argparse.Namespace(**{**vars(args), "made_for": args.model, "layout": None})
    reading = reading_from(read)
    wanted = Adaptation(
        Pictures(args.folder, args.test, args.split, args.split_seed,
                 others_from(read)), args.model,
        args.output or Path(f"{name}-adapted"), name, args.add, args.method, options_from(args),
        args.epochs, args.backend, args.heap or PICO_HEAP_BYTES, args.stream, args.balance,
        args.resume)
    report = adapt(wanted, choose_target(args), reading, args.words)
    return 0 if report["finished"] else 130
