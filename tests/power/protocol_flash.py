"""Serial ports flash:///FILE?cut=N for pyserial: the board of board.py, on while it is open.

With `?count=PATH` the number of flash operations is written to a file when it is switched off.
`serial.protocol_handler_packages.append("power")` lets pyserial find this.
"""

import os
import select
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from priot.emulator.flash_image import FILES_START
from priot.paths import tool
from serial import SerialBase, SerialException

HEAP_BYTES = 1 << 20
POWER_LOST = "power lost"  # as board.py says it
_SCRIPT = Path(__file__).with_name("board.py")


class Serial(SerialBase):
    """A port that switches the board on when it is opened, and off when it is closed."""

    def open(self) -> None:
        """Power up."""
        parts = urlsplit(self._port)
        flash = Path(parts.path)
        query = parse_qs(parts.query)
        cut = query.get("cut", ["0"])[0]
        self._count = query.get("count", [None])[0]
        self._process = subprocess.Popen(
            [tool("micropython"), "-X", f"heapsize={HEAP_BYTES}", _SCRIPT, flash,
             str(FILES_START), cut], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, bufsize=0)
        self._buffer = b""
        self.is_open = True

    def close(self) -> None:
        """Power off."""
        if self.is_open:
            self.is_open = False
            if self._count:
                self._write_count()
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                pipe.close()

    def _write_count(self) -> None:
        """Ask the board, which is at its friendly prompt."""
        with self._process.stdout as output:
            self._process.stdin.write(b"\x07")
            text = b""
            while not text.endswith(b"\x07"):
                text += os.read(output.fileno(), 1)
        Path(self._count).write_bytes(text[:-1].split()[-1])

    def _fill(self, timeout: float | None) -> bool:
        output, errors = self._process.stdout, self._process.stderr
        ready = select.select([output, errors], [], [], timeout)[0]
        if errors in ready:
            said = os.read(errors.fileno(), 65536).decode()
            if said and said != POWER_LOST:
                raise AssertionError(said + errors.read().decode())  # the script failed
            self._process.kill()
            raise SerialException("the board is off")
        if ready:
            self._buffer += os.read(output.fileno(), 65536)
        return bool(ready)

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""
        if not self._buffer:
            self._fill(0)
        return len(self._buffer)

    def read(self, size: int = 1) -> bytes:
        """Up to so many bytes, fewer after the timeout."""
        while len(self._buffer) < size and self._fill(self._timeout):
            pass
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def write(self, data: bytes) -> int:
        """All of the bytes."""
        try:
            self._process.stdin.write(data)
        except OSError as error:
            raise SerialException("the board is off") from error
        return len(data)

    def flush(self) -> None:
        """Nothing waits to be written."""

    def _reconfigure_port(self, *_: object, **__: object) -> None:
        pass

    _update_dtr_state = _update_rts_state = _reconfigure_port
