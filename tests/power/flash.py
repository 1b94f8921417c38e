"""Boards in files for tests: flash images, their ports, and `priot` in this process."""

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path

import serial
from priot import cli
from priot.emulator.flash_image import FLASH_BYTES, write_files


def make_board(flash: Path, files: Mapping[str, bytes]) -> str:
    """A board that is off, with these files in its flash; returns its port."""
    if "power" not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append("power")
    flash.write_bytes(b"\xff" * FLASH_BYTES)
    write_files(flash, files)
    return f"flash://{flash}"


def run(*command: object) -> tuple[int, str, str]:
    """A command of `priot`: its status, its output, and what it complained of."""
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(
            io.StringIO()) as errors:
        status = cli.main([str(word) for word in command])
    lines = [line for line in errors.getvalue().splitlines() if line.startswith("priot: ")]
    assert len(lines) == (status == 1), errors.getvalue()
    return status, output.getvalue(), "".join(lines)
