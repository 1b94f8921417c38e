"""Every integer kernel in plain Python: the meaning that all other backends reproduce.

Contracts, buffers and rounding are defined in device/DESIGN.md. Buffers are bytes (int8 as two's
complement, weights and scores offset by 128); `scratch` holds int32; `d` is a layer descriptor.
"""

from .fields import (
    ARGMAX_BITS, BACKWARD_SHIFT, BITMAP, CONV2D, FORWARD_SHIFT, GAIN, H_IN, H_OUT,
    KEEP_COUNT, KERNEL, LARGEST, LINEAR, LOSS_SHIFT, MEASURE, MULTIPLIER, N_CLASSES, N_IN, N_OUT,
    N_ROW, PADDING, POOL, POOL_STRIDE, PRUNE, PSR, RELU, ROUNDING, ROW, ROWS, RULE, SELECTION,
    STRIDE, TAU, THRESHOLD, UPDATE_SHIFT, W_IN, W_OUT, WEIGHTS, X_RELU,
)
from .exp_table import EXP_TABLE

name = "plain"
_LOWEST = -(1 << 30)  # below every accumulator: 131072 products of 127 * 127 stay above -2^31


def _rhu(x, shift):
    """Round half up: (x + 2^(shift-1)) >> shift, without the overflow."""
    if shift == 0:
        return x
    return ((x >> (shift - 1)) + 1) >> 1


def _psr(x, shift):
    """Pseudo-stochastic rounding (NITI, arXiv 2009.13108): the low bits are the random number."""
    m = -x if x < 0 else x
    q = m >> shift
    p = m & ((1 << shift) - 1)
    half = shift >> 1
    high = p >> half
    low = p & ((1 << half) - 1)
    if shift & 1:
        low <<= 1
    if high > low:
        q += 1
    return -q if x < 0 else q


def _clamp(v, low, high):
    if v < low:
        return low
    if v > high:
        return high
    return v


def _signed(byte):
    return (byte ^ 128) - 128


def conv2d_forward(operands):
    """y, argmax of filters ROW .. ROW + ROWS - 1; pooling and ReLU included."""
    y, argmax, x, w, scratch, d = operands
    n_in, h_in, w_in, k = d[N_IN], d[H_IN], d[W_IN], d[KERNEL]
    stride, padding, pool, pool_stride = d[STRIDE], d[PADDING], d[POOL], d[POOL_STRIDE]
    h_out, w_out, bits, shift = d[H_OUT], d[W_OUT], d[ARGMAX_BITS], d[FORWARD_SHIFT]
    low = 0 if d[RELU] else -127
    channel_bytes = (h_out * w_out * bits + 7) >> 3
    largest = 0
    for row in range(d[ROWS]):
        f = d[ROW] + row
        i = f * h_out * w_out
        bit = f * channel_bytes * 8
        if pool > 1 and not d[MEASURE]:
            for j in range(channel_bytes):
                argmax[f * channel_bytes + j] = 0
        for py in range(h_out):
            for px in range(w_out):
                best = _LOWEST * 2
                winner = 0
                for window in range(pool * pool):
                    wy = window // pool
                    wx = window - wy * pool
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
                                    acc += (w[wi + kx] - 128) * _signed(x[xi + kx])
                    if acc > best:
                        best = acc
                        winner = window
                if d[MEASURE]:
                    largest = max(largest, -best if best < 0 and low else best)
                else:
                    y[i] = _clamp(_rhu(best, shift), low, 127) & 255
                    if pool > 1:
                        argmax[bit >> 3] |= winner << (bit & 7)
                i += 1
                bit += bits
    return largest


def linear_forward(operands):
    """y of outputs ROW .. ROW + ROWS - 1."""
    y, x, w, scratch, d = operands
    n_in, shift = d[N_IN], d[FORWARD_SHIFT]
    low = 0 if d[RELU] else -127
    largest = 0
    for row in range(d[ROWS]):
        acc = 0
        for i in range(n_in):
            acc += (w[row * n_in + i] - 128) * _signed(x[i])
        if d[MEASURE]:
            largest = max(largest, -acc if acc < 0 and low else acc)
        else:
            y[d[ROW] + row] = _clamp(_rhu(acc, shift), low, 127) & 255
    return largest


