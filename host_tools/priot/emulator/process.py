"""An emulator as a child process whose stdin and stdout appear as a serial port (a pty)."""
from __future__ import annotations

import contextlib
import errno
import os
import pty
import select
import subprocess
import threading
import time
import tty
from collections.abc import Sequence
from pathlib import Path

from priot.child import Guard
from priot.errors import PriotError
from priot.paths import how_to_get
from priot.transport import clock_file, write_clock

_READ_BYTES = 65536
_POLL_MS = 20  # how soon a client that opened the port is noticed
_CLOCK_S = 0.05  # how far a clock may be behind


def require(path: Path, target: str) -> Path:
    """`path`, or a PriotError that names the make target which builds it."""
    if not path.exists():
        raise PriotError(path, f"missing: {how_to_get(target)}")
    return path


class SerialProcess:
    """Runs a command and serves its stdin and stdout on a pty.

    The pty has a fixed name, `port` (a symbolic link), and behaves as the USB port of a board: it
    vanishes with the process or at `replug()`, with an error for whoever has it open, and output
    that nobody reads because the port is closed is dropped.

    The board's time is in the file `clock`, see priot/transport.py: with `keeps_time`, of the
    process, else what the process computes.
    """

    def __init__(self, port: Path, keeps_time: bool = False):
        self.port = port
        self.clock = clock_file(port)
        self._keeps_time = keeps_time
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None
        self._thread: threading.Thread | None = None
        self._replug = threading.Event()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def spawn(self, command: Sequence[str | Path], log: Path,
              pass_fds: Sequence[int] = ()) -> None:
        """Start `command`; its stderr goes to the file `log`."""
        if self.running:
            raise PriotError(self.port, "the emulator is running already")
        self.port.parent.mkdir(parents=True, exist_ok=True)
        self.clock.unlink(missing_ok=True)
        self.clock.touch()  # before the port: nobody shall wait by the clock on the wall
        master = self._plug()
        try:
            with log.open("wb") as errors:
                self._process = subprocess.Popen(
                    [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=errors, pass_fds=pass_fds, bufsize=0,
                    start_new_session=True)  # Ctrl-C in a terminal is for us, not for the board
        except BaseException:
            os.close(master)
            self.port.unlink()
            raise
        self._guard = Guard(self._process)
        self._thread = threading.Thread(target=self._serve, args=(self._process, master),
                                        name="serial port", daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """End the process at once (SIGKILL); the port is gone when this returns."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def wait(self) -> int:
        """Wait for the end of the process and of its port; returns the exit status."""
        if self._process is None or self._thread is None:
            return 0
        status = self._process.wait()
        if self._guard is not None:
            self._guard.dismiss()
        self._thread.join()
        return status

    def replug(self) -> None:
        """Take the port away and make a new one of the same name, as a board's reset does."""
        self._replug.set()

    def _plug(self) -> int:
        master, slave = pty.openpty()
        tty.setraw(slave)
        link = self.port.with_name(self.port.name + ".new")
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(slave))
        link.replace(self.port)
        os.close(slave)
        os.set_blocking(master, False)
        return master

    def _serve(self, process: subprocess.Popen[bytes], master: int) -> None:
        assert process.stdin is not None and process.stdout is not None
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: self.port.unlink(missing_ok=True))
            stack.callback(lambda: self.clock.unlink(missing_ok=True))
            relay = _Relay(process.stdin.fileno(), process.stdout.fileno(), master)
            stack.callback(lambda: os.close(relay.master))
            stack.enter_context(process.stdin)
            stack.enter_context(process.stdout)
            told = 0.0
            while relay.step():
                if not self._keeps_time and time.monotonic() - told > _CLOCK_S:
                    told = time.monotonic()
                    write_clock(self.clock, _computed_s(process.pid))
                if self._replug.is_set():
                    self._replug.clear()
                    os.close(relay.master)
                    relay.plug(self._plug())


def _computed_s(pid: int) -> float:
    """Seconds of processor time that a process has had; of the wall's, where none are told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # user and system


class _Relay:
    """Passes bytes between a process and the master end of a pty, never blocking on either."""

    def __init__(self, stdin: int, stdout: int, master: int):
        self.stdin, self.stdout = stdin, stdout
        os.set_blocking(stdin, False)
        self.plug(master)

    def plug(self, master: int) -> None:
        self.master = master
        self.to_process = b""
        self.to_port = b""

    def step(self) -> bool:
        """Wait for something to pass on and pass it on; False at the end of the process."""
        poll = select.poll()
        # Opening and closing of the port is told by a hang-up of the master while nobody has it.
        poll.register(self.master, select.POLLIN | (select.POLLOUT if self.to_port else 0))
        is_open = not dict(poll.poll(0)).get(self.master, 0) & select.POLLHUP
        if not is_open:
            poll.unregister(self.master)
            self.to_process = self.to_process or _read(self.master)  # left behind by a client
        poll.register(self.stdout, select.POLLIN)
        if self.to_process:
            poll.register(self.stdin, select.POLLOUT)
        events = dict(poll.poll(_POLL_MS))
        if events.get(self.stdout) and not self._from_process(is_open):
            return False
        if is_open and events.get(self.master, 0) & select.POLLIN and not self.to_process:
            self.to_process = _read(self.master)
        self.to_process = _write(self.stdin, self.to_process)
        self.to_port = _write(self.master, self.to_port) if is_open else b""
        return True

    def _from_process(self, is_open: bool) -> bool:
        data = _read(self.stdout)
        if is_open:
            self.to_port += data
        return bool(data)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _READ_BYTES)
    except OSError as error:
        if error.errno in (errno.EIO, errno.EAGAIN):  # the port was closed meanwhile
            return b""
        raise


def _write(fd: int, data: bytes) -> bytes:
    """Write what fits; returns the rest."""
    if not data:
        return data
    try:
        return data[os.write(fd, data):]
    except BlockingIOError:
        return data
    except OSError as error:
        if error.errno in (errno.EIO, errno.EPIPE):  # nobody is there any more
            return b""
        raise
