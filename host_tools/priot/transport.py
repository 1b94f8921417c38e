"""mpremote's serial transport, whose time-outs count in the board's own time if it is emulated.

An emulated board is as slow as the machine is busy: by the clock on the wall no time-out would be
right. A real board's time is that clock.
"""

import functools
import select
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpremote.transport_serial import SerialTransport

Clock = Callable[[], float]  # seconds

_NANOS = struct.Struct("<Q")
_LOOK_S = 0.2  # how often the board's clock is looked at


def clock_file(port: Path) -> Path:
    """Where an emulator keeps the time of the board at `port`: nanoseconds, 64 bits."""
    return port.with_name(port.name + ".clock")


def write_clock(path: Path, seconds: float) -> None:
    """Set the clock of a board in place: who reads at this moment sees the old time or the new."""
    with path.open("r+b", buffering=0) as file:
        file.write(_NANOS.pack(round(seconds * 1e9)))


def clock_of(port: str) -> Clock:
    """The clock of an emulated board; for a real one, that on the wall."""
    path = clock_file(Path(port))
    if "://" in port or not path.exists():
        return time.monotonic

    def seconds() -> float:
        try:
            return float(_NANOS.unpack(path.read_bytes())[0] / 1e9)
        except (FileNotFoundError, struct.error):  # the board is off, or only just on
            return 0.0

    return seconds


class BoardTransport(SerialTransport):
    """Takes the place of mpremote's SerialTransport. `clock` is the board's.

    `read_now(size)` reads with the port's time-out in real time; all else waits in the board's.
    """

    def __init__(self, device: str, *args: Any, **options: Any) -> None:
        super().__init__(device, *args, **options)
        self.clock = clock_of(device)
        self.is_emulated = self.clock is not time.monotonic
        self.read_now = self.serial.read
        if self.is_emulated:
            self.serial.read = functools.partial(_read, self.serial, self.read_now, self.clock)

    def read_until(self, min_num_bytes: int, ending: bytes, timeout: float | None = 10,
                   data_consumer: Callable[[bytes], object] | None = None,
                   timeout_overall: float | None = None) -> bytes:
        """What comes until `ending`, or until nothing has come for `timeout` seconds.

        With `data_consumer`, which gets each byte, `ending` is one byte and only the last is
        returned: as in mpremote.
        """
        data = b""
        start = self.clock()
        silent_since: float | None = None
        while not data.endswith(ending):
            if self.serial.in_waiting:
                new = self.serial.read(1)
                if data_consumer:
                    data_consumer(new)
                data = new if data_consumer else data + new
                silent_since = None
                continue
            now = self.clock()
            silent_since = now if silent_since is None else silent_since
            if timeout is not None and now >= silent_since + timeout or (
                    timeout_overall is not None and now >= start + timeout_overall):
                break
            time.sleep(0.01)
        return data


def _read(serial: Any, read_now: Callable[[int], bytes], clock: Clock, size: int = 1) -> bytes:
    """As pyserial's read, with its time-out counted by `clock`, which is not asked in vain."""
    start: float | None = None
    data = b""
    while True:
        if select.select([serial.fileno()], [], [], _LOOK_S)[0]:
            data += read_now(min(size - len(data), max(1, serial.in_waiting)))
        if len(data) >= size:
            return data
        now = clock()
        start = now if start is None else start
        if serial.timeout is not None and now >= start + serial.timeout:
            return data
