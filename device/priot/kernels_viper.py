"""Every integer kernel in viper: line for line the twin of kernels_plain.py.

Viper checks neither bounds nor types: only the layers call this. ptr8 and ptr32 read unsigned, so
an int8 is (v ^ 128) - 128 and an int32 is (v ^ sign) - sign with sign = 2^31, which holds both
where a viper int has 32 bits (the Pico) and where it has 64 (the unix port). Such constants are
built by shifts at run time: as literals they are objects, not viper ints.
"""

import micropython
from micropython import const

from .exp_table import EXP_TABLE
from .kernels_plain import scratch_words, plan  # noqa: F401  the same needs

name = "viper"

# fields.py: as constants, because viper compiles only those into the code
_N_IN = const(0)
_H_IN = const(1)
_W_IN = const(2)
_N_OUT = const(3)
_KERNEL = const(4)
_STRIDE = const(5)
_PADDING = const(6)
_POOL = const(9)
_POOL_STRIDE = const(10)
_H_OUT = const(11)
_W_OUT = const(12)
_RELU = const(13)
_X_RELU = const(14)
_FORWARD_SHIFT = const(15)
_BACKWARD_SHIFT = const(16)
_UPDATE_SHIFT = const(17)
_ROW = const(18)
_ROWS = const(19)
_RULE = const(20)
_ROUNDING = const(21)
_THRESHOLD = const(22)
_SELECTION = const(23)
_TAU = const(24)
_N_ROW = const(25)
_MULTIPLIER = const(26)
_MEASURE = const(27)
_ARGMAX_BITS = const(28)
_N_CLASSES = const(29)
_LOSS_SHIFT = const(30)
_KEEP_COUNT = const(31)
_PRUNE = const(1)
_GAIN = const(2)
_WEIGHTS = const(3)
_LARGEST = const(1)
_BITMAP = const(2)


@micropython.viper
def conv2d_forward(operands) -> int:
    y = ptr8(operands[0])
    argmax = ptr8(operands[1])
    x = ptr8(operands[2])
    w = ptr8(operands[3])
    d = ptr32(operands[5])
    n_in = int(d[_N_IN])
    h_in = int(d[_H_IN])
    w_in = int(d[_W_IN])
    k = int(d[_KERNEL])
    stride = int(d[_STRIDE])
    padding = int(d[_PADDING])
    pool = int(d[_POOL])
    pool_stride = int(d[_POOL_STRIDE])
    h_out = int(d[_H_OUT])
    w_out = int(d[_W_OUT])
    bits = int(d[_ARGMAX_BITS])
    shift = int(d[_FORWARD_SHIFT])
    relu = int(d[_RELU])
    measure = int(d[_MEASURE])
    low = 0 if relu else -127
    channel_bytes = (h_out * w_out * bits + 7) >> 3
    largest = 0
    for row in range(int(d[_ROWS])):
        f = int(d[_ROW]) + row
        i = f * h_out * w_out
        bit = f * channel_bytes * 8
        if pool > 1 and measure == 0:
            for j in range(channel_bytes):
                argmax[f * channel_bytes + j] = 0
        for py in range(h_out):
            for px in range(w_out):
                best = -1
                best <<= 31
                winner = 0
                window = 0
                for wy in range(pool):
                    for wx in range(pool):
                        cy = (py * pool_stride + wy) * stride - padding
                        cx = (px * pool_stride + wx) * stride - padding
                        acc = 0
                        for c in range(n_in):
                            for ky in range(k):
                                if cy + ky < 0 or cy + ky >= h_in:
                                    continue
                                xi = (c * h_in + cy + ky) * w_in + cx
                                wi = ((row * n_in + c) * k + ky) * k
                                for kx in range(k):
                                    if cx + kx >= 0 and cx + kx < w_in:
                                        acc += (int(w[wi + kx]) - 128) * (
                                            (int(x[xi + kx]) ^ 128) - 128)
                        if acc > best:
                            best = acc
                            winner = window
                        window += 1
                if measure:
                    if best < 0 and relu == 0:
                        best = 0 - best
                    if best > largest:
                        largest = best
                else:
                    if shift:
                        best = ((best >> (shift - 1)) + 1) >> 1
                    if best < low:
                        best = low
                    if best > 127:
                        best = 127
                    y[i] = best
                    if pool > 1:
                        argmax[bit >> 3] = int(argmax[bit >> 3]) | (winner << (bit & 7))
                i += 1
                bit += bits
    return largest


