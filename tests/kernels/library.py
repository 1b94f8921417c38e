"""The C kernels of a shared library, for the runner on CPython: PRIOT_KERNELS names the file."""

import ctypes
import os

from kernels.runner import KERNELS

_LIBRARY = ctypes.CDLL(os.environ["PRIOT_KERNELS"])
# buffers whose length C wants after them, and in what size it counts
_COUNTED = {
    "conv2d_update": (0, 1), "linear_update": (0, 1), "effective_weights": (2, 1),
    "kth_largest": (0, 1), "count_below": (0, 1), "init_scores": (0, 1),
    "classify": (0, 1), "shuffle": (0, 2),
}


def _address(buffer, keep):
    """Address of a buffer, NULL if it is empty; a copy where it is read-only."""
    n = memoryview(buffer).nbytes
    if n == 0:
        return None
    view = memoryview(bytearray(buffer) if isinstance(buffer, bytes) else buffer).cast("B")
    keep.append((ctypes.c_char * n).from_buffer(view))
    return ctypes.addressof(keep[-1])


def _kernel(name):
    function = getattr(_LIBRARY, name)
    function.restype = ctypes.c_int32

    def call(operands, *label):
        keep, arguments = [], []
        for i, operand in enumerate(operands):
            arguments.append(ctypes.c_void_p(_address(operand, keep)))
            if _COUNTED.get(name, (-1,))[0] == i:
                arguments.append(ctypes.c_size_t(memoryview(operand).nbytes // _COUNTED[name][1]))
        return function(*arguments, *label)

    return call


for _name in KERNELS:
    globals()[_name] = _kernel(_name)


def scratch_words(kind, training, d):
    return _LIBRARY.scratch_words(kind, training, ctypes.c_void_p(_address(d, [])))
