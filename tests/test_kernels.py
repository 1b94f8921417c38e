"""Every kernel, byte for byte, on every backend: the same cases, answers from the numpy oracle."""

import os
import subprocess
import sys

import pytest
from kernels.cases import Case, difference, read_answers, solve, write_cases
from kernels.runner import KERNELS
from kernels.suite import all_cases
from kernels.worked import worked_cases

from host_tools import oracle
from host_tools.paths import DEVICE, native_module, tool

RUNNER = os.path.join(os.path.dirname(__file__), "kernels", "runner.py")
# backend of the kernels, and what runs it
BACKENDS = {
    "plain-cpython": "plain",
    "plain-micropython": "plain",
    "viper": "viper",
    "native": "native",
}


def _command(where: str) -> list[str]:
    if where == "plain-cpython":
        return [sys.executable, RUNNER, "plain"]
    return [str(tool("micropython")), "-X", "heapsize=64M", RUNNER, BACKENDS[where]]


@pytest.fixture(scope="session")
def suite() -> list[Case]:
    return all_cases()


@pytest.fixture(scope="session", params=list(BACKENDS))
def answered(request, suite, tmp_path_factory):
    """The cases of a backend with its answers, all from one run."""
    where = request.param
    cases = [c for c in suite if not (c.heavy and BACKENDS[where] == "plain")]
    folder = tmp_path_factory.mktemp(where)
    write_cases(folder / "cases", cases)
    paths = [str(DEVICE)]
    if where == "native":
        paths.append(str(native_module("x64").parent))
    environment = dict(os.environ, MICROPYPATH=os.pathsep.join(paths), PYTHONPATH=str(DEVICE))
    done = subprocess.run([*_command(where), str(folder / "cases"), str(folder / "answers")],
                          env=environment, capture_output=True, text=True, timeout=300)
    return cases, read_answers(folder / "answers"), done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_kernel(answered, kernel):
    cases, answers, _status, _text = answered
    mine = [(c, a) for c, a in zip(cases, answers, strict=False) if c.kernel == kernel]
    assert mine, f"{kernel}: no case was answered"
    wrong = [d for d in (difference(case, answer) for case, answer in mine) if d]
    assert not wrong, f"{len(wrong)} of {len(mine)} cases, the first: {wrong[0]}"


def test_all_cases_were_answered(answered):
    cases, answers, status, text = answered
    last = cases[len(answers)] if len(answers) < len(cases) else None
    stopped = f"stopped at {last.kernel} ({last.what})" if last else "answered all"
    assert status == 0 and last is None, f"status {status}, {stopped}: {text[-2000:]}"


@pytest.mark.parametrize("case", worked_cases(), ids=lambda c: f"{c.kernel}: {c.what}")
def test_oracle_agrees_with_hand_worked(case):
    expected = (case.result, case.outputs)
    solve(case)
    assert (case.result, case.outputs) == expected


def test_every_kernel_of_the_oracle_has_cases(suite):
    assert {c.kernel for c in suite} == set(KERNELS)
    assert all(hasattr(oracle, name) for name in KERNELS)
