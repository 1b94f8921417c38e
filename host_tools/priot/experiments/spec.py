"""What an experiment is: a readable TOML file, and the runs it asks for.

    title = "Digits turned by 30 and 45 degrees"
    backbones = ["digits-0", "own.priot"]   # of this repository, or paths from here
    angles = [30, 45]           # degrees counterclockwise; 0 leaves images as they are
    seeds = [1, 2, 3]           # of the scores, the order, and the draw of transfer images; not 0,
                                # which device/priot takes as 1
    epochs = 30
    heap = 246144               # bytes of MicroPython's heap; a Pico's where absent
    like = "other.toml"         # another specification, whose entries hold where absent here

    [data]
    source = "digits"           # as of `priot dataset`; or train_file, test_file, pretrain_file
    path = "folder"             # from here; --data FOLDER goes before it
    split = [900, 448, 449]     # as of `priot dataset --split`
    train = 448                 # transfer images, drawn by the run's seed; all where absent
    test = 449                  # test images, the first so many; all where absent

    [[methods]]
    name = "top 80 %"           # in the table
    method = "priot"
    keep = 80                   # and other options of `priot train`
    calibration = "naive"       # shifts of `priot quantize --naive`; "usual" where absent

Every backbone is run with every angle, seed and method.
"""

import json
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from priot.data.sources import SOURCES
from priot.errors import PriotError, brief, mismatch
from priot.jobs.protocol import PICO_HEAP_BYTES
from priot.methods import METHODS, OPTIONS, WORDS
from priot.paths import BACKBONES

CALIBRATIONS = ("usual", "naive")
METHOD_OPTIONS = tuple(name for name in OPTIONS if name != "seed")
_FILES = ("train_file", "test_file", "pretrain_file")
_TEXT_OPTIONS = tuple(name for name in OPTIONS if WORDS[name])


@dataclass(frozen=True)
class Run:
    """One training run: all that is needed to do it again, but for the path of a data source."""

    name: str
    method: str
    options: dict[str, Any]
    calibration: str
    backbone: str
    angle: float
    seed: int
    epochs: int
    heap: int
    data: dict[str, Any]

    @property
    def key(self) -> str:
        """The same for the same run."""
        return json.dumps(asdict(self), sort_keys=True)

    def __str__(self) -> str:
        return f"{self.name}, {self.backbone}, {self.angle:g} degrees, seed {self.seed}"


@dataclass(frozen=True)
class Spec:
    """A checked specification. `methods` holds name, method, options and calibration."""

    name: str
    title: str
    backbones: list[str]
    angles: list[float]
    seeds: list[int]
    epochs: int
    methods: list[dict[str, Any]]
    data: dict[str, Any]
    heap: int = PICO_HEAP_BYTES
    folder: Path = field(default=Path("."), compare=False)

    @classmethod
    def read(cls, path: Path) -> "Spec":
        """The specification in a file. Raises PriotError that names the entry, OSError."""
        values = _parsed(path)
        like = values.pop("like", None)
        if like is not None:
            if not isinstance(like, str):
                raise PriotError(path, mismatch("like", repr(like), "the name of a file"))
            values = {**_parsed(path.parent / like), **values}
        return cls(path.stem, folder=path.parent.absolute(), **_checked(values, path))

    def runs(self) -> list[Run]:
        """All runs, every method on one backbone, angle and seed before the next."""
        return [Run(epochs=self.epochs, heap=self.heap, backbone=self._backbone(backbone),
                    angle=angle, seed=seed, data=self._data(), **method)
                for seed in self.seeds for backbone in self.backbones
                for angle in self.angles for method in self.methods]

    def _backbone(self, name: str) -> str:
        if (BACKBONES / f"{name}.priot").exists():
            return name
        return str(self.folder / name)

    def _data(self) -> dict[str, Any]:
        return {key: str(self.folder / value) if key == "path" or key in _FILES else value
                for key, value in self.data.items()}


def backbone_path(name: str) -> Path:
    """The file of a backbone of this repository, or the path itself. Raises PriotError."""
    path = BACKBONES / f"{name}.priot"
    if not path.exists():
        path = Path(name)
    if not path.is_file():
        raise PriotError(name, f"neither a model file nor one of {BACKBONES}")
    return path


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise PriotError(path, "not TOML: not text") from None
    except tomllib.TOMLDecodeError as error:
        raise PriotError(path, f"not TOML: {brief(error)}") from None


