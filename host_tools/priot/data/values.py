"""Which values of arrays and deep pictures are black and white, and those values as 0..255."""

import numpy as np

from priot.errors import FileError

Range = tuple[float, float]

_STEPS = (1, 16, 255, 1023, 4095, 16383, 65535)  # masks, scikit-learn's digits, 8..16 bits
_AT_ONCE = 256  # images, or rows of one, in float64
_SLACK = 1e-3  # of rounding, where values are 0..1


def extent(where: object, values: np.ndarray) -> tuple[float, float, bool]:
    """Least and largest value, and whether all are whole. Raises FileError on NaN, infinity."""
    if values.dtype.kind != "f":
        return float(values.min()), float(values.max()), True
    strange = int((~np.isfinite(values)).sum())
    if strange:
        raise FileError(where, f"{strange} values are NaN or infinite")
    return (float(values.min()), float(values.max()), bool((values == np.rint(values)).all()))


def usual_range(where: object, low: float, high: float, whole: bool) -> Range:
    """Black and white of values that reach from low to high, by rule. Raises FileError.

    From 0: the first of 1, 16, 255, 1023, 4095, 16383 and 65535 that none exceeds; fractions 0..1
    or, where they reach half of it, 0..255. Below 0: -1..1, or whole -128..127.
    """
    if low >= 0:
        if high <= 1 + _SLACK:
            return 0, 1
        if whole and high <= _STEPS[-1]:
            return 0, next(step for step in _STEPS if high <= step)
        if 127 < high <= 255.5:
            return 0, 255
    elif low >= -1 - _SLACK and high <= 1 + _SLACK:
        return -1, 1
    elif whole and low >= -128 and high <= 127:
        return -128, 127
    raise FileError(where, f"values {low:g}..{high:g}: say which are black and white with "
                    "--range LOW HIGH")


def to_bytes(values: np.ndarray, black_white: Range) -> np.ndarray:
    """Values as uint8: black 0, white 255, rounded half up; what lies beyond is clipped."""
    black, white = black_white
    if values.dtype == np.uint8 and black_white == (0, 255):
        return values
    found = np.empty(values.shape, np.uint8)
    for i in range(0, len(values), _AT_ONCE):
        part = values[i : i + _AT_ONCE].astype(np.float64)
        scaled = (np.clip(part, min(black_white), max(black_white)) - black) * 255
        found[i : i + _AT_ONCE] = np.floor(scaled / (white - black) + 0.5)
    return found


def range_text(low: float, high: float, black_white: Range) -> str:
    """ "values 0..3998 read as 0..4095"."""
    return f"values {low:g}..{high:g} read as {black_white[0]:g}..{black_white[1]:g}"
