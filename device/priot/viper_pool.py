"""Pooling of int8 tensors in viper, and its gradients. See kernels_viper.py."""

import micropython

from . import fields as F


@micropython.viper
def max_pool_forward(operands) -> int:
    """The largest of every window and where it was; the first of equals."""
    y = ptr8(operands[0])
    argmax = ptr8(operands[1])
    x = ptr8(operands[2])
    d = ptr32(operands[3])
    h_in = int(d[F.H_IN])
    w_in = int(d[F.W_IN])
    pool_h = int(d[F.POOL_H])
    pool_w = int(d[F.POOL_W])
    down = int(d[F.POOL_STRIDE_H])
    across = int(d[F.POOL_STRIDE_W])
    h_out = int(d[F.H_OUT])
    w_out = int(d[F.W_OUT])
    bits = int(d[F.ARGMAX_BITS])
    low = 0 if int(d[F.RELU]) else -127
    high = int(d[F.HIGH])
    channel_bytes = (h_out * w_out * bits + 7) >> 3
    for j in range(int(d[F.N_IN]) * channel_bytes):
        argmax[j] = 0
    i = 0
    for c in range(int(d[F.N_IN])):
        bit = c * channel_bytes * 8
        for py in range(h_out):
            for px in range(w_out):
                best = -128
                winner = 0
                window = 0
                for wy in range(pool_h):
                    xi = (c * h_in + py * down + wy) * w_in + px * across
                    for wx in range(pool_w):
                        v = (int(x[xi + wx]) ^ 128) - 128
                        if v > best:
                            best = v
                            winner = window
                        window += 1
                if best < low:
                    best = low
                y[i] = best if best < high else high
                argmax[bit >> 3] = int(argmax[bit >> 3]) | winner << (bit & 7)
                i += 1
                bit += bits
    return 0


@micropython.viper
def max_pool_backward(operands) -> int:
    """Every gradient to its winner; sums clamped."""
    dx = ptr8(operands[0])
    g = ptr8(operands[1])
    argmax = ptr8(operands[2])
    x = ptr8(operands[3])
    d = ptr32(operands[4])
    pool_h = int(d[F.POOL_H])
    pool_w = int(d[F.POOL_W])
    down = int(d[F.POOL_STRIDE_H])
    across = int(d[F.POOL_STRIDE_W])
    h_out = int(d[F.H_OUT])
    w_out = int(d[F.W_OUT])
    bits = int(d[F.ARGMAX_BITS])
    mask_dx = int(d[F.MASK_DX])
    add = int(d[F.ADD_DX])
    channel_bytes = (h_out * w_out * bits + 7) >> 3
    mask = (1 << bits) - 1
    j = 0
    for c in range(int(d[F.N_IN])):
        for iy in range(int(d[F.H_IN])):
            for ix in range(int(d[F.W_IN])):
                total = 0
                for py in range(h_out):
                    wy = iy - py * down
                    if wy < 0 or wy >= pool_h:
                        continue
                    for px in range(w_out):
                        wx = ix - px * across
                        if wx < 0 or wx >= pool_w:
                            continue
                        p = py * w_out + px
                        bit = c * channel_bytes * 8 + p * bits
                        if (int(argmax[bit >> 3]) >> (bit & 7)) & mask == wy * pool_w + wx:
                            total += (int(g[c * h_out * w_out + p]) ^ 128) - 128
                if add:
                    v = (int(dx[j]) ^ 128) - 128
                    total += v << (add - 64) if add >= 64 else ((v >> (63 - add)) + 1) >> 1
                if mask_dx:
                    v = (int(x[j]) ^ 128) - 128
                    if v <= 0 or v >= mask_dx:
                        total = 0
                if total < -127:
                    total = -127
                dx[j] = total if total < 127 else 127
                j += 1
    return 0


@micropython.viper
def avg_pool_forward(operands) -> int:
    """The mean of every window."""
    y = ptr8(operands[0])
    x = ptr8(operands[1])
    d = ptr32(operands[2])
    h_in = int(d[F.H_IN])
    w_in = int(d[F.W_IN])
    pool_h = int(d[F.POOL_H])
    pool_w = int(d[F.POOL_W])
    down = int(d[F.POOL_STRIDE_H])
    across = int(d[F.POOL_STRIDE_W])
    low = 0 if int(d[F.RELU]) else -127
    high = int(d[F.HIGH])
    i = 0
    for c in range(int(d[F.N_IN])):
        for py in range(int(d[F.H_OUT])):
            for px in range(int(d[F.W_OUT])):
                total = 0
                for wy in range(pool_h):
                    j = (c * h_in + py * down + wy) * w_in + px * across
                    for wx in range(pool_w):
                        total += (int(x[j + wx]) ^ 128) - 128
                v = (((total * int(d[F.MULTIPLIER])) >> 15) + 1) >> 1
                if v < low:
                    v = low
                y[i] = v if v < high else high
                i += 1
    return 0


