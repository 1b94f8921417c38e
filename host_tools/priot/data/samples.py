"""Datasets of samples that are no pictures: tables, arrays of any numbers, windows of time series.

What a value of theirs stands for is a scale and a zero, of all channels or of each: those of the
file that the samples are made for, what the user gives, or the samples' mean and deviation.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from priot.data import scaling, tables
from priot.data.array_files import find_x, find_xy, read_arrays_of
from priot.data.arrays import from_arrays
from priot.data.classes import class_names, with_classes
from priot.data.images import Images
from priot.data.numbers import Columns, Samples, checked_samples
from priot.data.prepare import finish, subset, to_dataset
from priot.data.reading import Reading
from priot.data.windows import Part, cut, part_of
from priot.errors import FileError, PriotError, mismatch
from priot.formats import Dataset, Model
from priot.network import fields as f
from priot.network.stage import Shape


@dataclass(frozen=True)
class Wanted:
    """What a user wants of a file of samples.

    labels: the file of labels beside one of samples (.npy). window, hop: rows. counts: of the
    sensor for a unit of the file, of all channels or of each: the samples become what it reads.
    scales, zeros: as of a file, of all channels or of each. standardise: scale each channel by its
    mean and deviation. shape: channels, height, width. n, seed: draw so many.
    """

    columns: Columns = Columns()
    labels: Path | None = None
    window: int | None = None
    hop: int | None = None
    part: Part = field(default_factory=Part)
    counts: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    zeros: tuple[int, ...] = ()
    standardise: bool = False
    shape: Shape | None = None
    n: int | None = None
    seed: int = 0

    @property
    def asks(self) -> bool:
        """Whether only a file of samples can give it."""
        return bool(self.window or self.counts or self.scales or self.zeros or self.standardise
                    or self.shape or self.part.leave or self.columns.group)


Reader = Callable[[Path, Wanted, Reading], Samples]


def read_samples(path: Path, wanted: Wanted | None = None, reading: Reading | None = None,
                 loss: int = f.CROSS_ENTROPY) -> Samples:
    """Samples of a file, a dataset's by its scale.

    loss: of device/priot/fields.py; for squared error y are numbers [n][values], or where samples
    are their own targets, labels or nothing. Raises PriotError, OSError.
    """
    wanted = wanted or Wanted()
    reader = READERS.get(path.suffix.lower(), _read_arrays)
    if loss == f.SQUARED_ERROR:
        return _with_targets(path, wanted)
    if loss == f.RECONSTRUCTION and reader is _read_arrays and wanted.labels is None:
        arrays = read_arrays_of(path, None)
        x = find_x(arrays, wanted.columns)
        if x is not None:
            return _without_labels(path, arrays[x])
    return reader(path, wanted, reading or Reading())


def _with_targets(path: Path, wanted: Wanted) -> Samples:
    """Samples of an .npz file with x and the targets y, or of two .npy files."""
    if path.suffix.lower() in READERS:
        raise FileError(path, "samples with targets: expected an .npz file with x and targets y")
    arrays = read_arrays_of(path, wanted.labels)
    x, y = find_xy(path, arrays, wanted.columns, wanted.part.part == "test")
    samples = _without_labels(path, arrays[x])
    targets = arrays[y].reshape(len(arrays[y]), -1)
    if targets.dtype.kind not in "fiu" or not np.isfinite(targets).all() or (
            len(targets) != len(samples)):
        raise FileError(path, mismatch(y, f"{arrays[y].dtype} {arrays[y].shape}",
                                       f"finite numbers [{len(samples)}][...]"))
    samples.targets = targets.astype(np.float64)
    return samples


def _without_labels(path: Path, values: np.ndarray) -> Samples:
    return checked_samples(path, values, np.zeros(values.shape[:1], np.uint8))


def _read_table(path: Path, wanted: Wanted, reading: Reading) -> Samples:
    return tables.read_table(path, wanted.columns, reading)


def _read_dataset(path: Path, _wanted: Wanted, _reading: Reading) -> Samples:
    dataset = Dataset.read(path)
    values = dataset.images.astype(np.float64)
    of_file = scaling.scaling_of(dataset)
    if of_file:
        scales, zeros = np.array(of_file.channels).T[..., None, None]
        values = (values - zeros) * scales
    return Samples(values, dataset.labels.astype(np.int64), dataset.names)


def _read_arrays(path: Path, wanted: Wanted, _reading: Reading) -> Samples:
    columns = wanted.columns
    arrays = read_arrays_of(path, wanted.labels)
    x, y = find_xy(path, arrays, columns, wanted.part.part == "test" and not wanted.part.leave)
    names = arrays.get("names", np.array([]))
    own = class_names(names.tolist(), path) if names.dtype.kind == "U" and names.ndim == 1 and (
        names.size) else ()
    labels = arrays[y]
    if labels.dtype.kind in "US" and labels.ndim == 1:
        own, labels = _named(path, labels.astype(str))
    found = checked_samples(path, arrays[x], labels, own)
    if own and int(found.labels.max()) >= len(own):
        raise FileError(path, mismatch("label", int(found.labels.max()), f"below {len(own)}"))
    for option, name in (("--group", columns.group), ("--series", columns.series)):
        if name is not None and (name not in arrays or arrays[name].shape != found.labels.shape):
            raise FileError(path, f"{option}: has no array {name} with an entry for each sample")
    if columns.group is not None:
        found.groups = arrays[columns.group].astype(str)
    if columns.series is not None:
        found.runs = np.unique(arrays[columns.series].astype(str), return_inverse=True)[1]
    return found


def _named(path: Path, labels: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    found, numbers = np.unique(labels, return_inverse=True)
    return class_names(found.tolist(), path), numbers


# By the end of a file's name; what is not here has arrays.
READERS: dict[str, Reader] = {".prd": _read_dataset,
                              **{ending: _read_table for ending in tables.ENDINGS}}


def prepare_samples(path: Path, wanted: Wanted, reading: Reading,
                    like: Model | Dataset | None = None) -> Dataset:
    """The samples of a file as a network takes them: those of the part, cut, scaled and drawn.

    like: the model or dataset file that they are made for: its shape, its scale and its sign.
    Raises PriotError, OSError.
    """
    loss = like.loss if isinstance(like, Model) else f.CROSS_ENTROPY
    samples = read_samples(path, wanted, reading, loss)
    if wanted.window:
        samples = cut(path, samples, wanted.window, wanted.hop or wanted.window)
    samples = part_of(path, samples, wanted.part)
    if wanted.n is not None:
        samples = subset(samples, wanted.n, wanted.seed)
    shape = like.shape if like else wanted.shape
    if shape and _are_pictures(wanted, like, shape):
        values = _shaped(path, samples.values, shape)
        images = from_arrays(path, values, samples.labels, replace(reading, layout="chw"),
                             samples.names)
        return to_dataset(finish(with_classes(path, images, reading), reading))
    values = _in_counts(path, _shaped(path, samples.values, shape), wanted.counts)
    levels, used = _levels(path, values, wanted, reading, like)
    classes = len(samples.names) or max(2, int(samples.labels.max()) + 1)
    labelled = Images(levels, samples.labels.astype(np.uint8), classes, samples.names)
    if loss == f.CROSS_ENTROPY:
        labelled = with_classes(path, labelled, reading)
    dataset = Dataset(levels, labelled.labels, labelled.classes, labelled.names)
    if len(used.channels) == 1:
        (dataset.scale, dataset.zero), = used.channels
    else:
        dataset.scales = used.channels
    if len(samples.targets):
        assert isinstance(like, Model)
        dataset.classes = 1
        dataset.targets = quantised_targets(path, samples.targets, like.n_targets,
                                            like.target_exponent)
    dataset.check(path)
    return dataset


def quantised_targets(where: object, targets: np.ndarray, n: int, exponent: int) -> np.ndarray:
    """int8 [n][values] of targets, a value v of which stands for v * 2^exponent.

    Raises FileError where there are not n of each, or they are beyond the range.
    """
    if targets.shape[1] != n:
        raise FileError(where, mismatch("values of a target", targets.shape[1], n))
    levels = targets * 2.0**-exponent
    if (np.abs(levels) > 127 + scaling.SLACK).mean() > scaling.MOST_BEYOND:
        raise FileError(where, f"targets {targets.min():g}..{targets.max():g}, the model knows "
                        f"those to {127 * 2.0**exponent:g}")
    return np.clip(np.rint(levels), -127, 127).astype(np.int8)


def _are_pictures(wanted: Wanted, like: Model | Dataset | None, shape: Shape) -> bool:
    """Whether values are pixels: 0..127 of a file without a scale, or rows of a shape."""
    if like is not None:
        return scaling.scaling_of(like) is None
    return shape[1] > 1 and shape[0] in (1, 3) and not (
        wanted.scales or wanted.zeros or wanted.standardise or wanted.counts)


def _shaped(path: Path, values: np.ndarray, shape: Shape | None) -> np.ndarray:
    """Values [n][...] as [n][channels][height][width]. Raises FileError."""
    found = values.shape[1:]
    if shape is None:
        shape = ((found[0], 1, 1) if len(found) == 1 else (1, *found)
                 if len(found) == 2 else found)
        if len(shape) != 3:
            raise FileError(path, mismatch("axes of x", values.ndim, "2..4, or --shape CxHxW"))
    elif len(found) == 3 and found != shape and found == (*shape[1:], shape[0]):
        values = values.transpose(0, 3, 1, 2)
    elif int(np.prod(found, dtype=object)) != int(np.prod(shape, dtype=object)):
        raise FileError(path, mismatch("a sample", found, shape))
    return values.reshape(len(values), *shape)


def _in_counts(path: Path, values: np.ndarray, counts: tuple[float, ...]) -> np.ndarray:
    """Values in a unit as what the sensor of the board reads, whole numbers of 16 bits."""
    if not counts:
        return values
    if len(counts) not in (1, values.shape[1]):
        raise PriotError("--counts", mismatch("numbers", len(counts),
                                              f"1, or {values.shape[1]}, one a channel"))
    read = np.rint(values * np.array(counts)[:, None, None])
    return np.clip(read, -0x8000, 0x7FFF)


def _levels(path: Path, values: np.ndarray, wanted: Wanted, reading: Reading,
            like: Model | Dataset | None) -> tuple[np.ndarray, scaling.Scaling]:
    """int8, or uint8 where nothing is below 0, and the scaling that made them."""
    used = scaling.scaling_of(like) if like else None
    chosen = [name for name, given in (
        ("--for", used), ("--scale", wanted.scales or wanted.zeros), ("--range", reading.range),
        ("--standardise", wanted.standardise)) if given]
    if len(chosen) > 1:
        raise PriotError(chosen[1], f"says what {chosen[0]} says: give one of them")
    if wanted.scales or wanted.zeros:
        if not {len(wanted.scales), len(wanted.zeros)} <= {0, 1, values.shape[1]}:
            raise PriotError("--scale, --zero", mismatch(
                "numbers", max(len(wanted.scales), len(wanted.zeros)),
                f"1, or {values.shape[1]}, one a channel"))
        used = scaling.given(wanted.scales or (1.0,), wanted.zeros or (0,), True)
        used.check("--scale, --zero")
        used = replace(used, signed=bool((scaling.scaled(values, used) < 0).any()))
    elif reading.range:
        used = scaling.between(*reading.range, signed=reading.range[0] < 0)
        used.check("--range")
    elif used is None:
        used = scaling.standardised(values)
        used.check(path)
        reading.note(f"{path}: each channel by its mean and deviation, 127 is 4 deviations "
                     "(--scale, --range say otherwise; other parts of these data: --for this "
                     "file)", usual=wanted.standardise)
        low, high = -127, 127  # a heavy tail is clipped: it is these samples' own
        levels = np.clip(scaling.scaled(values, used), low, high)
        return levels.astype(np.int8), used
    if len(used.channels) not in (1, values.shape[1]):
        raise FileError(path, mismatch("channels", values.shape[1], len(used.channels)))
    return scaling.quantised(path, values, used), used
