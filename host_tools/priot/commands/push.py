"""`priot push`: copy datasets to a board, or add samples to one that is there.

An interrupted copy goes on where it ended when the command is repeated.
"""

import argparse
from pathlib import Path
from typing import Any

from priot.commands.options import add_board_options, add_json_option, choose_board
from priot.commands.reading import add_reading_options, reading_from
from priot.errors import PriotError
from priot.reports.json_file import write_json


def add_parser(subparsers: Any) -> None:
    """Add `priot push`."""
    parser = subparsers.add_parser("push", help="copy datasets to a board", description=__doc__)
    parser.add_argument("source", type=Path, nargs="+",
                        help="dataset file (.prd), arrays x and y (.npz), or a folder with one "
                        "folder of images per class")
    parser.add_argument("--name", help="name on the board (default: the source's, with .prd)")
    parser.add_argument("--append", metavar="NAME",
                        help="add the samples to this dataset on the board instead")
    add_reading_options(parser)
    add_board_options(parser)
    add_json_option(parser)


def main(args: argparse.Namespace) -> int:
    """Run `priot push`."""
    if args.name and (len(args.source) > 1 or args.append):
        raise PriotError("--name", "goes with one source and without --append")
    report: dict[str, Any] = {"files": []}
    reading = reading_from(args)
    with choose_board(args) as board:
        for source in args.source:
            if args.append:
                samples = board.append(args.append, source, reading=reading)
                report["files"].append({"path": args.append, "samples": samples})
                print(f"{args.append}: {samples} samples")
            else:
                copied = board.push(source, name=args.name, reading=reading)
                report["files"].append(vars(copied))
                state = "copied" if copied.sent else "was there"
                print(f"{copied.path}: {copied.size:,} bytes {state}")
        report["flash_free_bytes"] = board.free_flash()
    print(f"free: {report['flash_free_bytes']:,} bytes of flash")
    write_json(args.json, report)
    return 0
