"""Calls the native kernels with wrong operands; every call must raise, none may crash.

    micropython misuse.py CASES FIRST_SEED COUNT

Takes a good call of every kernel from a file of cases (cases.py) and spoils it in every way that
the glue promises to notice. Then descriptors with COUNT random wrong fields for each kernel, of
which some are consistent by chance: those calls may succeed. Prints what was not refused, and at
last "checked N calls". Guards around the outputs show writes beyond them.
"""

import random
import struct
import sys
from array import array

import priot_portable
from runner import KERNELS, Guarded, add_scratch, read_case, views_of

EXPECTED = (ValueError, TypeError)
EXTREMES = (-2147483648, -65536, -1, 0, 1, 2, 3, 9, 16, 17, 255, 4097, 65536, 1 << 24, 2147483647)


class Spoiler:
    """Counts calls and prints those that went through although they were spoiled."""

    def __init__(self):
        self.calls = 0

    def refused(self, name, how, operands, label):
        self.calls += 1
        try:
            self.call(name, operands, label)
        except EXPECTED:
            return
        print(f"{name}: {how} was not refused")

    def survived(self, name, how, operands, label):
        self.calls += 1
        try:
            self.call(name, operands, label)
        except EXPECTED:
            pass

    @staticmethod
    def call(name, operands, label):
        function = getattr(priot_portable, name)
        if isinstance(operands, list):
            operands = views_of(operands)
        return function(operands, label) if name == "cross_entropy" else function(operands)


def replaced(operands, i, other):
    copy = list(operands)
    copy[i] = other
    return copy


def raw(operand):
    """The bytes of an operand, at an address that is a multiple of 4."""
    return bytearray(bytes(operand.bytes if isinstance(operand, Guarded) else operand))


def spoil_lengths(spoiler, name, operands, label, free):
    n_outputs, place, _kind, _training = KERNELS[name]
    for i in range(len(operands)):
        data = raw(operands[i])
        if i not in free:
            if len(data):
                spoiler.refused(name, f"operand {i} one byte short",
                                replaced(operands, i, data[:-1]), label)
            if i != place:
                spoiler.refused(name, f"operand {i} one byte long",
                                replaced(operands, i, data + b"\1"), label)
        for other in (None, 3, [1, 2], object()):
            spoiler.refused(name, f"operand {i} a {type(other)}",
                            replaced(operands, i, other), label)
        if i < n_outputs or i == place:
            spoiler.refused(name, f"operand {i} read-only",
                            replaced(operands, i, bytes(data)), label)
        if len(data) and (i == place or isinstance(operands[i], array)):
            shifted = memoryview(bytearray(1) + data)[1:]
            spoiler.refused(name, f"operand {i} misaligned",
                            replaced(operands, i, shifted), label)


def spoil_tuple(spoiler, name, operands, label):
    views = views_of(operands)
    for how, wrong in (("one operand less", views[:-1]), ("an operand more", views + (b"",)),
                       ("no operand", ()), ("None", None), ("a number", 7), ("a string", "abc")):
        spoiler.refused(name, how, wrong, label)


def spoil_fields(spoiler, name, operands, label, count):
    """Wrong fields one at a time, then several at once; nothing beyond the outputs is touched."""
    d = operands[-1]
    guarded = [o for o in operands if isinstance(o, Guarded)]
    good = bytes(d)
    for field in range(len(d)):
        for value in EXTREMES:
            d[field] = value
            spoiler.survived(name, f"field {field} is {value}", operands, label)
            d[field] = struct.unpack_from("<i", good, 4 * field)[0]
    for _ in range(count):
        for _ in range(random.randint(1, 6)):
            d[random.randint(0, len(d) - 1)] = random.choice(EXTREMES + tuple(range(8)))
        spoiler.survived(name, "random fields", operands, label)
        for field in range(len(d)):
            d[field] = struct.unpack_from("<i", good, 4 * field)[0]
    for o in guarded:
        if not o.whole():
            print(f"{name}: wrote beyond a buffer")


# operands whose length is free, or that are longer than they have to be
FREE = {
    "kth_largest": (0,), "count_below": (0,), "init_scores": (0, 1),
    "shuffle": (0, 1), "classify": (0,), "cross_entropy": (2,),
}
SCORES = {"conv2d_update": 0, "linear_update": 0, "effective_weights": 2}
_RULE, _SELECTION, _WEIGHTS = 20, 23, 3  # device/priot/fields.py


def free_lengths(name, d):
    """Places of the operands whose length d leaves open."""
    if name in SCORES and (d[_SELECTION] or d[_RULE] == _WEIGHTS):
        return (SCORES[name],)
    return FREE.get(name, ())


def main():
    random.seed(int(sys.argv[2]))
    spoiler = Spoiler()
    with open(sys.argv[1], "rb") as f:
        n_cases, = struct.unpack("<I", f.read(4))
        for _ in range(n_cases):
            name, operands, label, _continues = read_case(f)
            add_scratch(priot_portable, name, operands)
            Spoiler.call(name, operands, label)
            spoil_lengths(spoiler, name, operands, label, free_lengths(name, operands[-1]))
            spoil_tuple(spoiler, name, operands, label)
            if name not in ("init_scores", "shuffle", "classify"):
                spoil_fields(spoiler, name, operands, label, int(sys.argv[3]))
    print(f"checked {spoiler.calls} calls")


if __name__ == "__main__":
    main()
