"""The CMSDK dual timer of QEMU's Arm boards, of which the first half is used."""
from machine import mem32
from micropython import const

_VALUE = const(4)
_CONTROL = const(8)
_ENABLE_32_BIT = const(0x82)


def counter(address):
    """Start the timer at that address; returns a function that counts up, modulo 2 ** 32."""
    mem32[address] = 0xFFFFFFFF
    mem32[address + _CONTROL] = _ENABLE_32_BIT
    return lambda: -mem32[address + _VALUE] & 0xFFFFFFFF
