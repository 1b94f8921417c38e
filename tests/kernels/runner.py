"""Runs kernel cases from a file on one backend and writes its answers.

    python3|micropython runner.py BACKEND CASES ANSWERS [plan]

Needs nothing but the backend module, so that it runs on CPython, on every MicroPython port and
on the board: `run` takes any two streams. The byte tables of both files are in cases.py.
With `plan`, the native backend chooses its implementation for each layer first.
"""

import struct
import sys
from array import array

_GUARD = 16
_PATTERN = 0xA5
_CONV2D = 1
_LINEAR = 2

# number of outputs (always the first operands), place of scratch or -1, kind of layer, training
KERNELS = {
    "conv2d_forward": (2, 4, _CONV2D, 0),
    "linear_forward": (1, 3, _LINEAR, 0),
    "max_pool_forward": (2, -1, 0, 0),
    "max_pool_backward": (1, -1, 0, 0),
    "avg_pool_forward": (1, -1, 0, 0),
    "avg_pool_backward": (1, -1, 0, 0),
    "cross_entropy": (1, 2, 0, 0),
    "conv2d_backward_input": (1, 5, _CONV2D, 1),
    "linear_backward_input": (1, 4, _LINEAR, 1),
    "conv2d_update": (2, 7, _CONV2D, 1),
    "linear_update": (2, 6, _LINEAR, 1),
    "effective_weights": (1, -1, 0, 0),
    "kth_largest": (0, 1, 0, 0),
    "count_below": (0, -1, 0, 0),
    "max_abs": (0, -1, 0, 0),
    "init_scores": (2, -1, 0, 0),
    "shuffle": (2, -1, 0, 0),
}
W_OF_PLAN = {
    "conv2d_forward": 3, "linear_forward": 2, "conv2d_backward_input": 4,
    "linear_backward_input": 3, "conv2d_update": 5, "linear_update": 4,
}
# what scratch holds where the kernel belongs to no layer: a histogram, one word a class
_OTHER_SCRATCH = 256


class Guarded:
    """A buffer between two borders that nobody may touch."""

    def __init__(self, typecode, data):
        self.border = bytes([_PATTERN] * _GUARD)
        self.n = len(data)
        if typecode == "B":
            self.memory = bytearray(self.n + 2 * _GUARD)
            edge = _GUARD
        else:
            word = struct.calcsize(typecode)
            self.memory = array(typecode, bytes(self.n + 2 * _GUARD))
            edge = _GUARD // word
        count = len(self.memory)
        self.bytes = memoryview(self.memory)[edge:count - edge]
        self.memory[:edge] = self._of(typecode, self.border)
        self.memory[edge:count - edge] = self._of(typecode, data)
        self.memory[count - edge:] = self._of(typecode, self.border)

    @staticmethod
    def _of(typecode, data):
        return bytearray(data) if typecode == "B" else array(typecode, data)

    def whole(self):
        every = bytes(self.memory)
        return every[:_GUARD] == self.border and every[_GUARD + self.n:] == self.border

    def content(self):
        return bytes(self.memory)[_GUARD:_GUARD + self.n]


def _operands(f, header, n_outputs):
    """Operands as buffers: outputs guarded and writable, inputs read-only, scratch as None."""
    operands = []
    for i in range(header[0]):
        typecode, alias, length = struct.unpack("<cBI", f.read(6))
        typecode = typecode.decode()
        data = f.read(length)
        if alias != 255:
            operands.append(operands[alias])
        elif typecode == "-":
            operands.append(None)
        elif i < n_outputs:
            operands.append(Guarded(typecode, data))
        else:
            operands.append(data if typecode == "B" else array(typecode, data))
    return operands


def _scratch(kernels, name, operands):
    """Scratch of exactly the size that the backend asks for, full of rubbish."""
    n_outputs, place, kind, training = KERNELS[name]
    words = _OTHER_SCRATCH
    if kind:
        words = kernels.scratch_words(kind, training, operands[-1])
    return Guarded("i", bytes([_PATTERN] * (4 * words)))


def run_case(kernels, f, header, previous, planned):
    """One case: its result, its outputs' bytes, and what was damaged; see cases.py."""
    n_operands, name_length, label, flags = header
    name = f.read(name_length).decode()
    n_outputs, place, kind, training = KERNELS[name]
    operands = _operands(f, header, n_outputs)
    scratch = None
    if place >= 0:
        scratch = previous if flags & 1 else _scratch(kernels, name, operands)
        operands[place] = scratch
    views = tuple([o.bytes if isinstance(o, Guarded) else o for o in operands])
    if planned and name in W_OF_PLAN:
        kernels.plan(kind, views[W_OF_PLAN[name]], views[-1])
        if place >= 0 and not flags & 1:
            scratch = operands[place] = _scratch(kernels, name, operands)
            views = views[:place] + (scratch.bytes,) + views[place + 1:]
    function = getattr(kernels, name)
    result = function(views, label) if name == "cross_entropy" else function(views)
    guarded = [o for o in operands if isinstance(o, Guarded)]
    damaged = len([o for o in guarded if not o.whole()])
    return result, [o.content() for o in operands[:n_outputs]], damaged, scratch


def run(kernels, f, out, planned=False):
    """Answers every case of stream f on stream out."""
    scratch = None
    n_cases, = struct.unpack("<I", f.read(4))
    for _ in range(n_cases):
        header = struct.unpack("<BBiB", f.read(7))
        result, outputs, damaged, scratch = run_case(kernels, f, header, scratch, planned)
        out.write(struct.pack("<iBB", result or 0, damaged, len(outputs)))
        for data in outputs:
            out.write(struct.pack("<I", len(data)))
            out.write(data)


def backend(name):
    """The kernels of a backend by name."""
    if name == "native":
        import priot_native

        return priot_native
    if name == "viper":
        from priot import kernels_viper

        return kernels_viper
    from priot import kernels_plain

    return kernels_plain


def main():
    with open(sys.argv[2], "rb") as f, open(sys.argv[3], "wb") as out:
        run(backend(sys.argv[1]), f, out, "plan" in sys.argv[4:])


if __name__ == "__main__":
    main()
