"""Forward of a stage of a float network, in numpy; float_backward.py has the gradients.

A stage is `sums`, its products and bias, and then `ends`, its max-pool and ReLU. Images are
[n][channels][height][width] of any float type; what is made of them has the channels last in
memory, for long rows to copy and one large matrix product.
"""

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from priot.backbone.float_stage import FloatStage, Padding
from priot.network.stage import Pair

_CHUNK = 1 << 22  # values that a matrix of patches may have: 16 MB stay near the caches


def forward(stage: FloatStage, x: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """Outputs of one stage [n][n_out][height][width], of the type of x; other: the second input
    of add."""
    return np.asarray(ends(stage, sums(stage, x, other)), x.dtype)


def sums(stage: FloatStage, x: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """What a stage computes before its max-pool and its ReLU, with its bias."""
    y: np.ndarray
    if stage.kind == "conv2d":
        y = _conv2d(stage, padded(x, stage.padding))
    elif stage.kind == "linear":
        assert stage.weights is not None
        y = (x.reshape(len(x), -1) @ stage.weights.T)[:, :, None, None]
    elif stage.kind == "add":
        assert other is not None
        y = x + other
    elif stage.kind == "max_pool":
        y = x
    elif stage.window == x.shape[2:]:
        y = x.mean(axis=(2, 3), keepdims=True)
    else:
        each = taps(x, stage.window, stage.window_stride)
        y = next(each).copy(order="K")
        for tap in each:
            y += tap
        y /= stage.window[0] * stage.window[1]
    if stage.bias is not None:
        y += stage.bias[:, None, None]
    return y


def ends(stage: FloatStage, y: np.ndarray) -> np.ndarray:
    """The max-pool and the ReLU of a stage, of what `sums` gave."""
    if takes_largest(stage):
        each = taps(y, stage.window, stage.window_stride)
        y = next(each).copy(order="K")
        for tap in each:
            np.maximum(y, tap, out=y)
    if stage.relu:
        y = np.maximum(y, 0)
    if stage.clamp is not None:
        y = np.minimum(y, y.dtype.type(stage.clamp))
    return y


def takes_largest(stage: FloatStage) -> bool:
    """Whether a stage is a max-pool, or has one."""
    return stage.kind in ("conv2d", "max_pool") and stage.window != (1, 1)


def is_depthwise(stage: FloatStage, channels: int) -> bool:
    """Whether each of several input channels has filters of its own."""
    return stage.groups == channels > 1


def padded(x: np.ndarray, padding: Padding) -> np.ndarray:
    """Images with zeros around them; in memory, channels come last."""
    if not any(padding):
        return x
    top, bottom, left, right = padding
    n, channels, height, width = x.shape
    wide = np.zeros((n, top + height + bottom, left + width + right, channels), x.dtype)
    wide[:, top : top + height, left : left + width] = x.transpose(0, 2, 3, 1)
    return wide.transpose(0, 3, 1, 2)


def taps(x: np.ndarray, window: Pair, stride: Pair) -> Iterator[np.ndarray]:
    """Views [n][channels][y][x] of a padded input: what each place of a window sees."""
    height, width = ((size - k) // s + 1 for size, k, s in zip(
        x.shape[2:], window, stride, strict=True))
    for i in range(window[0]):
        for j in range(window[1]):
            yield x[:, :, i : i + (height - 1) * stride[0] + 1 : stride[0],
                    j : j + (width - 1) * stride[1] + 1 : stride[1]]


def patches(x: np.ndarray, stage: FloatStage) -> np.ndarray:
    """What the weights of a row see of a padded input: [n * height * width][ky * kx * channels].
    """
    seen = sliding_window_view(x, stage.kernel, axis=(2, 3))[
        :, :, :: stage.stride[0], :: stage.stride[1]].transpose(0, 2, 3, 4, 5, 1)
    return seen.reshape(int(np.prod(seen.shape[:3])), -1)


def columns(stage: FloatStage) -> np.ndarray:
    """Weights of a conv2d as `patches` meets them: [groups][ky * kx * channels][n_out / groups].
    """
    assert stage.weights is not None
    weights = stage.weights.reshape(stage.groups, -1, *stage.weights.shape[1:])
    return weights.transpose(0, 3, 4, 2, 1).reshape(
        stage.groups, stage.weights[0].size, stage.n_out // stage.groups)


def parts(stage: FloatStage, n: int, positions: int) -> Iterator[slice]:
    """Slices of n images whose patches stay near the caches."""
    assert stage.weights is not None
    step = max(1, _CHUNK // (stage.weights[0].size * positions))
    return (slice(first, min(n, first + step)) for first in range(0, n, step))


def _conv2d(stage: FloatStage, x: np.ndarray) -> np.ndarray:
    if is_depthwise(stage, x.shape[1]):
        return _depthwise(stage, x)
    n, channels = x.shape[:2]
    height, width = next(taps(x, stage.kernel, stage.stride)).shape[2:]
    n_in, n_out = channels // stage.groups, stage.n_out // stage.groups
    # in memory, channels come last: one large matrix product, and long rows to copy
    y = np.empty((n, height, width, stage.n_out), x.dtype)
    for group, weights in enumerate(columns(stage)):
        for some in parts(stage, n, height * width):
            seen = patches(x[some, group * n_in : (group + 1) * n_in], stage)
            y[some, :, :, group * n_out : (group + 1) * n_out] = (seen @ weights).reshape(
                -1, height, width, n_out)
    return y.transpose(0, 3, 1, 2)


def _depthwise(stage: FloatStage, x: np.ndarray) -> np.ndarray:
    """A product a tap: patches would be copied for one multiplication each."""
    assert stage.weights is not None
    weights = stage.weights.reshape(stage.groups, stage.n_out // stage.groups, -1, 1, 1)
    y: np.ndarray | None = None
    product: np.ndarray | None = None
    for i, tap in enumerate(taps(x, stage.kernel, stage.stride)):
        product = np.multiply(tap[:, :, None], weights[:, :, i], out=product)
        y = product.copy(order="K") if y is None else np.add(y, product, out=y)
    assert y is not None
    return y.reshape(len(x), stage.n_out, *y.shape[3:])
