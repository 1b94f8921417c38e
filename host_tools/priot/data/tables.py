"""Samples from tables of text: .csv and .tsv files, with a row of names or without one."""

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from priot.data.classes import class_names, natural
from priot.data.numbers import Columns, Samples, checked_samples
from priot.data.reading import Reading, listed
from priot.errors import FileError, brief, mismatch

ENDINGS = (".csv", ".tsv")
_DELIMITERS = ",;\t"
_NUMBER = re.compile(r"[0-9]{1,3}(\.0*)?")  # of a class
_LABELS = ("label", "class", "target", "y")  # usual names of the column
_MISSING = ("", "na", "n/a", "nan", "null", "none", "?", "-")
Row = tuple[int, list[str]]  # number of its line, cells


def read_table(path: Path, columns: Columns, reading: Reading) -> Samples:
    """A sample a row: numbers [n][columns], a label, and what `columns` says of the others.

    Labels that are all whole numbers 0..255 are those of classes; others are names of classes, in
    natural order. A row that is left out (skip_bad) ends a recording. Raises FileError, OSError.
    """
    names, rows, comma = _cells(path, columns)
    label = _label_column(path, names, columns)
    others = [i for name in (columns.group, columns.series) if name is not None
              for i in [_column(path, names, name, "--group, --series")]]
    use = ([_column(path, names, name, "--columns") for name in columns.use] or
           [i for i in range(len(names)) if i != label and i not in others])
    if not use:
        raise FileError(path, "has no column of values beside the label")
    values, kept, bad = [], [], []
    for number, (line, cells) in enumerate(rows):
        try:
            values.append([_number(path, line, names[i], cells[i], comma) for i in use])
            for i in (label, *others):
                if cells[i].lower() in _MISSING:
                    raise FileError(path, f"line {line}, column {names[i]}: is missing")
            kept.append(number)
        except FileError as error:
            if not reading.skip_bad:
                raise FileError(path, f"{error.what}; --skip-bad leaves such rows out") from None
            values = values[: len(kept)]
            bad.append(error.what)
    if bad:
        reading.note(f"{path}: left out: rows {len(bad)}, as {bad[0]}")
    if not kept:
        raise FileError(path, "has no row of values")
    labels, classes = _labels(path, [rows[i][1][label] for i in kept])
    found = checked_samples(path, np.array(values), labels, classes)
    if columns.group is not None:
        found.groups = np.array([rows[i][1][others[0]] for i in kept])
    breaks = np.diff(kept, prepend=kept[0]) > 1
    if columns.series is not None:
        series = np.array([rows[i][1][others[-1]] for i in kept])
        breaks[1:] |= series[1:] != series[:-1]
    found.runs = np.cumsum(breaks)
    return found


def _cells(path: Path, columns: Columns) -> tuple[list[str], list[Row], bool]:
    """Names of the columns, the rows of values, and whether a comma is the decimal point."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(path, f"is not text of UTF-8: byte {error.start}") from None
    first = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, [cell.strip() for cell in cells]))
    except csv.Error as error:
        raise FileError(path, f"line {reader.line_num}: {brief(error)}") from None
    if not rows:
        raise FileError(path, "is empty")
    width = len(rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            raise FileError(path, mismatch(f"line {line}: columns", len(cells), f"{width}, as in "
                                           "the first"))
    if width < 2:
        raise FileError(path, "has one column; expected values and a label, between commas, "
                        "semicolons or tabs")
    comma = delimiter == ";"
    named = _has_names(rows, columns, comma)
    names = rows[0][1] if named else [str(i + 1) for i in range(width)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileError(path, f"two columns are called {twice[0] or 'nothing'}")
    return names, rows[1:] if named else rows, comma


def _has_names(rows: Sequence[Row], columns: Columns, comma: bool) -> bool:
    """Whether the first row has names: the user gives one of them, or text over a number."""
    first = rows[0][1]
    wanted = {columns.label, columns.group, columns.series, *columns.use} - {None}
    if any(name in first and not _is_number(str(name), comma) for name in wanted):
        return True
    if len(rows) == 1:
        return any(name.lower() in _LABELS for name in first)
    second = rows[1][1]
    return any(cell.lower() not in _MISSING and not _is_number(cell, comma)
               and _is_number(below, comma) for cell, below in zip(first, second, strict=True))


def _label_column(path: Path, names: list[str], columns: Columns) -> int:
    if columns.label is not None:
        return _column(path, names, columns.label, "--label")
    lower = [name.lower() for name in names]
    for usual in _LABELS:
        if lower.count(usual) == 1 and not (usual == "y" and "x" in lower):  # an axis
            return lower.index(usual)
    raise FileError(path, f"which column is the label? --label NAME; there are {listed(names)}")


def _column(path: Path, names: list[str], name: str, option: str) -> int:
    if name not in names:
        raise FileError(path, f"{option}: has no column {name}; there are {listed(names)}")
    return names.index(name)


def _is_number(cell: str, comma: bool) -> bool:
    try:
        float(cell.replace(",", ".") if comma else cell)
    except ValueError:
        return False
    return "_" not in cell  # which Python takes


def _number(path: Path, line: int, name: str, cell: str, comma: bool) -> float:
    if cell.lower() in _MISSING:
        raise FileError(path, f"line {line}, column {name}: is missing")
    value = float(cell.replace(",", ".") if comma else cell) if _is_number(cell, comma) else None
    if value is None or not math.isfinite(value):
        shown = cell if len(cell) <= 20 else f"{cell[:20]}..."
        raise FileError(path, mismatch(f"line {line}, column {name}", shown, "a number"))
    return value


def _labels(path: Path, cells: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers of the classes, also as 3.0, and their names where they are not numbers."""
    if all(_NUMBER.fullmatch(cell) for cell in cells):
        return np.array([int(cell.partition(".")[0]) for cell in cells], dtype=np.int64), ()
    names = sorted(set(cells), key=natural)
    if len(names) > 256:
        raise FileError(path, f"labels: {len(names)} different texts, as {names[0]}; expected "
                        "256 classes at most (--label NAME says which column it is)")
    table = {name: i for i, name in enumerate(class_names(names, path))}
    return np.array([table[name] for name in class_names_of(cells, names, table)]), tuple(table)


def class_names_of(cells: list[str], names: list[str], table: dict[str, int]) -> list[str]:
    """Cells as the names that files hold: composed letters."""
    as_held = dict(zip(names, table, strict=True))
    return [as_held[cell] for cell in cells]
