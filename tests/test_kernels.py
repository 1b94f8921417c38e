"""Every kernel, byte for byte, on every backend: the same cases, answers from the numpy oracle."""

import base64
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from kernels.cases import Answer, Case, difference, read_answers, solve, write_cases
from kernels.forms import KERNELS
from kernels.layers import linear_descriptor, random_linear, random_shape
from kernels.suite import all_cases
from kernels.worked import worked_cases
from priot.emulator import Qemu
from priot.errors import PriotError
from priot.network import fields as f
from priot.oracle import kernels as oracle
from priot.package import compile_package
from priot.paths import NATIVE_MODULES, native_folders, native_module, tool
from support import HANG_S, cpython_environment, import_device

RUNNER = Path(__file__).parent / "kernels" / "runner.py"
HERE = {"viper-cpython": "viper", "viper-unix": "viper", "portable-x64": "portable",
        "portable-x64-avx2": "portable"}
# on the Cortex-M0+ of QEMU: the backend, whether it chooses fast kernels first, which cases
QEMU = {"viper-armv6m": ("viper", False, "some"), "portable-armv6m": ("portable", False, "some"),
        "planned-armv6m": ("native", True, "all")}
LARGEST_ON_QEMU = 8000  # bytes of operands: a case has to fit a Pico's heap with the rest
READ_BACK = """
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


@pytest.fixture(scope="session")
def suite() -> list[Case]:
    return all_cases()


@pytest.fixture(scope="module")  # QEMU is never idle: while it is on, it takes a core
def qemu(suite, tmp_path_factory, long):
    """A running Cortex-M0+ with the cases that fit it, by the names of their files.

    "some" are a third: viper and portable C are given all of them here.
    """
    folder = tmp_path_factory.mktemp("qemu")
    cases = {"all": [c for c in suite if not c.heavy and c.size() <= LARGEST_ON_QEMU]}
    cases["some"] = cases["all"] if long else _a_third(cases["all"])
    for name in cases:
        write_cases(folder / name, cases[name])
    files = {**{name: (folder / name).read_bytes() for name in cases},
             "runner.py": RUNNER.read_bytes(),
             **{f"{name}.mpy": native_module("armv6m", name).read_bytes()
                for name in NATIVE_MODULES["armv6m"]}}
    for path in (compile_package("armv6m") / "priot").iterdir():
        files[f"priot/{path.name}"] = path.read_bytes()
    with Qemu(files, folder) as board:
        yield board, cases


def _a_third(cases: list[Case]) -> list[Case]:
    """Every third of each kernel's cases, those that continue one another together."""
    turns: list[list[Case]] = []
    for case in sorted(cases, key=lambda c: c.kernel):  # a stable sort
        if case.continues:
            turns[-1].append(case)
        else:
            turns.append([case])
    return [case for turn in turns[::3] for case in turn]


def _run_here(where: str, suite: list[Case], folder: Path) -> Run:
    backend, arch = HERE[where], where.partition("-")[2]
    if arch == "x64-avx2" and len(native_folders()) == 1:
        pytest.skip("this processor has no AVX2")
    cases = [c for c in suite if not (c.heavy and where == "viper-cpython")]
    write_cases(folder / "cases", cases)
    if where == "viper-cpython":
        command, environment = [sys.executable], cpython_environment()
    else:
        command = [str(tool("micropython")), "-X", "heapsize=64M"]
        modules = compile_package("x64") if backend == "viper" else native_module(arch).parent
        environment = dict(os.environ, MICROPYPATH=str(modules))
    done = subprocess.run(
        [*command, str(RUNNER), backend, str(folder / "cases"), str(folder / "answers")],
        env=environment, capture_output=True, text=True, timeout=HANG_S)
    answers = read_answers((folder / "answers").read_bytes())
    failed = f"status {done.returncode}: {done.stderr[-2000:]}" if done.returncode else ""
    return Run(cases, answers, failed)


def _run_in_qemu(where: str, board: Qemu, files: dict[str, list[Case]]) -> Run:
    backend, planned, some = QEMU[where]
    failed = ""
    try:
        board.run(f"import runner; runner.answer({backend!r}, {some!r}, 'answers', {planned})",
                  timeout_s=HANG_S)
    except PriotError as error:
        failed = str(error)
    answers = read_answers(base64.b64decode(board.run(READ_BACK, timeout_s=HANG_S)))
    return Run(files[some], answers, failed)


