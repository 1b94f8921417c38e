"""Samples that are no pictures, of whatever is given: recordings, tables, arrays of numbers."""

from dataclasses import dataclass, field
from pathlib import Path

from priot.data.reading import Reading
from priot.data.recordings import Sound, is_sound, prepare_sound
from priot.data.samples import READERS, Wanted, prepare_samples
from priot.data.scaling import scaling_of
from priot.data.sources import source_of
from priot.errors import PriotError
from priot.formats import Dataset, Model

TABLES = tuple(ending for ending in READERS if ending != ".prd")


@dataclass(frozen=True)
class Others:
    """What a user asks of samples that are no pictures: of tables and arrays, of recordings.

    of_pictures: an option that only pictures have, where one is given.
    """

    wanted: Wanted = field(default_factory=Wanted)
    sound: Sound = field(default_factory=Sound)
    of_pictures: str = ""


def read_others(path: Path | None, asked: Others, reading: Reading,
                like: Model | Dataset | None = None, kind: str | None = None) -> Dataset | None:
    """The dataset of a folder of wav files, a table, or arrays that are taken like one; None of
    what is read as pictures.

    like: the file that it is made for. kind: one of priot.data.sources where the user says it.
    Raises PriotError, OSError.
    """
    wanted = asked.wanted
    if kind is None and path is not None and is_sound(path):
        _refuse_pictures(path, asked)
        return prepare_sound(path, asked.sound, wanted.part, reading, like, wanted.n, wanted.seed)
    if wanted.hop is not None and wanted.window is None:
        raise PriotError("--hop", "goes with --window")
    source = kind or (source_of(path) if path is not None else "digits")
    if path is not None and _are_samples(source, path, wanted, like):
        _refuse_pictures(path, asked)
        return prepare_samples(path, wanted, reading, like)
    if wanted.asks:
        raise PriotError(source, "has pictures: --window, --shape, --scale, --zero, --counts, "
                         "--standardise, --group and --leave are for tables and arrays")
    columns = wanted.columns
    if columns.label or columns.use or columns.series:
        raise PriotError("--label, --columns, --series", f"are of tables, which {source} is not")
    return None


def _are_samples(source: str, path: Path, wanted: Wanted, like: Model | Dataset | None) -> bool:
    """Whether a source is taken as samples of numbers, not as pictures."""
    if source != "arrays":
        return False
    return (path.suffix.lower() in TABLES or wanted.asks
            or (like is not None and scaling_of(like) is not None))


def _refuse_pictures(path: Path, asked: Others) -> None:
    if asked.of_pictures:
        raise PriotError(asked.of_pictures, f"is for pictures, {path} has other samples")
