"""The update of biases in viper: see kernels_viper.py."""

import micropython

from . import fields as F


@micropython.viper
def bias_update(operands) -> int:
    """Biases of a whole layer: less the sum of the output's gradient, shifted."""
    bias = ptr32(operands[0])
    g = ptr8(operands[1])
    d = ptr32(operands[2])
    sign = 1
    sign <<= 31
    most = (sign - 1) - 16129 * int(d[F.N_ROW])  # beside it all sums fit int32
    shift = (int(d[F.UPDATE_SHIFT]) ^ sign) - sign
    half = shift >> 1
    n = int(d[F.H_OUT]) * int(d[F.W_OUT])
    gi = 0
    for o in range(int(d[F.N_OUT])):
        v = 0
        for _ in range(n):
            v += (int(g[gi]) ^ 128) - 128
            gi += 1
        m = 0 - v if v < 0 else v
        if shift < 0:
            limit = 1
            limit <<= 30 + shift
            m = (m if m < limit else limit) << (0 - shift)
        else:
            dropped = m & ((1 << shift) - 1)
            m >>= shift
            if dropped >> half > (dropped & ((1 << half) - 1)) << (shift & 1):
                m += 1
        b = (int(bias[o]) ^ sign) - sign
        if v < 0:
            b = most if b > most - m else b + m
        else:
            b = 0 - most if b < m - most else b - m
        bias[o] = b
    return 0