@micropython.viper
def linear_forward(operands) -> int:
    y = ptr8(operands[0])
    x = ptr8(operands[1])
    w = ptr8(operands[2])
    d = ptr32(operands[4])
    n_in = int(d[_N_IN])
    shift = int(d[_FORWARD_SHIFT])
    relu = int(d[_RELU])
    measure = int(d[_MEASURE])
    first = int(d[_ROW])
    low = 0 if relu else -127
    largest = 0
    wi = 0
    for row in range(int(d[_ROWS])):
        acc = 0
        for i in range(n_in):
            acc += (int(w[wi]) - 128) * ((int(x[i]) ^ 128) - 128)
            wi += 1
        if measure:
            if acc < 0 and relu == 0:
                acc = 0 - acc
            if acc > largest:
                largest = acc
        else:
            if shift:
                acc = ((acc >> (shift - 1)) + 1) >> 1
            if acc < low:
                acc = low
            if acc > 127:
                acc = 127
            y[first + row] = acc
    return largest


@micropython.viper
def max_pool_forward(operands) -> int:
    y = ptr8(operands[0])
    argmax = ptr8(operands[1])
    x = ptr8(operands[2])
    d = ptr32(operands[3])
    h_in = int(d[_H_IN])
    w_in = int(d[_W_IN])
    pool = int(d[_POOL])
    pool_stride = int(d[_POOL_STRIDE])
    h_out = int(d[_H_OUT])
    w_out = int(d[_W_OUT])
    bits = int(d[_ARGMAX_BITS])
    relu = int(d[_RELU])
    channel_bytes = (h_out * w_out * bits + 7) >> 3
    i = 0
    for j in range(int(d[_N_IN]) * channel_bytes):
        argmax[j] = 0
    for c in range(int(d[_N_IN])):
        bit = c * channel_bytes * 8
        for py in range(h_out):
            for px in range(w_out):
                best = -128
                winner = 0
                window = 0
                for wy in range(pool):
                    xi = (c * h_in + py * pool_stride + wy) * w_in + px * pool_stride
                    for wx in range(pool):
                        v = (int(x[xi + wx]) ^ 128) - 128
                        if v > best:
                            best = v
                            winner = window
                        window += 1
                if relu and best < 0:
                    best = 0
                y[i] = best
                argmax[bit >> 3] = int(argmax[bit >> 3]) | (winner << (bit & 7))
                i += 1
                bit += bits
    return 0


@micropython.viper
def max_pool_backward(operands) -> int:
    dx = ptr8(operands[0])
    g = ptr8(operands[1])
    argmax = ptr8(operands[2])
    x = ptr8(operands[3])
    d = ptr32(operands[4])
    h_in = int(d[_H_IN])
    w_in = int(d[_W_IN])
    pool = int(d[_POOL])
    pool_stride = int(d[_POOL_STRIDE])
    h_out = int(d[_H_OUT])
    w_out = int(d[_W_OUT])
    bits = int(d[_ARGMAX_BITS])
    x_relu = int(d[_X_RELU])
    channel_bytes = (h_out * w_out * bits + 7) >> 3
    mask = (1 << bits) - 1
    j = 0
    for c in range(int(d[_N_IN])):
        for iy in range(h_in):
            for ix in range(w_in):
                total = 0
                for py in range(h_out):
                    wy = iy - py * pool_stride
                    if wy < 0 or wy >= pool:
                        continue
                    for px in range(w_out):
                        wx = ix - px * pool_stride
                        if wx < 0 or wx >= pool:
                            continue
                        p = py * w_out + px
                        bit = c * channel_bytes * 8 + p * bits
                        if (int(argmax[bit >> 3]) >> (bit & 7)) & mask == wy * pool + wx:
                            total += (int(g[c * h_out * w_out + p]) ^ 128) - 128
                if x_relu and (int(x[j]) ^ 128) - 128 <= 0:
                    total = 0
                if total < -127:
                    total = -127
                if total > 127:
                    total = 127
                dx[j] = total
                j += 1
    return 0


