"""Boards without hardware: `Pico` (real firmware, cycles) and `Qemu` (same code, fast)."""
from host_tools.emulator.pico import Pico
from host_tools.emulator.qemu import Qemu

__all__ = ["Pico", "Qemu"]
