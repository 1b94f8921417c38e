"""The plots of an experiment: every run's accuracy, accuracy against RAM, and saturation."""

import statistics
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only: a server has no screen
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from priot.experiments.spec import Spec  # noqa: E402
from priot.experiments.table import Result, at_angle, by_method  # noqa: E402


def plot_experiment(spec: Spec, results: list[Result], path: Path) -> None:
    """Write a PNG. Methods are numbered as in the left plot. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    groups = by_method(spec, results)
    size = max(4.5, 0.32 * len(groups) + 1.5)
    figure, axes = plt.subplots(1, 3, figsize=(20, size), width_ratios=(1.4, 1, 1))
    every_run(axes[0], spec, groups)
    against_ram(axes[1], spec, groups)
    saturation(axes[2], groups)
    figure.suptitle(f"{spec.title}: {len(results)} runs, {spec.epochs} epochs")
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def every_run(axes: Axes, spec: Spec, groups: dict[str, list[Result]]) -> None:
    """A row per method, a mark per run, a colour per angle, a bar at the mean."""
    for row, group in enumerate(groups.values()):
        for i, angle in enumerate(spec.angles):
            values = [result["after"] for result in at_angle(group, angle)]
            height = row + 0.6 * ((i + 0.5) / len(spec.angles) - 0.5)
            axes.plot(values, [height] * len(values), ".", color=f"C{i}", alpha=0.6,
                      label=f"{angle:g}°" if row == 0 else None)
            if values:
                axes.plot([statistics.fmean(values)], [height], "|", color=f"C{i}", ms=10)
    axes.set_yticks(range(len(groups)), [f"{name}  {i}" for i, name in enumerate(groups, 1)])
    axes.set(xlabel="test accuracy, %", title="every run")
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)


def against_ram(axes: Axes, spec: Spec, groups: dict[str, list[Result]]) -> None:
    """Means by the largest angle, where methods differ most."""
    angle = max(spec.angles, key=abs)
    for number, group in enumerate(groups.values(), 1):
        some = at_angle(group, angle)
        if some:
            axes.text(statistics.fmean(r["pico_ram_bytes"]["small"] for r in some),
                      statistics.fmean(r["after"] for r in some), str(number),
                      ha="center", va="center", fontsize=9)
            axes.plot([r["pico_ram_bytes"]["small"] for r in some],
                      [r["after"] for r in some], ".", color="grey", alpha=0.3, ms=3)
    axes.set_xscale("symlog", linthresh=1000)  # head takes none
    axes.set(xlabel="bytes that training takes on a Pico, layout small",
             ylabel="test accuracy, %", title=f"mean at {angle:g}° against RAM")
    axes.grid(alpha=0.3)


def saturation(axes: Axes, groups: dict[str, list[Result]]) -> None:
    """The run of each method whose logits saturate most, where any do."""
    axes.set(xlabel="epoch", ylabel="% of logits at 127 or -127",
             title="saturation, worst run of a method")
    for number, group in enumerate(groups.values(), 1):
        curves = [result["saturated_permille"] for result in group]
        worst = max(curves, key=max, default=[0])
        if max(worst) >= 5:
            epochs = range(1, len(worst) + 1)
            axes.plot(epochs, [permille / 10 for permille in worst], label=str(number))
    if axes.lines:
        axes.legend(fontsize=8)
    else:
        axes.text(0.5, 0.5, "below 0.5 % everywhere", ha="center", transform=axes.transAxes)