@micropython.viper
def avg_pool_forward(operands) -> int:
    y = ptr8(operands[0])
    x = ptr8(operands[1])
    d = ptr32(operands[2])
    h_in = int(d[_H_IN])
    w_in = int(d[_W_IN])
    pool = int(d[_POOL])
    pool_stride = int(d[_POOL_STRIDE])
    h_out = int(d[_H_OUT])
    w_out = int(d[_W_OUT])
    multiplier = int(d[_MULTIPLIER])
    relu = int(d[_RELU])
    i = 0
    for c in range(int(d[_N_IN])):
        for py in range(h_out):
            for px in range(w_out):
                total = 0
                for wy in range(pool):
                    j = (c * h_in + py * pool_stride + wy) * w_in + px * pool_stride
                    for wx in range(pool):
                        total += (int(x[j + wx]) ^ 128) - 128
                v = (((total * multiplier) >> 15) + 1) >> 1
                if relu and v < 0:
                    v = 0
                y[i] = v
                i += 1
    return 0


@micropython.viper
def avg_pool_backward(operands) -> int:
    dx = ptr8(operands[0])
    g = ptr8(operands[1])
    x = ptr8(operands[2])
    d = ptr32(operands[3])
    h_in = int(d[_H_IN])
    w_in = int(d[_W_IN])
    pool = int(d[_POOL])
    pool_stride = int(d[_POOL_STRIDE])
    h_out = int(d[_H_OUT])
    w_out = int(d[_W_OUT])
    x_relu = int(d[_X_RELU])
    j = 0
    for c in range(int(d[_N_IN])):
        for iy in range(h_in):
            for ix in range(w_in):
                total = 0
                for py in range(h_out):
                    wy = iy - py * pool_stride
                    if wy < 0 or wy >= pool:
                        continue
                    for px in range(w_out):
                        wx = ix - px * pool_stride
                        if wx >= 0 and wx < pool:
                            total += (int(g[(c * h_out + py) * w_out + px]) ^ 128) - 128
                if x_relu and (int(x[j]) ^ 128) - 128 <= 0:
                    total = 0
                if total < -127:
                    total = -127
                if total > 127:
                    total = 127
                dx[j] = total
                j += 1
    return 0


@micropython.viper
def cross_entropy(operands, label: int) -> int:
    g = ptr8(operands[0])
    z = ptr8(operands[1])
    scratch = ptr32(operands[2])
    d = ptr32(operands[3])
    table = ptr8(EXP_TABLE)
    sign = 1
    sign <<= 31
    n = int(d[_N_CLASSES])
    t = (int(d[_LOSS_SHIFT]) ^ sign) - sign
    top = -128
    for i in range(n):
        v = (int(z[i]) ^ 128) - 128
        if v > top:
            top = v
    total = 0
    for i in range(n):
        delta = top - ((int(z[i]) ^ 128) - 128)
        if t >= 0:
            delta <<= t
        else:
            delta >>= 0 - t
        if delta > 255:
            delta = 255
        e = int(table[2 * delta]) | (int(table[2 * delta + 1]) << 8)
        scratch[i] = e
        total += e
    largest = 0
    for i in range(n):
        v = (127 * int(scratch[i]) + (total >> 1)) // total
        if i == label:
            v -= 127
        g[i] = v
        if v < 0:
            v = 0 - v
        if v > largest:
            largest = v
    return largest


@micropython.viper
def classify(operands) -> int:
    z = ptr8(operands[0])
    top = -129
    winner = 0
    saturated = 0
    for i in range(int(len(operands[0]))):
        v = (int(z[i]) ^ 128) - 128
        if v > top:
            top = v
            winner = i
        if v == 127 or v == -127:
            saturated += 1
    return winner | saturated << 8


