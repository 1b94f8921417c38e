"""The little of MicroPython that the device package needs on CPython: viper as plain Python.

A pointer is a view of the buffer that reads unsigned numbers and stores the lowest bits, as
viper's do; `int` and `range` are Python's own.
"""

import builtins
from struct import calcsize


class _Pointer:
    """Unsigned elements of a buffer; subclasses say of which type."""

    def __init__(self, buffer):
        size = calcsize(self.typecode)
        view = memoryview(buffer)
        if view.nbytes:  # the last bytes of a buffer may be no whole element
            view = view.cast("B")[:view.nbytes - view.nbytes % size].cast(self.typecode)
        self._view = view
        self._mask = (1 << 8 * size) - 1

    def __getitem__(self, i):
        assert i >= 0, "viper reads before the buffer"
        return self._view[i]

    def __setitem__(self, i, value):
        assert i >= 0, "viper writes before the buffer"
        self._view[i] = value & self._mask


for _name, _typecode in (("ptr8", "B"), ("ptr16", "H"), ("ptr32", "I")):
    setattr(builtins, _name, type(_name, (_Pointer,), {"typecode": _typecode}))


def viper(function):
    """What viper compiles means the same without it."""
    return function


def const(value):
    """A constant is a value here."""
    return value