def max_pool_forward(operands):
    """The largest int8 of each window and where it stood."""
    y, argmax, x, d = operands
    h_in, w_in, pool, pool_stride = d[H_IN], d[W_IN], d[POOL], d[POOL_STRIDE]
    h_out, w_out, bits = d[H_OUT], d[W_OUT], d[ARGMAX_BITS]
    channel_bytes = (h_out * w_out * bits + 7) >> 3
    i = 0
    for j in range(d[N_IN] * channel_bytes):
        argmax[j] = 0
    for c in range(d[N_IN]):
        bit = c * channel_bytes * 8
        for py in range(h_out):
            for px in range(w_out):
                best = -128
                winner = 0
                for window in range(pool * pool):
                    wy = window // pool
                    wx = window - wy * pool
                    xi = (c * h_in + py * pool_stride + wy) * w_in + px * pool_stride
                    v = _signed(x[xi + wx])
                    if v > best:
                        best = v
                        winner = window
                if d[RELU] and best < 0:
                    best = 0
                y[i] = best & 255
                argmax[bit >> 3] |= winner << (bit & 7)
                i += 1
                bit += bits
    return 0


def max_pool_backward(operands):
    """dx: every gradient goes to the winner of its window."""
    dx, g, argmax, x, d = operands
    h_in, w_in, pool, pool_stride = d[H_IN], d[W_IN], d[POOL], d[POOL_STRIDE]
    h_out, w_out, bits = d[H_OUT], d[W_OUT], d[ARGMAX_BITS]
    channel_bytes = (h_out * w_out * bits + 7) >> 3
    mask = (1 << bits) - 1
    for c in range(d[N_IN]):
        for iy in range(h_in):
            for ix in range(w_in):
                j = (c * h_in + iy) * w_in + ix
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
                        if (argmax[bit >> 3] >> (bit & 7)) & mask == wy * pool + wx:
                            total += _signed(g[c * h_out * w_out + p])
                if d[X_RELU] and _signed(x[j]) <= 0:
                    total = 0
                dx[j] = _clamp(total, -127, 127) & 255
    return 0


def avg_pool_forward(operands):
    """y = RHU(sum * MULTIPLIER, 16), MULTIPLIER = 65536 / POOL^2 rounded."""
    y, x, d = operands
    h_in, w_in, pool, pool_stride = d[H_IN], d[W_IN], d[POOL], d[POOL_STRIDE]
    i = 0
    for c in range(d[N_IN]):
        for py in range(d[H_OUT]):
            for px in range(d[W_OUT]):
                total = 0
                for wy in range(pool):
                    j = (c * h_in + py * pool_stride + wy) * w_in + px * pool_stride
                    for wx in range(pool):
                        total += _signed(x[j + wx])
                v = _rhu(total * d[MULTIPLIER], 16)
                if d[RELU] and v < 0:
                    v = 0
                y[i] = v & 255
                i += 1
    return 0


def avg_pool_backward(operands):
    """dx: every position of a window gets the window's gradient itself."""
    dx, g, x, d = operands
    h_in, w_in, pool, pool_stride = d[H_IN], d[W_IN], d[POOL], d[POOL_STRIDE]
    h_out, w_out = d[H_OUT], d[W_OUT]
    for c in range(d[N_IN]):
        for iy in range(h_in):
            for ix in range(w_in):
                j = (c * h_in + iy) * w_in + ix
                total = 0
                for py in range(h_out):
                    wy = iy - py * pool_stride
                    if wy < 0 or wy >= pool:
                        continue
                    for px in range(w_out):
                        wx = ix - px * pool_stride
                        if wx >= 0 and wx < pool:
                            total += _signed(g[(c * h_out + py) * w_out + px])
                if d[X_RELU] and _signed(x[j]) <= 0:
                    total = 0
                dx[j] = _clamp(total, -127, 127) & 255
    return 0


