"""Numbers of a sensor as the int8 that a network takes, by integers, to the bit as the board.

A channel has a scale and a zero: v = round(x / scale) + zero. Both sides compute it as

    v = clamp(((x * m + 2^(s - 1)) >> s) + zero)        to 0 or -127 .. 127

with m and s from the bits of the scale, a float32 M * 2^(e - 150), 2^23 <= M < 2^24:

    m = (2^38 // M + 1) >> 1        2^13 .. 2^14        s = e - 113

so that m / 2^s is 1 / scale to 14 bits, and a reading of 16 bits times m fits MicroPython's small
integers. device/priot/readings.py is the other side.
"""

import struct
from dataclasses import dataclass

import numpy as np

from priot.errors import FileError, PriotError
from priot.formats import Dataset, Model

DEVIATION = 32  # levels of a standard deviation: 127 is 4 of them
Scale = tuple[float, int]

SLACK = 1.5  # levels beyond the range that are still its end: 1.0 where 127 is 0.992
MOST_BEYOND = 0.01  # share of the values
_MOST_BEYOND_OWN = 0.25  # of a channel's; a unit that is wrong by 4 has 32 % of normal ones beyond
_LEAST, _MOST = 1e-30, 1e30  # a scale: float32 holds it as a normal number


@dataclass(frozen=True)
class Scaling:
    """Scale and zero of all channels, one or one for each; signed: values are -127..127."""

    channels: tuple[Scale, ...]
    signed: bool = True

    def check(self, where: object) -> None:
        """Raise PriotError for a scale that no file holds."""
        for scale, zero in self.channels:
            if not _LEAST <= scale <= _MOST or abs(zero) > 0x7FFFFFFF:
                raise PriotError(where, f"scale {scale:g}, zero {zero}: expected a scale of "
                                 f"{_LEAST:g}..{_MOST:g}, a zero of 32 bits")


def multiplier(scale: float) -> tuple[int, int]:
    """m and s of a scale."""
    bits = struct.unpack("<I", struct.pack("<f", scale))[0]
    return ((1 << 38) // (bits & 0x7FFFFF | 0x800000) + 1) >> 1, (bits >> 23) - 113


def scaled(values: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Values float64 [n][channels]... as numbers of levels, not yet clipped: float64, whole."""
    found = np.empty(values.shape)
    channels = scaling.channels * (values.shape[1] if len(scaling.channels) == 1 else 1)
    for i, (scale, zero) in enumerate(channels):
        m, s = multiplier(scale)
        found[:, i] = np.floor(np.ldexp(values[:, i] * m, -s) + 0.5) + zero
    return found


def quantised(where: object, values: np.ndarray, scaling: Scaling) -> np.ndarray:
    """int8 of raw numbers [n][channels]..., uint8 where the input is not signed.

    A few values beyond are clipped, as a louder moment of a sensor is. Raises FileError where more
    than one in a hundred is, or one in four where each channel has its own deviation, which
    differs from person to person: these numbers are not scaled as the others were.
    """
    low = -127 if scaling.signed else 0
    levels = scaled(values, scaling)
    beyond = ((levels < low - SLACK) | (levels > 127 + SLACK)).mean(
        axis=tuple(i for i in range(values.ndim) if i != 1))
    own = len(scaling.channels) > 1
    share = float(beyond.max() if own else beyond.mean())
    if share > (_MOST_BEYOND_OWN if own else MOST_BEYOND):
        worst = int(beyond.argmax())
        some = values[:, worst] if own else values
        scale, zero = scaling.channels[worst if own else 0]
        name = f"channel {worst}: " if own else ""
        raise FileError(where, f"{name}values {some.min():g}..{some.max():g}, the model takes "
                        f"{(low - zero) * scale:g}..{(127 - zero) * scale:g}: are they scaled as "
                        f"those it was made with? ({100 * share:.0f} % are beyond)")
    return np.clip(levels, low, 127).astype(np.int8 if scaling.signed else np.uint8)


def standardised(values: np.ndarray) -> Scaling:
    """Of each channel the mean is 0, a standard deviation 32 levels; values [n][channels]..."""
    axes = tuple(i for i in range(values.ndim) if i != 1)
    means, deviations = values.mean(axis=axes), values.std(axis=axes)
    return Scaling(tuple(_channel(mean, deviation / DEVIATION or 1.0)
                         for mean, deviation in zip(means, deviations, strict=True)))


def between(low: float, high: float, signed: bool) -> Scaling:
    """`low` is -127, or where values are not signed 0, and `high` 127."""
    scale = _float32((high - low) / (254 if signed else 127))
    return Scaling(((scale, (-127 if signed else 0) - round(low / scale)),), signed)


def given(scales: tuple[float, ...], zeros: tuple[int, ...], signed: bool) -> Scaling:
    """Of scales and zeros as a user gives them: one of either, or one for each channel."""
    n = max(len(scales), len(zeros))
    return Scaling(tuple(zip(map(_float32, scales * n if len(scales) == 1 else scales),
                             zeros * n if len(zeros) == 1 else zeros, strict=True)), signed)


def scaling_of(source: Model | Dataset) -> Scaling | None:
    """What a model or dataset file says of its values; None: nothing."""
    if source.scales:
        return Scaling(source.scales, source.signed)
    return Scaling(((source.scale, source.zero),), source.signed) if source.scale else None


def _channel(mean: float, scale: float) -> Scale:
    scale = _float32(scale)
    return scale, round(-mean / scale)


def _float32(value: float) -> float:
    return float(np.float32(value))
