"""Reads the JSON of `priot train --json` back, checked key by key."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from priot.errors import FileError, mismatch

REPORT_VERSION = 1  # of the keys; reports before them have none
_MOST = 2**53  # beyond it JSON readers disagree
_TEXT_LENGTH = 100_000


@dataclass(frozen=True)
class Number:
    """low..high, an integer unless `whole` is False."""

    high: int
    whole: bool = True
    low: int = 0

    def __str__(self) -> str:
        return f"{'an integer' if self.whole else 'a number'} {self.low}..{self.high}"


COUNT = Number(_MOST)
PERCENT = Number(100, whole=False)
PERMILLE = Number(1000)
ERROR = Number(_MOST, whole=False)
_EPOCH = {
    "epoch": COUNT, "samples": COUNT, "train_permille?": PERMILLE, "train_error?": COUNT,
    "skipped_permille": PERMILLE, "saturated_permille": PERMILLE,
    "pruned_permille": PERMILLE, "pruned_by_layer": [PERMILLE], "us_per_sample": COUNT,
    "validate_permille?": PERMILLE, "validate_error?": COUNT,
}
_FILE = {"path": str, "crc32": str}
_LAYER = {"layer": COUNT, "kind": str, "shape": [COUNT], "edges": COUNT, "trained": COUNT,
          "kept?": COUNT}
_REPORT = {
    "method": str, "target": str, "backend": str, "model": str, "accuracy_before?": PERCENT,
    "accuracy_after?": PERCENT, "error_before?": ERROR, "error_after?": ERROR,
    "epochs": COUNT, "finished": bool, "train_images": COUNT,
    "test_images": COUNT, "n_weights": COUNT, "n_params": COUNT, "training_bytes": COUNT,
    "layout": str, "heap_bytes": COUNT, "peak_heap_bytes": COUNT, "free_heap_bytes": COUNT,
    "warnings": [str], "backward_passes": COUNT, "confusion?": [[COUNT]],
    "confusion_before?": [[COUNT]], "history": [_EPOCH], "options": dict, "saved?": str,
    "command?": str, "date?": str, "seconds?": Number(_MOST, whole=False), "names?": [str],
    "files?": {f"{name}?": _FILE for name in ("model", "train", "test", "saved", "mask")},
    "layers?": [_LAYER], "predictions?": {"before": [Number(255)], "after": [Number(255)]},
}


def read_report(path: Path) -> dict[str, Any]:
    """The report in a file: every optional key is there, None where the file has none.

    Raises FileError, OSError.
    """
    try:
        report = json.loads(path.read_bytes(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise FileError(path, "no report: not JSON") from None
    if not isinstance(report, dict) or not {"method", "history", "target"} <= report.keys():
        raise FileError(path, "no report of 'priot train --json'")
    version = report.pop("report_version", 0)
    if version not in range(REPORT_VERSION + 1):
        raise FileError(path, f"a report of version {version}, this priot reads those up to "
                        f"{REPORT_VERSION}")
    report = checked(report, _REPORT, str(path))
    _check_sizes(report, path)
    return report


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def checked(value: Any, kind: Any, where: str) -> Any:
    """The value, if it is of a kind: a type, a Number, [kind], {key: kind}. Raises FileError.

    A key that ends in "?" may be absent, or null: then it is None in what is returned.
    """
    if isinstance(kind, dict):
        return _keys(value, kind, where)
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise FileError(where, "expected a list")
        return [checked(entry, kind[0], f"{where}: {i}") for i, entry in enumerate(value)]
    if isinstance(kind, Number):
        types = (int,) if kind.whole else (int, float)
        if (isinstance(value, bool) or not isinstance(value, types)
                or not kind.low <= value <= kind.high):
            raise FileError(where, f"expected {kind}")
    elif not isinstance(value, kind):
        words = {str: "text", bool: "true or false", dict: "an object"}
        raise FileError(where, f"expected {words[kind]}")
    elif kind is str and len(value) > _TEXT_LENGTH:
        raise FileError(where, f"expected at most {_TEXT_LENGTH} letters")
    return value


def _keys(value: Any, kinds: dict[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FileError(where, "expected an object")
    found = dict(value)
    for key, kind in kinds.items():
        name = key.removesuffix("?")
        if key != name and value.get(name) is None:
            found[name] = None
        elif name not in value:
            raise FileError(where, f"no {name}")
        else:
            found[name] = checked(value[name], kind, f"{where}: {name}")
    return found


def _check_sizes(report: dict[str, Any], path: Path) -> None:
    """What one key says of another."""
    after = report["accuracy_after"]
    if (report["accuracy_before"] is None) != (after is None):
        raise FileError(path, "has one accuracy, expected before and after, or none")
    if (report["error_before"] is None) != (report["error_after"] is None):
        raise FileError(path, "has one error, expected before and after, or none")
    for i, epoch in enumerate(report["history"]):
        if (epoch["train_permille"] is None) == (epoch["train_error"] is None):
            raise FileError(f"{path}: history: {i}", "expected train_permille or train_error")
    if after is not None and report["confusion"] is None:
        raise FileError(path, "has accuracies, but no confusion")
    for name in ("confusion", "confusion_before"):
        _check_confusion(report, name, path)
    n = len(report["confusion"] or ())
    names = report["names"] or []
    if n and len(names) not in (0, n):
        raise FileError(f"{path}: names", mismatch("number", len(names), f"0 or {n}"))
    if len({len(epoch["pruned_by_layer"]) for epoch in report["history"]}) > 1:
        raise FileError(path, "pruned_by_layer: not as many layers in every epoch")
    if report["predictions"] is not None:
        _check_predictions(report["predictions"], report["confusion"], path)


def _check_confusion(report: dict[str, Any], name: str, path: Path) -> None:
    rows = report[name]
    if rows is None:
        return
    n = len(report["confusion"] or ())
    if not 2 <= n <= 256 or len(rows) != n or any(len(row) != n for row in rows):
        raise FileError(f"{path}: {name}", "expected as many rows as columns, 2..256")
    if sum(map(sum, rows)) != report["test_images"]:
        raise FileError(f"{path}: {name}", mismatch("sum", sum(map(sum, rows)),
                                                    report["test_images"]))


def _check_predictions(predictions: dict[str, list[int]], rows: list[list[int]] | None,
                       path: Path) -> None:
    for name, found in predictions.items():
        where = f"{path}: predictions: {name}"
        if rows is None or len(found) != sum(map(sum, rows)):
            raise FileError(where, "expected one for every test image")
        if found and max(found) >= len(rows):
            raise FileError(where, mismatch("class", max(found), f"below {len(rows)}"))
    columns = np.array(rows).sum(axis=0)
    if (np.bincount(predictions["after"], minlength=len(columns)) != columns).any():
        raise FileError(path, "predictions: not those of the confusion matrix")
