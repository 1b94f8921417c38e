"""Boards to plan for by name: heap and flash with MicroPython's firmware, and the processor."""

from dataclasses import dataclass

from priot.planning.flash import PICO_BLOCKS
from priot.planning.heap import HEAP_BYTES
from priot.processors import PICO


@dataclass(frozen=True)
class KnownBoard:
    """A board's heap in bytes, its flash for files in blocks, and its processor.

    is_measured: whether the heap is that of a firmware that was built from sources (`make boards`
    prints it); else it is smaller than any board's should be.
    """

    title: str
    heap_bytes: int
    flash_blocks: int
    processor: str = PICO.name
    is_measured: bool = True

    @property
    def note(self) -> str:
        """What is not known of it; "" where there is nothing to say."""
        if self.is_measured:
            return ""
        return (f"the heap of a {self.title} was not measured, {self.heap_bytes:,} bytes are on "
                "the safe side; --port asks a board")


# What the driver of the radio, the network and Bluetooth take from a heap is a guess, meant to be
# too much: 70,000 bytes of a Pico's, 78,000 of a Pico 2's.
BOARDS = {
    "pico": KnownBoard("Pico", HEAP_BYTES, PICO_BLOCKS),
    "pico-w": KnownBoard("Pico W", 176_000, 212, is_measured=False),
    "pico2": KnownBoard("Pico 2", 497_856, 768, "armv7emsp"),
    "pico2-w": KnownBoard("Pico 2 W", 420_000, 640, "armv7emsp", is_measured=False),
}
