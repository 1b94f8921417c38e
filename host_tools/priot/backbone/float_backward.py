"""Gradients of a stage of a float network: float_kernels.py from its end to its start."""

import numpy as np

from priot.backbone.float_kernels import (
    columns,
    is_depthwise,
    padded,
    parts,
    patches,
    takes_largest,
    taps,
)
from priot.backbone.float_stage import FloatStage


def ends_backward(stage: FloatStage, g: np.ndarray, s: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The gradient at what `sums` gave, s, of that at what `ends` made of it, y."""
    if stage.relu:
        g = g * (y > 0)
    if stage.clamp is not None:
        g = g * (y < stage.clamp)
    if not takes_largest(stage):
        return g
    ds = np.zeros_like(s)
    free = np.ones(y.shape, bool)  # of two equal ones in a window the first has won
    window, stride = stage.window, stage.window_stride
    for tap, place in zip(taps(s, window, stride), taps(ds, window, stride), strict=True):
        won = free & (tap == y)  # where y was clamped, g is 0
        place += g * won
        free ^= won
    return ds


def sums_backward(stage: FloatStage, g: np.ndarray, x: np.ndarray, needs_dx: bool = True,
                  ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Gradients of what `sums` read, of the weights and of the bias, of that at its outputs.

    dx is that of both inputs of add. None where there is nothing, or dx is not needed.
    """
    db = None if stage.bias is None else g.sum(axis=(0, 2, 3))
    dw = None
    dx: np.ndarray | None = None
    if stage.kind == "conv2d":
        dx, dw = _conv2d_backward(stage, g, x, needs_dx)
    elif stage.kind == "linear":
        assert stage.weights is not None
        rows = g.reshape(len(g), -1)
        dw = rows.T @ x.reshape(len(x), -1)
        dx = (rows @ stage.weights).reshape(x.shape) if needs_dx else None
    elif stage.kind in ("add", "max_pool"):
        dx = g
    elif needs_dx:
        g = g / (stage.window[0] * stage.window[1])
        if stage.window == x.shape[2:]:
            dx = np.broadcast_to(g, x.shape)
        else:
            dx = np.zeros_like(x)
            for place in taps(dx, stage.window, stage.window_stride):
                place += g
    return dx, dw, db


def _conv2d_backward(stage: FloatStage, g: np.ndarray, x: np.ndarray, needs_dx: bool,
                     ) -> tuple[np.ndarray | None, np.ndarray]:
    top, _, left, _ = stage.padding
    height, width = x.shape[2:]
    seen = padded(x, stage.padding)
    backward = _depthwise_backward if is_depthwise(stage, x.shape[1]) else _groups_backward
    dx, dw = backward(stage, g, seen, needs_dx)
    if dx is not None:
        dx = dx[:, :, top : top + height, left : left + width]
    return dx, dw


def _zeros(x: np.ndarray) -> np.ndarray:
    """Zeros of a shape, in memory the channels last."""
    n, channels, height, width = x.shape
    return np.zeros((n, height, width, channels), x.dtype).transpose(0, 3, 1, 2)


def _groups_backward(stage: FloatStage, g: np.ndarray, x: np.ndarray, needs_dx: bool,
                     ) -> tuple[np.ndarray | None, np.ndarray]:
    assert stage.weights is not None
    n, _, height, width = g.shape
    n_in, n_out = x.shape[1] // stage.groups, stage.n_out // stage.groups
    dx = _zeros(x) if needs_dx else None
    dw = np.zeros((stage.groups, stage.weights[0].size, n_out), x.dtype)
    for group, weights in enumerate(columns(stage)):
        ours = slice(group * n_in, (group + 1) * n_in)
        for some in parts(stage, n, height * width):
            rows = g[some, group * n_out : (group + 1) * n_out].transpose(0, 2, 3, 1)
            rows = rows.reshape(-1, n_out)
            dw[group] += patches(x[some, ours], stage).T @ rows
            if dx is None:
                continue
            back = (rows @ weights.T).reshape(-1, height, width, stage.kernel[0],
                                              stage.kernel[1], n_in)
            places = taps(dx[some, ours], stage.kernel, stage.stride)
            for place, (i, j) in zip(places, np.ndindex(*stage.kernel), strict=True):
                place += back[:, :, :, i, j].transpose(0, 3, 1, 2)
    dw = dw.reshape(stage.groups, *stage.kernel, n_in, n_out).transpose(0, 4, 3, 1, 2)
    return dx, dw.reshape(stage.weights.shape)


def _depthwise_backward(stage: FloatStage, g: np.ndarray, x: np.ndarray, needs_dx: bool,
                        ) -> tuple[np.ndarray | None, np.ndarray]:
    assert stage.weights is not None
    weights = stage.weights.reshape(stage.groups, stage.n_out // stage.groups, -1, 1, 1)
    g = g.reshape(len(g), *weights.shape[:2], *g.shape[2:])
    dx = _zeros(x) if needs_dx else None
    dw = np.empty(weights.shape, x.dtype)
    places = taps(x if dx is None else dx, stage.kernel, stage.stride)
    each = zip(taps(x, stage.kernel, stage.stride), places, strict=True)
    product: np.ndarray | None = None
    for i, (tap, place) in enumerate(each):
        product = np.multiply(g, tap[:, :, None], out=product)
        dw[:, :, i, 0, 0] = product.sum(axis=(0, 3, 4))
        if dx is not None:
            np.multiply(g, weights[:, :, i], out=product)
            place += product[:, :, 0] if product.shape[2] == 1 else product.sum(axis=2)
    return dx, dw.reshape(stage.weights.shape)
