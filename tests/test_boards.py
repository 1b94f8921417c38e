"""Other processors than the Pico's, on machines of QEMU: every kernel, byte for byte.

`make test` runs a part of the cases on a Cortex-M33, the processor of a Pico 2. `make test-boards`
builds the other machines, too, and runs all cases on Cortex-M33 and RISC-V. What a machine was not
built for is skipped, and says how to build it.
"""

import os

import pytest
from kernels.cases import Case, difference, solved
from kernels.forms import KERNELS
from kernels.machines import backends, fitting, run_cases, running
from kernels.suite import generated_cases
from kernels.worked import worked_cases
from priot.emulator import MACHINES
from priot.processors import of_board

# Every so manieth case of each kernel: of `make test`, of `make test-boards`.
SHORT = 40
LONG = {"m33": 1, "rv32": 1, "m4": 10, "m7": 10}
IS_LONG = bool(os.environ.get("PRIOT_BOARDS"))
OTHERS = [name for name in MACHINES if name != "m0plus"]  # which tests/test_kernels.py has


def needs(name: str) -> None:
    """Skip where the machine's MicroPython was not built; that of `make test` has to be there."""
    machine = MACHINES[name]
    if machine.target == "boards" and not machine.firmware.exists():
        pytest.skip(f"{machine.name}: not built; run 'make boards'")


def chosen(every: int) -> list[Case]:
    """Every so manieth case that fits a board, with its answers."""
    return fitting(worked_cases(), every) + solved(fitting(generated_cases(), every))


RUNS = [(name, backend) for name, machine in MACHINES.items() if name in OTHERS
        for backend in backends(machine)]


@pytest.mark.parametrize("name, backend", RUNS)
def test_kernels(name, backend, tmp_path):
    needs(name)
    machine = MACHINES[name]
    cases = chosen(LONG[name] if IS_LONG else SHORT)
    assert {case.kernel for case in cases} == set(KERNELS)
    with running(machine, cases, tmp_path) as board:
        # the number by which deploying chooses is that of the boards it stands for
        said = board.run("import sys; print(sys.implementation._mpy)")
        assert of_board(int(said)).name == machine.processor
        found = run_cases(board, cases, *backends(machine)[backend])
    wrong = [d for d in map(difference, cases, found.answers) if d]
    assert not found.failed and len(found.answers) == len(cases), found.failed
    assert not wrong, f"{len(wrong)} of {len(cases)} cases, the first: {wrong[0]}"
