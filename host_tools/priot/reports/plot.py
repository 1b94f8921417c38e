"""Draws a training report: learning curve, confusion matrix, share pruned per layer."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")  # files only: a server has no screen
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402


def plot_training(report: dict[str, Any], path: Path) -> None:
    """Write a PNG of a report of `priot train`. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6))
    _learning_curve(axes[0], report)
    if is_squared(report):
        _errors(axes[1], report)
    else:
        _confusion(axes[1], report)
    _pruned(axes[2], report)
    figure.suptitle(f"{report['method']}, {report['train_images']} "
                    f"{'samples' if is_squared(report) else 'images'}, "
                    f"{report['epochs']} epochs, {report['target']}")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def is_squared(report: dict[str, Any]) -> bool:
    """Whether a report of training has errors in the place of accuracies."""
    history = report["history"]
    return report["error_after"] is not None or bool(history and "train_error" in history[-1])


def _learning_curve(axes: Axes, report: dict[str, Any]) -> None:
    history = report["history"]
    epochs = [e["epoch"] for e in history]
    if is_squared(report):
        axes.plot(epochs, [e["train_error"] for e in history], label="training, as it learns")
        if history and "validate_error" in history[0]:
            axes.plot(epochs, [e["validate_error"] for e in history], label="test")
        if report["error_after"] is not None:
            axes.axhline(report["error_before"], color="grey", ls="--", lw=1,
                         label=f"test before, {report['error_before']:.0f}")
            axes.axhline(report["error_after"], color="black", ls="--", lw=1,
                         label=f"test after, {report['error_after']:.0f}")
        axes.set(xlabel="epoch", ylabel="mean squared error of a sample", title="learning curve")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=8)
        return
    axes.plot(epochs, [e["train_permille"] / 10 for e in history], label="training, as it learns")
    axes.plot(epochs, [e["skipped_permille"] / 10 for e in history], ":", label="skipped")
    if history and "validate_permille" in history[0]:
        axes.plot(epochs, [e["validate_permille"] / 10 for e in history], label="test")
    if report["accuracy_after"] is not None:
        axes.axhline(report["accuracy_before"], color="grey", ls="--", lw=1,
                     label=f"test before, {report['accuracy_before']:.1f} %")
        axes.axhline(report["accuracy_after"], color="black", ls="--", lw=1,
                     label=f"test after, {report['accuracy_after']:.1f} %")
    axes.set(xlabel="epoch", ylabel="%", ylim=(0, 101), title="learning curve")
    axes.legend(loc="lower right", fontsize=8)


def _errors(axes: Axes, report: dict[str, Any]) -> None:
    axes.set(xlabel="label", ylabel="error", title="mean and largest error after")
    if not report.get("by_label"):
        axes.text(0.5, 0.5, "no test set", ha="center", transform=axes.transAxes)
        return
    for label, (n, total, largest) in enumerate(report["by_label"]):
        if n:
            axes.bar(label, total / n, color="tab:blue")
            axes.plot(label, largest, "k_", ms=12)
    axes.set_xticks(range(len(report["by_label"])))


def _confusion(axes: Axes, report: dict[str, Any]) -> None:
    axes.set(xlabel="predicted", ylabel="label", title="confusion matrix after")
    if not report["confusion"]:
        axes.text(0.5, 0.5, "no test set", ha="center", transform=axes.transAxes)
        return
    matrix = np.array(report["confusion"])
    axes.imshow(matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True)), cmap="Blues")
    if len(matrix) <= 20:
        axes.set_xticks(range(len(matrix)))
        axes.set_yticks(range(len(matrix)))
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                axes.text(column, row, str(count), ha="center", va="center", fontsize=7,
                          color="white" if row == column else "black")


def _pruned(axes: Axes, report: dict[str, Any]) -> None:
    axes.set(xlabel="epoch", ylabel="% of a layer's scored edges", title="share pruned per layer")
    history = report["history"]
    shares = np.array([e["pruned_by_layer"] for e in history]) / 10
    if not shares.any():
        axes.text(0.5, 0.5, "nothing is pruned", ha="center", transform=axes.transAxes)
        return
    for layer in range(shares.shape[1]):
        axes.plot([e["epoch"] for e in history], shares[:, layer], label=f"layer {layer}")
    axes.legend(fontsize=8)