@pytest.fixture(scope="module", params=[*HERE, *QEMU])
def answered(request, suite, tmp_path_factory) -> Run:
    """One backend's answers, all from one run."""
    where = request.param
    if where in HERE:
        return _run_here(where, suite, tmp_path_factory.mktemp(where))
    return _run_in_qemu(where, *request.getfixturevalue("qemu"))


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_kernel(answered, kernel):
    pairs = zip(answered.cases, answered.answers, strict=False)
    mine = [(case, answer) for case, answer in pairs if case.kernel == kernel]
    assert mine, f"{kernel}: no case was answered"
    wrong = [d for d in (difference(case, answer) for case, answer in mine) if d]
    assert not wrong, f"{len(wrong)} of {len(mine)} cases, the first: {wrong[0]}"


def test_all_cases_were_answered(answered):
    n = len(answered.answers)
    last = answered.cases[n] if n < len(answered.cases) else None
    stopped = f"stopped at {last.kernel} ({last.what})" if last else "answered all"
    assert not answered.failed and last is None, f"{stopped}; {answered.failed}"


REFUSED = """
from array import array
import priot_native as n
d = array("i", DESCRIPTOR)
w = bytearray(33)
calls = [lambda w: n.linear_forward((bytearray(4), bytearray(8), w, b"", array("i", [0] * 600),
                                     d)),
         lambda w: n.linear_backward((bytearray(8), bytearray(4), bytearray(8), w,
                                            array("i", [0] * 600), d)),
         lambda w: n.linear_update((bytearray(32), bytearray(0), bytearray(4), bytearray(8), w,
                                    b"", array("i", [0] * 600), d))]
def attempt(what, offset=0):
    for call in calls:
        try:
            call(memoryview(w)[offset:offset + 32])
            print(what, "done")
        except ValueError as e:
            print(what, e)
attempt("unplanned")
n.plan(2, d)
attempt("planned")
attempt("misaligned", 1)
d[RULE] = 0
attempt("no rule")
d[MEASURE] = 1
attempt("measure")
"""


def test_fast_kernels_run_as_planned_only(qemu):
    """What no plan says, or what is not true any more, would leave the buffers."""
    d = linear_descriptor(8, 4, RULE=f.PRUNE, THRESHOLD=64)
    board, _ = qemu
    said = board.run(REFUSED.replace("DESCRIPTOR", str(d.tolist())).replace(
        "RULE", str(f.RULE)).replace("MEASURE", str(f.MEASURE))).split("\n")
    refused, misaligned = "d: not planned", "operands: one is misaligned"
    assert [line.strip() for line in said if line.strip()] == [
        f"{what} {result}" for what, results in {
            "unplanned": [refused] * 3, "planned": ["done"] * 3,
            "misaligned": [misaligned, misaligned, "done"],
            "no rule": ["done", "done", refused], "measure": [refused] * 3,
        }.items() for result in results]


@pytest.mark.parametrize("case", worked_cases(), ids=lambda c: f"{c.kernel}: {c.what}")
def test_oracle_agrees_with_hand_worked(case):
    expected = (case.result, case.outputs)
    solve(case)
    assert (case.result, case.outputs) == expected


def test_scratch_for_training_serves_every_kernel_of_a_layer():
    """A layer's forward, backward and update share what scratch_words says for training."""
    viper = import_device("kernels_viper")
    rng = np.random.default_rng(1)
    for _ in range(50):
        for kind, d in ((f.CONV2D, random_shape(rng)), (f.LINEAR, random_linear(rng))):
            d[f.RULE] = f.GAIN
            forward, every, first = (viper.scratch_words(kind, i, d) for i in range(3))
            assert forward <= first <= every
            assert every == (max(first, d[f.H_IN] * d[f.W_IN]) if kind == f.CONV2D else d[f.N_IN])


def test_every_kernel_of_the_oracle_has_cases(suite):
    assert {c.kernel for c in suite} == set(KERNELS)
    assert all(hasattr(oracle, name) for name in KERNELS)
