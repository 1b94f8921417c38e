"""A stage of a float network: a layer with weights and all that joins it, a pool, or a sum."""

from dataclasses import dataclass, field

import numpy as np

from priot.network.stage import IMAGE, Pair, Shape

KINDS = ("conv2d", "linear", "max_pool", "avg_pool", "global_pool", "add")
Padding = tuple[int, int, int, int]


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
