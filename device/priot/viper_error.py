"""The gradient of squared error and its sum, in viper: for the kernels of every backend.

It belongs to no backend, since it takes a small part of a step: an output costs as much as a few
multiplications. The constants are built as in kernels_viper.py.
"""

import micropython

from . import fields as F


@micropython.viper
def squared_error(operands) -> int:
    """g = z - target, clamped; returns the sum of the squares.

    operands: g (int8, or empty where it is not wanted), z, target (int8), found (array of two
    int32: largest absolute value of g, outputs at +-127), descriptor of the loss.
    """
    g = ptr8(operands[0])
    z = ptr8(operands[1])
    target = ptr8(operands[2])
    found = ptr32(operands[3])
    d = ptr32(operands[4])
    is_wanted = int(len(operands[0]))
    sign = 1
    sign <<= 31
    n = int(d[F.N_CLASSES])
    shift = (int(d[F.LOSS_SHIFT]) ^ sign) - sign
    right = 0 - shift
    half = 0
    if right > 0:
        half = 1 << (right - 1)
    total = 0
    largest = 0
    saturated = 0
    for i in range(n):
        y = (int(z[i]) ^ 128) - 128
        if y == 127 or y == -127:
            saturated += 1
        t = (int(target[i]) ^ 128) - 128
        if right > 0:
            t = (t + half) >> right
        else:
            t <<= shift
        y -= t
        if y > 127:
            y = 127
        if y < -127:
            y = -127
        if is_wanted:
            g[i] = y
        if y < 0:
            y = 0 - y
        if y > largest:
            largest = y
        total += y * y
    found[0] = largest
    found[1] = saturated
    return total
