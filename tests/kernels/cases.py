"""Kernel cases: random shapes, extremes and every shift, with answers from the numpy oracle.

A case is one call of one kernel. `write_cases` puts all of them in one file for runner.py:

    u32 cases; per case: u8 length of the name, u8 length of the form, u8 kind, u8 slot of the
    plan (0: the portable kernel alone does it), i32 number, u8 continues, the name, the form; per
    operand: typecode ("-" for scratch), u8 alias (255: none), u32 bytes, the bytes.

The answers' file: per case i32 result, u8 damaged buffers (written beyond, or inputs), u8 outputs;
per output u32 length and the bytes.
A case that `continues` gets the scratch that its predecessor left.
"""

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from priot.network import fields as f
from priot.oracle import kernels as oracle

from kernels.forms import KERNELS
from kernels.runner import letters, n_written

SCRATCH = ("-", b"")


@dataclass
class Case:
    """One call: operands as (typecode, bytes) or the index of the operand that is the same buffer.

    `number` is given beside them where the form has a "#". `result` and `outputs` are what the
    call answers. `heavy` ones are neither for viper on CPython nor for a board's memory.
    """

    kernel: str
    what: str
    operands: list[tuple[str, bytes] | int]
    number: int = 0
    continues: bool = False
    heavy: bool = False
    result: int = 0
    outputs: list[bytes] = field(default_factory=list)

    def size(self) -> int:
        """Bytes of all operands, scratch apart."""
        return sum(len(o[1]) for o in self.operands if not isinstance(o, int))

    def value(self, i: int) -> int:
        """A field of the descriptor, which is the last operand."""
        return struct.unpack_from("<i", self.operands[-1][1], 4 * i)[0]


def solve(case: Case, scratch: array | None = None) -> array | None:
    """Fill in the oracle's answer; returns the scratch as the oracle left it."""
    kernel = KERNELS[case.kernel]
    buffers: list = []
    for operand in case.operands:
        if isinstance(operand, int):
            buffers.append(buffers[operand])
        elif operand == SCRATCH:
            if not case.continues or scratch is None:
                scratch = array("i", [0] * 200_000)
            buffers.append(scratch)
        elif operand[0] == "B":
            buffers.append(bytearray(operand[1]))
        else:
            buffers.append(array(operand[0], operand[1]))
    function = getattr(oracle, case.kernel)
    number = (case.number,) if kernel.takes_number else ()
    case.result = int(function(tuple(buffers), *number))
    case.outputs = [bytes(b) for b in buffers[:n_written(kernel.form)]]
    return scratch


def solved(cases: Iterator[Case]) -> list[Case]:
    """All cases with the oracle's answers."""
    done = []
    scratch = None
    for case in cases:
        scratch = solve(case, scratch)
        done.append(case)
    return done


def write_cases(path: Path, cases: list[Case]) -> None:
    """The file that runner.py reads."""
    with path.open("wb") as file:
        file.write(struct.pack("<I", len(cases)))
        for case in cases:
            kernel = KERNELS[case.kernel]
            assert len(case.operands) == len(letters(kernel.form)), case.kernel
            name, form = case.kernel.encode(), kernel.form.encode()
            file.write(struct.pack("<BBBBiB", len(name), len(form), kernel.kind, _slot(case),
                                   case.number, case.continues) + name + form)
            for operand in case.operands:
                typecode, data = ("B", b"") if isinstance(operand, int) else operand
                alias = operand if isinstance(operand, int) else 255
                file.write(struct.pack("<BBI", ord(typecode), alias, len(data)) + data)


def _slot(case: Case) -> int:
    """Where a plan says whether a fast kernel may do this call; those never measure."""
    kernel = KERNELS[case.kernel]
    return 0 if kernel.kind and case.value(f.MEASURE) else kernel.slot


@dataclass
class Answer:
    """What a backend answered to one case."""

    result: int
    damaged: int
    outputs: list[bytes]


def read_answers(data: bytes) -> list[Answer]:
    """The answers that were written before the end of the file, or of the backend."""
    answers, at = [], 0
    while at + 6 <= len(data):
        result, damaged, n_outputs = struct.unpack_from("<iBB", data, at)
        at += 6
        outputs = []
        for _ in range(n_outputs):
            if at + 4 > len(data):
                return answers
            length, = struct.unpack_from("<I", data, at)
            outputs.append(data[at + 4:at + 4 + length])
            at += 4 + length
        answers.append(Answer(result, damaged, outputs))
    return answers


def difference(case: Case, answer: Answer) -> str | None:
    """None, or what is wrong: the kernel, the case and the first byte that differs."""
    where = f"{case.kernel} ({case.what})"
    if answer.damaged:
        return f"{where}: wrote beyond its buffers, or to an input: {answer.damaged} of them"
    if answer.result != case.result:
        return f"{where}: returned {answer.result}, expected {case.result}"
    for i, (found, expected) in enumerate(zip(answer.outputs, case.outputs, strict=True)):
        if found != expected:
            differs = np.flatnonzero(np.frombuffer(found, np.uint8)
                                     != np.frombuffer(expected, np.uint8))
            at = int(differs[0])
            return (f"{where}: output {i} byte {at} is {found[at]}, expected {expected[at]}; "
                    f"{len(differs)} of {len(expected)} differ")
    return None
