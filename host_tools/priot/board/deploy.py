"""Brings a board what it needs, and reports what that takes of its flash and heap."""

from pathlib import Path
from typing import Any

from priot.board.board import Board
from priot.board.install import PACKAGE


def deploy(board: Board, model: Path | None, datasets: list[Path]) -> dict[str, Any]:
    """Copy what is missing; returns the report: bytes of flash and heap by what takes them."""
    copied = board.deploy(model, datasets)
    memory = board.memory(str(model) if model else None)
    return {
        "board": board.info.machine, "note": board.info.note,
        "firmware": ".".join(map(str, board.info.firmware)),
        "files": [vars(file) for file in copied],
        "flash_bytes": board.flash_bytes(), "flash_free_bytes": board.free_flash(),
        "heap": vars(memory),
    }


def bring(board: Board, model: Path, datasets: list[Path]) -> list[str]:
    """Copy what is missing; returns a line on the package and one on each other file."""
    copied = board.deploy(model, datasets)
    package = [file for file in copied if file.path.startswith("/lib/")]
    sent = sum(file.sent for file in package)
    notes = [f"note: {board.info.note}"] if board.info.note else []
    return [*notes, f"{PACKAGE}: {sent} of {len(package)} files copied" if sent else
            f"{PACKAGE}: was there",
            *(f"{file.path}: {file.size:,} bytes {file.state}" for file in copied
              if file not in package)]
