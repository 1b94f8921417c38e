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
    image,
    int8_values,
    int32,
    kernels,
    largest,
    offset_values,
    pack_argmax,
    pair,
    patches,
    pools,
    scatter,
    store,
    store_outputs,
    view,
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


def shifted(x: np.ndarray, left: int) -> np.ndarray:
    """x * 2^left, rounded half up where that is a shift to the right."""
    return x << left if left >= 0 else rhu(x, -left)


def _cut(dx: np.ndarray, x, mask: int) -> np.ndarray:
    """dx, zero where the input comes from a ReLU that cut: mask is MASK_DX, or MASK_DZ."""
    values = int8_values(x).reshape(dx.shape)
    return np.where((values <= 0) | (values >= mask), 0, dx) if mask else dx


def _plus_earlier(acc: np.ndarray, dx, add: int) -> np.ndarray:
    """acc, and what dx holds from another stage that reads the same tensor: add is ADD_DX."""
    return acc + shifted(int8_values(dx).reshape(acc.shape), int(add) - 64) if add else acc


def _finish_forward(y, acc: np.ndarray, at: int, d) -> int:
    """Requantise and store accumulators, or measure them (device/DESIGN.md, MEASURE)."""
    if d[f.MEASURE]:
        return largest(np.maximum(acc, 0) if d[f.RELU] else acc)
    store_outputs(y, rhu(int32(acc), int(d[f.FORWARD_SHIFT])), d, at)
    return 0


def _finish_backward(dx, acc: np.ndarray, x, d) -> int:
    acc = _cut(int32(_plus_earlier(acc, dx, d[f.ADD_DX])), x, d[f.MASK_DX])
    if d[f.MEASURE]:
        return largest(acc)
    store(dx, rhu(acc, int(d[f.BACKWARD_SHIFT])))
    return 0


def _biases(bias, d) -> np.ndarray:
    """int64 [rows] of this call, zeros without any."""
    if not len(bias):
        return np.zeros(int(d[f.ROWS]), np.int64)
    return view(bias, np.int32)[d[f.ROW] : d[f.ROW] + d[f.ROWS]].astype(np.int64)


def conv2d_forward(operands) -> int:
    """y int8, argmax of filters ROW .. ROW + ROWS - 1 from x int8, their weights w and the biases
    of all."""
    y, argmax, x, w, bias, _scratch, d = operands
    group = np.arange(d[f.ROW], d[f.ROW] + d[f.ROWS]) // d[f.GROUP_OUT]
    acc = np.stack([np.einsum("ikl,ihwkl->hw", taps, seen)
                    for taps, seen in zip(kernels(w, d), patches(x, d)[group], strict=True)])
    seen = pools(acc + _biases(bias, d)[:, None, None], d)
    if d[f.ARGMAX_BITS] and not d[f.MEASURE]:
        pack_argmax(argmax, seen.argmax(axis=3), int(d[f.ROW]), d)
    return _finish_forward(y, seen.max(axis=3), int(d[f.ROW] * d[f.H_OUT] * d[f.W_OUT]), d)


def linear_forward(operands) -> int:
    """y int8 of outputs ROW .. ROW + ROWS - 1 from x int8 [n_in] and their weights w."""
    y, x, w, bias, _scratch, d = operands
    acc = offset_values(w).reshape(-1, d[f.N_IN]) @ int8_values(x) + _biases(bias, d)
    return _finish_forward(y, acc, int(d[f.ROW]), d)


def max_pool_forward(operands) -> int:
    """y int8, argmax: the largest of each window, the first of equals."""
    y, argmax, x, d = operands
    seen = pools(image(x, d), d)
    pack_argmax(argmax, seen.argmax(axis=3), 0, d)
    store_outputs(y, seen.max(axis=3), d)
    return 0


def _put_gradient(dx, total: np.ndarray, x, d) -> int:
    """dx int8 from sums that no shift follows."""
    store(dx, _cut(_plus_earlier(total, dx, d[f.ADD_DX]), x, d[f.MASK_DX]))
    return 0


def max_pool_backward(operands) -> int:
    """dx int8: each gradient at its winner, sums clamped."""
    dx, g, argmax, x, d = operands
    return _put_gradient(dx, scatter(g, argmax, d), x, d)


def avg_pool_forward(operands) -> int:
    """y int8 = RHU(sum * MULTIPLIER, 16)."""
    y, x, d = operands
    total = pools(image(x, d), d).sum(axis=3)
    store_outputs(y, rhu(int32(total * d[f.MULTIPLIER]), 16), d)
    return 0


def avg_pool_backward(operands) -> int:
    """dx int8: every position of a window gets its gradient, sums clamped."""
    dx, g, x, d = operands
    error = int8_values(g).reshape(d[f.N_OUT], d[f.H_OUT], d[f.W_OUT])
    total = np.zeros((d[f.N_IN], d[f.H_IN], d[f.W_IN]), np.int64)
    for y0, x0 in np.ndindex(*error.shape[1:]):
        top, left = y0 * d[f.POOL_STRIDE_H], x0 * d[f.POOL_STRIDE_W]
        window = np.s_[:, top : top + d[f.POOL_H], left : left + d[f.POOL_W]]
        total[window] += error[:, y0, x0, None, None]
    return _put_gradient(dx, total, x, d)


def global_pool_forward(operands) -> int:
    """y int8 = RHU(sum of a channel, fs)."""
    y, x, d = operands
    total = int8_values(x).reshape(d[f.N_IN], -1).sum(axis=1)
    store_outputs(y, rhu(int32(total), int(d[f.FORWARD_SHIFT])), d)
    return 0


