"""`priot report`: a page to look at, of a training run or of an experiment."""

import argparse
from pathlib import Path
from typing import Any

from priot.errors import PriotError
from priot.formats.container import write_file
from priot.reports.json_file import check_report


def add_parser(subparsers: Any) -> None:
    """Add `priot report`."""
    parser = subparsers.add_parser("report", description=__doc__,
                                   help="make a page of a training run or an experiment")
    parser.add_argument("source", type=Path, metavar="REPORT",
                        help="what 'priot train --json' wrote, or the results of an experiment "
                        "(.jsonl)")
    parser.add_argument("-o", "--output", type=Path, metavar="HTML",
                        help="default: beside the report, under its name")
    parser.add_argument("--test", type=Path, metavar="FILE",
                        help="where the test dataset lies now, for the images")


def main(args: argparse.Namespace) -> int:
    """Run `priot report`."""
    source, output = args.source, args.output or args.source.with_suffix(".html")
    if output.suffix.lower() not in (".html", ".htm"):
        raise PriotError(output, "expected a name that ends in .html")
    check_report(output)
    if source.suffix == ".jsonl":
        from priot.experiments.page import experiment_page

        if args.test is not None:
            raise PriotError("--test", "is for a training run; an experiment has no images")
        page = experiment_page(source)
    else:
        from priot.reports.run_page import run_page

        page = run_page(source, args.test)
    write_file(output, page.encode())
    print(f"written: {output}")
    return 0
