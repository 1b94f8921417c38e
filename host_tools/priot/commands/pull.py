"""`priot pull`: bring scores, masks, reports or any other file from a board."""

import argparse
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from priot.commands.options import add_board_options, add_json_option, choose_board
from priot.errors import PriotError
from priot.planning.names import host_path
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


def _replaced(target: Path, pulled: list[Path]) -> bytes | None:
    """What a file of the board replaces here; None: nothing. Raises PriotError where it may not.

    To some file systems names that differ in the case of letters are one.
    """
    if not target.exists():
        return None
    for other in pulled:
        if target.samefile(other):
            raise PriotError(target, f"is {other} here, which was just brought: bring them to "
                             "different folders")
    if target.is_dir():
        raise PriotError(target, "is a folder")
    return target.read_bytes()


def main(args: argparse.Namespace) -> int:
    """Run `priot pull`."""
    if not args.output.is_dir():
        raise PriotError(args.output, "no such folder")
    patterns = [name.lstrip("/") for name in args.name]
    pulled: list[Path] = []
    with choose_board(args) as board:
        entries = board.listing()
        chosen = [entry for entry in entries if args.list or any(
            fnmatchcase(entry.name, pattern) for pattern in patterns or RESULTS)]
        for pattern in patterns:
            if not any(fnmatchcase(entry.name, pattern) for entry in chosen):
                raise PriotError(pattern, "no such file on the board; 'priot pull --list' shows "
                                 "what is")
        for entry in chosen:
            if args.list:
                print(f"{entry.size:>9,}  {entry.name}")
            else:
                target = host_path(args.output, entry.name)
                before = _replaced(target, pulled)
                pulled.append(board.pull(entry.name, target))
                is_other = before is not None and before != target.read_bytes()
                print(f"{target}: {entry.size:,} bytes"
                      + (", replaced another" if is_other else ""))
        if args.list:
            print(f"{board.free_flash():>9,}  bytes of flash are free")
    if not chosen and not args.list:
        print("nothing learned on the board yet: no " + ", ".join(RESULTS))
    write_json(args.json, {"files": [vars(entry) for entry in chosen]})
    return 0
