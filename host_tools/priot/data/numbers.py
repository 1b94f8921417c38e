"""Samples as numbers of any kind, before they are scaled: from arrays, tables and time series."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from priot.errors import FileError, mismatch

LARGEST = 1e30  # of a number: beyond it no float32 scale is left


@dataclass(frozen=True)
class Columns:
    """Which arrays of an .npz file, or columns of a table, are what.

    x, y: arrays. label: the column of the labels. use: columns that are values, none: all that are
    left. group: of whom a sample is, as a person; series: which recording it belongs to.
    """

    x: str | None = None
    y: str | None = None
    label: str | None = None
    use: tuple[str, ...] = ()
    group: str | None = None
    series: str | None = None


@dataclass
class Samples:
    """`values` float64 [n][...]; `labels` int64 [n]; `names` of the classes, or none.

    groups: text [n], of whom each is; none: not known. runs: int64 [n], the number of the
    recording that a row of a time series belongs to. overlap: samples share rows, as windows do.
    targets: float64 [n][values], where labels are 0 because samples have these; else [n][0].
    """

    values: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...] = ()
    groups: np.ndarray = field(default_factory=lambda: np.zeros(0, "U1"))
    runs: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    overlap: bool = False
    targets: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def __len__(self) -> int:
        return len(self.values)

    def take(self, chosen: np.ndarray) -> "Samples":
        """The chosen ones (numbers, or a mask), in the order chosen."""
        return replace(self, values=self.values[chosen], labels=self.labels[chosen],
                       groups=self.groups[chosen] if len(self.groups) else self.groups,
                       runs=self.runs[chosen] if len(self.runs) else self.runs,
                       targets=self.targets[chosen] if len(self.targets) else self.targets)


def checked_samples(path: Path | str, values: np.ndarray, labels: np.ndarray,
                    names: tuple[str, ...] = ()) -> Samples:
    """Samples of finite numbers, each with a label of 0 or more. Raises FileError."""
    labels = labels.ravel() if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if values.dtype.kind not in "bfiu" or labels.dtype.kind not in "iu":
        raise FileError(path, mismatch("x, y", f"{values.dtype}, {labels.dtype}",
                                       "numbers, whole numbers"))
    if values.ndim < 2 or labels.ndim != 1:
        raise FileError(path, mismatch("axes of x, y", f"{values.ndim}, {labels.ndim}",
                                       "2 or more, 1"))
    if not values.size or len(labels) != len(values):
        raise FileError(path, mismatch("labels", len(labels), f"{len(values)}, one for each "
                                                              "sample, and at least one"))
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise FileError(path, "holds values that are NaN or infinite")
    if np.abs(values).max() > LARGEST:
        raise FileError(path, mismatch("values", f"up to {np.abs(values).max():g}",
                                       f"up to {LARGEST:g}"))
    if int(labels.min()) < 0 or int(labels.max()) > 255:
        wrong = int(labels.min()) if int(labels.min()) < 0 else int(labels.max())
        raise FileError(path, mismatch("label", wrong, "0..255"))
    return Samples(values, labels.astype(np.int64), names)
