"""`priot evaluate`: measure a model, adapted or not, by running the device package."""

import argparse
from pathlib import Path
from typing import Any

from priot.commands.options import add_json_option, add_target_options, choose_target
from priot.jobs.evaluate import evaluate
from priot.reports.json_file import write_json


def add_parser(subparsers: Any) -> None:
    """Add `priot evaluate`."""
    parser = subparsers.add_parser("evaluate", description=__doc__,
                                   help="measure a model by running the device package")
    parser.add_argument("model", type=Path, help="model file (.priot)")
    parser.add_argument("test", type=Path, help="dataset (.prd)")
    parser.add_argument("--adapter", type=Path, metavar="FILE",
                        help="scores, mask, gains or weights to put in force first")
    add_target_options(parser)
    add_json_option(parser)


def main(args: argparse.Namespace) -> int:
    """Run `priot evaluate`."""
    with choose_target(args) as target:
        report = evaluate(args.model, args.test, target, args.adapter, args.backend)
    print(f"{report['accuracy']:.2f} % of {report['test_images']} images right "
          f"({report['target']}, {report['backend']} kernels)")
    width = max(5, len(str(report["test_images"])) + 1)
    n = len(report["confusion"])
    if n <= 20:
        print("label" + "".join(f"{i:>{width}}" for i in range(n)) + "   right/of")
        for i, row in enumerate(report["confusion"]):
            right, total = report["per_class"][i]
            print(f"{i:>5}" + "".join(f"{v:>{width}}" for v in row) + f"   {right}/{total}")
    write_json(args.json, report)
    return 0