@micropython.viper
def conv2d_backward_input(operands) -> int:
    dx = ptr8(operands[0])
    g = ptr8(operands[1])
    argmax = ptr8(operands[2])
    x = ptr8(operands[3])
    w = ptr8(operands[4])
    scratch = ptr32(operands[5])
    d = ptr32(operands[6])
    sign = 1
    sign <<= 31
    n_in = int(d[_N_IN])
    h_in = int(d[_H_IN])
    w_in = int(d[_W_IN])
    n_out = int(d[_N_OUT])
    k = int(d[_KERNEL])
    stride = int(d[_STRIDE])
    padding = int(d[_PADDING])
    pool = int(d[_POOL])
    pool_stride = int(d[_POOL_STRIDE])
    h_out = int(d[_H_OUT])
    w_out = int(d[_W_OUT])
    bits = int(d[_ARGMAX_BITS])
    shift = int(d[_BACKWARD_SHIFT])
    x_relu = int(d[_X_RELU])
    measure = int(d[_MEASURE])
    channel_bytes = (h_out * w_out * bits + 7) >> 3
    mask = (1 << bits) - 1
    plane = h_in * w_in
    largest = 0
    for c in range(n_in):
        for j in range(plane):
            scratch[j] = 0
        for f in range(n_out):
            wi = (f * n_in + c) * k * k
            for py in range(h_out):
                for px in range(w_out):
                    p = py * w_out + px
                    e = (int(g[f * h_out * w_out + p]) ^ 128) - 128
                    if e == 0:
                        continue
                    wy = 0
                    wx = 0
                    if pool > 1:
                        bit = f * channel_bytes * 8 + p * bits
                        winner = (int(argmax[bit >> 3]) >> (bit & 7)) & mask
                        wy = winner // pool
                        wx = winner - wy * pool
                    cy = (py * pool_stride + wy) * stride - padding
                    cx = (px * pool_stride + wx) * stride - padding
                    for ky in range(k):
                        if cy + ky < 0 or cy + ky >= h_in:
                            continue
                        si = (cy + ky) * w_in + cx
                        for kx in range(k):
                            if cx + kx >= 0 and cx + kx < w_in:
                                scratch[si + kx] = int(scratch[si + kx]) + (
                                    int(w[wi + ky * k + kx]) - 128) * e
        for j in range(plane):
            v = (int(scratch[j]) ^ sign) - sign
            if x_relu and (int(x[c * plane + j]) ^ 128) - 128 <= 0:
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
                if v > 127:
                    v = 127
                dx[c * plane + j] = v
    return largest


@micropython.viper
def linear_backward_input(operands) -> int:
    dx = ptr8(operands[0])
    g = ptr8(operands[1])
    x = ptr8(operands[2])
    w = ptr8(operands[3])
    scratch = ptr32(operands[4])
    d = ptr32(operands[5])
    sign = 1
    sign <<= 31
    n_in = int(d[_N_IN])
    first = int(d[_ROW])
    rows = int(d[_ROWS])
    shift = int(d[_BACKWARD_SHIFT])
    x_relu = int(d[_X_RELU])
    measure = int(d[_MEASURE])
    largest = 0
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
    if first + rows < int(d[_N_OUT]):
        return 0
    for i in range(n_in):
        v = (int(scratch[i]) ^ sign) - sign
        if x_relu and (int(x[i]) ^ 128) - 128 <= 0:
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
            if v > 127:
                v = 127
            dx[i] = v
    return largest


@micropython.viper
def _row_start(select_object, row: int, n_row: int, d_object) -> int:
    d = ptr32(d_object)
    if int(d[_SELECTION]) == 0 or int(d[_RULE]) == _WEIGHTS:
        return row * n_row
    select = ptr32(select_object)
    return int(select[row])


