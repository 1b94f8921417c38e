"""The Markdown table of an experiment."""

import statistics
from typing import Any

from priot.experiments.spec import Spec

Result = dict[str, Any]
LAYOUTS = ("small", "kept")


def by_method(spec: Spec, results: list[Result]) -> dict[str, list[Result]]:
    """Results of each method, in the specification's order."""
    groups: dict[str, list[Result]] = {method["name"]: [] for method in spec.methods}
    for result in results:
        groups[result["name"]].append(result)
    return groups


def at_angle(results: list[Result], angle: float) -> list[Result]:
    """The results at one angle."""
    return [result for result in results if result["angle"] == angle]


def spread(values: list[float]) -> str:
    """Mean, standard deviation and worst: "95.9 ± 0.3 (95.4)"; no deviation of one value."""
    if not values:
        return "-"
    text = f"{statistics.fmean(values):.1f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.1f} ({min(values):.1f})"
    return text


def markdown(spec: Spec, results: list[Result]) -> str:
    """The page: caption, and a table of a row per method. `results`: of this specification."""
    head, *rows = cells(spec, results)
    lines = [f"# {spec.title}", "", *caption(spec, results), "", _line(head),
             _line(["---"] * len(head)), *map(_line, rows)]
    return "\n".join(lines) + "\n"


def cells(spec: Spec, results: list[Result]) -> list[list[str]]:
    """The table: its head, a row of the accuracies before training, and a row per method."""
    head = ["method", *(f"{angle:g}°" for angle in spec.angles), "collapsed", "backward passes",
            "edges", "RAM, small", "RAM, kept"]
    rows = [["before", *_cells(spec, results, "before"), *[""] * 5]]
    return [head, *rows, *(_row(spec, name, group)
                           for name, group in by_method(spec, results).items())]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _row(spec: Spec, name: str, group: list[Result]) -> list[str]:
    if not group:
        return [name] + ["-"] * (len(spec.angles) + 5)
    dead = sum(result["collapsed"] for result in group)
    passes = [result["backward_passes"] for result in group]
    return [name, *_cells(spec, group, "after"), f"{dead} of {len(group)}",
            f"{statistics.fmean(passes):,.0f}", _range([r["edges"] for r in group]),
            *(_range([r["pico_ram_bytes"][layout] for r in group]) for layout in LAYOUTS)]


def _cells(spec: Spec, results: list[Result], what: str) -> list[str]:
    """A cell per angle. Accuracies before training are counted once per backbone."""
    cells = []
    for angle in spec.angles:
        some = at_angle(results, angle)
        if what == "before":
            usual = {r["backbone"]: r[what] for r in some if r["calibration"] == "usual"}
            cells.append(spread(list(usual.values())))
        else:
            cells.append(spread([r[what] for r in some]))
    return cells


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def caption(spec: Spec, results: list[Result]) -> list[str]:
    """Lines that say what the table shows."""
    wanted = len(spec.runs())
    lines = [
        f"{len(results)} of {wanted} runs: {len(spec.backbones)} backbones x {len(spec.seeds)} "
        f"seeds (of scores, order and transfer images) x {len(spec.angles)} angles x "
        f"{len(spec.methods)} methods, {spec.epochs} epochs, batch 1.",
        "Test accuracy after the last epoch in percent: mean ± standard deviation (worst run).",
        "Collapsed: a run that ends below its accuracy before training, or below twice chance.",
        "RAM: bytes that training takes on a Pico beside the loaded network (`priot plan`), by",
        "the layout that takes least, on portable kernels, and by the one that is fastest.",
    ]
    if results:
        presented = sorted({result["presentations"] for result in results})
        lines.insert(3, "Backward passes: mean, of "
                     f"{' or '.join(f'{n:,}' for n in presented)} presentations.")
    return lines
