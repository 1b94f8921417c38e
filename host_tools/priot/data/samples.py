"""Samples of any numbers as a network takes them: by the scale and zero that its model has.

A value v of a dataset is round(x / scale) + zero of a raw number x, 0..127, or where the model's
input is signed -127..127. A few values beyond are clipped, as a louder moment of a sensor is;
where more are, the file is refused: its numbers are not scaled as those of the network.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from priot.errors import FileError, mismatch
from priot.formats import Dataset, Model
from priot.formats.npz import read_npz
from priot.network import fields as f

_SLACK = 1.5  # levels beyond the range that are still its end: 1.0 where 127 is 0.992
_MOST_BEYOND = 0.01  # share of the values
_NAMES = (("x", "y"), ("x_train", "y_train"), ("x_test", "y_test"), ("images", "labels"))


@dataclass
class Samples:
    """Raw numbers float64 [n][...], labels int64 [n], names of the classes or none.

    targets: float64 [n][values], where labels are 0 because samples have these.
    """

    values: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...] = ()
    targets: np.ndarray | None = None


def read_samples(path: Path, loss: int = f.CROSS_ENTROPY) -> Samples:
    """Samples of an .npz file (x and y; as Keras has them, x_train and y_train) or of a .prd file.

    loss: of device/priot/fields.py; for squared error y are numbers [n][values], or where samples
    are their own targets, labels or nothing. Raises FileError, OSError.
    """
    if loss == f.SQUARED_ERROR:
        return _with_targets(path)
    if path.suffix == ".prd":
        dataset = Dataset.read(path)
        values = dataset.images.astype(np.float64)
        if dataset.scale:
            values = (values - dataset.zero) * dataset.scale
        return Samples(values, dataset.labels.astype(np.int64), dataset.names)
    arrays = read_npz(path, "samples: an .npz file with x and y, or a dataset (.prd)")
    for x, y in _NAMES:
        if x in arrays and y in arrays:
            return _checked(path, arrays[x], arrays[y])
        if x in arrays and loss == f.RECONSTRUCTION:
            return _checked(path, arrays[x], np.zeros(len(arrays[x]), np.uint8))
    raise FileError(path, mismatch("arrays", ", ".join(sorted(arrays)) or "none", "x and y"))


def _with_targets(path: Path) -> Samples:
    """Samples of an .npz file with x and the targets y."""
    arrays = read_npz(path, "samples: an .npz file with x and targets y")
    for x, y in _NAMES:
        if x in arrays and y in arrays:
            samples = _checked(path, arrays[x], np.zeros(len(arrays[x]), np.uint8))
            targets = arrays[y].reshape(len(arrays[y]), -1)
            if targets.dtype.kind not in "fiu" or not np.isfinite(targets).all() or (
                    len(targets) != len(samples.values)):
                raise FileError(path, mismatch("y", f"{arrays[y].dtype} {arrays[y].shape}",
                                               f"finite numbers [{len(samples.values)}][...]"))
            samples.targets = targets.astype(np.float64)
            return samples
    raise FileError(path, mismatch("arrays", ", ".join(sorted(arrays)) or "none",
                                   "x and targets y"))


def _checked(path: Path, values: np.ndarray, labels: np.ndarray) -> Samples:
    labels = labels.ravel()
    if values.dtype.kind not in "fiu" or labels.dtype.kind not in "iu":
        raise FileError(path, mismatch("x, y", f"{values.dtype}, {labels.dtype}",
                                       "numbers, whole numbers"))
    if not len(values) or len(labels) != len(values):
        raise FileError(path, mismatch("labels", len(labels), f"{len(values)}, one for each "
                                                              "sample, and at least one"))
    if not np.isfinite(values).all():
        raise FileError(path, "holds values that are NaN or infinite")
    if labels.min() < 0:
        raise FileError(path, mismatch("label", int(labels.min()), "at least 0"))
    return Samples(values.astype(np.float64), labels.astype(np.int64))


def samples_for(path: Path, model: Model) -> Dataset:
    """The samples of a file as a model takes them. Raises FileError, OSError."""
    samples = read_samples(path, model.loss)
    channels, height, width = model.shape
    n, shape = len(samples.values), samples.values.shape[1:]
    values = samples.values
    if shape == (height, width, channels) and shape != model.shape:
        values = values.transpose(0, 3, 1, 2)
    elif int(np.prod(shape)) != channels * height * width:
        raise FileError(path, mismatch("a sample", shape, model.shape))
    values = values.reshape(n, *model.shape)
    if model.loss != f.CROSS_ENTROPY:
        return _for_squared_error(path, samples, values, model)
    if int(samples.labels.max()) >= model.classes:
        raise FileError(path, mismatch("label", int(samples.labels.max()),
                                       f"below {model.classes}, the model's classes"))
    return Dataset(quantised(path, values, model), samples.labels.astype(np.uint8), model.classes,
                   model.names, model.scale, model.zero)


def _for_squared_error(path: Path, samples: Samples, values: np.ndarray, model: Model) -> Dataset:
    """Samples with targets as a model takes them, or with labels that it ignores."""
    classes = int(samples.labels.max()) + 1
    if classes > 256:
        raise FileError(path, mismatch("label", classes - 1, "0..255"))
    dataset = Dataset(quantised(path, values, model), samples.labels.astype(np.uint8), classes,
                      samples.names, model.scale, model.zero)
    if samples.targets is not None:
        dataset.targets = quantised_targets(path, samples.targets, model.n_targets,
                                            model.target_exponent)
    return dataset


def quantised_targets(where: object, targets: np.ndarray, n: int, exponent: int) -> np.ndarray:
    """int8 [n][values] of targets, a value v of which stands for v * 2^exponent.

    Raises FileError where there are not n of each, or they are beyond the range.
    """
    if targets.shape[1] != n:
        raise FileError(where, mismatch("values of a target", targets.shape[1], n))
    scaled = targets * 2.0**-exponent
    if (np.abs(scaled) > 127 + _SLACK).mean() > _MOST_BEYOND:
        raise FileError(where, f"targets {targets.min():g}..{targets.max():g}, the model knows "
                        f"those to {127 * 2.0**exponent:g}")
    return np.clip(np.rint(scaled), -127, 127).astype(np.int8)


def quantised(where: object, values: np.ndarray, model: Model) -> np.ndarray:
    """int8 of raw numbers, uint8 where the input is not signed. Raises FileError."""
    low = -127 if model.signed else 0
    scaled = values / model.scale + model.zero
    if ((scaled < low - _SLACK) | (scaled > 127 + _SLACK)).mean() > _MOST_BEYOND:
        ends = [(end - model.zero) * model.scale for end in (low, 127)]
        raise FileError(where, f"values {values.min():g}..{values.max():g}, the model takes "
                        f"{ends[0]:g}..{ends[1]:g}: are they scaled as those it was made with?")
    return np.clip(np.rint(scaled), low, 127).astype(np.int8 if model.signed else np.uint8)
