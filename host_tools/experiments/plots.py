"""The plots of an experiment: accuracy by angle, accuracy against RAM, and saturation."""

import statistics
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only: a server has no screen
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from host_tools.experiments.spec import Spec  # noqa: E402
from host_tools.experiments.table import Result, at_angle, by_method  # noqa: E402

_MARKERS = "osD^v<>PX*hd"


def plot_experiment(spec: Spec, results: list[Result], path: Path) -> None:
    """Write a PNG. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(1, 3, figsize=(21, 7))
    groups = {name: group for name, group in by_method(spec, results).items() if group}
    for i, (name, group) in enumerate(groups.items()):
        style = {"color": f"C{i % 10}", "marker": _MARKERS[i % len(_MARKERS)]}
        _by_angle(axes[0], spec, name, group, style)
        _against_ram(axes[1], group, style)
        _saturation(axes[2], group, style["color"])
    axes[0].set(xlabel="degrees", ylabel="test accuracy, %", xticks=spec.angles,
                title="mean, and worst to best run")
    axes[0].legend(fontsize=8, loc="lower left")
    axes[1].set(xlabel="bytes that training takes on a Pico, layout small", xscale="log",
                ylabel="test accuracy, %", title="every run: accuracy against RAM")
    axes[2].set(xlabel="epoch", ylabel="% of logits at 127 or -127", yscale="symlog",
                title="saturation, worst run of each method")
    figure.suptitle(f"{spec.title}: {len(results)} runs")
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _by_angle(axes: Axes, spec: Spec, name: str, group: list[Result], style: dict) -> None:
    angles = [angle for angle in spec.angles if at_angle(group, angle)]
    runs = [[result["after"] for result in at_angle(group, angle)] for angle in angles]
    means = [statistics.fmean(values) for values in runs]
    below = [mean - min(values) for mean, values in zip(means, runs, strict=True)]
    above = [max(values) - mean for mean, values in zip(means, runs, strict=True)]
    axes.errorbar(angles, means, yerr=[below, above], label=name, capsize=3, **style)


def _against_ram(axes: Axes, group: list[Result], style: dict) -> None:
    axes.scatter([result["pico_ram_bytes"]["small"] for result in group],
                 [result["after"] for result in group], s=16, alpha=0.6, **style)


def _saturation(axes: Axes, group: list[Result], color: str) -> None:
    worst = max(group, key=lambda result: max(result["saturated_permille"]))
    curve = [permille / 10 for permille in worst["saturated_permille"]]
    axes.plot(range(1, len(curve) + 1), curve, color=color)
