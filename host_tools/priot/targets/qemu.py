"""Runs jobs in QEMU: a board's code, whole training runs in seconds; nothing is kept."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from priot.board import Board
from priot.board.install import package_files
from priot.emulator import MACHINES, Qemu
from priot.errors import PriotError
from priot.jobs.protocol import Event, datasets
from priot.planning.names import board_path

# QEMU's board forgets its mounted file system at every soft reset.
_PRELUDE = """
import memory_disk, sys
memory_disk.mount({memory})
sys.path.append("/lib")
"""


class QemuTarget:
    """A fresh machine for every job, with the job's files in its memory from the start.

    name: qemu, the Pico's processor, or qemu-NAME with a name of emulator.MACHINES. Raises
    PriotError for any other.
    """

    def __init__(self, stream: bool = False, name: str = "qemu") -> None:
        self.name = name
        self.stream = stream
        processor = name.removeprefix("qemu").removeprefix("-") or "m0plus"
        if processor not in MACHINES:
            raise PriotError("target", f"{name} is none of qemu, "
                             + ", ".join(f"qemu-{known}" for known in MACHINES))
        self.machine = MACHINES[processor]

    def run(self, job: dict[str, Any]) -> Iterator[Event]:
        """Run a job of device/priot/remote.py; yields its events. Raises PriotError."""
        files = package_files(self.machine.processor)
        inputs = [job[key] for key in ("model", "scores") if job.get(key)]
        for path in inputs + ([] if self.stream else datasets(job)):
            files[board_path(path)] = Path(path).read_bytes()
        with tempfile.TemporaryDirectory(prefix="priot-qemu-") as folder:
            with Qemu(files, Path(folder), self.machine) as qemu:
                prelude = _PRELUDE.format(memory=self.machine.memory)
                with Board(qemu.port, prelude, stream=self.stream,
                           interruptible=False) as board:
                    yield from board.run(job)
