"""Every kernel of device/DESIGN.md in numpy with wide integers: short, slow, the truth.

Each function has the name, the tuple of buffers (outputs first, written in place) and the result
of its twins in device/priot/kernels_viper.py. Buffers are anything with the buffer protocol; `d`
is a descriptor of int32 (priot/network/fields.py). Sums are int64 and asserted to fit int32.
The arithmetic is PRIOT's (arXiv 2503.16860) and NITI's (arXiv 2009.13108) as DESIGN.md fixes it.
"""

import math

import numpy as np

from priot.network import fields as f
from priot.oracle.buffers import (
    int8_values,
    int32,
    kernels,
    largest,
    offset_values,
    pack_argmax,
    patches,
    scatter,
    store,
    view,
    windows,
)

name = "oracle"

# e^-x in steps of 1/16, 15 bits: the softmax of cross_entropy
EXP_TABLE = np.array([round(32767 * math.exp(-i / 16)) for i in range(256)], np.int64)


def rhu(x: np.ndarray, shift: int) -> np.ndarray:
    """Round half up: (x + 2^(shift - 1)) >> shift, shift 0..30."""
    return (x + (1 << shift >> 1)) >> shift


def psr(x: np.ndarray, shift: int) -> np.ndarray:
    """NITI's pseudo-stochastic rounding of x / 2^shift: the upper half of the dropped bits is
    compared with the lower half instead of with a random number."""
    magnitude = np.abs(x)
    dropped = magnitude & ((1 << shift) - 1)
    high = dropped >> (shift // 2)
    low = dropped & ((1 << (shift // 2)) - 1)
    if shift % 2:
        low = low << 1
    return np.sign(x) * ((magnitude >> shift) + (high > low))


def xorshift32(state: int) -> int:
    """The next state, and draw, of Marsaglia's generator; a state of 0 is taken as 1."""
    x = state or 1
    x ^= x << 13 & 0xFFFFFFFF
    x ^= x >> 17
    return x ^ (x << 5 & 0xFFFFFFFF)


def _cut(dx: np.ndarray, x, d) -> np.ndarray:
    """dx, zero where the input comes from a ReLU that cut."""
    return np.where(int8_values(x).reshape(dx.shape) <= 0, 0, dx) if d[f.MASK_DX] else dx


def _low(d) -> int:
    return 0 if d[f.RELU] else -127


def _finish_forward(y, acc: np.ndarray, at: int, d) -> int:
    """Requantise and store accumulators, or measure them (device/DESIGN.md, MEASURE)."""
    if d[f.MEASURE]:
        return largest(np.maximum(acc, 0) if d[f.RELU] else acc)
    store(y, rhu(int32(acc), int(d[f.FORWARD_SHIFT])), _low(d), at)
    return 0


def _finish_backward(dx, acc: np.ndarray, x, d) -> int:
    acc = _cut(int32(acc), x, d)
    if d[f.MEASURE]:
        return largest(acc)
    store(dx, rhu(acc, int(d[f.BACKWARD_SHIFT])))
    return 0


def conv2d_forward(operands) -> int:
    """y int8, argmax of filters ROW .. ROW + ROWS - 1 from x int8 and their weights w."""
    y, argmax, x, w, _scratch, d = operands
    acc = np.einsum("oikl,ihwkl->ohw", kernels(w, d), patches(x, d))
    pools = windows(acc, d[f.POOL_H], d[f.POOL_STRIDE_H])
    pools = pools.reshape(*pools.shape[:3], -1)
    if d[f.ARGMAX_BITS] and not d[f.MEASURE]:
        pack_argmax(argmax, pools.argmax(axis=3), int(d[f.ROW]), d)
    return _finish_forward(y, pools.max(axis=3), int(d[f.ROW] * d[f.H_OUT] * d[f.W_OUT]), d)


def linear_forward(operands) -> int:
    """y int8 of outputs ROW .. ROW + ROWS - 1 from x int8 [n_in] and their weights w."""
    y, x, w, _scratch, d = operands
    acc = offset_values(w).reshape(-1, d[f.N_IN]) @ int8_values(x)
    return _finish_forward(y, acc, int(d[f.ROW]), d)


def max_pool_forward(operands) -> int:
    """y int8, argmax: the largest of each window, the first of equals."""
    y, argmax, x, d = operands
    image = int8_values(x).reshape(d[f.N_IN], d[f.H_IN], d[f.W_IN])
    pools = windows(image, d[f.POOL_H], d[f.POOL_STRIDE_H])
    pools = pools.reshape(*pools.shape[:3], -1)
    pack_argmax(argmax, pools.argmax(axis=3), 0, d)
    store(y, pools.max(axis=3), _low(d))
    return 0


def max_pool_backward(operands) -> int:
    """dx int8: each gradient at its winner, sums clamped."""
    dx, g, argmax, x, d = operands
    store(dx, _cut(scatter(g, argmax, d), x, d))
    return 0


def avg_pool_forward(operands) -> int:
    """y int8 = RHU(sum * MULTIPLIER, 16)."""
    y, x, d = operands
    image = int8_values(x).reshape(d[f.N_IN], d[f.H_IN], d[f.W_IN])
    total = windows(image, d[f.POOL_H], d[f.POOL_STRIDE_H]).sum(axis=(3, 4))
    store(y, rhu(int32(total * d[f.MULTIPLIER]), 16), _low(d))
    return 0


def avg_pool_backward(operands) -> int:
    """dx int8: every position of a window gets its gradient, sums clamped."""
    dx, g, x, d = operands
    error = int8_values(g).reshape(d[f.N_OUT], d[f.H_OUT], d[f.W_OUT])
    total = np.zeros((d[f.N_IN], d[f.H_IN], d[f.W_IN]), np.int64)
    for y0, x0 in np.ndindex(*error.shape[1:]):
        top, left, size = y0 * d[f.POOL_STRIDE_H], x0 * d[f.POOL_STRIDE_H], d[f.POOL_H]
        total[:, top : top + size, left : left + size] += error[:, y0, x0, None, None]
    store(dx, _cut(total, x, d))
    return 0


def global_pool_forward(operands) -> int:
    """y int8 = RHU(sum of a channel, fs)."""
    y, x, d = operands
    total = int8_values(x).reshape(d[f.N_IN], -1).sum(axis=1)
    store(y, rhu(int32(total), int(d[f.FORWARD_SHIFT])), _low(d))
    return 0


def global_pool_backward(operands) -> int:
    """dx int8: every position of a channel gets its gradient."""
    dx, g, x, d = operands
    area = int(d[f.H_IN] * d[f.W_IN])
    store(dx, _cut(int8_values(g).repeat(area), x, d))
    return 0


def cross_entropy(operands, label: int) -> int:
    """g int8 = 127 * (softmax(z) - onehot(label)); returns max abs(g)."""
    g, z, _scratch, d = operands
    logits = int8_values(z)[: d[f.N_CLASSES]]
    distance = logits.max() - logits
    t = int(d[f.LOSS_SHIFT])
    e = EXP_TABLE[np.minimum(255, distance << t if t >= 0 else distance >> -t)]
    gradient = (127 * e + e.sum() // 2) // e.sum()
    gradient[label] -= 127
    store(g, gradient)
    return largest(gradient)


def conv2d_backward(operands) -> int:
    """dx int8 = RHU(w^T g, bs), through the argmax."""
    dx, g, argmax, x, w, _scratch, d = operands
    error, taps = scatter(g, argmax, d), kernels(w, d)
    stride, p = int(d[f.STRIDE_H]), int(d[f.PAD_TOP])
    h, w_conv = error.shape[1:]
    padded = np.zeros((d[f.N_IN], d[f.H_IN] + 2 * p, d[f.W_IN] + 2 * p), np.int64)
    for ky, kx in np.ndindex(*taps.shape[2:]):
        part = np.einsum("oi,ohw->ihw", taps[:, :, ky, kx], error)
        padded[:, ky : ky + stride * h : stride, kx : kx + stride * w_conv : stride] += part
    acc = padded[:, p : p + d[f.H_IN], p : p + d[f.W_IN]]
    return _finish_backward(dx, acc, x, d)


def linear_backward(operands) -> int:
    """Sums of w^T g in scratch over the rows of this call; dx int8 with the last row."""
    dx, g, x, w, scratch, d = operands
    first, last = int(d[f.ROW]), int(d[f.ROW] + d[f.ROWS])
    sums = view(scratch, np.int32)[: d[f.N_IN]]
    if first == 0:
        sums[:] = 0
    sums[:] = int32(sums + int8_values(g)[first:last] @ offset_values(w).reshape(-1, d[f.N_IN]))
    return _finish_backward(dx, sums.astype(np.int64), x, d) if last == d[f.N_OUT] else 0


def scored_edges(w, select, d) -> np.ndarray:
    """bool [edges]: True where an edge of the whole layer `w` has a score."""
    weights = offset_values(w)
    if d[f.SELECTION] == f.LARGEST:
        return np.abs(weights) >= d[f.TAU]
    if d[f.SELECTION] == f.BITMAP:
        bits = np.unpackbits(view(select, np.uint8)[4 * d[f.N_OUT] :], bitorder="little")
        return bits[: weights.size].astype(bool)
    return np.ones(weights.size, bool)


def _effective(w: np.ndarray, scores: np.ndarray, d) -> np.ndarray:
    """Effective weights of scored edges."""
    if d[f.RULE] == f.PRUNE:
        return np.where(scores + 128 >= d[f.THRESHOLD], w, 0)
    return np.clip((w * (64 + scores) + 32) >> 6, -127, 127)


def _update(scores, weff, dw: np.ndarray, w, select, d) -> int:
    """The update rule on all scored edges of a layer; dw int64 [edges]."""
    edges = np.flatnonzero(scored_edges(w, select, d))
    int32(dw)
    if d[f.MEASURE]:
        return largest(dw[edges])
    rounded = psr if d[f.ROUNDING] == f.PSR else rhu
    shift = int(d[f.UPDATE_SHIFT])
    weights = offset_values(w)
    if d[f.RULE] == f.WEIGHTS:
        moved = np.clip(weights - rounded(dw, shift), -127, 127) + 128
        view(w, np.uint8)[edges] = moved[edges]
        return 0
    step = rounded(int32(dw * weights)[edges], shift)
    values = np.clip(offset_values(scores) - step, -128, 127)
    view(scores, np.uint8)[:] = values + 128
    if len(weff):
        view(weff, np.uint8)[edges] = _effective(weights[edges], values, d) + 128
    return 0


def conv2d_update(operands) -> int:
    """Scores (or w) and weff of a whole layer, dW = sum of g * x over the pooled positions."""
    scores, weff, g, argmax, x, w, select, _scratch, d = operands
    dw = np.einsum("ohw,ihwkl->oikl", scatter(g, argmax, d), patches(x, d))
    return _update(scores, weff, dw.ravel(), w, select, d)


def linear_update(operands) -> int:
    """Scores (or w) and weff of a whole layer, dW = g * x."""
    scores, weff, g, x, w, select, _scratch, d = operands
    return _update(scores, weff, np.outer(int8_values(g), int8_values(x)).ravel(), w, select, d)


def effective_weights(operands) -> int:
    """weff (ROWS rows) of rows ROW .. ROW + ROWS - 1 of the whole layer's w and scores."""
    weff, w, scores, select, d = operands
    result = offset_values(w)
    if d[f.RULE] in (f.PRUNE, f.GAIN):
        edges = np.flatnonzero(scored_edges(w, select, d))
        result[edges] = _effective(result[edges], offset_values(scores), d)
    first, n = int(d[f.ROW] * d[f.N_ROW]), int(d[f.ROWS] * d[f.N_ROW])
    view(weff, np.uint8)[:n] = result[first : first + n] + 128
    return 0


def kth_largest(operands, k: int) -> int:
    """The k-th largest score byte."""
    scores, _scratch = operands
    return int(np.sort(view(scores, np.uint8))[-k])


def count_below(operands, threshold: int) -> int:
    """How many score bytes are below a threshold."""
    return int((view(operands[0], np.uint8) < threshold).sum())


def classify(operands) -> int:
    """Index of the largest logit, the first of equals, + 256 * those at +-127."""
    z = int8_values(operands[0])
    return int(z.argmax()) + 256 * int((np.abs(z) == 127).sum())


def init_scores(operands) -> int:
    """Scores of mean 0 and standard deviation 32, one draw each; state moves on."""
    scores, state = operands
    for i in range(len(scores)):
        state[0] = x = xorshift32(int(state[0]))
        total = (x & 255) + (x >> 8 & 255) + (x >> 16 & 255) + (x >> 24)
        scores[i] = (((total - 510) * 111 + 256) >> 9) + 128
    return 0


def shuffle(operands) -> int:
    """Fisher-Yates on uint16 indices, 15 bits of a draw each; state moves on."""
    order, state = operands
    for i in range(len(order) - 1, 0, -1):
        state[0] = x = xorshift32(int(state[0]))
        j = ((x >> 17) * (i + 1)) >> 15
        order[i], order[j] = order[j], order[i]
    return 0


def scratch_words(kind: int, training: int, d) -> int:
    """int32 words of scratch: only linear_backward keeps anything there."""
    return int(d[f.N_IN]) if training and kind == f.LINEAR else 0


def plan(kind: int, d) -> int:
    """There is one implementation: number 0."""
    return 0


def plan_name(number: int) -> str:
    """What `plan` chose, in words."""
    return "numpy"
