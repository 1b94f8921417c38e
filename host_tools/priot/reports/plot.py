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
    _confusion(axes[1], report)
    _pruned(axes[2], report)
    figure.suptitle(f"{report['method']}, {report['train_images']} images, "
                    f"{report['epochs']} epochs, {report['target']}")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _learning_curve(axes: Axes, report: dict[str, Any]) -> None:
    history = report["history"]
    epochs = [e["epoch"] for e in history]
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
