"""`priot train`: adapt a model by running the device package; report and plot."""

import argparse
from pathlib import Path
from typing import Any

from priot.commands.options import (
    add_json_option,
    add_target_options,
    add_training_options,
    add_weights_option,
    choose_target,
    options_from,
    weights_in_flash,
)
from priot.errors import PriotError
from priot.jobs.details import Details
from priot.jobs.train import TrainJob, summary, train
from priot.planning.sizes import Planner, Training, heap_for
from priot.reports.accuracy import forgotten
from priot.reports.json_file import check_report, write_json
from priot.targets.unix import UnixTarget, unix_port

PLOTS = (".png", ".pdf", ".svg")


def add_parser(subparsers: Any) -> None:
    """Add `priot train`."""
    parser = subparsers.add_parser("train", help="adapt a model by running the device package",
                                   description=__doc__)
    parser.add_argument("model", type=Path, help="model file (.priot)")
    parser.add_argument("train", type=Path, help="dataset to learn (.prd)")
    parser.add_argument("--test", type=Path, help="dataset to test before and after")
    parser.add_argument("--also", type=Path, nargs="+", action="extend", default=[],
                        metavar="DATASET", help="other datasets to test before and after, to see "
                        "what was forgotten")
    parser.add_argument("--validate", action="store_true", help="test after every epoch too")
    parser.add_argument("--validate-on", type=Path, metavar="DATASET",
                        help="the same with other images than those of --test")
    parser.add_argument("--keep-best", action="store_true", help="--save the epoch with the best "
                        "validation, not the last one")
    parser.add_argument("--patience", type=int, default=0, metavar="EPOCHS",
                        help="end after so many epochs whose validation was no better "
                        "(default 0: never)")
    parser.add_argument("--balance", action="store_true",
                        help="every class equally often, however many samples it has")
    parser.add_argument("--replay", type=Path, metavar="DATASET", help="mix in samples of another "
                        "dataset, so that what they show is not forgotten")
    parser.add_argument("--share", type=int, metavar="PERCENT",
                        help="of an epoch's samples that --replay gives, 1..90 (default 50)")
    parser.add_argument("--epochs", type=int, default=30,
                        help="in all, those of a resumed file included (default 30)")
    parser.add_argument("--resume", type=Path, metavar="SCORES", help="go on from a saved file")
    parser.add_argument("--add-class", action="append", default=[], metavar="NAME", dest="add",
                        help="take a spare output of the model for a new class; may be repeated")
    parser.add_argument("--save", type=Path, metavar="SCORES",
                        help="write what was learned, after every epoch")
    parser.add_argument("--mask", type=Path, help="write which edges are kept, one bit each")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the report")
    add_training_options(parser)
    add_weights_option(parser)
    add_target_options(parser)
    add_json_option(parser)


def _ask_here(job: TrainJob) -> None:
    """Let the device package refuse, on this machine, what a board would after all is copied."""
    try:
        unix_port()
    except PriotError:
        return  # there is none to ask: the board will say it
    job.check()
    planner = Planner(UnixTarget(heap_for(job.model)), job.model, job.backend, arch="")
    planner.training(Training.of(job.method, **job.options))


def main(args: argparse.Namespace) -> int:
    """Run `priot train`."""
    check_report(args.plot)
    if args.plot is not None and args.plot.suffix.lower() not in PLOTS:
        raise PriotError(args.plot, f"expected a name that ends in {' or '.join(PLOTS)}")
    if args.epochs < 1:
        raise PriotError("epochs", f"found {args.epochs}, expected at least 1")
    job = TrainJob(args.model, args.train, args.test, args.method, args.epochs,
                   options_from(args), args.backend, args.resume, args.save, args.mask,
                   args.validate, args.add, validate_on=args.validate_on, also=args.also,
                   balance=args.balance, replay=args.replay, share=args.share,
                   keep_best=args.keep_best, patience=args.patience,
                   flash=weights_in_flash(args))
    if args.port or args.target not in (None, "unix"):
        _ask_here(job)
    details = Details(job, args.words)
    with choose_target(args) as target:
        report = train(job, target, show_progress=True)
    print(summary(report))
    for line in forgotten(report):
        print(line)
    if report["history"] and not (args.save or args.mask):
        print("nothing is kept of what was learned: --save FILE writes it")
    if args.json:
        details.add(report)
    write_json(args.json, report)
    if args.plot:
        from priot.reports.plot import plot_training

        plot_training(report, args.plot)
    return 0 if report["finished"] else 130
