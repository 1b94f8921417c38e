"""Runs kernel cases from a file on one backend and writes its answers.

    python3|micropython runner.py BACKEND CASES ANSWERS [plan]

Needs nothing but the backend module, so that it runs on CPython, on every MicroPython port and
on the board: `run` takes any two streams. The byte tables of both files are in cases.py.
With `plan`, the native backend chooses a kernel for each call first, or leaves it to the portable
ones, as device/priot/network.py does.
"""

import struct
import sys
from array import array

_GUARD = 16
_PATTERN = 0xA5
# device/priot/fields.py
_CONV2D = 1
_LINEAR = 2
_MEASURE = 27

# number of outputs (always the first operands), place of scratch or -1, kind of layer and what
# to ask scratch_words with
KERNELS = {
    "conv2d_forward": (2, 4, _CONV2D, 0),
    "linear_forward": (1, 3, _LINEAR, 0),
    "max_pool_forward": (2, -1, 0, 0),
    "max_pool_backward": (1, -1, 0, 0),
    "avg_pool_forward": (1, -1, 0, 0),
    "avg_pool_backward": (1, -1, 0, 0),
    "cross_entropy": (1, 2, 0, 0),
    "classify": (0, -1, 0, 0),
    "conv2d_backward_input": (1, 5, _CONV2D, 1),
    "linear_backward_input": (1, 4, _LINEAR, 1),
    "conv2d_update": (2, 7, _CONV2D, 2),
    "linear_update": (2, 6, _LINEAR, 2),
    "effective_weights": (1, -1, 0, 0),
    "kth_largest": (0, 1, 0, 0),
    "count_below": (0, -1, 0, 0),
    "init_scores": (2, -1, 0, 0),
    "shuffle": (2, -1, 0, 0),
}
# of a plan: PLAN_FORWARD, PLAN_BACKWARD, PLAN_UPDATE
SLOTS = {
    "conv2d_forward": 32, "linear_forward": 32, "conv2d_backward_input": 33,
    "linear_backward_input": 33, "conv2d_update": 34, "linear_update": 34,
}
# what scratch holds where the kernel belongs to no layer: a histogram, one word a class
_OTHER_SCRATCH = 256


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


def read_case(f):
    """Name, operands, label and `continues` of the next case: outputs guarded and writable,
    inputs read-only, scratch None."""
    n_operands, name_length, label, continues = struct.unpack("<BBiB", f.read(7))
    name = f.read(name_length).decode()
    operands = []
    for i in range(n_operands):
        typecode, alias, length = struct.unpack("<BBI", f.read(6))
        typecode = chr(typecode)
        data = f.read(length)
        if alias != 255:
            operands.append(operands[alias])
        elif typecode == "-":
            operands.append(None)
        elif i < KERNELS[name][0]:
            operands.append(Guarded(typecode, data))
        else:
            operands.append(data if typecode == "B" else array(typecode, data))
    return name, operands, label, continues


def add_scratch(kernels, name, operands):
    """Put in scratch of exactly the size that the backend asks for, full of rubbish."""
    _n_outputs, place, kind, training = KERNELS[name]
    if place >= 0:
        words = kernels.scratch_words(kind, training, operands[-1]) if kind else _OTHER_SCRATCH
        operands[place] = Guarded("i", bytes([_PATTERN] * (4 * words)))


def views_of(operands):
    """The operands as a kernel takes them."""
    return tuple([o.bytes if isinstance(o, Guarded) else o for o in operands])


def _planned(kernels, name, d):
    """Let the backend choose: its own kernel, or the portable one."""
    if name in SLOTS:
        kernels.plan(KERNELS[name][2], d)
        own = d[SLOTS[name]] and not d[_MEASURE]
    else:
        own = hasattr(kernels, name)
    return kernels if own else backend("portable")


def run_case(kernels, f, previous, planned):
    """One case: its result, its outputs' bytes, how many buffers were overrun, its scratch."""
    name, operands, label, continues = read_case(f)
    n_outputs, place, _kind, _training = KERNELS[name]
    if planned:
        kernels = _planned(kernels, name, operands[-1])
    if continues:
        operands[place] = previous
    else:
        add_scratch(kernels, name, operands)
    views = views_of(operands)
    function = getattr(kernels, name)
    result = function(views, label) if name == "cross_entropy" else function(views)
    damaged = len([o for o in operands if isinstance(o, Guarded) and not o.whole()])
    scratch = operands[place] if place >= 0 else None
    return result, [o.content() for o in operands[:n_outputs]], damaged, scratch


def run(kernels, f, out, planned=False):
    """Answers every case of stream f on stream out."""
    scratch = None
    n_cases, = struct.unpack("<I", f.read(4))
    for _ in range(n_cases):
        result, outputs, damaged, scratch = run_case(kernels, f, scratch, planned)
        out.write(struct.pack("<iBB", result or 0, damaged, len(outputs)))
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
    if name == "viper":
        from priot import kernels_viper

        return kernels_viper
    from priot import kernels_plain

    return kernels_plain


def answer(backend_name, cases, answers, planned=False):
    """Answers a file of cases in another file."""
    with open(cases, "rb") as f, open(answers, "wb") as out:
        run(backend(backend_name), f, out, planned)


def main():
    answer(sys.argv[1], sys.argv[2], sys.argv[3], "plan" in sys.argv[4:])


if __name__ == "__main__":
    main()
