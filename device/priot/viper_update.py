"""What a layer learns, in viper: scores or weights, and the effective ones. See kernels_viper.py.

An update first sums dW of a row in scratch, then applies the rule to it.
"""

import micropython

from . import fields as F
from . import methods as M


@micropython.viper
def conv2d_update(operands) -> int:
    """Scores or weights of a whole layer, filter by filter; or its largest dW."""
    d = ptr32(operands[8])
    largest = 0
    for f in range(int(d[F.N_OUT])):
        if int(_sum_products(operands, f)):
            v = int(_update_row(operands, 5, f))
            if v > largest:
                largest = v
    return largest


@micropython.viper
def _sum_products(operands, f: int) -> int:
    """dW of a filter: every gradient times the inputs that it came from; 0 where there is none."""
    g = ptr8(operands[2])
    argmax = ptr8(operands[3])
    x = ptr8(operands[4])
    scratch = ptr32(operands[7])
    d = ptr32(operands[8])
    n_in = int(d[F.GROUP_IN])
    first = f // int(d[F.GROUP_OUT]) * n_in  # channel of its group
    h_in = int(d[F.H_IN])
    w_in = int(d[F.W_IN])
    kh = int(d[F.KERNEL_H])
    kw = int(d[F.KERNEL_W])
    pool = int(d[F.POOL_W])
    bits = int(d[F.ARGMAX_BITS])
    positions = int(d[F.H_OUT]) * int(d[F.W_OUT])
    for i in range(int(d[F.N_ROW])):
        scratch[i] = 0
    found = 0
    gi = f * positions
    bit = f * ((positions * bits + 7) >> 3) << 3
    for py in range(int(d[F.H_OUT])):
        for px in range(int(d[F.W_OUT])):
            e = (int(g[gi]) ^ 128) - 128
            if e:
                found = 1
                wy = 0
                wx = 0
                if bits:
                    winner = int(argmax[bit >> 3]) >> (bit & 7) & ((1 << bits) - 1)
                    wy = winner // pool
                    wx = winner - wy * pool
                cy = (py * int(d[F.POOL_STRIDE_H]) + wy) * int(d[F.STRIDE_H]) - int(d[F.PAD_TOP])
                cx = (px * int(d[F.POOL_STRIDE_W]) + wx) * int(d[F.STRIDE_W]) - int(d[F.PAD_LEFT])
                top = 0 - cy if cy < 0 else 0
                bottom = h_in - cy if cy + kh > h_in else kh
                left = 0 - cx if cx < 0 else 0
                right = w_in - cx if cx + kw > w_in else kw
                for c in range(n_in):
                    for ky in range(top, bottom):
                        si = (c * kh + ky) * kw
                        xi = ((first + c) * h_in + cy + ky) * w_in + cx
                        for kx in range(left, right):
                            scratch[si + kx] = int(scratch[si + kx]) + e * (
                                (int(x[xi + kx]) ^ 128) - 128)
            gi += 1
            bit += bits
    return found


@micropython.viper
def linear_update(operands) -> int:
    """Scores or weights of a whole layer, row by row; or its largest dW."""
    g = ptr8(operands[2])
    x = ptr8(operands[3])
    scratch = ptr32(operands[6])
    d = ptr32(operands[7])
    n_in = int(d[F.N_IN])
    largest = 0
    for o in range(int(d[F.N_OUT])):
        e = (int(g[o]) ^ 128) - 128
        if e == 0:
            continue
        for i in range(n_in):
            scratch[i] = e * ((int(x[i]) ^ 128) - 128)
        v = int(_update_row(operands, 4, o))
        if v > largest:
            largest = v
    return largest


