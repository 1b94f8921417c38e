"""`priot push`: copy datasets to a board, or add samples to one that is there.

An interrupted copy goes on where it ended when the command is repeated.
"""

import argparse
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from priot.board import BoardGone
from priot.commands.options import add_board_options, add_json_option, choose_board
from priot.commands.others import add_other_options, made_for, others_from
from priot.commands.reading import add_reading_options, reading_from
from priot.data.as_dataset import Source
from priot.data.reading import Reading
from priot.errors import PriotError
from priot.formats import Dataset
from priot.planning.names import Names, dataset_path
from priot.reports.json_file import write_json


def add_parser(subparsers: Any) -> None:
    """Add `priot push`."""
    parser = subparsers.add_parser("push", help="copy datasets to a board", description=__doc__)
    parser.add_argument("source", type=Path, nargs="+",
                        help="dataset file (.prd), arrays x and y (.npz), a table (.csv, .tsv), "
                        "or a folder with one folder of images or wav files per class: as "
                        "'priot dataset' takes them")
    parser.add_argument("--name", help="name on the board (default: the source's, with .prd)")
    parser.add_argument("--append", metavar="NAME",
                        help="add the samples to this dataset on the board instead")
    add_reading_options(parser)
    add_other_options(parser)
    add_board_options(parser)
    add_json_option(parser)


def _read(source: Path, args: argparse.Namespace, reading: Reading) -> Dataset | Path:
    """Samples that are no pictures; all else is left to the board's own reader."""
    if source.suffix == ".prd" and not any(getattr(args, name) for name in (
            "window", "hop", "counts", "scale", "zero", "standardise", "shape", "group")):
        return source  # scipy is not wanted for it
    from priot.data.others import read_others

    return read_others(source, others_from(args), reading, made_for(args.made_for)) or source


def main(args: argparse.Namespace) -> int:
    """Run `priot push`."""
    if args.name and (len(args.source) > 1 or args.append):
        raise PriotError("--name", "goes with one source and without --append")
    report: dict[str, Any] = {"files": []}
    names = Names()
    for source in args.source if not (args.append or args.name) else ():
        names.give(dataset_path(source), source)
    reading = replace(reading_from(args), x=args.x, y=args.y)
    given: list[Source] = [_read(source, args, reading) for source in args.source]
    with choose_board(args) as board:
        if args.append:
            # all together: a repeat of what failed between two would add the first one again
            samples = board.append(args.append, given, reading=reading)
            report["files"].append({"path": args.append, "samples": samples})
            print(f"{args.append}: {samples} samples")
        for source, read in zip(args.source, given, strict=True) if not args.append else ():
            copied = board.push(read, name=args.name or dataset_path(source), reading=reading)
            report["files"].append(vars(copied))
            print(f"{copied.path}: {copied.size:,} bytes {copied.state}")
        with contextlib.suppress(BoardGone):  # what was asked for is done
            report["flash_free_bytes"] = board.free_flash()
            print(f"free: {report['flash_free_bytes']:,} bytes of flash")
    write_json(args.json, report)
    return 0
