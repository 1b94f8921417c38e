"""A float network as stages: what an import leaves of a file, and its evaluation in numpy.

The stages are those of `priot/network/stage.py` before anything is quantised.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from priot.errors import mismatch
from priot.network.stage import IMAGE, Pair, Shape

KINDS = ("conv2d", "linear", "max_pool", "avg_pool", "global_pool", "add")
Padding = tuple[int, int, int, int]
_CHUNK = 1 << 22  # values that a matrix of patches may have: 16 MB stay near the caches


@dataclass
class FloatStage:
    """A layer with its ReLU and, behind a conv2d, a max-pool; or a pool, or a sum.

    kind: a word of KINDS. a, b: numbers of the stages it reads, IMAGE the image; b is None but of
    add. relu, then clamp: the outputs' lower limit 0 and upper limit. Pairs are (down, across),
    padding is top, bottom, left, right. window: of a pool, or of a max-pool behind a conv2d;
    (1, 1) is none. weights: float32 [n_out][n_in / groups][ky][kx] of a conv2d, [n_out][n_in] of
    a linear stage, which reads its input as one row [channel][y][x]. bias: float32 [n_out] or
    None. source: names of the nodes of the file that it is made of.
    """

    kind: str
    n_out: int
    a: int = IMAGE
    b: int | None = None
    relu: bool = False
    clamp: float | None = None
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    window: Pair = (1, 1)
    window_stride: Pair = (1, 1)
    groups: int = 1
    weights: np.ndarray | None = field(default=None, repr=False)
    bias: np.ndarray | None = field(default=None, repr=False)
    source: list[str] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return sum(values.size for values in (self.weights, self.bias) if values is not None)

    def shape_before_pool(self, shape_in: Shape) -> Shape:
        """Channels, height, width of the sums, of an input of (channels, height, width)."""
        if self.kind == "linear":
            return self.n_out, 1, 1
        top, bottom, left, right = self.padding
        height, width = ((size + pad - kernel) // stride + 1 for size, pad, kernel, stride in zip(
            shape_in[1:], (top + bottom, left + right), self.kernel, self.stride, strict=True))
        return self.n_out, height, width

    def shape_out(self, shape_in: Shape) -> Shape:
        """Channels, height, width of the outputs, of an input of (channels, height, width)."""
        _, height, width = self.shape_before_pool(shape_in)
        return (self.n_out, (height - self.window[0]) // self.window_stride[0] + 1,
                (width - self.window[1]) // self.window_stride[1] + 1)

    def macs(self, shape_in: Shape) -> int:
        """Multiplications with weights for one image."""
        _, height, width = self.shape_before_pool(shape_in)
        return 0 if self.weights is None else self.weights.size * height * width


@dataclass
class FloatGraph:
    """Stages in topological order; the outputs of the last one are the logits.

    shape: channels, height, width of the image. final: what followed the logits in the file,
    "softmax", "sigmoid" or "". mean, std: scalars or float64 [channels]; the network gets
    x = (raw - mean) / std of the raw values that the file's input takes. limits: smallest and
    largest x that the file's quantised input can express, None where it says nothing.
    file_shape: shape of one sample as the file has it, and order the place in it of every value
    of the image [channel][y][x], None where both are the same.
    """

    name: str
    shape: Shape
    stages: list[FloatStage]
    final: str = ""
    mean: float | np.ndarray = 0.0
    std: float | np.ndarray = 1.0
    limits: tuple[float, float] | None = None
    file_shape: tuple[int, ...] = ()
    order: np.ndarray | None = field(default=None, repr=False)

    @property
    def classes(self) -> int:
        """How many logits there are."""
        return int(np.prod(self.shapes()[-1]))

    def shapes(self) -> list[Shape]:
        """Channels, height, width of every stage's output."""
        found: list[Shape] = []
        for stage in self.stages:
            found.append(stage.shape_out(self.shape_in(stage, found)))
        return found

    def shape_in(self, stage: FloatStage, shapes: Sequence[Shape]) -> Shape:
        """Channels, height, width of what a stage reads first."""
        return self.shape if stage.a == IMAGE else shapes[stage.a]

    @property
    def parameters(self) -> int:
        """Weights and biases of all stages."""
        return sum(stage.parameters for stage in self.stages)

    @property
    def macs(self) -> int:
        """Multiplications with weights for one image."""
        shapes = self.shapes()
        return sum(stage.macs(self.shape_in(stage, shapes)) for stage in self.stages)

    def images(self, samples: np.ndarray) -> np.ndarray:
        """What the network gets, float32 [n][channels][height][width], of raw samples.

        samples: numbers [n] of the file's shape of a sample. Raises ValueError.
        """
        size = int(np.prod(self.shape))
        if samples.size != len(samples) * size:
            raise ValueError(mismatch(
                "values of a sample", samples.size // max(1, len(samples)), size))
        rows = samples.reshape(len(samples), size)
        if self.order is not None:
            rows = rows[:, self.order]
        x = rows.reshape(len(samples), *self.shape).astype(np.float64)
        mean, std = (np.reshape(values, (-1, 1, 1)) for values in (self.mean, self.std))
        return ((x - mean) / std).astype(np.float32)


def run(graph: FloatGraph, images: np.ndarray) -> list[np.ndarray]:
    """Outputs of every stage, float32 [n][channels][height][width].

    images: [n][channels][height][width], what the network gets (`FloatGraph.images`).
    Raises ValueError.
    """
    if images.shape[1:] != tuple(graph.shape):
        raise ValueError(mismatch("shape of an image", images.shape[1:], graph.shape))
    outputs: list[np.ndarray] = []
    image = images.astype(np.float32)
    for stage in graph.stages:
        x = image if stage.a == IMAGE else outputs[stage.a]
        other = None if stage.b is None else image if stage.b == IMAGE else outputs[stage.b]
        outputs.append(forward(stage, x, other))
    return outputs


def forward(stage: FloatStage, x: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """Outputs of one stage, float32 [n][n_out][height][width]; other: the second input of add."""
    y: np.ndarray
    if stage.kind == "conv2d":
        y = _conv2d(stage, x)
    elif stage.kind == "linear":
        assert stage.weights is not None
        y = (x.reshape(len(x), -1) @ stage.weights.T)[:, :, None, None]
    elif stage.kind == "add":
        assert other is not None
        y = x + other
    elif stage.kind == "max_pool":
        y = x
    else:
        y = np.zeros((*x.shape[:2], *stage.shape_out(x.shape[1:])[1:]), np.float32)
        for tap in _taps(x, stage.window, stage.window_stride):
            y += tap
        y /= stage.window[0] * stage.window[1]
    if stage.bias is not None:
        y += stage.bias[:, None, None]
    if stage.kind in ("conv2d", "max_pool") and stage.window != (1, 1):
        taps = _taps(y, stage.window, stage.window_stride)
        y = next(taps).copy()
        for tap in taps:
            np.maximum(y, tap, out=y)
    if stage.relu:
        y = np.maximum(y, 0)
    if stage.clamp is not None:
        y = np.minimum(y, np.float32(stage.clamp))
    return np.asarray(y, np.float32)


def _taps(x: np.ndarray, window: Pair, stride: Pair) -> Iterator[np.ndarray]:
    """Views [n][channels][y][x] of a padded input: what each place of a window sees."""
    height, width = ((size - k) // s + 1 for size, k, s in zip(
        x.shape[2:], window, stride, strict=True))
    for i in range(window[0]):
        for j in range(window[1]):
            yield x[:, :, i : i + (height - 1) * stride[0] + 1 : stride[0],
                    j : j + (width - 1) * stride[1] + 1 : stride[1]]


def _conv2d(stage: FloatStage, x: np.ndarray) -> np.ndarray:
    weights, groups = stage.weights, stage.groups
    assert weights is not None
    top, bottom, left, right = stage.padding
    if any(stage.padding):
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    n, channels = x.shape[:2]
    if groups == channels:
        # a product a tap: patches would be copied for one multiplication each
        per_channel = stage.n_out // groups
        wide = np.repeat(x, per_channel, axis=1) if per_channel > 1 else x
        y: np.ndarray | None = None
        for tap, w in zip(_taps(wide, stage.kernel, stage.stride),
                          weights.reshape(stage.n_out, -1).T, strict=True):
            y = tap * w[:, None, None] if y is None else y + tap * w[:, None, None]
        assert y is not None
        return y
    patches = sliding_window_view(x, stage.kernel, axis=(2, 3))[
        :, :, :: stage.stride[0], :: stage.stride[1]]
    height, width = patches.shape[2:4]
    n_row, n_out = weights[0].size, stage.n_out // groups
    rows = weights.reshape(groups, n_out, n_row)
    result = np.empty((n, groups, n_out, height * width), np.float32)
    step = max(1, _CHUNK // (groups * n_row * height * width))
    for first in range(0, n, step):
        part = patches[first : first + step].transpose(0, 1, 4, 5, 2, 3)
        part = part.reshape(len(part), groups, n_row, height * width)
        np.matmul(rows, part, out=result[first : first + step])
    return result.reshape(n, stage.n_out, height, width)