def _checked(values: dict[str, Any], path: Path) -> dict[str, Any]:
    where = str(path)
    _known(values, where, ("title", "backbones", "angles", "seeds", "epochs", "heap", "data",
                           "methods"))
    for name, kind, low, high in (("backbones", str, 0, 0), ("angles", (int, float), -360, 360),
                                  ("seeds", int, 1, 0xFFFFFFFF)):
        _list_of(values, where, name, kind, low, high)
        if len(set(values[name])) < len(values[name]):
            raise PriotError(where, f"{name}: {values[name]} holds one twice")
    _number(values, where, "epochs", 1, 65535)
    if "heap" in values:
        _number(values, where, "heap", 65536, 1 << 40)
    methods = _methods(values.get("methods"), where)
    naive = any(entry["calibration"] == "naive" for entry in methods)
    return {"title": str(values.get("title", path.stem)), "methods": methods,
            "data": _data(values.get("data"), f"{where}: data", naive),
            **{name: values[name] for name in ("backbones", "angles", "seeds", "epochs", "heap")
               if name in values}}


def _known(values: Any, where: str, names: tuple[str, ...]) -> None:
    if not isinstance(values, dict):
        raise PriotError(where, f"found {values!r}, expected a table")
    for name in values:
        if name not in names:
            raise PriotError(where, f"unknown entry {name}, expected {', '.join(names)}")


def _list_of(values: dict[str, Any], where: str, name: str, kind: Any, low: float,
             high: float) -> None:
    entries = values.get(name)
    good = isinstance(entries, list) and entries and all(
        isinstance(entry, kind) and not isinstance(entry, bool)
        and (kind is str or low <= entry <= high) for entry in entries)
    if not good:
        what = "names of files" if kind is str else f"numbers {low}..{high}"
        raise PriotError(where, mismatch(name, entries, f"a list of {what}"))


def _number(values: dict[str, Any], where: str, name: str, low: int, high: int) -> None:
    value = values.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise PriotError(where, mismatch(name, value, f"{low}..{high}"))


def _methods(entries: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(entries, list) or not entries:
        raise PriotError(where, mismatch("methods", entries, "at least one [[methods]]"))
    methods = [_method(entry, f"{where}: methods {i}") for i, entry in enumerate(entries, 1)]
    names = [entry["name"] for entry in methods]
    for name in names:
        if names.count(name) > 1:
            raise PriotError(where, f"two methods are named {name!r}")
    return methods


def _method(entry: Any, where: str) -> dict[str, Any]:
    """name, method, options, calibration. What the options mean is checked on the device."""
    _known(entry, where, ("name", "method", "calibration", *METHOD_OPTIONS))
    method, calibration = entry.get("method"), entry.get("calibration", "usual")
    if method not in METHODS:
        raise PriotError(where, mismatch("method", method, f"one of {', '.join(METHODS)}"))
    if calibration not in CALIBRATIONS:
        raise PriotError(where, mismatch("calibration", calibration, "usual or naive"))
    options = {name: entry[name] for name in METHOD_OPTIONS if name in entry}
    for name, value in options.items():
        kind = str if name in _TEXT_OPTIONS else int
        if not isinstance(value, kind) or isinstance(value, bool):
            raise PriotError(where, mismatch(name, repr(value), "a word" if kind is str
                                             else "a whole number"))
    return {"name": str(entry.get("name", method)), "method": method, "options": options,
            "calibration": calibration}


def _data(entry: Any, where: str, naive: bool) -> dict[str, Any]:
    _known(entry, where, ("source", "path", "split", "train", "test", *_FILES))
    for name in ("train", "test"):
        if name in entry:
            _number(entry, where, name, 1, 65536)
    for name in ("path", *_FILES):
        if not isinstance(entry.get(name, ""), str):
            raise PriotError(where, mismatch(name, entry[name], "a path"))
    if "source" in entry:
        if entry["source"] not in SOURCES:
            raise PriotError(where, mismatch("source", entry["source"],
                                             f"one of {', '.join(SOURCES)}"))
        if "split" in entry:
            _list_of({"split": entry["split"]}, where, "split", int, 1, 1 << 31)
    wanted = () if "source" in entry else _FILES if naive else _FILES[:2]
    for name in wanted:
        if name not in entry:
            raise PriotError(where, f"needs source, or {' and '.join(wanted)}")
    return dict(entry)
