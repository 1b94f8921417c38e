"""Runs kernel cases from a file on one backend and writes its answers.

    python3|micropython runner.py BACKEND CASES ANSWERS [plan]

Needs nothing but the backend module, so that it runs on CPython, on every MicroPython port and
on the board; what it has to know of a kernel stands in the file, whose byte tables are in
cases.py. With `plan`, the native backend chooses a kernel for each call first, or leaves it to
the portable ones, as the device package does.
"""

import struct
import sys
from array import array
from binascii import crc32

NO_LAYER = 255  # instead of a slot of the plan: the kernel belongs to no layer
_GUARD = 16
_PATTERN = 0xA5
_HISTOGRAM_WORDS = 512


def letters(form):
    """A letter for each operand (device/priot/kinds.py); '#' stands for a number beside them."""
    return form.replace("#", "")


def n_written(form):
    """How many operands are outputs: the capitals before anything else."""
    n = 0
    while n < len(form) and "A" <= form[n] <= "Z":
        n += 1
    return n


class Guarded:
    """A buffer between two borders that nobody may touch."""

    def __init__(self, typecode, data):
        self.border = bytes([_PATTERN] * _GUARD)
        self.n = len(data)
        every = self.border + data + self.border
        self.memory = bytearray(every) if typecode == "B" else array(typecode, every)
        edge = _GUARD // struct.calcsize(typecode)
        self.bytes = memoryview(self.memory)[edge:len(self.memory) - edge]

    def whole(self):
        every = bytes(self.memory)
        return every[:_GUARD] == self.border and every[_GUARD + self.n:] == self.border

    def content(self):
        return bytes(self.memory)[_GUARD:_GUARD + self.n]


class Call:
    """The next case of a stream: outputs guarded and writable, inputs read-only, no scratch yet.

    Attributes: name, form and kind of the kernel; slot, where a plan says whether a fast kernel
    may do this call; number, given beside the tuple where the form wants one; continues: with the
    scratch of the call before; operands.
    """

    def __init__(self, f):
        name_length, form_length, self.kind, self.slot, self.number, self.continues = (
            struct.unpack("<BBBBiB", f.read(9)))
        self.name = f.read(name_length).decode()
        self.form = f.read(form_length).decode()
        self.operands = []
        for i in range(len(letters(self.form))):
            typecode, alias, length = struct.unpack("<BBI", f.read(6))
            self.operands.append(self._operand(i, chr(typecode), alias, f.read(length)))

    def _operand(self, i, typecode, alias, data):
        if alias != 255:
            return self.operands[alias]
        if typecode == "-":
            return None
        if i < n_written(self.form):
            return Guarded(typecode, data)
        return data if typecode == "B" else array(typecode, data)

    def put_scratch(self, kernels, previous=None):
        """Scratch of exactly the size that the backend asks for, full of rubbish."""
        for i, letter in enumerate(letters(self.form)):
            if "0" <= letter <= "9":
                self.operands[i] = previous if self.continues else (
                    Guarded("i", bytes([_PATTERN]) * (4 * self._words(kernels, letter))))
                return self.operands[i]
        return None

    def _words(self, kernels, letter):
        if letter == "3":
            return _HISTOGRAM_WORDS
        if letter == "4":  # a class each, as the first operand has a byte each
            return self.operands[0].n
        return kernels.scratch_words(self.kind, int(letter), self.operands[-1])

    def views(self):
        """The operands as a kernel takes them."""
        return tuple([o.bytes if isinstance(o, Guarded) else o for o in self.operands])

    def run(self, kernels, views):
        """The result of the kernel on such a tuple."""
        function = getattr(kernels, self.name)
        return function(views, self.number) if "#" in self.form else function(views)

    def outputs(self):
        """The bytes of every output."""
        return [o.content() for o in self.operands[:n_written(self.form)]]

    def n_overrun(self):
        """How many buffers were written beyond."""
        return len([o for o in self.operands if isinstance(o, Guarded) and not o.whole()])

    def inputs(self):
        """A checksum of what nobody may write to."""
        crc = 0
        for o in self.operands:
            if not isinstance(o, Guarded):
                crc = crc32(o, crc)
        return crc


def planned(kernels, call):
    """Let the native backend choose: its own kernel, or the portable one."""
    if call.slot == NO_LAYER:
        own = hasattr(kernels, call.name)
    else:
        kernels.plan(call.kind, call.operands[-1])
        own = call.slot and call.operands[-1][call.slot]
    return kernels if own else backend("portable")


def run(kernels, f, out, plan=False):
    """Answers every case of stream f on stream out."""
    scratch = None
    n_cases, = struct.unpack("<I", f.read(4))
    for _ in range(n_cases):
        call = Call(f)
        chosen = planned(kernels, call) if plan else kernels
        scratch = call.put_scratch(chosen, scratch)
        before = call.inputs()
        result = call.run(chosen, call.views())
        outputs = call.outputs()
        n_damaged = call.n_overrun() + (call.inputs() != before)
        out.write(struct.pack("<iBB", result or 0, n_damaged, len(outputs)))
        for data in outputs:
            out.write(struct.pack("<I", len(data)))
            out.write(data)


def backend(name):
    """The kernels of a backend by name."""
    if name == "native":
        import priot_native

        return priot_native
    if name == "portable":
        import priot_portable

        return priot_portable
    if name == "library":
        from kernels import library

        return library
    from priot import kernels_viper

    return kernels_viper


def answer(backend_name, cases, answers, plan=False):
    """Answers a file of cases in another file."""
    with open(cases, "rb") as f, open(answers, "wb") as out:
        run(backend(backend_name), f, out, plan)


def main():
    answer(sys.argv[1], sys.argv[2], sys.argv[3], "plan" in sys.argv[4:])


if __name__ == "__main__":
    main()
