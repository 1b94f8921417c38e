"""The everyday emulated Pico: real RP2040 firmware on rp2040js, both cores, flash in a file."""
from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from priot.emulator import flash_image
from priot.emulator.process import SerialProcess, require
from priot.errors import PriotError
from priot.paths import BUILD, PICO_FOLDER
from priot.transport import clock_of

_SCRIPT = Path(__file__).with_name("rp2040") / "pico.mjs"
_BOOT_TIMEOUT_S = 10.0  # of the board's time; the firmware takes half a second
_LOOK_S = 1.0


class Pico:
    """A Pico without the board.

    `folder` holds its flash (flash.bin, kept between starts), the serial port that mpremote
    takes while it runs (port) and what the emulator complains about (emulator.log).

        with Pico(Path("build/pico")) as pico:
            subprocess.run(["mpremote", "connect", pico.port, "exec", "print(1)"])

    `kill()` is power lost at this moment, `start()` after it the next power-up.
    """

    def __init__(self, folder: Path = PICO_FOLDER, firmware: Path | None = None):
        self.folder = folder
        self.flash = folder / "flash.bin"
        self.firmware = firmware or BUILD / "firmware" / "RPI_PICO.uf2"
        self.in_bootloader = False  # why it has ended, if so
        self._serial = SerialProcess(folder / "port", keeps_time=True)
        self._control: socket.socket | None = None
        self._messages: queue.Queue[str] = queue.Queue()
        self._listener: threading.Thread | None = None
        self._lock = FileLock(folder / "lock", timeout=0, thread_local=False)

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
        try:
            self._power_up()
        except BaseException:
            self.kill()
            raise

    def _power_up(self) -> None:
        self._prepare_flash()
        self.in_bootloader = False
        ours, theirs = socket.socketpair()
        with theirs:
            self._serial.spawn(self._command(theirs.fileno()), self.folder / "emulator.log",
                               pass_fds=[theirs.fileno()])
        self._control, self._messages = ours, queue.Queue()
        self._listener = threading.Thread(target=self._listen, args=(ours, self._messages),
                                          daemon=True)
        self._listener.start()
        if self._next_message(_BOOT_TIMEOUT_S) != "ready":
            raise PriotError(self.folder, f"the firmware does not boot: {self._complaint()}")

    def kill(self) -> None:
        """Power lost now, in the middle of whatever was going on; the port vanishes."""
        self._serial.kill()
        if self._control is not None:
            self._control.close()
            self._control = None
        self._lock.release(force=True)

    def cut_power_after(self, flash_operations: int) -> None:
        """Lose power in the middle of the given erase or program of flash (1 is the next one)."""
        self._tell(f"cut {flash_operations}")

    def wait(self) -> None:
        """Wait until the power is lost; raises PriotError when the emulator failed instead."""
        status = self._serial.wait()
        if self._listener is not None:
            self._listener.join()  # it hears the end of the process, and why
        self.kill()
        if status < 0:
            raise PriotError(self.folder, f"the emulator was killed by signal {-status}")
        if status > 0:
            raise PriotError(self.folder, f"the emulator failed: {self._complaint()}")

    def statistics(self) -> dict[str, Any]:
        """Since the start: `cycles` of each core (sleep left out), `instructions`, `nanos` of
        simulated time, `clock_hz`, `erased_sectors` (4096 bytes), `programmed_pages` (256)."""
        self._tell("stats")
        found: dict[str, Any] = json.loads(self._next_message() or "{}")
        return found

    def write_files(self, contents: Mapping[str, bytes]) -> None:
        """Put files into the flash while the Pico is off: much faster than through the port."""
        with self._flash_of_pico_off():
            flash_image.write_files(self.flash, contents)

    def read_files(self) -> dict[str, bytes]:
        """All files of the flash, by name, while the Pico is off."""
        with self._flash_of_pico_off():
            return flash_image.read_files(self.flash)

    @contextmanager
    def _flash_of_pico_off(self) -> Iterator[None]:
        if self.running:
            raise PriotError(self.flash, "in use: the Pico is on")
        self._take_flash()
        try:
            self._prepare_flash()
            yield
        finally:
            self._lock.release()

    def _prepare_flash(self) -> None:
        flash_image.write_firmware(self.flash, require(self.firmware, "firmware"))

    def _take_flash(self) -> None:
        self.kill()  # what is left of one that ended by itself
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise PriotError(self.folder, "another emulated Pico uses this folder") from None

    def _command(self, control_fd: int) -> list[str | Path]:
        emulator = BUILD / "emulator"
        return [require(BUILD / "bin" / "node", "setup-pico"), _SCRIPT,
                require(emulator / "rp2040js", "setup-pico"),
                require(emulator / "bootrom.bin", "setup-pico"), self.flash, self._serial.clock,
                str(control_fd)]

    def _listen(self, control: socket.socket, messages: queue.Queue[str]) -> None:
        is_up = False
        try:
            for line in control.makefile("r", encoding="utf-8"):
                if line == "reset\n":
                    self._serial.replug()
                elif line == "bootloader\n":
                    self.in_bootloader = True
                elif line != "ready\n" or not is_up:
                    messages.put(line.strip())
                    is_up = True
        except OSError:
            pass  # the process was killed
        messages.put("")

    def _tell(self, line: str) -> None:
        if self._control is None or not self.running:
            raise PriotError(self.folder, "the Pico is off")
        try:
            self._control.sendall(line.encode() + b"\n")
        except OSError:
            raise PriotError(self.folder, "the Pico is off") from None

    def _next_message(self, timeout_s: float | None = None) -> str:
        """"" at the end of the process, or after so many seconds of the board's time."""
        while True:
            try:
                return self._messages.get(timeout=_LOOK_S)
            except queue.Empty:
                if timeout_s is not None and clock_of(self.port)() > timeout_s:
                    return ""

    def _complaint(self) -> str:
        lines = (self.folder / "emulator.log").read_text(errors="replace").split("\n")
        return next((line for line in lines if "Error" in line), lines[0]) or "it says nothing"
