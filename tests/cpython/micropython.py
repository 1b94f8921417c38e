"""The little of MicroPython's module that the device package needs on CPython."""


def const(value):
    """A constant is a value here."""
    return value
