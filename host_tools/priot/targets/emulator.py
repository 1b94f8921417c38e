"""The emulated Pico of `make pico` as a board: the one that runs, or started for one command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from priot.emulator import Pico
from priot.errors import PriotError
from priot.paths import PICO_FOLDER


@contextmanager
def emulated_port(folder: Path = PICO_FOLDER) -> Iterator[str]:
    """The serial port of the emulated Pico whose flash is in `folder`. Raises PriotError."""
    pico = Pico(folder)
    try:
        pico.start()
    except PriotError:
        if not Path(pico.port).exists():
            raise
        yield pico.port  # it is on already, in another process
        return
    try:
        yield pico.port
    finally:
        pico.kill()
