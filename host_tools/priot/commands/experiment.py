"""`priot experiment`: a grid of methods, angles, seeds and backbones, and its table and plots."""

import argparse
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tqdm import tqdm

from priot.errors import PriotError
from priot.experiments.results import MEASURED, ResultsFile, find_line, run_of
from priot.experiments.spec import Run, Spec
from priot.experiments.table import markdown
from priot.experiments.workbench import Stopped, Workbench, check_backbone
from priot.formats.container import write_file
from priot.paths import BUILD
from priot.reports.json_file import add_json_option, write_json


def run_all(runs: Sequence[Run], bench: Workbench, results: ResultsFile, jobs: int) -> None:
    """Do runs, `jobs` at a time; every result is on the disk as soon as its run ends.

    The first failure, and Ctrl-C, stop the others. Raises PriotError that names the run.
    """
    def do(run: Run) -> Run:
        try:
            results.add(bench.do(run))
        except Stopped:
            pass
        except PriotError as error:
            raise PriotError(run, str(error)) from error
        return run

    with ThreadPoolExecutor(jobs) as pool, tqdm(
            total=len(runs), unit="run", disable=None) as bar:
        futures = [pool.submit(do, run) for run in runs]
        try:
            for future in as_completed(futures):
                bar.set_postfix_str(str(future.result()))
                bar.update()
        except BaseException:
            bench.stop.set()
            for future in futures:
                future.cancel()
            raise


def experiment(spec: Spec, folder: Path, jobs: int, data_path: Path | None = None,
               fresh: bool = False) -> dict[str, Any]:
    """Do what is missing of an experiment; write NAME.jsonl, .md and .png; returns the report.

    Interrupted, it goes on where it was when called again. Raises PriotError, OSError.
    """
    results_path = folder / f"{spec.name}.jsonl"
    if fresh:
        results_path.unlink(missing_ok=True)
    results = ResultsFile(results_path)
    runs = spec.runs()
    missing = [run for run in runs if run.key not in results.results]
    earlier = [run for run in runs if run.key in results.results]
    for run in earlier:
        check_backbone(run, results.results[run.key])
    if missing:
        print(f"{results_path}: {len(earlier)} of {len(runs)} runs are done")
        with tempfile.TemporaryDirectory(prefix="priot-") as made:
            bench = Workbench(Path(made), data_path)
            for run in earlier[:1]:  # other images would differ in any run
                bench.check(run, results.results[run.key])
            try:
                run_all(missing, bench, results, jobs)
            except KeyboardInterrupt:
                print(f"stopped; the same command goes on from {results_path}")
                raise
    done = [results.results[run.key] for run in runs]
    page = markdown(spec, done)
    write_file(folder / f"{spec.name}.md", page.encode())
    from priot.experiments.plots import plot_experiment

    plot_experiment(spec, done, folder / f"{spec.name}.png")
    return {"results": str(results_path), "runs": len(done), "table": page,
            "collapsed": sum(result["collapsed"] for result in done)}


def rerun(text: str, data_path: Path | None, json_path: Path | None = None) -> int:
    """Do the run of one line again and compare; returns the exit status. Raises PriotError."""
    old = find_line(text)
    run = run_of(old, "--rerun")
    with tempfile.TemporaryDirectory(prefix="priot-") as made:
        new = Workbench(Path(made), data_path).do(run)
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
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N",
                        help="runs at a time (default: one a core)")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    add_json_option(parser)


def main(args: argparse.Namespace) -> int:
    """Run `priot experiment`."""
    if args.jobs < 1:
        raise PriotError("--jobs", f"found {args.jobs}, expected at least 1")
    if args.rerun is not None:
        return rerun(args.rerun, args.data, args.json)
    report = experiment(Spec.read(args.spec), args.output, args.jobs, args.data, args.fresh)
    write_json(args.json, report)
    print(report["table"])
    print(f"written: {args.output}/{args.spec.stem}.jsonl, .md, .png")
    return 0