def cross_entropy(operands, label):
    """Loss gradient g of the logits z; returns its largest absolute value.

    g_i = (127 e_i + sum(e) // 2) // sum(e), minus 127 at the label, with
    e_i = EXP_TABLE[min(255, (max(z) - z_i) scaled by 2^LOSS_SHIFT)].
    """
    g, z, scratch, d = operands
    n, t = d[N_CLASSES], d[LOSS_SHIFT]
    top = -128
    for i in range(n):
        v = _signed(z[i])
        if v > top:
            top = v
    total = 0
    for i in range(n):
        delta = top - _signed(z[i])
        delta = delta << t if t >= 0 else delta >> -t
        if delta > 255:
            delta = 255
        e = EXP_TABLE[2 * delta] | (EXP_TABLE[2 * delta + 1] << 8)
        scratch[i] = e
        total += e
    largest = 0
    for i in range(n):
        v = (127 * scratch[i] + (total >> 1)) // total
        if i == label:
            v -= 127
        g[i] = v & 255
        if v < 0:
            v = -v
        if v > largest:
            largest = v
    return largest


def classify(operands):
    """Index of the largest of at most 256 logits, the first of equals, + 256 * those at +-127."""
    z = operands[0]
    top = -129
    winner = 0
    saturated = 0
    for i in range(len(z)):
        v = _signed(z[i])
        if v > top:
            top = v
            winner = i
        if v == 127 or v == -127:
            saturated += 1
    return winner | saturated << 8


def conv2d_backward_input(operands):
    """dx = clamp(RHU(w^T g, bs)), one input channel at a time in an int32 plane of scratch."""
    dx, g, argmax, x, w, scratch, d = operands
    n_in, h_in, w_in, n_out, k = d[N_IN], d[H_IN], d[W_IN], d[N_OUT], d[KERNEL]
    stride, padding, pool, pool_stride = d[STRIDE], d[PADDING], d[POOL], d[POOL_STRIDE]
    h_out, w_out, bits, shift = d[H_OUT], d[W_OUT], d[ARGMAX_BITS], d[BACKWARD_SHIFT]
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
                    e = _signed(g[f * h_out * w_out + p])
                    if e == 0:
                        continue
                    wy = 0
                    wx = 0
                    if pool > 1:
                        bit = f * channel_bytes * 8 + p * bits
                        winner = (argmax[bit >> 3] >> (bit & 7)) & mask
                        wy = winner // pool
                        wx = winner - wy * pool
                    cy = (py * pool_stride + wy) * stride - padding
                    cx = (px * pool_stride + wx) * stride - padding
                    for ky in range(k):
                        if cy + ky < 0 or cy + ky >= h_in:
                            continue
                        for kx in range(k):
                            if cx + kx >= 0 and cx + kx < w_in:
                                si = (cy + ky) * w_in + cx + kx
                                scratch[si] += (w[wi + ky * k + kx] - 128) * e
        for j in range(plane):
            v = scratch[j]
            if d[X_RELU] and _signed(x[c * plane + j]) <= 0:
                v = 0
            if d[MEASURE]:
                largest = max(largest, -v if v < 0 else v)
            else:
                dx[c * plane + j] = _clamp(_rhu(v, shift), -127, 127) & 255
    return largest


def linear_backward_input(operands):
    """Adds rows ROW .. ROW + ROWS - 1 of w^T g in scratch; the last call writes dx."""
    dx, g, x, w, scratch, d = operands
    n_in, first, rows, shift = d[N_IN], d[ROW], d[ROWS], d[BACKWARD_SHIFT]
    largest = 0
    if first == 0:
        for i in range(n_in):
            scratch[i] = 0
    for row in range(rows):
        e = _signed(g[first + row])
        if e == 0:
            continue
        for i in range(n_in):
            scratch[i] += (w[row * n_in + i] - 128) * e
    if first + rows < d[N_OUT]:
        return 0
    for i in range(n_in):
        v = scratch[i]
        if d[X_RELU] and _signed(x[i]) <= 0:
            v = 0
        if d[MEASURE]:
            largest = max(largest, -v if v < 0 else v)
        else:
            dx[i] = _clamp(_rhu(v, shift), -127, 127) & 255
    return largest


