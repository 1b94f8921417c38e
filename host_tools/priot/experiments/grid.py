"""Does the runs of an experiment that are missing, and writes its table and plots."""

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tqdm import tqdm

from priot.errors import PriotError
from priot.experiments.cluster import RUNS_AT_ONCE, connected
from priot.experiments.results import ResultsFile, find_line, run_of
from priot.experiments.spec import Run, Spec
from priot.experiments.table import markdown
from priot.experiments.workbench import Stopped, Workbench, check_backbone
from priot.formats.container import write_file


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
               fresh: bool = False, say: Callable[[str], None] = lambda text: None,
               scheduler: str | None = None) -> dict[str, Any]:
    """Do what is missing of an experiment; write NAME.jsonl, .md and .png; returns the report.

    Interrupted, it goes on where it was when called again. say: takes lines on how far it is.
    scheduler: address of Dask's, whose workers then do the runs, as many at a time as they can.
    Raises PriotError, OSError.
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
        say(f"{results_path}: {len(earlier)} of {len(runs)} runs are done")
        with tempfile.TemporaryDirectory(prefix="priot-") as made, (
                nullcontext(Workbench(Path(made), data_path)) if scheduler is None else
                connected(scheduler, Path(made), data_path)) as bench:
            for run in earlier[:1]:  # other images would differ in any run
                bench.check(run, results.results[run.key])
            try:
                run_all(missing, bench, results, jobs if scheduler is None else RUNS_AT_ONCE)
            except KeyboardInterrupt:
                say(f"stopped; the same command goes on from {results_path}")
                raise
    done = [results.results[run.key] for run in runs]
    page = markdown(spec, done)
    write_file(folder / f"{spec.name}.md", page.encode())
    from priot.experiments.plots import plot_experiment

    plot_experiment(spec, done, folder / f"{spec.name}.png")
    return {"results": str(results_path), "runs": len(done), "table": page,
            "collapsed": sum(result["collapsed"] for result in done)}


def rerun(text: str, data_path: Path | None) -> tuple[Run, dict[str, Any], dict[str, Any]]:
    """Do the run of one line again: the run, the line's result, the new one. Raises PriotError."""
    old = find_line(text)
    run = run_of(old, "--rerun")
    with tempfile.TemporaryDirectory(prefix="priot-") as made:
        return run, old, Workbench(Path(made), data_path).do(run)
