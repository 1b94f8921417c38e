"""The C kernels of a shared library, for the runner on CPython: PRIOT_KERNELS names the file."""

import ctypes
import os

from kernels.forms import KERNELS
from kernels.runner import letters

_LIBRARY = ctypes.CDLL(os.environ["PRIOT_KERNELS"])
# buffers whose length C wants after them, and the size in which it counts
_COUNTED = {"S": 1, "s": 1, "v": 1, "V": 1, "H": 2}


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

    def call(operands, *number):
        keep, arguments = [], []
        for letter, operand in zip(letters(KERNELS[name].form), operands, strict=True):
            arguments.append(ctypes.c_void_p(_address(operand, keep)))
            if letter in _COUNTED:
                n = memoryview(operand).nbytes // _COUNTED[letter]
                arguments.append(ctypes.c_size_t(n))
        return function(*arguments, *number)

    return call


for _name in KERNELS:
    globals()[_name] = _kernel(_name)


def scratch_words(kind, training, d):
    return _LIBRARY.scratch_words(kind, training, ctypes.c_void_p(_address(d, [])))