def _effective(w, score, rule, threshold):
    """Effective weight of one edge as an offset byte; `w` and `score` are offset bytes."""
    if rule == PRUNE:
        return w if score >= threshold else 128
    if rule == GAIN:
        return _clamp(((w - 128) * (score - 64) + 32) >> 6, -127, 127) + 128
    return w


def _selected(w, edge, select, bitmap, d):
    """True if the edge has a score. `edge` counts in storage order, `w` is its offset byte."""
    if d[SELECTION] == LARGEST:
        return w - 128 >= d[TAU] or 128 - w >= d[TAU]
    if d[SELECTION] == BITMAP:
        return (select[bitmap + (edge >> 3)] >> (edge & 7)) & 1 == 1
    return True


def _row_start(select, row, n_row, d):
    """Index of the first score of a row."""
    if d[SELECTION] == 0 or d[RULE] == WEIGHTS:
        return row * n_row
    i = 4 * row
    return select[i] | select[i + 1] << 8 | select[i + 2] << 16 | select[i + 3] << 24


def _update_row(operands, at, row):
    """Apply the update rule to the scored edges of one row, whose dW lies in scratch.

    operands: scores, weff, ... and from `at` on w, select, scratch, d.
    """
    scores, weff = operands[0], operands[1]
    w, select, scratch, d = operands[at], operands[at + 1], operands[at + 2], operands[at + 3]
    n_row, rule, shift, rounding = d[N_ROW], d[RULE], d[UPDATE_SHIFT], d[ROUNDING]
    bitmap = 4 * d[N_OUT]
    s = _row_start(select, row, n_row, d)
    edge = row * n_row
    largest = 0
    for i in range(n_row):
        wv = w[edge]
        if _selected(wv, edge, select, bitmap, d):
            step = scratch[i]
            if d[MEASURE]:
                largest = max(largest, -step if step < 0 else step)
            elif step:
                if rule != WEIGHTS:
                    step *= wv - 128
                step = _psr(step, shift) if rounding == PSR else _rhu(step, shift)
                if rule == WEIGHTS:
                    w[edge] = _clamp(wv - 128 - step, -127, 127) + 128
                else:
                    score = _clamp(scores[s] - step, 0, 255)
                    scores[s] = score
                    if len(weff):
                        weff[edge] = _effective(wv, score, rule, d[THRESHOLD])
            s += 1
        edge += 1
    return largest


def _conv2d_dw(scratch, g, argmax, x, f, d):
    """dW of one filter into scratch; False if its gradient is zero everywhere."""
    n_in, h_in, w_in, k = d[N_IN], d[H_IN], d[W_IN], d[KERNEL]
    stride, padding, pool, pool_stride = d[STRIDE], d[PADDING], d[POOL], d[POOL_STRIDE]
    h_out, w_out, bits = d[H_OUT], d[W_OUT], d[ARGMAX_BITS]
    channel_bytes = (h_out * w_out * bits + 7) >> 3
    mask = (1 << bits) - 1
    for i in range(d[N_ROW]):
        scratch[i] = 0
    live = False
    for py in range(h_out):
        for px in range(w_out):
            p = py * w_out + px
            e = _signed(g[f * h_out * w_out + p])
            if e == 0:
                continue
            live = True
            wy = 0
            wx = 0
            if pool > 1:
                bit = f * channel_bytes * 8 + p * bits
                winner = (argmax[bit >> 3] >> (bit & 7)) & mask
                wy = winner // pool
                wx = winner - wy * pool
            cy = (py * pool_stride + wy) * stride - padding
            cx = (px * pool_stride + wx) * stride - padding
            for c in range(n_in):
                for ky in range(k):
                    if cy + ky < 0 or cy + ky >= h_in:
                        continue
                    for kx in range(k):
                        if cx + kx >= 0 and cx + kx < w_in:
                            scratch[(c * k + ky) * k + kx] += e * _signed(
                                x[(c * h_in + cy + ky) * w_in + cx + kx])
    return live


