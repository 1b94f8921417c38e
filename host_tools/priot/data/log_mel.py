"""Log-mel columns of sound in integers: what they mean, to the bit, in numpy.

A board computes the same bytes from the same samples: device/priot/audio.py, by the native module
priot_features or by viper. device/AUDIO.md explains every step.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from priot.errors import PriotError
from priot.formats.container import FRAMES, RATES, Sound

LOW_HZ = 100  # below it are hum, wind and what is left of a constant
LEVELS = 8  # of an octave of power
# log2 of 1 + (i + 0.5) / 32 in eighths
LOG_TABLE = np.rint(LEVELS * np.log2(1 + (np.arange(32) + 0.5) / 32)).astype(np.int64)
_UNIT = 14  # cosines are times 2^14
_ROOM = 1 << 13  # a stage whose inputs stay below this needs no halving
_CHUNK = 4096  # frames computed at once


def log2_fixed(x: int) -> int:
    """floor(2^16 * log2(x)) of x >= 1, bit by bit, by squaring a mantissa of 30 bits."""
    whole = x.bit_length() - 1
    mantissa = (x << 30) >> whole
    result = whole
    for _ in range(16):
        mantissa = mantissa * mantissa >> 30
        result = 2 * result + (mantissa >> 31)
        mantissa >>= mantissa >> 31
    return result


@dataclass(frozen=True)
class LogMel:
    """Columns of `mels` values -127..127 from samples int16 at `rate` per second, one each `hop`.

    frame: samples that a column sees, 128, 256 or 512; by default the largest of them that takes
    at most 32 ms. hop: half a frame by default. Raises PriotError for what cannot be.
    """

    rate: int = 8000
    mels: int = 16
    hop: int = 0
    frame: int = 0

    def __post_init__(self) -> None:
        if not RATES[0] <= self.rate <= RATES[1]:
            raise PriotError("--rate", f"found {self.rate}, expected {RATES[0]}..{RATES[1]} "
                             "samples a second")
        if not self.frame:
            fitting = [n for n in FRAMES if n * 1000 <= self.rate * 32]
            object.__setattr__(self, "frame", fitting[-1])
        if self.frame not in FRAMES:
            raise PriotError("--frame", f"found {self.frame}, expected one of "
                             f"{', '.join(map(str, FRAMES))}")
        if not self.hop:
            object.__setattr__(self, "hop", self.frame // 2)
        if not 1 <= self.hop <= self.frame:
            raise PriotError("--hop", f"found {self.hop}, expected 1..{self.frame}, the frame")
        if not 4 <= self.mels <= 64 or not self.weights.any(axis=0).all():
            raise PriotError("--mels", f"found {self.mels}, expected 4..64, and fewer than bands "
                             f"without a frequency of a frame of {self.frame}")

    @property
    def sound(self) -> Sound:
        """What files say of it."""
        return Sound(self.rate, self.frame, self.hop)

    @cached_property
    def cosines(self) -> np.ndarray:
        """round(2^14 * cos(2 pi k / frame)), k = 0..frame / 2: int64."""
        k = np.arange(self.frame // 2 + 1)
        return np.rint((1 << _UNIT) * np.cos(2 * np.pi * k / self.frame)).astype(np.int64)

    @cached_property
    def places(self) -> np.ndarray:
        """Where the frequencies k = 1..frame / 2 - 1 lie among the bands, in 256ths: int64.

        256 * (j + 1) is the middle of band j; 0 the lower end of the first, below it 0 too.
        """
        def level(k_rate: int) -> int:
            return log2_fixed(700 * self.frame + k_rate)  # mel: the logarithm of 1 + f / 700

        low, high = level(LOW_HZ * self.frame), level(self.frame * self.rate // 2)
        return np.array([max(0, (level(k * self.rate) - low) * 256 * (self.mels + 1)
                             // (high - low)) for k in range(1, self.frame // 2)])

    @cached_property
    def weights(self) -> np.ndarray:
        """int64 [frequencies][mels]: 0..256, triangles between the middles of their neighbours."""
        distance = np.abs(self.places[:, None] - 256 * np.arange(1, self.mels + 1))
        weights = np.maximum(0, 256 - distance)
        weights[self.places == 0] = 0
        return weights

    def n_samples(self, columns: int) -> int:
        """Samples that so many columns are made of."""
        return (columns - 1) * self.hop + self.frame

    def columns(self, samples: np.ndarray) -> np.ndarray:
        """int8 [columns][mels] of samples int16 [n]; as many columns as there are whole frames."""
        if len(samples) < self.frame:
            return np.zeros((0, self.mels), np.int8)
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.frame)[:: self.hop]
        return np.concatenate([self.of_frames(frames[i : i + _CHUNK])
                               for i in range(0, len(frames), _CHUNK)])

    def of_frames(self, frames: np.ndarray) -> np.ndarray:
        """int8 [n][mels] of frames int16 [n][frame]."""
        windowed, levels = self._windowed(frames.astype(np.int64))
        points, halvings = self._transform(windowed)
        powers, last = self._powers(points)
        energies = powers @ self.weights
        return self._logarithms(energies, levels + halvings + last)

    def _windowed(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frames less their mean, windowed, below 2^14; and the bits of the largest of each."""
        bits = self.frame.bit_length() - 1
        x = x - (x.sum(axis=1, keepdims=True) >> bits)
        levels = np.frexp(np.abs(x).max(axis=1, keepdims=True).astype(np.float64))[1]
        n = np.arange(self.frame)
        window = ((1 << _UNIT) - self.cosines[np.minimum(n, self.frame - n)] + 1) >> 1
        return _round_half_up(x * window, levels), levels[:, 0]

    def _transform(self, x: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """The Fourier transform of even + i odd samples, halved as often as is said with it."""
        half = self.frame // 2
        order = np.array([int(f"{i:0{half.bit_length() - 1}b}"[::-1], 2) for i in range(half)])
        real, imaginary = x[:, 0::2][:, order], x[:, 1::2][:, order]
        halvings = np.zeros(len(x), np.int64)
        size = 1
        while size < half:
            halve = _is_large(real, imaginary)
            halvings += halve
            k = np.arange(size) * (half // size)
            real, imaginary = _butterflies(real, imaginary, self.cosines[k], self._sine(k),
                                           halve[:, None, None])
            size *= 2
        return (real, imaginary), halvings

    def _sine(self, k: np.ndarray) -> np.ndarray:
        return self.cosines[np.abs(k - self.frame // 4)]

    def _powers(self, points: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """|X[k]|^2 of the samples themselves, k = 1..frame / 2 - 1; and one more halving, or 0."""
        real, imaginary = points
        half = self.frame // 2
        halve = _is_large(real, imaginary)
        k = np.arange(1, half)
        c, s = self.cosines[k], self._sine(k)
        even = real[:, k] + real[:, half - k], imaginary[:, k] - imaginary[:, half - k]
        odd = imaginary[:, k] + imaginary[:, half - k], real[:, half - k] - real[:, k]
        shift = _UNIT + 1 + halve[:, None]
        re = _round_half_up((even[0] << _UNIT) + (c * odd[0] + s * odd[1]), shift)
        im = _round_half_up((even[1] << _UNIT) + (c * odd[1] - s * odd[0]), shift)
        return re * re + im * im, halve

    def _logarithms(self, energies: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Eighths of octaves of sums of power, 127 at a sine of the largest amplitude."""
        whole = np.frexp(energies.astype(np.float64))[1].astype(np.int64) - 1  # below 2^53: exact
        mantissa = np.where(whole >= 5, energies >> np.maximum(0, whole - 5),
                            energies << np.maximum(0, 5 - whole)) & 31
        bits = self.frame.bit_length() - 1
        levels = (LEVELS * whole + LOG_TABLE[mantissa]
                  + 2 * LEVELS * (scale[:, None] - bits) - 369)
        return np.where(energies == 0, -127, np.clip(levels, -127, 127)).astype(np.int8)


def _round_half_up(x: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """x / 2^shift, halves up; shift 0: x."""
    return np.where(shift > 0, ((x >> np.maximum(shift - 1, 0)) + 1) >> 1, x)


def _is_large(real: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
    """1 for each frame with a point outside -2^13 .. 2^13 - 1, else 0."""
    low = np.minimum(real.min(axis=1), imaginary.min(axis=1))
    high = np.maximum(real.max(axis=1), imaginary.max(axis=1))
    return ((low < -_ROOM) | (high >= _ROOM)).astype(np.int64)


def _butterflies(real: np.ndarray, imaginary: np.ndarray, c: np.ndarray, s: np.ndarray,
                 halve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One stage: pairs (a, b) of points, c.size apart, become a + w b and a - w b, w = c - i s."""
    n, points = real.shape
    pairs = (n, points // (2 * len(c)), 2, len(c))
    r, i = real.reshape(pairs), imaginary.reshape(pairs)
    turned = r[:, :, 1] * c + i[:, :, 1] * s, i[:, :, 1] * c - r[:, :, 1] * s
    found = []
    for a, t in zip((r[:, :, 0], i[:, :, 0]), turned, strict=True):
        a = a << _UNIT
        both = np.stack([_round_half_up(a + t, _UNIT + halve),
                         _round_half_up(a - t, _UNIT + halve)], axis=2)
        found.append(both.reshape(n, points))
    return found[0], found[1]
