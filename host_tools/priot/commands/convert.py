"""`priot convert`: a file of version 1 as one of today."""

import argparse
from pathlib import Path

from priot.commands.options import add_json_option
from priot.formats.convert import convert
from priot.reports.json_file import write_json


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add `convert` to the subcommands."""
    parser = subparsers.add_parser(
        "convert", help="make a file of today of one of an older version",
        description="Convert a model, dataset or adapter file of version 1: the same weights, "
                    "samples and parameters.")
    parser.add_argument("file", type=Path, help="a .priot, .prd, .scores or .adapter file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE",
                        help="file to write; the same name replaces the file")
    parser.add_argument("--model", type=Path, metavar="OLD_MODEL",
                        help="of an adapter: its backbone, a file of version 1 too")
    add_json_option(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Run `priot convert`."""
    kind = convert(args.file, args.output, args.model)
    print(f"{args.output}: {kind}")
    write_json(args.json, {"file": str(args.file), "output": str(args.output), "kind": kind})
    return 0