def conv2d_update(operands):
    """Score or weight update of a whole layer; dW one filter at a time in scratch."""
    scores, weff, g, argmax, x, w, select, scratch, d = operands
    largest = 0
    for f in range(d[N_OUT]):
        if _conv2d_dw(scratch, g, argmax, x, f, d):
            largest = max(largest, _update_row(operands, 5, f))
    return largest


def linear_update(operands):
    """Score or weight update of a whole layer, dW = g * x."""
    scores, weff, g, x, w, select, scratch, d = operands
    n_in = d[N_IN]
    largest = 0
    for o in range(d[N_OUT]):
        e = _signed(g[o])
        if e == 0:
            continue
        for i in range(n_in):
            scratch[i] = e * _signed(x[i])
        largest = max(largest, _update_row(operands, 4, o))
    return largest


def effective_weights(operands):
    """Rows ROW .. ROW + ROWS - 1 of the effective weights into weff."""
    weff, w, scores, select, d = operands
    n_row, rule, threshold = d[N_ROW], d[RULE], d[THRESHOLD]
    bitmap = 4 * d[N_OUT]
    edge = d[ROW] * n_row
    s = _row_start(select, d[ROW], n_row, d)
    scored = rule == PRUNE or rule == GAIN
    for i in range(d[ROWS] * n_row):
        v = w[edge]
        if scored and _selected(v, edge, select, bitmap, d):
            v = _effective(v, scores[s], rule, threshold)
            s += 1
        weff[i] = v
        edge += 1
    return 0


def kth_largest(operands):
    """The KEEP_COUNT-th largest score byte, by a 256-bin histogram in scratch."""
    scores, scratch, d = operands
    for i in range(256):
        scratch[i] = 0
    for i in range(len(scores)):
        scratch[scores[i]] += 1
    left = d[KEEP_COUNT]
    value = 255
    while value > 0:
        left -= scratch[value]
        if left <= 0:
            break
        value -= 1
    return value


def count_below(operands):
    """Number of score bytes below THRESHOLD."""
    scores, d = operands
    threshold = d[THRESHOLD]
    n = 0
    for i in range(len(scores)):
        if scores[i] < threshold:
            n += 1
    return n


def _xorshift32(x):
    """One step of Marsaglia's generator (shifts 13, 17, 5) on an unsigned 32-bit state, not 0."""
    x = (x ^ (x << 13)) & 0xFFFFFFFF
    x ^= x >> 17
    return (x ^ (x << 5)) & 0xFFFFFFFF


def init_scores(operands):
    """Scores of mean 0 and standard deviation 32, one draw each; the state moves on."""
    scores, state = operands
    x = state[0] or 1
    for i in range(len(scores)):
        x = _xorshift32(x)
        b = (x & 255) + (x >> 8 & 255) + (x >> 16 & 255) + (x >> 24)
        scores[i] = (((b - 510) * 111 + 256) >> 9) + 128
    state[0] = x
    return 0


def shuffle(operands):
    """Fisher-Yates on at most 65,536 uint16; 15 bits of a draw each."""
    order, state = operands
    x = state[0] or 1
    for i in range(len(order) - 1, 0, -1):
        x = _xorshift32(x)
        j = ((x >> 17) * (i + 1)) >> 15
        order[i], order[j] = order[j], order[i]
    state[0] = x
    return 0


def scratch_words(kind, training, d):
    """int32 words of scratch that a layer of this kind needs.

    training: 0 forward only, 1 everything, 2 everything but the gradient of its input.
    """
    if not training:
        return 0
    if kind == CONV2D:
        return d[N_ROW] if training == 2 else max(d[H_IN] * d[W_IN], d[N_ROW])
    if kind == LINEAR:
        return d[N_IN]
    return 0


def plan(kind, d):
    """There is one implementation of everything here: number 0."""
    return 0


def plan_name(number):
    """What `plan` chose, in words."""
    return "plain Python"
