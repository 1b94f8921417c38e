"""QEMU running a board's code: whole training runs in seconds, without the board's timing."""
from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from mpremote.transport import TransportError, TransportExecError

from priot.emulator.process import SerialProcess, require
from priot.errors import PriotError
from priot.paths import BUILD, how_to_get
from priot.transport import BoardTransport

_FILES_BYTES = 8 << 20
_UNPACK = "import memory_disk; memory_disk.unpack({table!r}, {memory})"
_RUN_TIMEOUT_S = 10.0
_UNPACK_TIMEOUT_S = 120.0  # 8 MB take half a minute


@dataclass(frozen=True)
class Machine:
    """A machine of QEMU, and MicroPython built for it with a Pico's heap.

    processor: as processors.py names it. program, options: QEMU's command. memory: address of
    16 MB beside the heap, for files. folder: of the firmware, in the build folder; target: what
    makes it.
    """

    name: str
    processor: str
    program: str
    options: tuple[str, ...]
    memory: int
    folder: str
    target: str = "boards"

    @property
    def firmware(self) -> Path:
        """MicroPython for the machine, or what PRIOT_QEMU_FIRMWARE names."""
        return Path(os.environ.get("PRIOT_QEMU_FIRMWARE", BUILD / self.folder / "firmware.elf"))


_ARM = "qemu-system-arm"
M0PLUS = Machine("Cortex-M0+", "armv6m", _ARM, ("-machine", "mps2-an385"), 0x21000000, "qemu",
                 "qemu")
MACHINES = {
    "m0plus": M0PLUS,
    "m4": Machine("Cortex-M4", "armv7emsp", _ARM, ("-machine", "mps2-an386"), 0x21000000,
                  "qemu-m4"),
    "m7": Machine("Cortex-M7", "armv7emdp", _ARM, ("-machine", "mps2-an500"), 0x60000000,
                  "qemu-m7"),
    "m33": Machine("Cortex-M33", "armv7emsp", _ARM, ("-machine", "mps2-an505"), 0x80000000,
                   "qemu-m33", "qemu"),
    "rv32": Machine("RV32IMC", "rv32imc", "qemu-system-riscv32",
                    ("-machine", "virt", "-bios", "none"), 0x81000000, "qemu-rv32"),
}


class Qemu:
    """A machine of QEMU that runs MicroPython: a Pico's code and heap unless another is given.

    `files` (name to contents) are in its file system from the start, loaded without any transfer.
    `port` is its serial port; connect with `mpremote connect PORT resume ...`: a soft reset, which
    mpremote makes otherwise, unmounts the file system (`memory_disk.mount(ADDRESS)`, that of
    `machine.memory`, brings it back).
    Ctrl-C does not reach a running program. `options` are further words of QEMU's command.
    """

    def __init__(self, files: Mapping[str, bytes] | None = None, folder: Path = BUILD / "qemu-run",
                 machine: Machine = M0PLUS, options: Sequence[str] = ()):
        self.files = dict(files or {})
        self.folder = folder
        self.machine = machine
        self.options = tuple(options)
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
        machine = self.machine
        qemu = shutil.which(machine.program)
        if qemu is None:
            raise PriotError("emulator", f"no {machine.program}: {how_to_get(machine.target)}")
        self.folder.mkdir(parents=True, exist_ok=True)
        blob = b"".join(self.files.values())
        if len(blob) > _FILES_BYTES:
            raise PriotError("emulator", f"{len(blob)} bytes of files, QEMU's board has room for "
                                         f"{_FILES_BYTES}")
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".bin") as image:
            image.write(blob or b"\0")
            image.flush()
            self._serial.spawn(
                [qemu, *machine.options, *self.options, "-display", "none", "-monitor", "none",
                 "-semihosting",  # the start-up code asks for it
                 "-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial",
                 "-kernel", require(machine.firmware, machine.target),
                 "-device", f"loader,file={image.name},addr={machine.memory},force-raw=on"],
                self.folder / "qemu.log")
            try:
                self.run(_UNPACK.format(table=self._table(), memory=machine.memory),
                         _UNPACK_TIMEOUT_S)
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
