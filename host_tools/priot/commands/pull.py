"""`priot pull`: bring scores, masks, reports or any other file from a board."""

import argparse
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from priot.commands.options import add_board_options, add_json_option, choose_board
from priot.errors import PriotError
from priot.reports.json_file import write_json

RESULTS = ("*.scores", "*.adapter", "*.json")


def add_parser(subparsers: Any) -> None:
    """Add `priot pull`."""
    parser = subparsers.add_parser("pull", description=__doc__,
                                   help="bring scores, masks and reports from a board")
    parser.add_argument("name", nargs="*",
                        help="names or patterns on the board (default: " + " ".join(RESULTS) + ")")
    parser.add_argument("-o", "--output", type=Path, default=Path("."), metavar="FOLDER",
                        help="where to put them (default: here)")
    parser.add_argument("--list", action="store_true", help="only show what is on the board")
    add_board_options(parser)
    add_json_option(parser)


def main(args: argparse.Namespace) -> int:
    """Run `priot pull`."""
    if not args.output.is_dir():
        raise PriotError(args.output, "no such folder")
    patterns = [name.lstrip("/") for name in args.name]
    with choose_board(args) as board:
        entries = board.listing()
        chosen = [entry for entry in entries if args.list or any(
            fnmatch(entry.name, pattern) for pattern in patterns or RESULTS)]
        for pattern in patterns:
            if not any(fnmatch(entry.name, pattern) for entry in chosen):
                raise PriotError(pattern, "no such file on the board; 'priot pull --list' shows "
                                 "what is")
        for entry in chosen:
            if args.list:
                print(f"{entry.size:>9,}  {entry.name}")
            else:
                print(f"{board.pull(entry.name, args.output)}: {entry.size:,} bytes")
        if args.list:
            print(f"{board.free_flash():>9,}  bytes of flash are free")
    if not chosen and not args.list:
        print("nothing learned on the board yet: no " + ", ".join(RESULTS))
    write_json(args.json, {"files": [vars(entry) for entry in chosen]})
    return 0
