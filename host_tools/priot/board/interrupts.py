"""Ctrl-C while something goes on that must not be torn: counted, not obeyed."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def counted_ctrl_c(wanted: bool = True) -> Iterator[list[int]]:
    """A list that grows by the first Ctrl-C, if wanted; the next raises KeyboardInterrupt."""
    presses: list[int] = []
    if not wanted:
        yield presses
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, _frame: Any) -> None:
        presses.append(number)
        signal.signal(signal.SIGINT, before)

    try:
        signal.signal(signal.SIGINT, note)
        is_main = True
    except ValueError:  # not the main thread: Ctrl-C does not come here
        is_main = False
    try:
        yield presses
    finally:
        if is_main:
            signal.signal(signal.SIGINT, before)
