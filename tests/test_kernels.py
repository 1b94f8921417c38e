"""Every kernel, byte for byte, on every backend: the same cases, answers from the numpy oracle."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kernels.cases import Case, difference, read_answers, solve, write_cases
from kernels.forms import KERNELS
from kernels.layers import linear_descriptor, random_linear, random_shape
from kernels.machines import RUNNER, Run, backends, fitting, run_cases, running
from kernels.suite import all_cases
from kernels.worked import worked_cases
from priot.emulator import MACHINES
from priot.network import fields as f
from priot.oracle import kernels as oracle
from priot.package import compile_package
from priot.paths import native_folders, native_module, tool
from support import HANG_S, cpython_environment, import_device

HERE = {"viper-cpython": "viper", "viper-unix": "viper", "portable-x64": "portable",
        "portable-x64-avx2": "portable"}
QEMU = {f"{name}-armv6m": run for name, run in backends(MACHINES["m0plus"]).items()}


@pytest.fixture(scope="session")
def suite() -> list[Case]:
    return all_cases()


@pytest.fixture(scope="module")  # QEMU is never idle: while it is on, it takes a core
def qemu(suite, tmp_path_factory, long):
    """A running Cortex-M0+ with cases that fit it in its file system, and those cases.

    Half of them unless in the long form; viper and portable C are given them all here.
    """
    folder = tmp_path_factory.mktemp("qemu")
    cases = fitting(suite, 1 if long else 2)
    with running(MACHINES["m0plus"], cases, folder) as board:
        yield board, cases


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


@pytest.fixture(scope="module", params=[*HERE, *QEMU])
def answered(request, suite, tmp_path_factory) -> Run:
    """One backend's answers, all from one run."""
    where = request.param
    if where in HERE:
        return _run_here(where, suite, tmp_path_factory.mktemp(where))
    return run_cases(*request.getfixturevalue("qemu"), *QEMU[where])


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
