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
    where it is given. columns, mels, hop: of a sample, see LogMel; None: as of the file that they
    are made for, else FRAMES, MELS and half a frame.
    """

    rate: int | None = None
    columns: int | None = None
    mels: int | None = None
    hop: int | None = None


def is_sound(path: Path | None) -> bool:
    """Whether a folder holds wav files, itself or in its folders."""
    return path is not None and path.is_dir() and any(_wavs(path))


def prepare_sound(path: Path, sound: Sound, part: Part, reading: Reading,
                  like: Model | Dataset | None = None, n: int | None = None,
                  seed: int = 0) -> Dataset:
    """Samples int8 [n][1][columns][mels] of a folder of wav files; a part of them, n drawn.

    The class is the name of the file's folder, the group (the speaker) what its name begins with,
    up to a `_`; files in `path` itself are named CLASS_GROUP_NUMBER.wav. like: the file that they
    are made for, whose shape, rate, frame and hop they get. Raises PriotError, OSError.
    """
    files = labelled_wavs(path)
    columns, mel = _front_end(path, files[0][0], sound, like, reading)
    names = sorted({name for _, name, _ in files}, key=natural)
    labels = np.array([names.index(name) for _, name, _ in files])
    chosen = Samples(np.arange(len(files), dtype=np.float64)[:, None], labels, tuple(names),
                     np.array([group for _, _, group in files]))
    chosen = part_of(path, chosen, part)
    if n is not None:
        chosen = subset(chosen, n, seed)
    told: Counter[str] = Counter()
    expected = "as in the first file" if like is None or not like.sound else "as the model's"
    values = np.stack([
        _columns(files[int(i)][0], mel, columns, "" if sound.rate else expected, told)
        for i in chosen.values[:, 0]])
    for what, count in told.items():
        reading.note(f"{count} of {len(chosen)} recordings {what}")
    labelled = with_classes(path, Images(values, chosen.labels.astype(np.uint8),
                                         len(names), tuple(names)), reading)
    reading.note(f"{mel.rate} samples a second, a column of {mel.mels} bands every {mel.hop}: "
                 f"{mel.n_samples(columns) / mel.rate:.2f} s a sample", usual=True)
    dataset = Dataset(values, labelled.labels, labelled.classes, labelled.names, 1 / LEVELS, ZERO,
                      sound=mel.sound)
    dataset.check(path)
    return dataset


def _front_end(path: Path, first: Path, sound: Sound, like: Model | Dataset | None,
               reading: Reading) -> tuple[int, LogMel]:
    """Columns of a sample and what makes them: of the file that it is made for, else as asked.

    first: a recording, whose rate is taken where nothing says another. Raises PriotError.
    """
    asked = {"--rate": sound.rate, "--hop": sound.hop, "--frames": sound.columns,
             "--mels": sound.mels}
    frame = 0
    if like is not None:
        channels, *size = like.shape
        if channels != 1 or (like.scale, like.zero) != (1 / LEVELS, ZERO):
            raise PriotError(path, "has recordings, and what they are made for is not of sound: "
                             "its inputs are no log-mel columns")
        known = dict(zip(("--frames", "--mels"), size, strict=True))
        if like.sound:
            frame = like.sound.frame
            known |= {"--rate": like.sound.rate, "--hop": like.sound.hop}
        elif sound.rate is None or sound.hop is None:
            reading.note("what they are made for does not say its rate and hop: those of the "
                         "recordings and half a frame are taken (--rate, --hop)")
        for option, value in known.items():
            if asked[option] not in (None, value):
                raise PriotError(option, f"found {asked[option]}, what they are made for has "
                                 f"{value}")
        asked |= known
    columns = FRAMES if asked["--frames"] is None else asked["--frames"]
    if not 1 <= columns <= 4096:
        raise PriotError("--frames", f"found {columns}, expected 1..4096")
    rate, mels = asked["--rate"], asked["--mels"]
    return columns, LogMel(_rate(first) if rate is None else rate,
                           MELS if mels is None else mels, asked["--hop"] or 0, frame)


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


def _columns(path: Path, mel: LogMel, columns: int, expected: str,
             told: Counter[str]) -> np.ndarray:
    """A sample of a recording. expected: why files of another rate are refused; "": they are
    converted."""
    rate, samples = read_wav(path)
    if samples.shape[1] > 1:
        told["have several channels: their mean is taken"] += 1
    x = samples.mean(axis=1)
    if rate != mel.rate:
        if expected:
            raise FileError(path, mismatch("samples a second", rate, f"{mel.rate} {expected}; "
                                           f"--rate {mel.rate} converts all"))
        told[f"were converted to {mel.rate} samples a second"] += 1
        ratio = Fraction(mel.rate, rate)
        if max(ratio.numerator, ratio.denominator) > 4096:
            raise FileError(path, f"{rate} samples a second cannot be converted to {mel.rate}")
        x = signal.resample_poly(x, ratio.numerator, ratio.denominator)
    whole = np.clip(np.rint(x), -32768, 32767).astype(np.int16)
    n = mel.n_samples(columns)
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
