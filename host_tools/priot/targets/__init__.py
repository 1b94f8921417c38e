"""Where the device package runs: the unix port here, an emulated board, or a real one.

Every target runs a job of device/priot/remote.py and yields its events as dictionaries.
"""

import json
from collections.abc import Iterator
from typing import Any, Protocol

from priot.errors import PriotError

MARK = "@priot "
PICO_HEAP_BYTES = 246_144  # GC heap of MicroPython on a Raspberry Pi Pico
BACKENDS = ("native", "portable", "viper", "plain")  # of device/priot/backend.py, fastest first
NATIVE_BACKENDS = BACKENDS[:2]  # those of native code
Event = dict[str, Any]


class Target(Protocol):
    """A place where the device package runs."""

    name: str

    def run(self, job: dict[str, Any]) -> Iterator[Event]:
        """Run a job; file names in it are names on the host. Raises PriotError."""


def parse_line(line: str) -> Event | None:
    """The event of one line of output, None for any other text."""
    if not line.startswith(MARK):
        return None
    try:
        return json.loads(line[len(MARK):])
    except json.JSONDecodeError as error:
        raise PriotError("target", f"unreadable event: {error}: {line.strip()[:80]}") from error


def checked(event: Event, where: str) -> Event:
    """The event, unless it reports a failure on the target: that raises PriotError."""
    if event["event"] == "error":
        raise PriotError(where, event["text"])
    return event