@micropython.viper
def _update_row(operands, at: int, row: int) -> int:
    scores = ptr8(operands[0])
    weff = ptr8(operands[1])
    w = ptr8(operands[at])
    select = ptr8(operands[at + 1])
    scratch = ptr32(operands[at + 2])
    d = ptr32(operands[at + 3])
    kept = int(len(operands[1]))
    sign = 1
    sign <<= 31
    n_row = int(d[_N_ROW])
    rule = int(d[_RULE])
    shift = int(d[_UPDATE_SHIFT])
    rounding = int(d[_ROUNDING])
    threshold = int(d[_THRESHOLD])
    selection = int(d[_SELECTION])
    tau = int(d[_TAU])
    measure = int(d[_MEASURE])
    bitmap = 4 * int(d[_N_OUT])
    half = shift >> 1
    s = int(_row_start(operands[at + 1], row, n_row, operands[at + 3]))
    edge = row * n_row
    largest = 0
    for i in range(n_row):
        wv = int(w[edge])
        selected = 1
        if selection == _LARGEST:
            if wv - 128 < tau and 128 - wv < tau:
                selected = 0
        elif selection == _BITMAP:
            selected = (int(select[bitmap + (edge >> 3)]) >> (edge & 7)) & 1
        if selected:
            step = (int(scratch[i]) ^ sign) - sign
            if measure:
                if step < 0:
                    step = 0 - step
                if step > largest:
                    largest = step
            elif step:
                if rule != _WEIGHTS:
                    step *= wv - 128
                if rounding:
                    m = step
                    if m < 0:
                        m = 0 - m
                    q = m >> shift
                    p = m & ((1 << shift) - 1)
                    low = p & ((1 << half) - 1)
                    if shift & 1:
                        low <<= 1
                    if p >> half > low:
                        q += 1
                    if step < 0:
                        step = 0 - q
                    else:
                        step = q
                elif shift:
                    step = ((step >> (shift - 1)) + 1) >> 1
                if rule == _WEIGHTS:
                    v = wv - step
                    if v < 1:
                        v = 1
                    if v > 255:
                        v = 255
                    w[edge] = v
                else:
                    v = int(scores[s]) - step
                    if v < 0:
                        v = 0
                    if v > 255:
                        v = 255
                    scores[s] = v
                    if kept:
                        if rule == _PRUNE:
                            weff[edge] = wv if v >= threshold else 128
                        else:
                            v = ((wv - 128) * (v - 64) + 32) >> 6
                            if v < -127:
                                v = -127
                            if v > 127:
                                v = 127
                            weff[edge] = v + 128
            s += 1
        edge += 1
    return largest


@micropython.viper
def _conv2d_dw(scratch_object, g_object, argmax_object, x_object, f: int, d_object) -> int:
    scratch = ptr32(scratch_object)
    g = ptr8(g_object)
    argmax = ptr8(argmax_object)
    x = ptr8(x_object)
    d = ptr32(d_object)
    n_in = int(d[_N_IN])
    h_in = int(d[_H_IN])
    w_in = int(d[_W_IN])
    k = int(d[_KERNEL])
    stride = int(d[_STRIDE])
    padding = int(d[_PADDING])
    pool = int(d[_POOL])
    pool_stride = int(d[_POOL_STRIDE])
    h_out = int(d[_H_OUT])
    w_out = int(d[_W_OUT])
    bits = int(d[_ARGMAX_BITS])
    channel_bytes = (h_out * w_out * bits + 7) >> 3
    mask = (1 << bits) - 1
    for i in range(int(d[_N_ROW])):
        scratch[i] = 0
    live = 0
    for py in range(h_out):
        for px in range(w_out):
            p = py * w_out + px
            e = (int(g[f * h_out * w_out + p]) ^ 128) - 128
            if e == 0:
                continue
            live = 1
            wy = 0
            wx = 0
            if pool > 1:
                bit = f * channel_bytes * 8 + p * bits
                winner = (int(argmax[bit >> 3]) >> (bit & 7)) & mask
                wy = winner // pool
                wx = winner - wy * pool
            cy = (py * pool_stride + wy) * stride - padding
            cx = (px * pool_stride + wx) * stride - padding
            for c in range(n_in):
                for ky in range(k):
                    if cy + ky < 0 or cy + ky >= h_in:
                        continue
                    si = (c * k + ky) * k
                    xi = (c * h_in + cy + ky) * w_in + cx
                    for kx in range(k):
                        if cx + kx >= 0 and cx + kx < w_in:
                            scratch[si + kx] = int(scratch[si + kx]) + e * (
                                (int(x[xi + kx]) ^ 128) - 128)
    return live


