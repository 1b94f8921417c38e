"""The everyday emulated Pico: real RP2040 firmware on rp2040js, both cores, flash in a file."""
from __future__ import annotations

import fcntl
import json
import os
import queue
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from priot.emulator import flash_image
from priot.emulator.process import SerialProcess, require
from priot.errors import PriotError
from priot.paths import BUILD

_SCRIPT = Path(__file__).with_name("rp2040") / "pico.mjs"
_BOOT_TIMEOUT_S = 60.0
_ANSWER_TIMEOUT_S = 10.0


class Pico:
    """A Pico without the board.

    `folder` holds its flash (flash.bin, kept between starts), the serial port that mpremote
    takes while it runs (port) and what the emulator complains about (emulator.log).

        with Pico(Path("build/pico")) as pico:
            subprocess.run(["mpremote", "connect", pico.port, "exec", "print(1)"])

    `kill()` is power lost at this moment, `start()` after it the next power-up.
    """

    def __init__(self, folder: Path = BUILD / "pico", firmware: Path | None = None):
        self.folder = folder
        self.flash = folder / "flash.bin"
        self.firmware = firmware or BUILD / "firmware" / "RPI_PICO.uf2"
        self._serial = SerialProcess(folder / "port")
        self._control: socket.socket | None = None
        self._messages: queue.Queue[str] = queue.Queue()
        self._lock = -1

    def __enter__(self) -> Pico:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.kill()

    @property
    def port(self) -> str:
        """The name of the serial port, the same after each start and reset."""
        return str(self._serial.port)

    @property
    def running(self) -> bool:
        return self._serial.running

    def start(self) -> None:
        """Power up; returns when the firmware has brought up its serial port.

        Raises PriotError when something is not built, the flash is in use, or nothing boots.
        """
        if self.running:
            raise PriotError(self.folder, "the Pico is on already")
        self._take_flash()
        ours, theirs = socket.socketpair()
        with theirs:
            self._serial.spawn(self._command(theirs.fileno()), self.folder / "emulator.log",
                               pass_fds=[theirs.fileno()])
        self._control, self._messages = ours, queue.Queue()
        threading.Thread(target=self._listen, args=(ours, self._messages), daemon=True).start()
        if self._next_message(_BOOT_TIMEOUT_S) != "ready":
            self.kill()
            raise PriotError(self.folder, f"the firmware does not boot: {self._complaint()}")

    def kill(self) -> None:
        """Power lost now, in the middle of whatever was going on; the port vanishes."""
        self._serial.kill()
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def cut_power_after(self, flash_operations: int) -> None:
        """Lose power in the middle of the given erase or program of flash (1 is the next one)."""
        self._tell(f"cut {flash_operations}")

    def wait(self) -> None:
        """Wait until the power is lost; raises PriotError when the emulator failed instead."""
        status = self._serial.wait()
        self.kill()
        if status < 0:
            raise PriotError(self.folder, f"the emulator was killed by signal {-status}")
        if status > 0:
            raise PriotError(self.folder, f"the emulator failed: {self._complaint()}")

    def statistics(self) -> dict[str, Any]:
        """Since the start: `cycles` of each core (sleep left out), `instructions`, `nanos` of
        simulated time, `clock_hz`, `erased_sectors` (4096 bytes), `programmed_pages` (256)."""
        self._tell("stats")
        found: dict[str, Any] = json.loads(self._next_message(_ANSWER_TIMEOUT_S) or "{}")
        return found

    def write_files(self, contents: Mapping[str, bytes]) -> None:
        """Put files into the flash while the Pico is off: much faster than through the port."""
        self._prepare_flash()
        flash_image.write_files(self.flash, contents)

    def read_files(self) -> dict[str, bytes]:
        """All files of the flash, by name, while the Pico is off."""
        self._prepare_flash()
        return flash_image.read_files(self.flash)

    def _prepare_flash(self) -> None:
        if self.running:
            raise PriotError(self.flash, "in use: the Pico is on")
        flash_image.write_firmware(self.flash, require(self.firmware, "firmware"))

    def _take_flash(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise PriotError(self.folder, "another emulated Pico uses this folder") from None
        self.kill()  # what is left of one that ended by itself
        self._lock = lock
        self._prepare_flash()

    def _command(self, control_fd: int) -> list[str | Path]:
        emulator = BUILD / "emulator"
        return [require(BUILD / "bin" / "node", "setup-pico"), _SCRIPT,
                require(emulator / "rp2040js", "setup-pico"),
                require(emulator / "bootrom.bin", "setup-pico"), self.flash, str(control_fd)]

    def _listen(self, control: socket.socket, messages: queue.Queue[str]) -> None:
        is_up = False
        try:
            for line in control.makefile("r", encoding="utf-8"):
                if line == "reset\n":
                    self._serial.replug()
                elif line != "ready\n" or not is_up:
                    messages.put(line.strip())
                    is_up = True
        except OSError:
            pass  # the process was killed
        messages.put("")

    def _tell(self, line: str) -> None:
        if self._control is None or not self.running:
            raise PriotError(self.folder, "the Pico is off")
        self._control.sendall(line.encode() + b"\n")

    def _next_message(self, timeout_s: float) -> str:
        try:
            return self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return ""

    def _complaint(self) -> str:
        lines = (self.folder / "emulator.log").read_text(errors="replace").split("\n")
        return next((line for line in lines if "Error" in line), lines[0]) or "it says nothing"
