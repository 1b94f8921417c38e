"""Datasets of sound: folders of wav files as log-mel columns, which a board computes alike.

A recording becomes one sample, the middle of it: silence is added on both sides, or what is too
much cut off on both.
"""

import struct
import wave
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy import signal

from priot.data.classes import class_name, natural, with_classes
from priot.data.images import Images
from priot.data.log_mel import LEVELS, LogMel
from priot.data.numbers import Samples
from priot.data.prepare import subset
from priot.data.reading import FRAMES, MELS, Reading
from priot.data.windows import Part, part_of
from priot.errors import FileError, PriotError, mismatch
from priot.formats import Dataset, Model

ZERO = 127 - LEVELS * 30  # a value v is 8 * log2 of power + this; the largest sine has 2^30
_MOST_SECONDS = 60


@dataclass(frozen=True)
class Sound:
    """What a user wants of recordings.

    rate: samples a second, that of the files where it is None; files of another are converted
    where it is given. columns, mels, hop: of a sample, see LogMel; hop 0: half a frame.
    """

    rate: int | None = None
    columns: int = FRAMES
    mels: int = MELS
    hop: int = 0


def is_sound(path: Path | None) -> bool:
    """Whether a folder holds wav files, itself or in its folders."""
    return path is not None and path.is_dir() and any(_wavs(path))


def prepare_sound(path: Path, sound: Sound, part: Part, reading: Reading,
                  like: Model | Dataset | None = None, n: int | None = None,
                  seed: int = 0) -> Dataset:
    """Samples int8 [n][1][columns][mels] of a folder of wav files; a part of them, n drawn.

    The class is the name of the file's folder, the group (the speaker) what its name begins with,
    up to a `_`; files in `path` itself are named CLASS_GROUP_NUMBER.wav. like: the file that they
    are made for, whose shape they get. Raises PriotError, OSError.
    """
    files = labelled_wavs(path)
    if like is not None:
        channels, columns, mels = like.shape
        if channels != 1 or (like.scale, like.zero) != (1 / LEVELS, ZERO):
            raise PriotError(path, "has recordings, and what they are made for is not of sound: "
                             "its inputs are no log-mel columns")
        sound = Sound(sound.rate, columns, mels, sound.hop)
    rate = sound.rate or _rate(files[0][0])
    mel = LogMel(rate, sound.mels, sound.hop)
    if not 1 <= sound.columns <= 4096:
        raise PriotError("--frames", f"found {sound.columns}, expected 1..4096")
    names = sorted({name for _, name, _ in files}, key=natural)
    labels = np.array([names.index(name) for _, name, _ in files])
    chosen = Samples(np.arange(len(files), dtype=np.float64)[:, None], labels, tuple(names),
                     np.array([group for _, _, group in files]))
    chosen = part_of(path, chosen, part)
    if n is not None:
        chosen = subset(chosen, n, seed)
    told: Counter[str] = Counter()
    values = np.stack([_columns(files[int(i)][0], mel, sound, told) for i in chosen.values[:, 0]])
    for what, count in told.items():
        reading.note(f"{count} of {len(chosen)} recordings {what}")
    labelled = with_classes(path, Images(values, chosen.labels.astype(np.uint8),
                                         len(names), tuple(names)), reading)
    reading.note(f"{mel.rate} samples a second, a column of {mel.mels} bands every {mel.hop}: "
                 f"{mel.n_samples(sound.columns) / mel.rate:.2f} s a sample", usual=True)
    dataset = Dataset(values, labelled.labels, labelled.classes, labelled.names, 1 / LEVELS, ZERO)
    dataset.check(path)
    return dataset


def middle(samples: np.ndarray, n: int) -> np.ndarray:
    """n samples: the middle, with as much silence before as behind, one more behind."""
    more = n - len(samples)
    if more >= 0:
        return np.pad(samples, (more // 2, more - more // 2))
    return samples[-more // 2 :][:n]


def read_wav(path: Path) -> tuple[int, np.ndarray]:
    """Rate and samples int16 [n][channels] of a wav file of 8, 16, 24 or 32 bits. FileError."""
    try:
        with wave.open(str(path)) as file:
            rate, width, channels = (file.getframerate(), file.getsampwidth(),
                                     file.getnchannels())
            n = file.getnframes()
            data = file.readframes(n)
    except (wave.Error, EOFError, struct.error, RuntimeError, ValueError) as error:
        raise FileError(path, f"no wav file of whole numbers (PCM) that can be read: "
                              f"{error or 'it ends too soon'}") from None
    if width not in (1, 2, 3, 4):
        raise FileError(path, mismatch("bits", 8 * width, "8, 16, 24 or 32"))
    if rate < 1 or len(data) != n * channels * width:
        raise FileError(path, mismatch("bytes of samples", len(data), n * channels * width)
                        + ": truncated")
    if not n:
        raise FileError(path, "has no samples")
    if n > _MOST_SECONDS * rate:
        raise FileError(path, f"takes {n / rate:.0f} s, expected at most {_MOST_SECONDS}")
    raw = np.frombuffer(data, np.uint8).reshape(n, channels, width)
    if width == 1:
        return rate, (raw[:, :, 0].astype(np.int16) - 128) << 8
    return rate, np.ascontiguousarray(raw[:, :, -2:]).view("<i2")[:, :, 0].astype(np.int16)


def _columns(path: Path, mel: LogMel, sound: Sound, told: Counter[str]) -> np.ndarray:
    rate, samples = read_wav(path)
    if samples.shape[1] > 1:
        told["have several channels: their mean is taken"] += 1
    x = samples.mean(axis=1)
    if rate != mel.rate:
        if sound.rate is None:
            raise FileError(path, mismatch("samples a second", rate, f"{mel.rate} as in the first "
                                           "file; --rate converts all"))
        told[f"were converted to {mel.rate} samples a second"] += 1
        ratio = Fraction(mel.rate, rate)
        if max(ratio.numerator, ratio.denominator) > 4096:
            raise FileError(path, f"{rate} samples a second cannot be converted to {mel.rate}")
        x = signal.resample_poly(x, ratio.numerator, ratio.denominator)
    whole = np.clip(np.rint(x), -32768, 32767).astype(np.int16)
    n = mel.n_samples(sound.columns)
    if len(whole) > n:
        told["are longer than a sample: the middle is taken (--frames)"] += 1
    return mel.columns(middle(whole, n))[None]


def _wavs(folder: Path) -> list[Path]:
    return sorted((file for file in (*folder.glob("*"), *folder.glob("*/*"))
                   if file.suffix.lower() == ".wav" and not file.name.startswith(".")),
                  key=lambda file: natural(str(file)))


def labelled_wavs(path: Path) -> list[tuple[Path, str, str]]:
    """Every file with its class and group. Raises FileError."""
    found = []
    for file in _wavs(path):
        words = file.stem.split("_")
        if file.parent != path:
            found.append((file, class_name(file.parent.name, file), words[0]))
        elif len(words) < 3:
            raise FileError(file, "expected CLASS_SPEAKER_NUMBER.wav, or a folder for each class")
        else:
            found.append((file, class_name(words[0], file), words[1]))
    names = {name for _, name, _ in found}
    if len(names) > 256:
        raise FileError(path, mismatch("classes", len(names), "1..256"))
    return found


def _rate(path: Path) -> int:
    return read_wav(path)[0]