@micropython.viper
def conv2d_update(operands) -> int:
    d = ptr32(operands[8])
    largest = 0
    for f in range(int(d[_N_OUT])):
        if int(_conv2d_dw(operands[7], operands[2], operands[3], operands[4], f, operands[8])):
            v = int(_update_row(operands, 5, f))
            if v > largest:
                largest = v
    return largest


@micropython.viper
def linear_update(operands) -> int:
    g = ptr8(operands[2])
    x = ptr8(operands[3])
    scratch = ptr32(operands[6])
    d = ptr32(operands[7])
    n_in = int(d[_N_IN])
    largest = 0
    for o in range(int(d[_N_OUT])):
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
def effective_weights(operands) -> int:
    weff = ptr8(operands[0])
    w = ptr8(operands[1])
    scores = ptr8(operands[2])
    select = ptr8(operands[3])
    d = ptr32(operands[4])
    n_row = int(d[_N_ROW])
    rule = int(d[_RULE])
    threshold = int(d[_THRESHOLD])
    selection = int(d[_SELECTION])
    tau = int(d[_TAU])
    first = int(d[_ROW])
    bitmap = 4 * int(d[_N_OUT])
    edge = first * n_row
    s = int(_row_start(operands[3], first, n_row, operands[4]))
    scored = 1 if rule == _PRUNE or rule == _GAIN else 0
    for i in range(int(d[_ROWS]) * n_row):
        v = int(w[edge])
        selected = scored
        if selection == _LARGEST:
            if v - 128 < tau and 128 - v < tau:
                selected = 0
        elif selection == _BITMAP:
            selected &= int(select[bitmap + (edge >> 3)]) >> (edge & 7)
        if selected:
            if rule == _PRUNE:
                if int(scores[s]) < threshold:
                    v = 128
            else:
                v = ((v - 128) * (int(scores[s]) - 64) + 32) >> 6
                if v < -127:
                    v = -127
                if v > 127:
                    v = 127
                v += 128
            s += 1
        weff[i] = v
        edge += 1
    return 0


@micropython.viper
def kth_largest(operands) -> int:
    scores = ptr8(operands[0])
    scratch = ptr32(operands[1])
    d = ptr32(operands[2])
    for i in range(256):
        scratch[i] = 0
    for i in range(int(len(operands[0]))):
        v = int(scores[i])
        scratch[v] = int(scratch[v]) + 1
    left = int(d[_KEEP_COUNT])
    value = 255
    while value > 0:
        left -= int(scratch[value])
        if left <= 0:
            break
        value -= 1
    return value


@micropython.viper
def count_below(operands) -> int:
    scores = ptr8(operands[0])
    d = ptr32(operands[1])
    threshold = int(d[_THRESHOLD])
    n = 0
    for i in range(int(len(operands[0]))):
        if int(scores[i]) < threshold:
            n += 1
    return n


@micropython.viper
def init_scores(operands) -> int:
    scores = ptr8(operands[0])
    state = ptr32(operands[1])
    mask = 0xFFFF
    mask = mask << 16 | mask
    x = int(state[0])
    if x == 0:
        x = 1
    for i in range(int(len(operands[0]))):
        x = (x ^ (x << 13)) & mask
        x ^= (x >> 17) & ((1 << 15) - 1)
        x = (x ^ (x << 5)) & mask
        b = (x & 255) + ((x >> 8) & 255) + ((x >> 16) & 255) + ((x >> 24) & 255)
        scores[i] = (((b - 510) * 111 + 256) >> 9) + 128
    state[0] = x
    return 0


@micropython.viper
def shuffle(operands) -> int:
    order = ptr16(operands[0])
    state = ptr32(operands[1])
    mask = 0xFFFF
    mask = mask << 16 | mask
    x = int(state[0])
    if x == 0:
        x = 1
    i = int(len(operands[0])) - 1
    while i > 0:
        x = (x ^ (x << 13)) & mask
        x ^= (x >> 17) & ((1 << 15) - 1)
        x = (x ^ (x << 5)) & mask
        j = (((x >> 17) & ((1 << 15) - 1)) * (i + 1)) >> 15
        v = int(order[i])
        order[i] = order[j]
        order[j] = v
        i -= 1
    state[0] = x
    return 0


def plan_name(number):
    """What `plan` chose, in words."""
    return "viper"
