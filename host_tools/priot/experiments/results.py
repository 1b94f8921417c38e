"""The results file of an experiment: one JSON line a run, appended as runs end."""

import json
import os
import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

from priot.errors import FileError, PriotError, brief
from priot.experiments.spec import Run

_RUN_FIELDS = tuple(field.name for field in fields(Run))
# what a run measures besides time and memory: the same whenever, and by whatever kernels, it is
# done again
MEASURED = ("model_crc32", "train_crc32", "test_crc32", "before", "after", "edges",
            "backward_passes", "train_permille", "saturated_permille")
# what else the table needs
_TABLE = ("collapsed", "presentations", "pico_ram_bytes")


def run_of(result: Any, where: object) -> Run:
    """The run that a line's object describes. Raises FileError."""
    try:
        return Run(**{name: result[name] for name in _RUN_FIELDS})
    except (TypeError, KeyError) as error:
        raise FileError(where, f"no result of a run: {brief(error)}") from None


def parse_line(text: str, where: object) -> dict[str, Any]:
    """The object of one line. Raises FileError."""
    try:
        result = json.loads(text)
    except json.JSONDecodeError as error:
        raise FileError(where, f"not JSON: {brief(error)}") from None
    run_of(result, where)
    for name in (*MEASURED, *_TABLE):
        if name not in result:
            raise FileError(where, f"no {name}")
    return result


class ResultsFile:
    """Results of earlier runs, and where further ones are appended, by several threads.

    A last line that was not written to its end, as a power loss leaves it, is dropped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, dict[str, Any]] = {}
        self._appending = threading.Lock()
        if path.exists():
            self._read()

    def _read(self) -> None:
        data = self.path.read_bytes()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            os.truncate(self.path, end)
        for number, raw in enumerate(data[:end].split(b"\n")[:-1], 1):
            where = f"{self.path}: line {number}"
            try:
                line = raw.decode()
            except UnicodeDecodeError:
                raise FileError(where, "not JSON: not text") from None
            result = parse_line(line, where)
            self.results[run_of(result, where).key] = result

    def add(self, result: dict[str, Any]) -> None:
        """Append a result; it is on the disk when this returns. Raises OSError."""
        line = json.dumps(result, separators=(",", ":")) + "\n"
        with self._appending:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab") as file:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
            self.results[run_of(result, self.path).key] = result


def find_line(text: str) -> dict[str, Any]:
    """The result that `--rerun` names: the line itself, or FILE:NUMBER. Raises PriotError."""
    if text.lstrip().startswith("{"):
        return parse_line(text, "--rerun")
    path, _, number = text.rpartition(":")
    if not path or not number.isdecimal():
        raise PriotError("--rerun", f"found {text!r}, expected a line of a results file, or "
                         "FILE:NUMBER")
    lines = Path(path).read_text("utf-8").splitlines()
    if not 1 <= int(number) <= len(lines):
        raise PriotError("--rerun", f"{path} has {len(lines)} lines, found {number}")
    return parse_line(lines[int(number) - 1], text)