def global_pool_backward(operands) -> int:
    """dx int8: every position of a channel gets its gradient."""
    dx, g, x, d = operands
    area = int(d[f.H_IN] * d[f.W_IN])
    return _put_gradient(dx, int8_values(g).repeat(area), x, d)


def add_forward(operands) -> int:
    """y int8 = RHU(x + z, fs), one of the two shifted left to the exponent of the other."""
    y, x, z, d = operands
    left = int(d[f.Z_SHIFT])
    total = (int8_values(x) << max(0, -left)) + (int8_values(z) << max(0, left))
    store_outputs(y, rhu(int32(total), int(d[f.FORWARD_SHIFT])), d)
    return 0


def add_backward(operands) -> int:
    """dx, dz int8: both get the gradient; a buffer that is empty is not wanted."""
    dx, dz, g, x, z, d = operands
    for buffer, values, add, mask in ((dx, x, d[f.ADD_DX], d[f.MASK_DX]),
                                      (dz, z, d[f.ADD_DZ], d[f.MASK_DZ])):
        if len(buffer):
            store(buffer, _cut(_plus_earlier(int8_values(g), buffer, add), values, mask))
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


def squared_error(operands) -> int:
    """g int8 = outputs - targets, clamped, where it is wanted; returns the sum of its squares.

    found: max abs(g), and how many outputs are at +-127.
    """
    g, z, target, found, d = operands
    outputs, shift = int8_values(z)[: d[f.N_CLASSES]], int(d[f.LOSS_SHIFT])
    gradient = np.clip(outputs - shifted(int8_values(target), shift), -127, 127)
    if len(g):
        store(g, gradient)
    found[0], found[1] = largest(gradient), int((np.abs(outputs) == 127).sum())
    return int(np.square(gradient).sum())


def conv2d_backward(operands) -> int:
    """dx int8 = RHU(w^T g, bs), through the argmax."""
    dx, g, argmax, x, w, _scratch, d = operands
    groups = int(d[f.GROUPS])
    error = scatter(g, argmax, d).reshape(groups, d[f.GROUP_OUT], d[f.H_CONV], d[f.W_CONV])
    taps = kernels(w, d).reshape(groups, d[f.GROUP_OUT], d[f.GROUP_IN], *pair(d, f.KERNEL_H))
    down, across = pair(d, f.STRIDE_H)
    padded = np.zeros((groups, d[f.GROUP_IN], d[f.H_IN] + sum(pair(d, f.PAD_TOP)),
                       d[f.W_IN] + sum(pair(d, f.PAD_LEFT))), np.int64)
    for ky, kx in np.ndindex(*taps.shape[3:]):
        part = np.einsum("goi,gohw->gihw", taps[..., ky, kx], error)
        padded[..., ky : ky + down * d[f.H_CONV] : down,
               kx : kx + across * d[f.W_CONV] : across] += part
    top, left = d[f.PAD_TOP], d[f.PAD_LEFT]
    acc = padded[..., top : top + d[f.H_IN], left : left + d[f.W_IN]]
    return _finish_backward(dx, acc.reshape(d[f.N_IN], d[f.H_IN], d[f.W_IN]), x, d)


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


def product_shift(d) -> int:
    """k of RHU(dW, k) * w: how far dW is shifted so that its product with a weight fits int32."""
    positions = int(d[f.H_OUT] * d[f.W_OUT])
    return (-(-positions // f.MAX_POSITIONS) - 1).bit_length()


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
    if d[f.RULE] == f.WIDE:  # the score byte is the lower one of a weight
        wide = (view(w, np.uint8)[edges].astype(np.int64) << 8) + view(scores, np.uint8)
        wide = np.clip(wide - rounded(dw, shift)[edges], 256, 65535)
        view(w, np.uint8)[edges] = wide >> 8
        view(scores, np.uint8)[:] = wide & 255
        return 0
    first = product_shift(d)
    step = rounded(int32(rhu(dw, first) * weights)[edges], max(0, shift - first))
    values = np.clip(offset_values(scores) - step, -128, 127)
    view(scores, np.uint8)[:] = values + 128
    if len(weff):
        view(weff, np.uint8)[edges] = _effective(weights[edges], values, d) + 128
    return 0


def conv2d_update(operands) -> int:
    """Scores (or w) and weff of a whole layer, dW = sum of g * x over the pooled positions."""
    scores, weff, g, argmax, x, w, select, _scratch, d = operands
    error = scatter(g, argmax, d).reshape(d[f.GROUPS], d[f.GROUP_OUT], d[f.H_CONV], d[f.W_CONV])
    dw = np.einsum("gohw,gihwkl->goikl", error, patches(x, d))
    return _update(scores, weff, dw.ravel(), w, select, d)


def linear_update(operands) -> int:
    """Scores (or w) and weff of a whole layer, dW = g * x."""
    scores, weff, g, x, w, select, _scratch, d = operands
    return _update(scores, weff, np.outer(int8_values(g), int8_values(x)).ravel(), w, select, d)


def bias_update(operands) -> int:
    """Biases of a whole layer, less the sum of g over the pooled positions, shifted by gs, to the
    left where that is below 0; clamped so that every sum fits int32."""
    bias, g, d = operands
    total = int8_values(g).reshape(d[f.N_OUT], -1).sum(axis=1)
    shift = int(d[f.UPDATE_SHIFT])
    if shift < 0:
        limit = 2**30 >> -shift
        step = np.clip(total, -limit, limit) << -shift
    else:
        step = psr(total, shift)
    biases = view(bias, np.int32)
    most = 2**31 - 1 - 127 * 127 * int(d[f.N_ROW])
    biases[:] = np.clip(biases.astype(np.int64) - step, -most, most)
    return 0


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
