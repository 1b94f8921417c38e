"""The oracle's arithmetic for many images at once, by float64 matrix products.

Exact: every sum of a layer is an integer below 2^31, and float64 holds integers to 2^53. A test
compares it with priot/oracle/kernels.py. `d` is a stage's descriptor; arrays have an axis of
images [n] in front and are reshaped to the stage's input or output where flatten lies between.
"""

from collections.abc import Iterator

import numpy as np

from priot.network import fields as f
from priot.network.stages import Stage
from priot.oracle.kernels import EXP_TABLE, rhu

_CHUNK_BYTES = 32 << 20  # of patches at a time


def chunks(stage: Stage, n: int) -> Iterator[slice]:
    """Slices of n images whose patches, and weight gradients, stay near 32 MB."""
    d = stage.d
    per_image = 8 * max(1, int(d[f.N_ROW])) * max(int(d[f.H_CONV] * d[f.W_CONV]), int(d[f.N_OUT]))
    size = max(1, _CHUNK_BYTES // per_image)
    return (slice(i, min(n, i + size)) for i in range(0, n, size))


def _windows(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    every = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    return every[:, :, ::stride, ::stride]


def _patches(x: np.ndarray, d: np.ndarray) -> np.ndarray:
    """float64 [n][n_row][positions]: what each weight of a row is multiplied with."""
    p = int(d[f.PADDING])
    image = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    seen = _windows(image, int(d[f.KERNEL]), int(d[f.STRIDE]))
    n, c, h, w, k, _ = seen.shape
    return seen.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * k * k, h * w).astype(np.float64)


def forward(stage: Stage, x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Accumulators float64 [n][n_out][h_out][w_out] before requantisation, and the winners.

    x [n][n_in][h_in][w_in]; weights [n_out][n_row], unused by pools. Winners are uint8
    wy * POOL + wx, the first of equals. The accumulator of an average is the plain sum.
    """
    d = stage.d
    acc = x = x.reshape(-1, *stage.shape_in)
    if stage.weight_index >= 0:
        acc = (weights @ _patches(x, d)).reshape(len(x), *(int(d[i]) for i in (
            f.N_OUT, f.H_CONV, f.W_CONV)))
    pools = _windows(acc, int(d[f.POOL]), int(d[f.POOL_STRIDE]))
    pools = pools.reshape(*pools.shape[:4], -1)
    winner = pools.argmax(axis=4).astype(np.uint8)
    if stage.kind == f.AVG_POOL2D:
        return pools.sum(axis=4, dtype=np.float64), winner
    return pools.max(axis=4).astype(np.float64), winner


def requantise(stage: Stage, acc: np.ndarray) -> np.ndarray:
    """int8 outputs of a stage from its accumulators."""
    d = stage.d
    integers = acc.astype(np.int64)
    if stage.kind == f.AVG_POOL2D:
        integers = rhu(integers * int(d[f.MULTIPLIER]), 16)
    elif stage.weight_index >= 0:
        integers = rhu(integers, int(d[f.FORWARD_SHIFT]))
    return np.clip(integers, 0 if d[f.RELU] else -127, 127).astype(np.int8)


def loss_gradient(d: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """int8 gradients [n][classes] of cross_entropy, from int8 logits and labels [n]."""
    z = logits.reshape(len(logits), -1).astype(np.int64)
    distance = z.max(axis=1, keepdims=True) - z
    t = int(d[f.LOSS_SHIFT])
    e = EXP_TABLE[np.minimum(255, distance << t if t >= 0 else distance >> -t)]
    total = e.sum(axis=1, keepdims=True)
    g = (127 * e + total // 2) // total
    g[np.arange(len(g)), labels] -= 127
    return g.astype(np.int8)


def scatter(stage: Stage, g: np.ndarray, winner: np.ndarray) -> np.ndarray:
    """Gradients at the winners' places before pooling: float64 [n][n_out][h_conv][w_conv]."""
    d = stage.d
    g = g.reshape(-1, *stage.shape_out)
    if d[f.POOL] == 1:
        return g.astype(np.float64)
    n, c, y, x = np.ix_(*map(np.arange, g.shape))
    pool, stride = int(d[f.POOL]), int(d[f.POOL_STRIDE])
    placed = np.zeros((*g.shape[:2], int(d[f.H_CONV]), int(d[f.W_CONV])))
    np.add.at(placed, (n, c, y * stride + winner // pool, x * stride + winner % pool), g)
    return placed


def backward_input(stage: Stage, g: np.ndarray, winner: np.ndarray, x: np.ndarray,
                   weights: np.ndarray) -> np.ndarray:
    """Accumulators float64 of dx [n][n_in][h_in][w_in], zero where a ReLU below cut."""
    d = stage.d
    x = x.reshape(-1, *stage.shape_in)
    if stage.kind == f.AVG_POOL2D:
        acc = _spread(stage, g.reshape(-1, *stage.shape_out))
    elif stage.kind == f.MAX_POOL2D:
        acc = scatter(stage, g, winner)
    else:
        error = scatter(stage, g, winner)
        taps = weights.T @ error.reshape(*error.shape[:2], -1)
        acc = _fold(taps, error.shape[2:], d)
    return np.where(x <= 0, 0, acc) if d[f.X_RELU] else acc


def _spread(stage: Stage, g: np.ndarray) -> np.ndarray:
    total = np.zeros((len(g), *stage.shape_in))
    size, stride = int(stage.d[f.POOL]), int(stage.d[f.POOL_STRIDE])
    for wy, wx in np.ndindex(size, size):
        rows = slice(wy, wy + stride * g.shape[2], stride)
        columns = slice(wx, wx + stride * g.shape[3], stride)
        total[:, :, rows, columns] += g
    return total


def _fold(taps: np.ndarray, positions: tuple[int, ...], d: np.ndarray) -> np.ndarray:
    """Add taps [n][n_row][positions] where their pixels lie."""
    n_in, h_in, w_in, k, stride, p = (int(d[i]) for i in (
        f.N_IN, f.H_IN, f.W_IN, f.KERNEL, f.STRIDE, f.PADDING))
    h, w = positions
    taps = taps.reshape(len(taps), n_in, k, k, h, w)
    padded = np.zeros((len(taps), n_in, h_in + 2 * p, w_in + 2 * p))
    for ky, kx in np.ndindex(k, k):
        rows, columns = slice(ky, ky + stride * h, stride), slice(kx, kx + stride * w, stride)
        padded[:, :, rows, columns] += taps[:, :, ky, kx]
    return padded[:, :, p : p + h_in, p : p + w_in]


def clamp_gradient(stage: Stage, acc: np.ndarray) -> np.ndarray:
    """int8 dx from its accumulators."""
    shift = int(stage.d[f.BACKWARD_SHIFT]) if stage.weight_index >= 0 else 0
    return np.clip(rhu(acc.astype(np.int64), shift), -127, 127).astype(np.int8)


def weight_gradient(stage: Stage, g: np.ndarray, winner: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dW of every image: float64 [n][n_out][n_row]."""
    x = x.reshape(-1, *stage.shape_in)
    error = scatter(stage, g, winner)
    return error.reshape(*error.shape[:2], -1) @ _patches(x, stage.d).transpose(0, 2, 1)
