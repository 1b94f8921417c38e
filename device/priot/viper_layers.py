"""conv2d and linear in viper: outputs, and the gradient of the input. See kernels_viper.py."""

import micropython

from . import fields as F


@micropython.viper
def conv2d_forward(operands) -> int:
    """Filters ROW .. ROW + ROWS - 1 of a layer; `w` holds just those."""
    argmax = ptr8(operands[1])
    d = ptr32(operands[6])
    if int(d[F.ARGMAX_BITS]) and int(d[F.MEASURE]) == 0:
        n = (int(d[F.H_OUT]) * int(d[F.W_OUT]) * int(d[F.ARGMAX_BITS]) + 7) >> 3
        for j in range(int(d[F.ROWS]) * n):
            argmax[int(d[F.ROW]) * n + j] = 0
    largest = 0
    for row in range(int(d[F.ROWS])):
        v = int(_conv2d_filter(operands, row))
        if v > largest:
            largest = v
    return largest


@micropython.viper
def _conv2d_filter(operands, row: int) -> int:
    """One filter: the largest sum of every window, requantised; or only the largest of all."""
    y = ptr8(operands[0])
    argmax = ptr8(operands[1])
    x = ptr8(operands[2])
    w = ptr8(operands[3])
    bias = ptr32(operands[4])
    d = ptr32(operands[6])
    h_in = int(d[F.H_IN])
    w_in = int(d[F.W_IN])
    n_in = int(d[F.GROUP_IN])
    kh = int(d[F.KERNEL_H])
    kw = int(d[F.KERNEL_W])
    pool = int(d[F.POOL_W])
    bits = int(d[F.ARGMAX_BITS])
    shift = int(d[F.FORWARD_SHIFT])
    low = 0 if int(d[F.RELU]) else -127
    high = int(d[F.HIGH])
    positions = int(d[F.H_OUT]) * int(d[F.W_OUT])
    i = (int(d[F.ROW]) + row) * positions
    bit = (int(d[F.ROW]) + row) * ((positions * bits + 7) >> 3) << 3
    first = (int(d[F.ROW]) + row) // int(d[F.GROUP_OUT]) * n_in  # channel of its group
    start = 0
    if int(d[F.BIAS]):
        sign = 1
        sign <<= 31
        start = (int(bias[int(d[F.ROW]) + row]) ^ sign) - sign
    largest = 0
    for py in range(int(d[F.H_OUT])):
        for px in range(int(d[F.W_OUT])):
            best = -1
            best <<= 31
            winner = 0
            for wy in range(int(d[F.POOL_H])):
                cy = (py * int(d[F.POOL_STRIDE_H]) + wy) * int(d[F.STRIDE_H]) - int(d[F.PAD_TOP])
                top = 0 - cy if cy < 0 else 0
                bottom = h_in - cy if cy + kh > h_in else kh
                for wx in range(pool):
                    cx = (px * int(d[F.POOL_STRIDE_W]) + wx) * int(d[F.STRIDE_W]) - int(
                        d[F.PAD_LEFT])
                    left = 0 - cx if cx < 0 else 0
                    right = w_in - cx if cx + kw > w_in else kw
                    acc = start
                    for c in range(n_in):
                        for ky in range(top, bottom):
                            xi = ((first + c) * h_in + cy + ky) * w_in + cx
                            wi = ((row * n_in + c) * kh + ky) * kw
                            for kx in range(left, right):
                                acc += (int(w[wi + kx]) - 128) * ((int(x[xi + kx]) ^ 128) - 128)
                    if acc > best:
                        best = acc
                        winner = wy * pool + wx
            if int(d[F.MEASURE]):
                if best < 0:
                    best = 0 if int(d[F.RELU]) else 0 - best
                if best > largest:
                    largest = best
                continue
            if shift:
                best = ((best >> (shift - 1)) + 1) >> 1
            if best < low:
                best = low
            y[i] = best if best < high else high
            if bits:
                argmax[bit >> 3] = int(argmax[bit >> 3]) | winner << (bit & 7)
            i += 1
            bit += bits
    return largest


@micropython.viper
def linear_forward(operands) -> int:
    """Outputs ROW .. ROW + ROWS - 1 of a layer; `w` holds just their rows."""
    y = ptr8(operands[0])
    x = ptr8(operands[1])
    w = ptr8(operands[2])
    bias = ptr32(operands[3])
    d = ptr32(operands[5])
    n_in = int(d[F.N_IN])
    shift = int(d[F.FORWARD_SHIFT])
    low = 0 if int(d[F.RELU]) else -127
    high = int(d[F.HIGH])
    has_bias = int(d[F.BIAS])
    sign = 1
    sign <<= 31
    o = int(d[F.ROW])
    largest = 0
    wi = 0
    for row in range(int(d[F.ROWS])):
        acc = 0
        if has_bias:
            acc = (int(bias[o + row]) ^ sign) - sign
        for i in range(n_in):
            acc += (int(w[wi]) - 128) * ((int(x[i]) ^ 128) - 128)
            wi += 1
        if int(d[F.MEASURE]):
            if acc < 0:
                acc = 0 if int(d[F.RELU]) else 0 - acc
            if acc > largest:
                largest = acc
            continue
        if shift:
            acc = ((acc >> (shift - 1)) + 1) >> 1
        if acc < low:
            acc = low
        y[o + row] = acc if acc < high else high
    return largest


