"""What a board is: firmware, processor, memory; whether the package can run there."""

import ast
from dataclasses import dataclass

from priot.board.connection import Connection
from priot.board.errors import BoardError
from priot.processors import named, of_board

_QUESTION = """
import gc, os, sys
gc.collect()
i = sys.implementation
print(repr((i.version[:2], getattr(i, "_mpy", 0), getattr(i, "_machine", sys.platform),
            gc.mem_alloc() + gc.mem_free(), sys.platform)))
"""
FIRMWARE = (1, 23)  # the oldest that loads this .mpy version and has all that is used
MPY = (6, 3)  # version and sub-version of native code in the .mpy files that mpy-cross makes
_GROWING_HEAP = ("esp32",)  # ports whose heap grows by pieces, with native code outside of it


@dataclass
class BoardInfo:
    """Firmware version, machine, heap in bytes, and the .mpy files that the firmware loads.

    processor: as processors.py names it; platform: MicroPython's port.
    """

    machine: str
    firmware: tuple[int, int]
    mpy: tuple[int, int]
    processor: str
    heap_bytes: int
    platform: str = "rp2"

    @property
    def note(self) -> str:
        """What is not known of the board, or slow there; "" where there is nothing to say."""
        notes = [named(self.processor).note]
        if self.platform in _GROWING_HEAP:
            notes.append("its heap grows and native code lies outside of it: sizes that are "
                         "planned are not those of such a board")
        return "; ".join(filter(None, notes))

    def check(self, port: str) -> None:
        """Raise BoardError unless the package and its native module run on this board."""
        version = ".".join(map(str, self.firmware))
        if self.firmware < FIRMWARE or self.mpy != MPY:
            raise BoardError(port, f"MicroPython {version} with .mpy files "
                             f"{self.mpy[0]}.{self.mpy[1]} is on the board, {MPY[0]}.{MPY[1]} is "
                             f"needed: install firmware {FIRMWARE[0]}.{FIRMWARE[1]} or later")
        if not named(self.processor).is_supported:
            raise BoardError(port, f"the firmware ({self.machine}) runs no native code, not even "
                             "viper kernels: use a Raspberry Pi Pico or another board with an Arm "
                             "Cortex-M, ESP32 or RISC-V processor")


def ask(connection: Connection) -> BoardInfo:
    """What the connected board is."""
    answer = connection.execute(_QUESTION)
    firmware, mpy, machine, heap_bytes, platform = ast.literal_eval(answer.strip())
    return BoardInfo(machine, firmware, (mpy & 255, mpy >> 8 & 3), of_board(mpy).name, heap_bytes,
                     platform)
