"""One host at a time on a port, whatever kind of port it is."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from priot.board.errors import BoardError

_user = getattr(os, "getuid", int)  # Windows has a temporary folder for each user


class PortLock:
    """Held from construction to `release`; a process that dies lets go of it too.

    The serial port itself is locked by pyserial, against mpremote and others. That neither covers
    ports on sockets nor tells who has it. Raises BoardError.
    """

    def __init__(self, port: str) -> None:
        name = hashlib.sha256(os.path.realpath(port).encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"priot-{_user()}-{name}.lock"
        holder = path.with_suffix(".pid")  # another file: Windows lets nobody read a locked one
        self._lock = FileLock(path, timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except (Timeout, OSError):
            process = "unknown"
            with contextlib.suppress(OSError):
                process = holder.read_text("ascii").strip() or process
            raise BoardError(port, f"in use by another priot (process {process}); "
                             "wait for it to end, or stop it") from None
        holder.write_text(f"{os.getpid()}\n", "ascii")

    def release(self) -> None:
        """Let others have the port; doing it again does nothing."""
        self._lock.release()
