"""The kernel cases on a machine of QEMU, by the modules and the package that deploying brings."""

import base64
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from priot.board.install import package_files
from priot.emulator import Qemu
from priot.emulator.qemu import Machine
from priot.errors import PriotError
from priot.processors import named
from support import HANG_S

from kernels.cases import Answer, Case, read_answers, write_cases

RUNNER = Path(__file__).parent / "runner.py"
LARGEST = 8000  # bytes of operands: a case has to fit a Pico's heap with the rest
_READ_BACK = """
import binascii
with open("answers", "rb") as f:
    while True:
        part = f.read(3000)
        if not part:
            break
        print(str(binascii.b2a_base64(part), "ascii"), end="")
"""


@dataclass
class Run:
    """The cases that a backend was given, its answers, and what it said at the end."""

    cases: list[Case]
    answers: list[Answer]
    failed: str


def backends(machine: Machine) -> dict[str, tuple[str, bool]]:
    """What computes there: a backend, and whether it chooses fast kernels first."""
    all_of = {"viper": ("viper", False), "portable": ("portable", False),
              "planned": ("native", True)}
    has_fast = named(machine.processor).fastest == "native"
    return {name: run for name, run in all_of.items() if has_fast or run[0] != "native"}


def fitting(suite: Iterable[Case], every: int = 1) -> list[Case]:
    """The cases that fit, or every so manieth of each kernel and those that continue it."""
    chains: list[list[Case]] = []
    for case in suite:
        if case.continues and chains:
            chains[-1].append(case)
        else:
            chains.append([case])
    seen: dict[str, int] = {}
    found = []
    for chain in chains:
        if any(case.heavy or case.size() > LARGEST for case in chain):
            continue
        n = seen[chain[0].kernel] = seen.get(chain[0].kernel, -1) + 1
        if n % every == 0:
            found += chain
    return found


@contextmanager
def running(machine: Machine, cases: list[Case], folder: Path) -> Iterator[Qemu]:
    """The machine, with the package, its native modules, and the cases in its file system."""
    write_cases(folder / "cases", cases)
    files = {"cases": (folder / "cases").read_bytes(), "runner.py": RUNNER.read_bytes(),
             **{path.removeprefix("/lib/"): data
                for path, data in package_files(machine.processor).items()}}
    with Qemu(files, folder, machine) as board:
        yield board


def run_cases(board: Qemu, cases: list[Case], backend: str, planned: bool) -> Run:
    """Answers of a backend there."""
    failed = ""
    try:
        board.run(f"import runner; runner.answer({backend!r}, 'cases', 'answers', {planned})",
                  timeout_s=HANG_S)
    except PriotError as error:
        failed = str(error)
    return Run(cases, read_answers(base64.b64decode(board.run(_READ_BACK, timeout_s=HANG_S))),
               failed)
