"""Boards without hardware: `Pico` (real firmware, cycles) and `Qemu` (same code, fast)."""
from priot.emulator.pico import Pico
from priot.emulator.qemu import Qemu

__all__ = ["Pico", "Qemu"]
