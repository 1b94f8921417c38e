"""One host at a time on a port, whatever kind of port it is."""

import fcntl
import hashlib
import os
import tempfile
from pathlib import Path

from priot.board.errors import BoardError


class PortLock:
    """Held from construction to `release`; a process that dies lets go of it too.

    The serial port itself is locked by pyserial, against mpremote and others. That neither covers
    ports on sockets nor tells who has it. Raises BoardError.
    """

    def __init__(self, port: str) -> None:
        name = hashlib.sha256(os.path.realpath(port).encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"priot-{os.getuid()}-{name}.lock"
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._handle, 20).decode(errors="replace").strip()
            os.close(self._handle)
            raise BoardError(port, f"in use by another priot (process {holder or 'unknown'}); "
                             "wait for it to end, or stop it") from None
        os.ftruncate(self._handle, 0)
        os.write(self._handle, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let others have the port; doing it again does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