@micropython.viper
def conv2d_backward(operands) -> int:
    """dx of a whole layer, a plane of int32 sums at a time."""
    scratch = ptr32(operands[5])
    d = ptr32(operands[6])
    plane = int(d[F.H_IN]) * int(d[F.W_IN])
    largest = 0
    for c in range(int(d[F.N_IN])):
        for j in range(plane):
            scratch[j] = 0
        _scatter(operands, c)
        v = int(_finish_backward(operands, 3, c * plane, plane))
        if v > largest:
            largest = v
    return largest


@micropython.viper
def _scatter(operands, c: int):
    """Add every gradient times its weights to the sums of input channel c."""
    g = ptr8(operands[1])
    argmax = ptr8(operands[2])
    w = ptr8(operands[4])
    scratch = ptr32(operands[5])
    d = ptr32(operands[6])
    h_in = int(d[F.H_IN])
    w_in = int(d[F.W_IN])
    n_in = int(d[F.GROUP_IN])
    kh = int(d[F.KERNEL_H])
    kw = int(d[F.KERNEL_W])
    pool = int(d[F.POOL_W])
    bits = int(d[F.ARGMAX_BITS])
    mask = (1 << bits) - 1
    positions = int(d[F.H_OUT]) * int(d[F.W_OUT])
    first = c // n_in * int(d[F.GROUP_OUT])  # filter of its group
    gi = first * positions
    for f in range(first, first + int(d[F.GROUP_OUT])):
        wi = (f * n_in + c % n_in) * kh * kw
        bit = f * ((positions * bits + 7) >> 3) << 3
        for py in range(int(d[F.H_OUT])):
            for px in range(int(d[F.W_OUT])):
                e = (int(g[gi]) ^ 128) - 128
                if e:
                    wy = 0
                    wx = 0
                    if bits:
                        winner = int(argmax[bit >> 3]) >> (bit & 7) & mask
                        wy = winner // pool
                        wx = winner - wy * pool
                    cy = (py * int(d[F.POOL_STRIDE_H]) + wy) * int(d[F.STRIDE_H]) - int(
                        d[F.PAD_TOP])
                    cx = (px * int(d[F.POOL_STRIDE_W]) + wx) * int(d[F.STRIDE_W]) - int(
                        d[F.PAD_LEFT])
                    left = 0 - cx if cx < 0 else 0
                    right = w_in - cx if cx + kw > w_in else kw
                    for ky in range(0 - cy if cy < 0 else 0, h_in - cy if cy + kh > h_in else kh):
                        si = (cy + ky) * w_in + cx
                        ti = wi + ky * kw
                        for kx in range(left, right):
                            scratch[si + kx] = int(scratch[si + kx]) + (int(w[ti + kx]) - 128) * e
                gi += 1
                bit += bits


@micropython.viper
def linear_backward(operands) -> int:
    """Adds the rows of this call to the sums of dx, and writes it with the last."""
    g = ptr8(operands[1])
    w = ptr8(operands[3])
    scratch = ptr32(operands[4])
    d = ptr32(operands[5])
    n_in = int(d[F.N_IN])
    first = int(d[F.ROW])
    rows = int(d[F.ROWS])
    if first == 0:
        for i in range(n_in):
            scratch[i] = 0
    for row in range(rows):
        e = (int(g[first + row]) ^ 128) - 128
        if e == 0:
            continue
        wi = row * n_in
        for i in range(n_in):
            scratch[i] = int(scratch[i]) + (int(w[wi + i]) - 128) * e
    if first + rows < int(d[F.N_OUT]):
        return 0
    return int(_finish_backward(operands, 2, 0, n_in))


@micropython.viper
def _finish_backward(operands, at: int, first: int, n: int) -> int:
    """n sums of scratch to dx from `first` on, requantised; or their largest. `at`: that of x."""
    dx = ptr8(operands[0])
    x = ptr8(operands[at])
    scratch = ptr32(operands[at + 2])
    d = ptr32(operands[at + 3])
    sign = 1
    sign <<= 31
    shift = int(d[F.BACKWARD_SHIFT])
    mask_dx = int(d[F.MASK_DX])
    measure = int(d[F.MEASURE])
    add = int(d[F.ADD_DX])
    largest = 0
    for i in range(n):
        v = (int(scratch[i]) ^ sign) - sign
        if add:
            earlier = (int(dx[first + i]) ^ 128) - 128
            if add >= 64:
                v += earlier << (add - 64)
            else:
                v += ((earlier >> (63 - add)) + 1) >> 1
        if mask_dx:
            a = (int(x[first + i]) ^ 128) - 128
            if a <= 0 or a >= mask_dx:
                v = 0
        if measure:
            if v < 0:
                v = 0 - v
            if v > largest:
                largest = v
        else:
            if shift:
                v = ((v >> (shift - 1)) + 1) >> 1
            if v < -127:
                v = -127
            dx[first + i] = v if v < 127 else 127
    return largest
