"""The training methods and the options of a Trainer, as the device package's table says."""

from dataclasses import dataclass
from typing import Any

from priot.network.fields import BY_BIASES, METHOD_COLUMNS, METHOD_ROWS, OPTION_ROWS


@dataclass(frozen=True)
class Method:
    """One row of device/priot/methods.py, which explains the columns."""

    name: str
    number: int
    rule: int
    rounding: int | None
    step: int
    conv_step: int
    useful: tuple[int, int]
    threshold: int
    dynamic: bool
    last: int
    fraction: int | None

    def start(self, has_biases: bool) -> tuple[int, bool]:
        """Rounding of updates, and whether scores start normal, otherwise at 0; on a network with
        or without biases."""
        return BY_BIASES[has_biases] if self.rounding is None else (self.rounding, False)


METHODS = {row[0]: Method(**dict(zip(METHOD_COLUMNS, row, strict=True))) for row in METHOD_ROWS}
# keywords of the device's Trainer: name -> default; which values it takes it says itself
OPTIONS: dict[str, Any] = {name: default for name, default, *_ in OPTION_ROWS}
# the words that an option takes, None where those are numbers
WORDS = {name: [word for word in low if word] if isinstance(low, tuple) else None
         for name, _, low, _ in OPTION_ROWS}
