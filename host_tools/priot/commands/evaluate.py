"""`priot evaluate`: measure a model, adapted or not, by running the device package."""

import argparse
from pathlib import Path
from typing import Any

from priot.commands.options import (
    add_json_option,
    add_target_options,
    add_weights_option,
    choose_target,
    weights_in_flash,
)
from priot.errors import PriotError
from priot.jobs import golden
from priot.jobs.evaluate import evaluate
from priot.reports.accuracy import confusion_text, errors_lines, side_by_side
from priot.reports.json_file import write_json


def add_parser(subparsers: Any) -> None:
    """Add `priot evaluate`."""
    parser = subparsers.add_parser("evaluate", description=__doc__,
                                   help="measure a model by running the device package")
    parser.add_argument("model", type=Path, help="model file (.priot)")
    parser.add_argument("test", type=Path, nargs="*",
                        help="dataset (.prd); several are shown side by side")
    parser.add_argument("--golden", action="store_true",
                        help="instead of a dataset: compute the golden inputs that 'priot import "
                        "--golden' has left beside the model, and compare every logit")
    parser.add_argument("--adapter", type=Path, metavar="FILE",
                        help="scores, mask, gains or weights to put in force first")
    parser.add_argument("--normal", metavar="CLASS", help="of a network of squared error: the "
                        "class that it is to know; says how well the error tells the others from "
                        "it (default: the one named normal)")
    add_weights_option(parser)
    add_target_options(parser)
    add_json_option(parser)


def main(args: argparse.Namespace) -> int:
    """Run `priot evaluate`: status 1 where a golden output differs."""
    if args.golden:
        return _golden(args)
    if not args.test:
        raise PriotError("test", "no dataset is given, nor --golden")
    with choose_target(args) as target:
        report = evaluate(args.model, args.test[0], target, args.adapter, args.backend,
                          args.test[1:], args.normal, weights_in_flash(args))
    where = f"({report['target']}, {report['backend']} kernels)"
    if report["error"] is not None:
        print(*(line for one in (report, *report["also"]) for line in errors_lines(one, where)),
              sep="\n")
    elif report["also"]:
        print(f"right of {len(args.test)} datasets {where}")
        print(side_by_side(report["names"], [report, *report["also"]]))
    else:
        print(f"{report['accuracy']:.2f} % of {report['test_images']} images right {where}")
        print(confusion_text(report), end="\n" if len(report["confusion"]) <= 20 else "")
    write_json(args.json, report)
    return 0


def _golden(args: argparse.Namespace) -> int:
    for option, value in (("test", args.test), ("--adapter", args.adapter)):
        if value:
            raise PriotError(option, "golden outputs are those of the model alone")
    with choose_target(args) as target:
        report = golden.replay(args.model, target, args.backend, weights_in_flash(args))
    write_json(args.json, report)
    said = golden.lines(report)
    if report["differences"]:
        raise PriotError(args.model, said[0], said[1:])
    print(said[0])
    return 0