@micropython.viper
def _update_row(operands, at: int, row: int) -> int:
    """The update rule on one row; or its largest dW. `at`: that of w among the operands."""
    scores = ptr8(operands[0])
    weff = ptr8(operands[1])
    w = ptr8(operands[at])
    starts = ptr32(operands[at + 1])
    scratch = ptr32(operands[at + 2])
    d = ptr32(operands[at + 3])
    kept = int(len(operands[1]))
    sign = 1
    sign <<= 31
    rule = int(d[F.RULE])
    shift = int(d[F.UPDATE_SHIFT])
    first = 0  # part of the shift that comes before the product, which has to fit int32
    if rule < M.WEIGHTS:
        n = int(d[F.H_OUT]) * int(d[F.W_OUT])
        while n > M.MAX_POSITIONS << first:
            first += 1
        shift = shift - first if shift > first else 0
    half = shift >> 1
    s = edge = row * int(d[F.N_ROW])
    if int(d[F.SELECTION]):
        s = int(starts[row])
        _drop_unscored(operands, at, row)
    largest = 0
    for i in range(int(d[F.N_ROW])):
        v = int(scratch[i])
        if v == sign:
            s -= 1
        elif int(d[F.MEASURE]):
            v = (v ^ sign) - sign
            v = 0 - v if v < 0 else v
            largest = v if v > largest else largest
        elif v:
            v = (v ^ sign) - sign
            if rule < M.WEIGHTS:
                if first:
                    v = ((v >> (first - 1)) + 1) >> 1
                v *= int(w[edge]) - 128
            if int(d[F.ROUNDING]) == M.PSR:
                m = 0 - v if v < 0 else v
                dropped = m & ((1 << shift) - 1)
                m >>= shift
                if dropped >> half > (dropped & ((1 << half) - 1)) << (shift & 1):
                    m += 1
                v = 0 - m if v < 0 else m
            elif shift:
                v = ((v >> (shift - 1)) + 1) >> 1
            if rule == M.WEIGHTS:
                v = int(w[edge]) - v
                w[edge] = 1 if v < 1 else v if v < 255 else 255
            elif rule == M.WIDE:
                v = (int(w[edge]) << 8) + int(scores[s]) - v
                v = 256 if v < 256 else v if v < 65535 else 65535
                w[edge] = v >> 8
                scores[s] = v
            else:
                v = int(scores[s]) - v
                v = 0 if v < 0 else v if v < 255 else 255
                scores[s] = v
                if kept and rule == M.PRUNE:
                    weff[edge] = int(w[edge]) if v >= int(d[F.THRESHOLD]) else 128
                elif kept:
                    v = (((int(w[edge]) - 128) * (v - 64) + 32) >> 6) + 128
                    weff[edge] = 1 if v < 1 else v if v < 255 else 255
        s += 1
        edge += 1
    return largest


@micropython.viper
def _drop_unscored(operands, at: int, row: int):
    """Make dW of a row's edges without a score -2^31, which no sum reaches."""
    w = ptr8(operands[at])
    select = ptr8(operands[at + 1])
    scratch = ptr32(operands[at + 2])
    d = ptr32(operands[at + 3])
    by_bitmap = int(d[F.SELECTION]) == F.BITMAP
    bitmap = 4 * int(d[F.N_OUT])
    low = 128 - int(d[F.TAU])
    high = 128 + int(d[F.TAU])
    sign = 1
    sign <<= 31
    edge = row * int(d[F.N_ROW])
    for i in range(int(d[F.N_ROW])):
        if by_bitmap:
            if int(select[bitmap + (edge >> 3)]) >> (edge & 7) & 1 == 0:
                scratch[i] = sign
        else:
            v = int(w[edge])
            if v > low and v < high:
                scratch[i] = sign
        edge += 1


@micropython.viper
def effective_weights(operands) -> int:
    """Rows ROW .. ROW + ROWS - 1 of the effective weights."""
    weff = ptr8(operands[0])
    w = ptr8(operands[1])
    scores = ptr8(operands[2])
    select = ptr8(operands[3])
    starts = ptr32(operands[3])
    d = ptr32(operands[4])
    rule = int(d[F.RULE])
    scored = 1 if rule == M.PRUNE or rule == M.GAIN else 0
    selection = int(d[F.SELECTION])
    tau = int(d[F.TAU])
    bitmap = 4 * int(d[F.N_OUT])
    s = edge = int(d[F.ROW]) * int(d[F.N_ROW])
    if scored and selection:
        s = int(starts[int(d[F.ROW])])
    for i in range(int(d[F.ROWS]) * int(d[F.N_ROW])):
        v = int(w[edge])
        selected = scored
        if selection == F.LARGEST and v - 128 < tau and 128 - v < tau:
            selected = 0
        elif selection == F.BITMAP:
            selected &= int(select[bitmap + (edge >> 3)]) >> (edge & 7)
        if selected:
            if rule == M.GAIN:
                v = ((v - 128) * (int(scores[s]) - 64) + 32) >> 6
                if v < -127:
                    v = -127
                v = v + 128 if v < 127 else 255
            elif int(scores[s]) < int(d[F.THRESHOLD]):
                v = 128
            s += 1
        weff[i] = v
        edge += 1
    return 0
