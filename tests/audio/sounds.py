"""Sounds to test log-mel columns with, and the same columns in floating point by scipy."""

import numpy as np
from priot.data.log_mel import LEVELS, LOW_HZ, LogMel
from scipy import signal


def speech(mel: LogMel, n: int, seed: int) -> np.ndarray:
    """int16 [n]: a voice's harmonics through moving resonances, with pauses and some noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(n) / mel.rate
    pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 1.3 * t)) / mel.rate
    voice = sum(np.sin(k * pitch) / k for k in range(1, 20) if k * 160 < mel.rate / 2)
    loud = np.maximum(0, np.sin(2 * np.pi * 1.7 * t + rng.uniform(0, 6))) ** 2
    b, a = signal.iirpeak(rng.uniform(400, 1500), 3, mel.rate)
    x = signal.lfilter(b, a, voice) * loud * rng.uniform(500, 20000) + rng.normal(0, 8, n)
    return np.clip(np.rint(x), -32768, 32767).astype(np.int16)


def frames(mel: LogMel, seed: int) -> dict[str, np.ndarray]:
    """int16 [n][frame] by name: what sounds like something, and what is at the ends of ranges."""
    rng = np.random.default_rng(seed)
    n, t = mel.frame, np.arange(mel.frame)
    cut = np.lib.stride_tricks.sliding_window_view(speech(mel, 40 * n, seed), n)[::n]
    sines = np.sin(2 * np.pi * rng.uniform(150, 0.45 * mel.rate, (20, 1)) * t / mel.rate)
    impulse = np.zeros((4, n))
    impulse[range(4), (0, 1, n // 2, n - 1)] = (32767, -32768, 32767, -32768)
    extreme = np.where(rng.random((8, n)) < 0.5, -32768, 32767)
    square = np.where(t // np.array([[1], [2], [7], [n // 2]]) % 2, -32768, 32767)
    steps = np.array([[0] * n, [1] * n, [-32768] * n, [32767] * n, [0, 1] * (n // 2)])
    return {name: np.rint(x).astype(np.int16) for name, x in {
        "speech": cut, "noise": rng.normal(0, 6000, (20, n)).clip(-32768, 32767),
        "quiet": rng.integers(-2, 3, (10, n)), "sines": sines * 32767,
        "faint sines": sines * 20, "impulses": impulse, "extremes": extreme, "squares": square,
        "constants": steps, "beside a constant": 2000 + rng.normal(0, 20, (10, n)),
    }.items()}


def reference(mel: LogMel, samples: np.ndarray) -> np.ndarray:
    """Levels, not rounded, float64 [n][mels], of frames [n][frame], by scipy in floating point."""
    x = samples.astype(np.float64)
    x -= x.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(x * signal.get_window("hann", mel.frame))[:, 1 : mel.frame // 2]
    power = np.abs(spectrum / (mel.frame / 4)) ** 2

    def warped(hz):
        return np.log2(1 + hz / 700)

    low, high = warped(LOW_HZ), warped(mel.rate / 2)
    hz = np.arange(1, mel.frame // 2) * mel.rate / mel.frame
    place = (warped(hz) - low) / (high - low) * (mel.mels + 1)
    weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(1, mel.mels + 1)))
    with np.errstate(divide="ignore"):
        return LEVELS * np.log2(power @ weights) + 127 - LEVELS * 30
