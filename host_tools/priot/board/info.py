"""What a board is: firmware, processor, memory; whether the package can run there."""

import ast
from dataclasses import dataclass

from priot.board.connection import Connection
from priot.board.errors import BoardError

_QUESTION = """
import gc, os, sys
gc.collect()
i = sys.implementation
print(repr((i.version[:2], getattr(i, "_mpy", 0), getattr(i, "_machine", sys.platform),
            gc.mem_alloc() + gc.mem_free())))
"""
FIRMWARE = (1, 23)  # the oldest that loads this .mpy version and has all that is used
MPY = (6, 3)  # version and sub-version of native code in the .mpy files that mpy-cross makes
# Processors by MicroPython's number in sys.implementation._mpy. The instruction sets of the first
# contain that of armv6m, for which the native modules are built; others run the viper kernels.
_ARM = {4: "armv6m", 5: "armv7m", 6: "armv7em", 7: "armv7emsp", 8: "armv7emdp"}
_OTHERS = {1: "x86", 2: "x64", 3: "armv6", 9: "xtensa", 10: "xtensawin", 11: "rv32imc"}


@dataclass
class BoardInfo:
    """Firmware version, machine, heap in bytes, and the .mpy files that the firmware loads."""

    machine: str
    firmware: tuple[int, int]
    mpy: tuple[int, int]
    processor: str
    heap_bytes: int

    def check(self, port: str) -> None:
        """Raise BoardError unless the package and its native module run on this board."""
        version = ".".join(map(str, self.firmware))
        if self.firmware < FIRMWARE or self.mpy != MPY:
            raise BoardError(port, f"MicroPython {version} with .mpy files "
                             f"{self.mpy[0]}.{self.mpy[1]} is on the board, {MPY[0]}.{MPY[1]} is "
                             f"needed: install firmware {FIRMWARE[0]}.{FIRMWARE[1]} or later")
        if self.processor not in (*_ARM.values(), *_OTHERS.values()):
            raise BoardError(port, f"the firmware ({self.machine}) runs no native code, not even "
                             "viper kernels: use a Raspberry Pi Pico or another board with an Arm "
                             "Cortex-M, ESP32 or RISC-V processor")


def is_arm(processor: str) -> bool:
    """Whether a processor runs the native modules."""
    return processor in _ARM.values()


def ask(connection: Connection) -> BoardInfo:
    """What the connected board is."""
    answer = connection.execute(_QUESTION)
    firmware, mpy, machine, heap_bytes = ast.literal_eval(answer.strip())
    number = mpy >> 10 & 15
    processor = _ARM.get(number) or _OTHERS.get(number) or "unknown"
    return BoardInfo(machine, firmware, (mpy & 255, mpy >> 8 & 3), processor, heap_bytes)
