"""What host and device package say to each other: jobs go there, events come back.

A job is what device/priot/remote.py takes; its events are dictionaries. A Target is whatever
runs jobs; the rooms `targets` and `board` hold them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from priot.errors import PriotError

MARK = "@priot "
PICO_HEAP_BYTES = 246_144  # GC heap of MicroPython on a Raspberry Pi Pico
BACKENDS = ("native", "portable", "viper")  # of device/priot/backend.py, fastest first
NATIVE_BACKENDS = BACKENDS[:2]  # those of native code
DATASETS = ("train", "test", "replay", "validate_on")  # keys of a job, beside its list "also"
Event = dict[str, Any]


class Target(Protocol):
    """A place where the device package runs."""

    name: str

    def run(self, job: dict[str, Any]) -> Iterator[Event]:
        """Run a job; file names in it are names on the host. Raises PriotError."""


def datasets(job: dict[str, Any]) -> list[str]:
    """The datasets that a job names."""
    return [job[key] for key in DATASETS if job.get(key)] + list(job.get("also") or ())


def parse_line(line: str) -> Event | None:
    """The event of one line of output, None for any other text."""
    if not line.startswith(MARK):
        return None
    try:
        event = json.loads(line[len(MARK):])
    except json.JSONDecodeError as error:
        raise PriotError("target", f"unreadable event: {error}: {line.strip()[:80]}") from error
    if not isinstance(event, dict) or "event" not in event or (
            event["event"] == "error" and "text" not in event):
        raise PriotError("target", f"unreadable event: {line.strip()[:80]}")
    return event


def checked(event: Event, where: str) -> Event:
    """The event, unless it reports a failure on the target: that raises PriotError."""
    if event["event"] == "error":
        raise PriotError(where, event["text"])
    return event


def absolute(path: Path | str | None) -> str | None:
    """A path as the device package is given it."""
    return None if path is None else str(Path(path).absolute())


def tested(event: Event) -> dict[str, Any]:
    """What a report says of one test: [right, of] by class, and the confusion matrix; of a network
    trained by squared error instead [samples, sum of errors, largest] by label."""
    if "by_label" in event:
        return {"per_class": None, "confusion": None, "by_label": event["by_label"]}
    confusion = event["confusion"]
    return {"per_class": [[row[i], sum(row)] for i, row in enumerate(confusion)],
            "confusion": confusion}


def accuracy(event: Event | None) -> float | None:
    """Percent right of a "before" or "after" event; None by squared error."""
    if event is None or "correct" not in event:
        return None
    return round(100 * event["correct"] / event["total"], 2)


def mean_error(event: Event | None) -> float | None:
    """Mean error of a sample of such an event, by squared error."""
    return None if event is None or "error" not in event else round(
        event["error"] / event["total"], 2)
