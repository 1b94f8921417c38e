"""Boards without hardware: `Pico` (real firmware, cycles) and `Qemu` (same code, fast).

MACHINES are the processors that Qemu has.
"""
from priot.errors import PriotError

try:
    from priot.emulator.pico import Pico
    from priot.emulator.qemu import MACHINES, Qemu
except ModuleNotFoundError as error:  # a port is a pseudo-terminal, which Windows does not have
    raise PriotError("emulated board", "runs on Linux and macOS; without them name a board's port "
                     f"with --port (no module {error.name} here)") from error

__all__ = ["MACHINES", "Pico", "Qemu"]
