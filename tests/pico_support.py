"""Emulated Picos with files in their flash, the command `priot` beside them, a person typing."""

import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from priot.board.install import package_files
from priot.emulator import Pico
from priot.paths import ROOT
from priot.transport import clock_of
from support import HANG_S

PROMPT = b">>> "
# mpremote itself, but patient: see there.
MPREMOTE = [sys.executable, str(Path(__file__).with_name("patient_mpremote.py"))]


@contextmanager
def running_pico(folder: Path, files: Mapping[str, bytes] | None = None,
                 with_package: bool = True) -> Iterator[Pico]:
    """A Pico that is on, with files and, unless told otherwise, the package in its flash."""
    pico = Pico(folder)
    pico.write_files({**(package_files() if with_package else {}), **(files or {})})
    with pico:
        yield pico


def most_of_the_package() -> dict[str, bytes]:
    """The package but for a few files: copying them all to an emulated Pico takes minutes."""
    files = package_files()
    for missing in ("priot/heap.mpy", "priot/memory.mpy", "priot_native.mpy"):
        del files[f"/lib/{missing}"]
    return files


def priot(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command `priot` to its end."""
    return subprocess.run([sys.executable, "-m", "priot.cli", *map(str, arguments)],
                          cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)


def start_priot(*arguments: object) -> subprocess.Popen[str]:
    """Start the command `priot`, in a process group of its own."""
    return subprocess.Popen([sys.executable, "-m", "priot.cli", *map(str, arguments)],
                            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            start_new_session=True)


def complaint(result: subprocess.CompletedProcess[str] | tuple[str, str]) -> str:
    """The only line of error that a failed command wrote, progress bars left out."""
    text = result.stderr if isinstance(result, subprocess.CompletedProcess) else result[1]
    lines = [line.split("\r")[-1].strip() for line in text.splitlines()]
    said = [line for line in lines if line and "it/s" not in line and "B/s" not in line
            and "epoch" not in line]
    assert len(said) == 1, text
    assert said[0].startswith("priot: ")
    return said[0]


def pass_time(port: str, seconds: float) -> None:
    """Let so much of a board's time go by, or all that it has left until it loses its power."""
    clock = clock_of(port)
    until = clock() + seconds
    while Path(port).exists() and clock() < until:
        time.sleep(0.02)


class Person:
    """Someone at a terminal with `mpremote connect PORT repl`."""

    def __init__(self, port: str) -> None:
        self._clock = clock_of(port)
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [*MPREMOTE, "connect", port, "repl"],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        while termios.tcgetattr(self._master)[3] & termios.ECHO:
            time.sleep(0.02)  # mpremote takes no key before it has set up its terminal
        self.type("")

    def wait_for(self, text: bytes, timeout_s: float = 60) -> str:
        """Read until some text appears, at most so long in the board's time; what was read."""
        seen = b""
        deadline = self._clock() + timeout_s
        while text not in seen:
            assert self._process.poll() is None, seen
            assert self._clock() < deadline, seen
            if select.select([self._master], [], [], 0.2)[0]:
                seen += os.read(self._master, 65536)
        return seen.decode().replace("\r\n", "\n")

    def press(self, key: bytes) -> None:
        """A key, for example b"\\x03"."""
        os.write(self._master, key)

    def type(self, line: str, timeout_s: float = 60) -> str:
        """Type a line; what the board answers until its next prompt."""
        self.press(line.encode() + b"\r")
        return self.answer(line, timeout_s)

    def answer(self, line: str = "", timeout_s: float = 60) -> str:
        """What the board says until its next prompt, without the echo of `line`."""
        text = self.wait_for(b"\n" + PROMPT, timeout_s)
        text = text.removesuffix(PROMPT.decode()).partition("\n")[2]
        return text.strip("\n")

    def leave(self) -> None:
        """Ctrl-]."""
        self.press(b"\x1d")
        self._process.wait(timeout=HANG_S)
        os.close(self._master)
