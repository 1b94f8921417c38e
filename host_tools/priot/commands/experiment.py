"""`priot experiment`: a grid of methods, angles, seeds and backbones, and its table and plots."""

import argparse
import os
from pathlib import Path
from typing import Any

from priot.commands.options import add_json_option
from priot.errors import PriotError
from priot.experiments.grid import experiment, rerun
from priot.experiments.results import MEASURED
from priot.experiments.spec import Spec
from priot.paths import BUILD
from priot.reports.json_file import write_json


def _compare(text: str, data_path: Path | None, json_path: Path | None) -> int:
    """Do the run of one line again and compare; returns the exit status. Raises PriotError."""
    run, old, new = rerun(text, data_path)
    print(f"{run}: {new['before']:.2f} % before, {new['after']:.2f} % after, "
          f"{new['backward_passes']} backward passes, {new['seconds']} s")
    for name in ("train_permille", "saturated_permille"):
        print(f"{name} of each epoch: {' '.join(map(str, new[name]))}")
    different = [name for name in MEASURED if new[name] != old[name]]
    for name in different:
        print(f"{name}: found {new[name]}, the line has {old[name]}")
    write_json(json_path, new)
    print("not as the line says" if different else "the same as the line says")
    return 1 if different else 0


def add_parser(subparsers: Any) -> None:
    """Add `priot experiment`."""
    parser = subparsers.add_parser(
        "experiment", help="run a grid of methods, angles and seeds", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("spec", type=Path, nargs="?", metavar="SPEC",
                      help="specification (.toml), explained in priot/experiments/spec.py")
    what.add_argument("--rerun", metavar="LINE",
                      help="do one run again and compare: a line of a results file, or "
                      "FILE:NUMBER")
    parser.add_argument("--data", type=Path, metavar="FOLDER",
                        help="folder or file of the specification's data source")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER",
                        default=BUILD / "experiments",
                        help="for results, table and plots (default build/experiments)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, metavar="N",
                       help="runs at a time on this machine (default: one a core)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="do the runs on the workers of this "
                       "Dask scheduler, such as tcp://10.0.0.7:8786 (pip install priot[dask])")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    add_json_option(parser)


def main(args: argparse.Namespace) -> int:
    """Run `priot experiment`."""
    if args.jobs is not None and args.jobs < 1:
        raise PriotError("--jobs", f"found {args.jobs}, expected at least 1")
    if args.rerun is not None:
        return _compare(args.rerun, args.data, args.json)
    jobs = args.jobs or os.cpu_count() or 1
    report = experiment(Spec.read(args.spec), args.output, jobs, args.data, args.fresh, print,
                        args.scheduler)
    write_json(args.json, report)
    print(report["table"])
    print(f"written: {args.output}/{args.spec.stem}.jsonl, .md, .png")
    return 0
