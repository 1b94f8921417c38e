"""Windows cut from time series, and parts that share no person and no row."""

from dataclasses import dataclass, replace

import numpy as np

from priot.data.numbers import Samples
from priot.data.prepare import permutation
from priot.data.reading import listed
from priot.errors import PriotError, mismatch


@dataclass(frozen=True)
class Part:
    """Which of the samples: `part` is "pretrain", "train" or "test", or None: all.

    split: sizes of the parts in samples, or where there are groups in groups. leave: groups that
    are the part test alone; the others are pretrain and train, which then are the same.
    """

    part: str | None = None
    split: tuple[int, ...] = ()
    leave: tuple[str, ...] = ()


def cut(where: object, samples: Samples, window: int, hop: int) -> Samples:
    """Windows of `window` rows, one every `hop` rows: [n][channels][1][window].

    From rows [n][channels] a window lies within rows of one recording, one group and one label,
    from the first of them on; from series [n][rows][channels] within one series. A rest that is
    shorter than a window is left out. Raises PriotError where nothing is left.
    """
    if not 1 <= window <= 65535 or not 1 <= hop <= 65535:
        raise PriotError("--window, --hop", f"found {window}, {hop}, expected 1..65535")
    values = samples.values
    if values.ndim == 3:
        n, length, _ = values.shape
        starts = np.array([i * length + at for i in range(n)
                           for at in range(0, length - window + 1, hop)], np.int64)
        owner = starts // length
        values = values.reshape(n * length, -1)
    elif values.ndim == 2:
        starts = owner = _starts(samples, window, hop)
    else:
        raise PriotError(where, mismatch("axes of a time series", values.ndim,
                                         "2, [rows][channels], or 3, [series][rows][channels]"))
    if not len(starts):
        raise PriotError(where, f"no recording of one class has {window} rows (--window)")
    rows = starts[:, None] + np.arange(window)
    found = samples.take(owner)
    found.values = values[rows].transpose(0, 2, 1)[:, :, None, :]
    return replace(found, overlap=hop < window)


def _starts(samples: Samples, window: int, hop: int) -> np.ndarray:
    changes = samples.labels[1:] != samples.labels[:-1]
    for of_row in (samples.groups, samples.runs):
        if len(of_row):
            changes = changes | (of_row[1:] != of_row[:-1])
    ends = [0, *(np.flatnonzero(changes) + 1).tolist(), len(samples)]
    return np.array([at for start, end in zip(ends[:-1], ends[1:], strict=True)
                     for at in range(start, end - window + 1, hop)], np.int64)


def part_of(where: object, samples: Samples, part: Part) -> Samples:
    """A part of the samples; parts share no group, and no row of a time series.

    Raises PriotError where they cannot be kept apart, or a part is empty.
    """
    if part.part is None:
        if part.split or part.leave:
            raise PriotError("--split" if part.split else "--leave", "goes with --part")
        return samples
    if part.leave:
        if part.split:
            raise PriotError("--leave", "says what --split says: give one of them")
        mask = np.isin(samples.groups, _known(where, samples, part.leave))
        return _some(where, samples, mask if part.part == "test" else ~mask)
    names = ("pretrain", "train", "test")[: len(part.split)]
    if part.part not in names:
        expected = (f"one of {', '.join(names)}" if names else
                    "none, or --split with sizes of parts, or --leave GROUP")
        raise PriotError("--part", f"found {part.part}, expected {expected}")
    if samples.overlap and not len(samples.groups):
        raise PriotError("--split", "windows that overlap would share rows: give --group COLUMN, "
                         "or --hop of a window at least")
    units, of_sample = (np.unique(samples.groups, return_inverse=True) if len(samples.groups)
                        else (np.arange(len(samples)),) * 2)
    if sum(part.split) > len(units):
        raise PriotError("--split", f"found {'+'.join(map(str, part.split))}, expected at most "
                         f"{len(units)} {'groups' if len(samples.groups) else 'samples'}")
    order = permutation(len(units), 0)
    first = sum(part.split[: names.index(part.part)])
    chosen = order[first : first + part.split[names.index(part.part)]]
    if len(samples.groups):
        return _some(where, samples, np.isin(of_sample, chosen))
    return samples.take(chosen)


def _known(where: object, samples: Samples, leave: tuple[str, ...]) -> list[str]:
    if not len(samples.groups):
        raise PriotError("--leave", "goes with --group COLUMN")
    known = np.unique(samples.groups).tolist()
    for name in leave:
        if name not in known:
            raise PriotError(where, f"--leave: has no group {name}; there are {listed(known)}")
    return list(leave)


def _some(where: object, samples: Samples, mask: np.ndarray) -> Samples:
    if not mask.any():
        raise PriotError(where, "nothing is left for this part")
    return samples.take(mask)