@micropython.viper
def avg_pool_backward(operands) -> int:
    """Every gradient to its whole window, undivided; sums clamped."""
    dx = ptr8(operands[0])
    g = ptr8(operands[1])
    x = ptr8(operands[2])
    d = ptr32(operands[3])
    pool_h = int(d[F.POOL_H])
    pool_w = int(d[F.POOL_W])
    down = int(d[F.POOL_STRIDE_H])
    across = int(d[F.POOL_STRIDE_W])
    h_out = int(d[F.H_OUT])
    w_out = int(d[F.W_OUT])
    mask_dx = int(d[F.MASK_DX])
    add = int(d[F.ADD_DX])
    j = 0
    for c in range(int(d[F.N_IN])):
        for iy in range(int(d[F.H_IN])):
            for ix in range(int(d[F.W_IN])):
                total = 0
                for py in range(h_out):
                    wy = iy - py * down
                    if wy < 0 or wy >= pool_h:
                        continue
                    for px in range(w_out):
                        wx = ix - px * across
                        if wx >= 0 and wx < pool_w:
                            total += (int(g[(c * h_out + py) * w_out + px]) ^ 128) - 128
                if add:
                    v = (int(dx[j]) ^ 128) - 128
                    total += v << (add - 64) if add >= 64 else ((v >> (63 - add)) + 1) >> 1
                if mask_dx:
                    v = (int(x[j]) ^ 128) - 128
                    if v <= 0 or v >= mask_dx:
                        total = 0
                if total < -127:
                    total = -127
                dx[j] = total if total < 127 else 127
                j += 1
    return 0


@micropython.viper
def global_pool_forward(operands) -> int:
    """The sum of every channel, shifted."""
    y = ptr8(operands[0])
    x = ptr8(operands[1])
    d = ptr32(operands[2])
    area = int(d[F.H_IN]) * int(d[F.W_IN])
    shift = int(d[F.FORWARD_SHIFT])
    low = 0 if int(d[F.RELU]) else -127
    high = int(d[F.HIGH])
    i = 0
    for c in range(int(d[F.N_IN])):
        v = 0
        for _p in range(area):
            v += (int(x[i]) ^ 128) - 128
            i += 1
        if shift:
            v = ((v >> (shift - 1)) + 1) >> 1
        if v < low:
            v = low
        y[c] = v if v < high else high
    return 0


@micropython.viper
def global_pool_backward(operands) -> int:
    """Every gradient to its whole channel."""
    dx = ptr8(operands[0])
    g = ptr8(operands[1])
    x = ptr8(operands[2])
    d = ptr32(operands[3])
    area = int(d[F.H_IN]) * int(d[F.W_IN])
    mask_dx = int(d[F.MASK_DX])
    add = int(d[F.ADD_DX])
    j = 0
    for c in range(int(d[F.N_IN])):
        for _p in range(area):
            total = (int(g[c]) ^ 128) - 128
            if add:
                v = (int(dx[j]) ^ 128) - 128
                total += v << (add - 64) if add >= 64 else ((v >> (63 - add)) + 1) >> 1
            if mask_dx:
                v = (int(x[j]) ^ 128) - 128
                if v <= 0 or v >= mask_dx:
                    total = 0
            if total < -127:
                total = -127
            dx[j] = total if total < 127 else 127
            j += 1
    return 0


@micropython.viper
def add_forward(operands) -> int:
    """The sum of both inputs, at the exponent of the finer one, requantised."""
    y = ptr8(operands[0])
    x = ptr8(operands[1])
    z = ptr8(operands[2])
    d = ptr32(operands[3])
    sign = 1
    sign <<= 31
    left = (int(d[F.Z_SHIFT]) ^ sign) - sign
    shift = int(d[F.FORWARD_SHIFT])
    low = 0 if int(d[F.RELU]) else -127
    high = int(d[F.HIGH])
    for i in range(int(len(operands[0]))):
        a = (int(x[i]) ^ 128) - 128
        b = (int(z[i]) ^ 128) - 128
        v = a + (b << left) if left >= 0 else (a << (0 - left)) + b
        if shift:
            v = ((v >> (shift - 1)) + 1) >> 1
        if v < low:
            v = low
        y[i] = v if v < high else high
    return 0


@micropython.viper
def add_backward(operands) -> int:
    """The gradient to both inputs; an empty buffer is not wanted."""
    g = ptr8(operands[2])
    d = ptr32(operands[5])
    for which in range(2):
        dx = ptr8(operands[which])
        x = ptr8(operands[which + 3])
        mask_dx = int(d[F.MASK_DZ]) if which else int(d[F.MASK_DX])
        add = int(d[F.ADD_DZ]) if which else int(d[F.ADD_DX])
        for j in range(int(len(operands[which]))):
            total = (int(g[j]) ^ 128) - 128
            if add:
                v = (int(dx[j]) ^ 128) - 128
                total += v << (add - 64) if add >= 64 else ((v >> (63 - add)) + 1) >> 1
            if mask_dx:
                v = (int(x[j]) ^ 128) - 128
                if v <= 0 or v >= mask_dx:
                    total = 0
            if total < -127:
                total = -127
            dx[j] = total if total < 127 else 127
    return 0
