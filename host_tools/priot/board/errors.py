"""The ways in which work with a board fails, each as one line that says what to do."""

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


_OS_ERRORS = {
    2: "no such file on the board",
    5: "the board's flash cannot be read or written",
    19: "the board has no file system; press BOOTSEL at power-up and install the firmware again",
    28: "the board's flash is full; remove files with 'mpremote connect PORT rm :NAME'",
    30: "the board's flash is read-only",
}


def last_line(traceback: str) -> tuple[str, str]:
    """Class and text of the exception that a traceback of MicroPython ends with."""
    lines = [line for line in traceback.strip().splitlines() if line.strip()] or ["no message"]
    kind, _, text = lines[-1].partition(":")
    return kind.strip(), text.strip()


def _explain(kind: str, text: str, number: int | None) -> str:
    if number in _OS_ERRORS:
        return _OS_ERRORS[number]
    if kind == "MemoryError":
        return f"the board's memory is full: {text or 'nothing is left'}"
    if kind == "KeyboardInterrupt":
        return "stopped by Ctrl-C on the board"
    return f"{kind}: {text}" if text else kind
