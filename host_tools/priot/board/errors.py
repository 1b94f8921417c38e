"""The ways in which work with a board fails, each as one line that says what to do."""

import os
import re

from priot.errors import PriotError


class BoardError(PriotError):
    """A board cannot do what is asked; the text says what to do about it."""


class BoardGone(BoardError):
    """The port vanished, or the board fell silent, in the middle of something."""


class BoardBusy(BoardError):
    """The board printed nothing for long. It is well; what ran there has been stopped."""


class BoardRefused(BoardError):
    """Code on the board raised an exception: `kind` is its class, `number` an OSError's errno."""

    def __init__(self, where: object, traceback: str) -> None:
        self.kind, self.text = last_line(traceback)
        found = re.search(r"\d+", self.text) if self.kind == "OSError" else None
        self.number = int(found[0]) if found else None
        super().__init__(where, _explain(self.kind, self.text, self.number))


_OS_ERRORS = {  # by MicroPython's errno, which is the same on every host
    1: "the board does not permit that",
    2: "no such file on the board",
    5: "the board's flash cannot be read or written",
    9: "a file on the board was closed too early",
    12: "the board's memory is full: a file could not be opened",
    13: "the board does not permit that",
    16: "the board's flash is busy",
    17: "a file or folder of that name is on the board",
    19: "the board has no file system; press BOOTSEL at power-up and install the firmware again",
    20: "a file on the board is in the place of a folder",
    21: "a folder on the board has that name",
    22: "the board's file system refuses it; press BOOTSEL at power-up and install the firmware "
        "again",
    24: "too many files are open on the board",
    27: "the file is too large for the board's file system",
    28: "the board's flash is full; remove files with 'mpremote connect PORT rm :NAME'",
    30: "the board's flash is read-only",
    36: "the name is too long for the board's file system",
    39: "a folder on the board is not empty",
    84: "the board's file system is damaged; press BOOTSEL at power-up, erase the flash "
        "(flash_nuke.uf2) and install the firmware again",
    110: "the board's flash does not answer",
}


def last_line(traceback: str) -> tuple[str, str]:
    """Class and text of the exception that a traceback of MicroPython ends with."""
    lines = [line for line in traceback.strip().splitlines() if line.strip()] or ["no message"]
    kind, _, text = lines[-1].partition(":")
    return kind.strip(), text.strip()


def _explain(kind: str, text: str, number: int | None) -> str:
    if number in _OS_ERRORS:
        return _OS_ERRORS[number]
    if number is not None and re.fullmatch(r"\[Errno \d+\].*|\d+", text):
        return f"the board's file system refuses it: {os.strerror(number).lower()}"
    if kind == "MemoryError":
        return f"the board's memory is full: {text or 'nothing is left'}"
    if kind == "KeyboardInterrupt":
        return "stopped by Ctrl-C on the board"
    return f"{kind}: {text}" if text else kind
