"""The oracle's arithmetic for many images at once, by matrix products of floats.

Exact: every sum of a layer is an integer below 2^31, and float64 holds integers to 2^53; float32,
twice as fast, holds them to 2^24, and takes the products of rows that stay below. A test
compares it with priot/oracle/kernels.py. Arrays have an axis of images [n] in front and are
reshaped to the stage's input or output where flatten lies between.
"""

from collections.abc import Iterator

import numpy as np

from priot.network import fields as f
from priot.network.stage import Pair, Stage
from priot.oracle.kernels import EXP_TABLE, rhu, shifted

_CHUNK_BYTES = 32 << 20  # of patches at a time


def chunks(stage: Stage, n: int) -> Iterator[slice]:
    """Slices of n images whose patches, and weight gradients, stay near 32 MB."""
    _, height, width = stage.shape_conv
    per_image = 8 * stage.n_row * max(height * width, stage.n_out)
    size = max(1, _CHUNK_BYTES // per_image)
    return (slice(i, min(n, i + size)) for i in range(0, n, size))


def _windows(x: np.ndarray, size: Pair, stride: Pair) -> np.ndarray:
    every = np.lib.stride_tricks.sliding_window_view(x, size, axis=(2, 3))
    return every[:, :, :: stride[0], :: stride[1]]


def _patches(x: np.ndarray, stage: Stage, dtype: type = np.float64) -> np.ndarray:
    """Floats [n][groups][n_row][positions]: what each weight of a row is multiplied with."""
    top, bottom, left, right = stage.padding
    image = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    seen = _windows(image, stage.kernel, stage.stride)
    n, c, h, w, ky, kx = seen.shape
    return seen.transpose(0, 1, 4, 5, 2, 3).reshape(
        n, stage.groups, c // stage.groups * ky * kx, h * w).astype(dtype)


def _grouped_rows(stage: Stage) -> np.ndarray:
    """float64 [groups][rows of a group][n_row]."""
    return stage.rows.astype(np.float64).reshape(stage.groups, -1, stage.n_row)


def forward(stage: Stage, x: np.ndarray, z: np.ndarray | None = None,
            ) -> tuple[np.ndarray, np.ndarray]:
    """Accumulators float64 [n][n_out][h_out][w_out] before requantisation, and the winners.

    x [n][n_in][h_in][w_in]; z, of a sum, likewise. Winners are uint8 wy * width of the window +
    wx, the first of equals. The accumulator of an average, and of a global pool, is the plain sum.
    """
    acc = x = x.reshape(-1, *stage.shape_in)
    if stage.has_weights:
        is_int8 = stage.rows.dtype == np.int8
        dtype = np.float32 if is_int8 and stage.n_row * 127 * 127 < 1 << 24 else np.float64
        acc = _grouped_rows(stage).astype(dtype) @ _patches(x, stage, dtype)
        acc = acc.reshape(len(x), *stage.shape_conv).astype(np.float64)
        if stage.bias is not None:
            acc += stage.bias[:, None, None]
    elif z is not None:
        acc = (x.astype(np.int64) << max(0, -stage.b_shift)) + (
            z.reshape(x.shape).astype(np.int64) << max(0, stage.b_shift))
    if stage.window == (1, 1):
        return acc.astype(np.float64, copy=False), np.zeros(acc.shape, np.uint8)
    pools = _windows(acc, stage.window, stage.window_stride)
    pools = pools.reshape(*pools.shape[:4], -1)
    winner = pools.argmax(axis=4).astype(np.uint8)
    if stage.kind in (f.AVG_POOL, f.GLOBAL_POOL):
        return pools.sum(axis=4, dtype=np.float64), winner
    return pools.max(axis=4).astype(np.float64), winner


def requantise(stage: Stage, acc: np.ndarray) -> np.ndarray:
    """int8 outputs of a stage from its accumulators."""
    integers = acc.astype(np.int64)
    if stage.kind == f.AVG_POOL:
        integers = rhu(integers * stage.multiplier, 16)
    else:
        integers = rhu(integers, stage.forward_shift)  # 0 of a max-pool
    return np.clip(integers, 0 if stage.relu else -127, stage.largest).astype(np.int8)


def loss_gradient(t: int, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """int8 gradients [n][classes] of cross_entropy, from int8 logits and labels [n].

    t: the loss shift.
    """
    z = logits.reshape(len(logits), -1).astype(np.int64)
    distance = z.max(axis=1, keepdims=True) - z
    e = EXP_TABLE[np.minimum(255, distance << t if t >= 0 else distance >> -t)]
    total = e.sum(axis=1, keepdims=True)
    g = (127 * e + total // 2) // total
    g[np.arange(len(g)), labels] -= 127
    return g.astype(np.int8)


def error_gradient(shift: int, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """int8 gradients [n][outputs] of squared_error, from int8 outputs and targets.

    shift: of the targets to the left (`Model.target_shift`).
    """
    z = outputs.reshape(len(outputs), -1).astype(np.int64)
    t = shifted(targets.reshape(z.shape).astype(np.int64), shift)
    return np.clip(z - t, -127, 127).astype(np.int8)


def scatter(stage: Stage, g: np.ndarray, winner: np.ndarray) -> np.ndarray:
    """Gradients at the winners' places before pooling: float64 [n][n_out][h_conv][w_conv]."""
    g = g.reshape(-1, *stage.shape_out)
    if stage.window == (1, 1):
        return g.astype(np.float64)
    n, c, y, x = np.ix_(*map(np.arange, g.shape))
    wy, wx = np.divmod(winner, stage.window[1])
    down, across = stage.window_stride
    placed = np.zeros((len(g), *stage.shape_conv))
    np.add.at(placed, (n, c, y * down + wy, x * across + wx), g)
    return placed


def backward_input(stage: Stage, g: np.ndarray, winner: np.ndarray, x: np.ndarray,
                   mask: int | None = None, earlier: np.ndarray | None = None,
                   add: int = 0) -> np.ndarray:
    """Accumulators float64 of dx [n][n_in][h_in][w_in], zero where a ReLU below cut.

    mask: `mask_dx`, which is the default, or `mask_dz` where x is the other input of a sum.
    earlier: what another stage has left of dx, int8, added as ADD_DX says with `add`
    (network/gradients.py).
    """
    x = x.reshape(-1, *stage.shape_in)
    mask = stage.mask_dx if mask is None else mask
    if stage.kind == f.ADD:
        acc = g.reshape(x.shape).astype(np.float64)
    elif stage.kind in (f.AVG_POOL, f.GLOBAL_POOL):
        acc = _spread(stage, g.reshape(-1, *stage.shape_out))
    elif stage.kind == f.MAX_POOL:
        acc = scatter(stage, g, winner)
    else:
        error = scatter(stage, g, winner)
        errors = error.reshape(len(error), stage.groups, stage.n_out // stage.groups, -1)
        taps = _grouped_rows(stage).transpose(0, 2, 1) @ errors
        acc = _fold(taps, error.shape[2:], stage)
    if earlier is not None:
        acc = acc + shifted(earlier.reshape(x.shape).astype(np.int64), add - 64)
    return np.where((x <= 0) | (x >= mask), 0, acc) if mask else acc


def _spread(stage: Stage, g: np.ndarray) -> np.ndarray:
    total = np.zeros((len(g), *stage.shape_in))
    down, across = stage.window_stride
    for wy, wx in np.ndindex(*stage.window):
        rows = slice(wy, wy + down * g.shape[2], down)
        columns = slice(wx, wx + across * g.shape[3], across)
        total[:, :, rows, columns] += g
    return total


def _fold(taps: np.ndarray, positions: tuple[int, ...], stage: Stage) -> np.ndarray:
    """Add taps [n][n_row][positions] where their pixels lie."""
    n_in, h_in, w_in = stage.shape_in
    top, bottom, left, right = stage.padding
    down, across = stage.stride
    h, w = positions
    taps = taps.reshape(len(taps), n_in, *stage.kernel, h, w)
    padded = np.zeros((len(taps), n_in, h_in + top + bottom, w_in + left + right))
    for ky, kx in np.ndindex(*stage.kernel):
        rows = slice(ky, ky + down * h, down)
        columns = slice(kx, kx + across * w, across)
        padded[:, :, rows, columns] += taps[:, :, ky, kx]
    return padded[:, :, top : top + h_in, left : left + w_in]


def clamp_gradient(stage: Stage, acc: np.ndarray) -> np.ndarray:
    """int8 dx from its accumulators."""
    return np.clip(rhu(acc.astype(np.int64), stage.backward_shift), -127, 127).astype(np.int8)


def weight_gradient(stage: Stage, g: np.ndarray, winner: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dW of every image: float64 [n][n_out][n_row]."""
    x = x.reshape(-1, *stage.shape_in)
    error = scatter(stage, g, winner)
    errors = error.reshape(len(error), stage.groups, stage.n_out // stage.groups, -1)
    products = errors @ _patches(x, stage).transpose(0, 1, 3, 2)
    return products.reshape(len(error), stage.n_out, stage.n_row)
