"""The plots of a training run's page."""

from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from priot.reports.figures import ACCENT, MUTED, Plot, legend, lines_of

_NAMED = 24  # a confusion matrix of more classes has their numbers at its sides


def all_plots(report: dict[str, Any]) -> list[tuple[str, Markup]]:
    """Title and picture of every curve that the run has."""
    history = report["history"]
    if not history:
        return []
    learning = (("Accuracy", _accuracy(report)) if history[0]["train_error"] is None else
                ("Squared error", _error(report)))
    plots = [learning, ("Skipped and saturated", _skipped(history))]
    if any(any(epoch["pruned_by_layer"]) for epoch in history):
        plots.append(("Pruned, by layer", _pruned(report)))
    return plots


def _epochs(plot: Plot, history: list[dict[str, Any]]) -> list[int]:
    plot.axes.set_xlabel("epoch")
    plot.axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return [epoch["epoch"] for epoch in history]


def _accuracy(report: dict[str, Any]) -> Markup:
    history = report["history"]
    before, after = report["accuracy_before"], report["accuracy_after"]
    with Plot("accuracy") as plot:
        epochs = _epochs(plot, history)
        train = [epoch["train_permille"] / 10 for epoch in history]
        plot.axes.plot(epochs, train, color=MUTED, marker="." if len(epochs) < 3 else None,
                       label="training, as it learns")
        alt = f"Accuracy by epoch: training from {train[0]:.1f} to {train[-1]:.1f} percent"
        start = max(0, epochs[0] - 1)
        tested = [(e["epoch"], e["validate_permille"] / 10) for e in history
                  if e["validate_permille"] is not None]
        if after is not None:
            points = [(start, before), *(tested or [(epochs[-1], after)])]
            plot.axes.plot(*zip(*points, strict=True), color=ACCENT, marker="o", ms=3.5 if
                           len(points) < 12 else 2, ls="-" if tested else ":",
                           label="test" if tested else "test, before and after")
            alt += f", test from {before:.1f} to {after:.1f} percent"
        plot.axes.set(ylabel="%", ylim=(0, 102))
        legend(plot.axes)
        return plot.svg(alt)


def _error(report: dict[str, Any]) -> Markup:
    history = report["history"]
    before, after = report["error_before"], report["error_after"]
    with Plot("error") as plot:
        epochs = _epochs(plot, history)
        train = [epoch["train_error"] for epoch in history]
        plot.axes.plot(epochs, train, color=MUTED, marker="." if len(epochs) < 3 else None,
                       label="training, as it learns")
        alt = f"Mean error by epoch: training from {train[0]} to {train[-1]}"
        tested = [(e["epoch"], e["validate_error"]) for e in history
                  if e["validate_error"] is not None]
        if after is not None:
            points = [(max(0, epochs[0] - 1), before), *(tested or [(epochs[-1], after)])]
            plot.axes.plot(*zip(*points, strict=True), color=ACCENT, marker="o", ms=3.5 if
                           len(points) < 12 else 2, ls="-" if tested else ":",
                           label="test" if tested else "test, before and after")
            alt += f", test from {before:.0f} to {after:.0f}"
        plot.axes.set_ylim(bottom=0)
        legend(plot.axes)
        return plot.svg(alt)


def _skipped(history: list[dict[str, Any]]) -> Markup:
    with Plot("skipped") as plot:
        epochs = _epochs(plot, history)
        skipped = [epoch["skipped_permille"] / 10 for epoch in history]
        saturated = [epoch["saturated_permille"] / 10 for epoch in history]
        marker = "." if len(epochs) < 3 else None
        plot.axes.plot(epochs, skipped, color=MUTED, marker=marker, label="backward pass skipped")
        plot.axes.plot(epochs, saturated, color=ACCENT, marker=marker, label="logits saturated")
        plot.axes.set(ylabel="%", ylim=(0, max(10, *skipped, *saturated) * 1.05))
        legend(plot.axes)
        return plot.svg(f"By epoch: backward passes skipped, {skipped[-1]:.1f} percent at the "
                        f"end; logits at the end of their range, {max(saturated):.1f} percent "
                        "at most")


def _pruned(report: dict[str, Any]) -> Markup:
    history = report["history"]
    shares = np.array([epoch["pruned_by_layer"] for epoch in history]) / 10
    layers = [layer["layer"] for layer in report["layers"] or ()]
    if len(layers) != shares.shape[1]:
        layers = list(range(shares.shape[1]))
    rows = -(-len(layers) // 3)  # of the legend
    with Plot("pruned", (3.9, 2.5 + 0.18 * rows)) as plot:
        epochs = _epochs(plot, history)
        lines_of(plot.axes, epochs, [(f"layer {layer}", shares[:, i].tolist())
                                     for i, layer in enumerate(layers)])
        plot.axes.set(ylabel="% of its scored edges", ylim=(0, max(5, shares.max() * 1.08)))
        legend(plot.axes, 3)
        ends = ", ".join(f"layer {layer} {share:.1f}" for layer, share in
                         zip(layers, shares[-1], strict=True))
        return plot.svg(f"Share of each layer's edges that is pruned, by epoch; at the end: "
                        f"{ends} percent")


def matrix(title: str, rows: list[list[int]], names: list[str]) -> Markup:
    """A confusion matrix of many classes as a picture; the darker, the more of a row."""
    counts = np.array(rows)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    with Plot(f"matrix {title}", (4.4, 4.2)) as plot:
        axes = plot.axes
        axes.grid(False)
        picture = np.zeros((*counts.shape, 4))  # a colour seen on light and dark, by its share
        picture[..., :3] = np.array([0x3B, 0x7D, 0xC4]) / 255
        picture[..., 3] = np.where(counts > 0, 0.15 + 0.85 * shares, 0)
        axes.imshow(picture, interpolation="none")
        axes.set(xlabel="predicted", ylabel="label")
        if len(rows) <= _NAMED:
            size = min(8.0, 180 / len(rows))
            axes.set_yticks(range(len(rows)), names, fontsize=size)
            axes.set_xticks(range(len(rows)), names, rotation=90, fontsize=size)
        else:
            axes.set(xlabel="predicted: number of the class, from 0",
                     ylabel="label: number of the class, from 0")
        return plot.svg(f"Confusion matrix {title.lower()}, {len(rows)} classes: "
                        f"{int(np.trace(counts)):,} of {int(counts.sum()):,} on the diagonal")
