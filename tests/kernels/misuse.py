"""Calls the native kernels with wrong operands; every call must raise, none may crash.

    micropython misuse.py CASES FIRST_SEED COUNT FIELDS

Takes a good call of every kernel from a file of cases (cases.py) and spoils it in every way that
the glue promises to notice: each operand as its letter says, shapes that kernels do not take,
another number of operands, the memo of another call. Then descriptors with COUNT random wrong
fields for each kernel, of which some are consistent by chance: those calls may succeed. FIELDS is
a JSON file of the numbers in device/priot/fields.py and methods.py. Prints what was not refused,
and at last "checked N calls". Guards around the outputs show writes beyond them.
"""

import json
import random
import struct
import sys

import priot_portable
from runner import Call, Guarded, letters

EXPECTED = (ValueError, TypeError)
EXTREMES = (-2147483648, -65536, -1, 0, 1, 2, 3, 9, 16, 17, 255, 4097, 65536, 1 << 24, 2147483647)
SCRATCH = "01234"
WRITTEN = "ACEGHRSUVXYZ" + SCRATCH  # W only where weights are trained
IN_WORDS = "bcdCHU" + SCRATCH
AT_LEAST = "U" + SCRATCH  # may be longer
ANY_LENGTH = "vVH"
NO_MEMO = ("init_scores", "shuffle")  # called too seldom
# one of these alone fits no other size
SHAPES = ("KERNEL_W", "STRIDE_W", "POOL_W", "GROUPS", "GROUP_IN", "GROUP_OUT")


class Spoiler:
    """Spoils a good call; counts calls and prints those that went through all the same."""

    def __init__(self, fields):
        self.fields = fields
        self.calls = 0

    def attempt(self, call, views):
        """Whether a call was refused."""
        self.calls += 1
        try:
            call.run(priot_portable, views)
        except EXPECTED:
            return True
        return False

    def refused(self, call, how, views):
        if not self.attempt(call, views):
            print(f"{call.name}: {how} was not refused")

    def operands(self, call):
        """Each operand too short, too long, no buffer, read-only and misaligned."""
        for i, letter in enumerate(letters(call.form)):
            data = bytes_of(call.operands[i])
            for how, other in self.spoiled(call, letter, data):
                views = list(call.views())
                views[i] = other
                self.refused(call, f"operand {i} ({letter}) {how}", tuple(views))

    def spoiled(self, call, letter, data):
        """(in what way, what stands for the operand) of one operand."""
        if letter not in ANY_LENGTH and not self.is_free(call, letter):
            if len(data):
                yield "one byte short", bytearray(data[:-1])
            if letter not in AT_LEAST:
                yield "one byte long", bytearray(data + b"\1")
        for other in (None, 3, [1, 2], object()):
            yield f"a {type(other)}", other
        if letter in WRITTEN or (letter == "W" and self.trains_weights(call)):
            yield "read-only", data
        if len(data) and letter in IN_WORDS:
            yield "misaligned", memoryview(bytearray(1) + data)[1:]

    def trains_weights(self, call):
        return call.operands[-1][self.fields["RULE"]] in (self.fields["WEIGHTS"],
                                                          self.fields["WIDE"])

    def is_free(self, call, letter):
        """Whether d leaves open how many scores there are."""
        return letter in "Ss" and (call.operands[-1][self.fields["SELECTION"]]
                                   or call.operands[-1][self.fields["RULE"]]
                                   == self.fields["WEIGHTS"])

    def number_of_operands(self, call):
        views = call.views()
        for how, wrong in (("one operand less", views[:-1]), ("an operand more", views + (b"",)),
                           ("no operand", ()), ("None", None), ("a number", 7),
                           ("a string", "abc")):
            self.refused(call, how, wrong)

    def memo(self, call):
        """A memo of the wrong size, and those of other calls: what they hold is not taken."""
        good = call.views() + (bytearray(priot_portable.memo_bytes),)
        call.run(priot_portable, good)
        copied = bytearray(good[-1])
        for how, memo in (("too short", copied[:-1]), ("too long", copied + b"\0"),
                          ("read-only", bytes(copied)), ("a number", 7)):
            self.refused(call, f"a memo {how}", good[:-1] + (memo,))
        wrong = (None,) + good[1:-1]
        self.refused(call, "a wrong operand beside another call's memo", wrong + good[-1:])
        self.refused(call, "a wrong operand beside the copy of a memo", wrong + (copied,))
        call.run(priot_portable, good)

    def shapes(self, call):
        """Sizes that do not go together, and a layer of another kind."""
        d = call.operands[-1]
        for name in () if call.name.startswith("global_pool") else SHAPES:  # any rectangle
            self.with_field(call, self.fields[name], d[self.fields[name]] + 1, name)
        if call.name.startswith("linear"):
            for name in ("STRIDE_H", "STRIDE_W"):
                d[self.fields[name]] = 2  # an image of one position does not change by that
            self.refused(call, "a strided layer", call.views())
            for name in ("STRIDE_H", "STRIDE_W"):
                d[self.fields[name]] = 1
        if call.name.startswith(("max_pool", "global_pool")):
            self.with_field(call, self.fields["N_IN"], d[self.fields["N_IN"]] - 1, "N_IN")

    def with_field(self, call, field, value, name):
        d = call.operands[-1]
        good = d[field]
        d[field] = value
        self.refused(call, f"{name} {value}", call.views())
        d[field] = good

    def any_fields(self, call, count):
        """Wrong fields one at a time, then several; nothing beyond the outputs is touched."""
        d = call.operands[-1]
        good = bytes(d)
        for field in range(len(d)):
            for value in EXTREMES:
                d[field] = value
                self.attempt(call, call.views())
                d[field] = struct.unpack_from("<i", good, 4 * field)[0]
        for _ in range(count):
            for _ in range(random.randint(1, 6)):
                d[random.randint(0, len(d) - 1)] = random.choice(EXTREMES + tuple(range(8)))
            self.attempt(call, call.views())
            for field in range(len(d)):
                d[field] = struct.unpack_from("<i", good, 4 * field)[0]
        if call.n_overrun():
            print(f"{call.name}: wrote beyond a buffer")


def bytes_of(operand):
    """The bytes of an operand."""
    return bytes(operand.bytes if isinstance(operand, Guarded) else operand)


def main():
    random.seed(int(sys.argv[2]))
    with open(sys.argv[4]) as f:
        spoiler = Spoiler(json.load(f))
    with open(sys.argv[1], "rb") as f:
        n_cases, = struct.unpack("<I", f.read(4))
        for _ in range(n_cases):
            call = Call(f)
            call.put_scratch(priot_portable)
            call.run(priot_portable, call.views())
            spoiler.operands(call)
            spoiler.number_of_operands(call)
            if "#" not in call.form and call.name not in NO_MEMO:
                spoiler.memo(call)
            if call.kind:
                spoiler.shapes(call)
            if "d" in call.form:
                spoiler.any_fields(call, int(sys.argv[3]))
    print(f"checked {spoiler.calls} calls")


if __name__ == "__main__":
    main()
