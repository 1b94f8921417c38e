"""Writes reports as JSON, and says beforehand where a file could not be written."""

import json
from pathlib import Path
from typing import Any

from priot.errors import PriotError
from priot.formats.container import KINDS, read_magic, write_file


def check_folder(path: Path) -> None:
    """Raise PriotError unless a file of that name could be made."""
    if not path.absolute().parent.is_dir():
        raise PriotError(path, "its folder does not exist")


def check_report(path: Path | None) -> None:
    """Raise PriotError, before any work is done, where a report would be lost or lose a file."""
    if path is None:
        return
    check_folder(path)
    if path.is_dir():
        raise PriotError(path, "is a folder")
    if path.exists() and read_magic(path) in KINDS:
        raise PriotError(path, f"is a {KINDS[read_magic(path)]}; not overwritten")


def write_json(path: Path | None, report: dict[str, Any]) -> None:
    """Write a report, atomically, if a path is given. Raises OSError."""
    if path is not None:
        write_file(path, (json.dumps(report, indent=2) + "\n").encode())
