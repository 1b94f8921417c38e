"""The page of an experiment, from its file of results alone."""

import shlex
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import NullFormatter

from priot.errors import FileError
from priot.experiments import plots
from priot.experiments.results import parse_line, run_of
from priot.experiments.spec import Spec
from priot.experiments.table import by_method, caption, cells
from priot.reports.figures import Plot
from priot.reports.page import render
from priot.reports.run_report import COUNT, PERCENT, PERMILLE, Number, checked

_RESULT = {
    "name": str, "method": str, "options": dict, "calibration": str, "backbone": str,
    "angle": Number(360, whole=False, low=-360), "seed": COUNT, "epochs": COUNT, "heap": COUNT,
    "data": dict, "before": PERCENT, "after": PERCENT, "collapsed": bool, "edges": COUNT,
    "presentations": COUNT, "backward_passes": COUNT, "saturated_permille": [PERMILLE],
    "pico_ram_bytes": {"small": COUNT, "kept": COUNT},
}
_SAME = ("epochs", "heap", "data")  # runs that differ in these make no table together


def experiment_page(path: Path) -> str:
    """The page of the results that `priot experiment` keeps (.jsonl). Raises FileError, OSError.

    A last line that was not written to its end is left out, and so are runs of other epochs,
    heap or data than those of the last line.
    """
    results = _read(path)
    spec = _spec_of(results, path)
    groups = by_method(spec, results)
    table = cells(spec, results)
    notes = ["", *(f"{number}: {_options(group[0])}" for number, group in
                   enumerate(groups.values(), 1))]
    dead = [result for result in results if result["collapsed"]]
    return render(
        "experiment.html", spec=spec, results=results, source=path.name,
        caption=" ".join(caption(spec, results)).replace("`", "'"), head=table[0],
        rows=list(zip(table[1:], notes, strict=True)), n_methods=len(groups),
        plots=_plots(spec, groups), dead=[(str(run_of(result, path)), result) for result in dead],
        rerun=shlex.quote(str(path)))


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise FileError(path, "no results of 'priot experiment'") from None
    found: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), 1):
        where = f"{path}: line {number}"
        result = checked(parse_line(line, where), _RESULT, where)
        result["line"] = number
        found[run_of(result, where).key] = result
    results = list(found.values())
    if not results:
        raise FileError(path, "holds no results")
    last = results[-1]
    return [result for result in results if all(result[key] == last[key] for key in _SAME)]


def _spec_of(results: list[dict[str, Any]], path: Path) -> Spec:
    """The specification that asks for these runs, in the order they came."""
    methods = {result["name"]: {key: result[key] for key in
                                ("name", "method", "options", "calibration")}
               for result in results}

    def every(key: str) -> list[Any]:
        return sorted({result[key] for result in results})

    last = results[-1]
    return Spec(path.stem, _title(path), every("backbone"), every("angle"), every("seed"),
                last["epochs"], list(methods.values()), last["data"], last["heap"])


def _title(path: Path) -> str:
    """The heading of the table beside the results, or the name of the file."""
    try:
        with open(path.with_suffix(".md"), encoding="utf-8") as file:
            line = file.readline(1000)
    except (OSError, UnicodeDecodeError):
        return path.stem
    return line[2:].strip() if line.startswith("# ") else path.stem


def _options(result: dict[str, Any]) -> str:
    words = [f"{name} {value}" for name, value in result["options"].items()]
    if result["calibration"] != "usual":
        words.append(f"{result['calibration']} shifts")
    return ", ".join([result["method"], *words])


def _plots(spec: Spec, groups: dict[str, list[dict[str, Any]]]) -> list[tuple[str, Markup]]:
    """Title and picture; methods go by their numbers in the table."""
    n = len(groups)
    angle = max(spec.angles, key=abs)
    found = []
    with Plot("runs", (3.9, max(2.7, 0.19 * n + 1))) as plot:
        plots.every_run(plot.axes, spec, groups)
        plot.axes.set_title("")
        plot.axes.set_yticks(range(n), [str(i) for i in range(1, n + 1)])
        plot.axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderpad=0,
                         handletextpad=0.2, columnspacing=1)
        found.append(("Every run", plot.svg(
            f"Test accuracy of every run, a row for each of {n} methods; the table has means")))
    with Plot("ram") as plot:
        plots.against_ram(plot.axes, spec, groups)
        plot.axes.set(title="", xlabel="bytes that training takes, layout small")
        plot.axes.xaxis.set_major_formatter("{x:,.0f}")
        plot.axes.xaxis.set_minor_formatter(NullFormatter())
        found.append((f"Accuracy at {angle:g}° against RAM", plot.svg(
            "Mean test accuracy of each method against the RAM that training takes on a Pico; "
            "the table has the figures")))
    with Plot("saturation") as plot:
        plots.saturation(plot.axes, groups)
        plot.axes.set_title("")
        found.append(("Saturation, worst run of a method", plot.svg(
            "Share of logits at the end of their range by epoch, of the worst run of each method "
            "where it reaches 0.5 percent")))
    return found
