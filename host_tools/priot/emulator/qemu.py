"""QEMU running the Pico's code: whole training runs in seconds, without the Pico's timing."""
from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from mpremote.transport import TransportError, TransportExecError

from priot.emulator.process import SerialProcess, require
from priot.errors import PriotError
from priot.paths import BUILD, how_to_get
from priot.transport import BoardTransport

_FILES_ADDRESS = 0x21000000  # as in boards/MPS2_M0PLUS/modules/memory_disk.py
_FILES_BYTES = 8 << 20
_UNPACK = "import memory_disk; memory_disk.unpack({table!r})"
_RUN_TIMEOUT_S = 10.0
_UNPACK_TIMEOUT_S = 120.0  # 8 MB take half a minute


class Qemu:
    """A Cortex-M0+ build of MicroPython with the Pico's `sys.implementation._mpy` and heap.

    `files` (name to contents) are in its file system from the start, loaded without any transfer.
    `port` is its serial port; connect with `mpremote connect PORT resume ...`: a soft reset, which
    mpremote makes otherwise, unmounts the file system (`memory_disk.mount()` brings it back).
    Ctrl-C does not reach a running program.
    """

    def __init__(self, files: Mapping[str, bytes] | None = None, folder: Path = BUILD / "qemu-run",
                 firmware: Path | None = None):
        self.files = dict(files or {})
        self.folder = folder
        self.firmware = firmware or Path(os.environ.get(
            "PRIOT_QEMU_FIRMWARE", BUILD / "qemu" / "firmware.elf"))
        self._serial = SerialProcess(folder / "port")

    def __enter__(self) -> Qemu:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.kill()

    @property
    def port(self) -> str:
        """The name of the serial port."""
        return str(self._serial.port)

    @property
    def running(self) -> bool:
        return self._serial.running

    def start(self) -> None:
        """Start it and make its file system with `files`. Raises PriotError; then it is off."""
        qemu = shutil.which("qemu-system-arm")
        if qemu is None:
            raise PriotError("emulator", f"no qemu-system-arm: {how_to_get('qemu')}")
        self.folder.mkdir(parents=True, exist_ok=True)
        blob = b"".join(self.files.values())
        if len(blob) > _FILES_BYTES:
            raise PriotError("emulator", f"{len(blob)} bytes of files, QEMU's board has room for "
                                         f"{_FILES_BYTES}")
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".bin") as image:
            image.write(blob or b"\0")
            image.flush()
            self._serial.spawn(
                [qemu, "-machine", "mps2-an385", "-display", "none", "-monitor", "none",
                 "-semihosting",  # the start-up code asks for it
                 "-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial",
                 "-kernel", require(self.firmware, "qemu"),
                 "-device", f"loader,file={image.name},addr={_FILES_ADDRESS},force-raw=on"],
                self.folder / "qemu.log")
            try:
                self.run(_UNPACK.format(table=self._table()), _UNPACK_TIMEOUT_S)
            except BaseException:
                self.kill()
                raise

    def kill(self) -> None:
        """End it; its file system is lost."""
        self._serial.kill()

    def run(self, code: str, timeout_s: float | None = _RUN_TIMEOUT_S) -> str:
        """Run `code` and return what it printed; what it defined stays for the next run.

        timeout_s: seconds of QEMU's processor time in which nothing is printed; None waits as long
        as it takes.
        Raises PriotError with the last line of the device's traceback.
        """
        try:
            transport = BoardTransport(self.port, wait=2)
            try:
                transport.enter_raw_repl(soft_reset=False)
                output, error = transport.exec_raw(code, timeout=timeout_s)
                transport.exit_raw_repl()
            finally:
                transport.close()
        except (TransportError, TransportExecError, OSError) as failure:
            raise PriotError("qemu", str(failure).strip().split("\n")[-1]) from failure
        if error:
            raise PriotError("qemu", error.decode().strip().split("\r\n")[-1])
        return str(output.decode().replace("\r\n", "\n"))

    def _table(self) -> list[str | int]:
        table: list[str | int] = []
        offset = 0
        for name, data in self.files.items():
            table += [name, offset, len(data)]
            offset += len(data)
        return table
