"""Runs jobs under MicroPython's unix port, within the heap of a Pico by default."""

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from priot.child import Guard
from priot.errors import PriotError
from priot.jobs.protocol import NATIVE_BACKENDS, PICO_HEAP_BYTES, Event, checked, parse_line
from priot.package import compile_package
from priot.paths import BUILD, native_folders, tool

_WANTED = "1.23 or later for x64, with .mpy files 6.3, is needed"
_WHERE = ("install Debian's package micropython, give PRIOT_MICROPYTHON=PATH, or run 'make setup' "
          "in a checkout")
_ASK = "import sys; print(sys.implementation.version >= (1, 23) and sys.implementation._mpy)"
_GRACE_S = 60  # in which training whose parent has died saves and ends
_MPY = "2822"  # x64 and .mpy 6.3 in one number


def unix_port() -> Path:
    """MicroPython here: of set-up, of PRIOT_MICROPYTHON, or on PATH. Raises PriotError."""
    try:
        path = tool("micropython")
    except PriotError as error:
        name = os.environ.get("PRIOT_MICROPYTHON", "micropython")
        raise PriotError(name, f"not found; {_WANTED}: {_WHERE}") from error
    if path == BUILD / "bin" / "micropython":
        return path  # set-up has looked at it
    try:
        said = subprocess.run([path, "-c", _ASK], capture_output=True, text=True).stdout
    except OSError as error:
        raise PriotError(path, f"does not start: {error.strerror}; {_WHERE}") from error
    if said.strip() != _MPY:
        raise PriotError(path, f"{_WANTED}: {_WHERE}")
    return path


def unix_command(heap_bytes: int, with_native: bool = True) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a MicroPython here that imports the package. Raises PriotError.

    heap_bytes: size of its heap; with_native: whether it finds the module of native code.
    """
    paths = [compile_package("x64")]
    if with_native:
        paths += native_folders()
    return ([str(unix_port()), "-X", f"heapsize={heap_bytes}"],
            dict(os.environ, MICROPYPATH=os.pathsep.join(map(str, paths))))


class UnixTarget:
    """MicroPython on this machine; `heap_bytes` is the size of its heap."""

    name = "unix"

    def __init__(self, heap_bytes: int = PICO_HEAP_BYTES) -> None:
        self.heap_bytes = heap_bytes

    def run(self, job: dict[str, Any]) -> Iterator[Event]:
        """Run a job of device/priot/remote.py; yields its events. Raises PriotError."""
        with_native = job.get("backend") in (None, *NATIVE_BACKENDS) or job["action"] == "plan"
        command, environment = unix_command(self.heap_bytes, with_native)
        code = f"import priot.remote as r\nr.run({dict(job, stop_on_stdin=True)!r})"
        with tempfile.TemporaryFile("w+") as errors:
            with _child([*command, "-c", code], environment, errors,
                        job["action"] == "train") as child:
                assert child.stdout is not None
                for line in child.stdout:
                    event = parse_line(line)
                    if event is not None:
                        yield checked(event, self.name)
            if child.returncode:
                errors.seek(0)
                lines = errors.read().strip().splitlines() or ["no message"]
                raise PriotError(self.name, f"micropython: status {child.returncode}: {lines[-1]}")


@contextmanager
def _child(command: list[str], environment: dict[str, str], errors: Any,
           is_training: bool) -> Iterator[subprocess.Popen]:
    """The process, in a session of its own, killed if the caller gives up.

    The first Ctrl-C closes its standard input, at which training ends after the sample at hand
    (a signal would hit MicroPython's standard unix port in the middle of a kernel). The second
    one kills it; the first, where nothing is trained.
    """
    child: Any = None
    guard: Guard | None = None
    interrupts: list[int] = []  # the first may come before the process is known here

    def stop(signal_number: int, frame: Any) -> None:
        interrupts.append(signal_number)
        if child is not None:
            obey()

    def obey() -> None:
        if is_training and not child.stdin.closed:
            child.stdin.close()
        else:
            child.kill()

    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, stop) if in_main else None
    try:
        child = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
            stdin=subprocess.PIPE, start_new_session=True)
        guard = Guard(child, _GRACE_S if is_training else 0)
        if interrupts:
            obey()
        yield child
        child.wait()
        if child.returncode < 0 and interrupts:
            raise KeyboardInterrupt
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)
        if child is not None:
            if child.poll() is None:
                child.kill()
                child.wait()
            if guard is not None:
                guard.dismiss()
            child.stdin.close()
            child.stdout.close()
