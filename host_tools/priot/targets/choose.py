"""A target or a board by its name: unix, emulator, qemu or qemu-m33, or a serial port."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from priot.errors import PriotError
from priot.jobs.protocol import PICO_HEAP_BYTES, Target
from priot.targets.unix import UnixTarget

if TYPE_CHECKING:
    from priot.board import Board


@contextmanager
def target(name: str, heap: int | None = None, stream: bool = False) -> Iterator[Target]:
    """The target of that name; heap: bytes, of the unix port alone. Raises PriotError.

    stream: a board keeps no datasets, each sample is sent when it is wanted.
    """
    if name == "unix":
        yield _unix_target(heap, stream)
        return
    if heap is not None:
        raise PriotError("--heap", "is for the unix port; a board has the heap it has")
    if name == "qemu" or name.startswith("qemu-"):
        from priot.targets.qemu import QemuTarget

        yield QemuTarget(stream, name)
    elif name == "emulator" or _is_port(name):
        with board(name, stream) as found:
            yield found
    else:
        raise PriotError("target", f"{name} is none of unix, emulator, qemu, nor a port as "
                         "/dev/ttyACM0")


def _unix_target(heap: int | None, stream: bool) -> UnixTarget:
    if stream:
        raise PriotError("--stream", "is for a board; the unix port reads the files of the host")
    heap = PICO_HEAP_BYTES if heap is None else heap
    if heap < 65536:
        raise PriotError("--heap", f"found {heap}, expected at least 65536 bytes")
    return UnixTarget(heap)


def _is_port(name: str) -> bool:
    return "/" in name or re.fullmatch(r"(\\\\\.\\)?COM\d+", name, re.IGNORECASE) is not None


@contextmanager
def board(name: str | None = None, stream: bool = False) -> Iterator["Board"]:
    """The board at a serial port, None: the only one, "emulator": emulated. Raises PriotError."""
    # Imported here: a run on the unix port needs neither mpremote nor an emulator.
    from priot.board import Board

    if name != "emulator":
        with Board(name, show_progress=True, stream=stream) as found:
            yield found
        return
    from priot.targets.emulator import emulated_port

    with emulated_port() as port, Board(port, show_progress=True, stream=stream) as found:
        found.name = name
        yield found
