"""A compiled stage: what a record of a model file says, the sizes it has, its descriptor."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from priot.network import fields as f

Pair = tuple[int, int]
Shape = tuple[int, int, int]
IMAGE = -1  # the number of a stage's input: the image
NO_INPUT = -2


@dataclass
class Stage:
    """One call of a kernel: a layer with weights and its ReLU and max-pool, a pool, or a sum.

    Pairs are (height, width); `padding` is top, bottom, left, right; a window of (1, 1) is none.
    `a`, `b`: numbers of the stages it reads, IMAGE, or NO_INPUT. `largest`: the upper clamp that
    comes with a ReLU, 127 without. `weights` int8, -127..127, of `weight_shape`, none of a pool.
    `bias` int32 [n_out] at the exponent of the accumulator, or None. What follows from the stages
    before it is filled in by `link`: `shape_in`, the shape of what it reads; `index` among the
    stages with weights, -1 without; `mask_dx`, `mask_dz`: from where on the ReLU below each input
    clamps, 128 if nowhere, 0 without a ReLU; `nonnegative`, the range of x.
    """

    kind: int
    n_out: int
    relu: bool = False
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    window: Pair = (1, 1)
    window_stride: Pair = (1, 1)
    groups: int = 1
    a: int = IMAGE
    b: int = NO_INPUT
    largest: int = 127
    b_shift: int = 0
    weight_exponent: int = 0
    forward_shift: int = 0
    backward_shift: int = 0
    update_bits_weights: int = 0
    update_bits_scores: int = 0
    update_bits_bias: int = 0
    weights: np.ndarray = field(
        default_factory=lambda: np.zeros(0, np.int8), repr=False, compare=False)
    bias: np.ndarray | None = field(default=None, repr=False, compare=False)
    shape_in: Shape = field(default=(1, 1, 1), compare=False)
    index: int = field(default=-1, compare=False)
    mask_dx: int = field(default=0, compare=False)
    mask_dz: int = field(default=0, compare=False)
    nonnegative: bool = field(default=False, compare=False)

    @property
    def name(self) -> str:
        """The word of its kind."""
        return f.KIND_NAMES.get(self.kind, str(self.kind))

    @property
    def has_weights(self) -> bool:
        """Whether its kernels have an update: conv2d, linear."""
        return bool(f.KINDS[self.kind][3])

    @property
    def accumulator_bits_bias(self) -> int:
        """Update bits of biases in their own units, those of accumulators."""
        return self.update_bits_bias + 6 - self.forward_shift

    @property
    def is_depthwise(self) -> bool:
        """Whether a filter sees one channel of several."""
        return 1 < self.groups == self.shape_in[0]

    @property
    def inputs(self) -> tuple[int, ...]:
        """Numbers of the stages it reads, or IMAGE."""
        return (self.a,) if self.b == NO_INPUT else (self.a, self.b)

    @property
    def shape_conv(self) -> Shape:
        """Channels, height, width before pooling."""
        top, bottom, left, right = self.padding
        height, width = (
            (size + before + after - kernel) // stride + 1
            for size, before, after, kernel, stride in zip(
                self.shape_in[1:], (top, left), (bottom, right), self.kernel, self.stride,
                strict=True))
        return self.n_out, height, width

    @property
    def shape_out(self) -> Shape:
        """Channels, height, width of the output."""
        _, height, width = self.shape_conv
        return (self.n_out, (height - self.window[0]) // self.window_stride[0] + 1,
                (width - self.window[1]) // self.window_stride[1] + 1)

    @property
    def n_row(self) -> int:
        """Inputs that an output sees: the weights of a row, where there are any."""
        return self.shape_in[0] // self.groups * self.kernel[0] * self.kernel[1]

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """[n_out][n_in][ky][kx] of a conv2d, [n_out][n_in] of a linear stage, () of a pool."""
        if not self.has_weights:
            return ()
        if self.kind == f.LINEAR:
            return self.n_out, self.n_row
        return self.n_out, self.shape_in[0] // self.groups, *self.kernel

    @property
    def rows(self) -> np.ndarray:
        """The weights int8 [n_out][n_row]."""
        return self.weights.reshape(self.n_out, -1)

    @property
    def positions(self) -> int:
        """Height times width of the output: so many products are summed to a gradient."""
        return self.shape_out[1] * self.shape_out[2]

    @property
    def argmax_bits(self) -> int:
        """Bits that hold a place in the pooling window; 0 without max-pooling."""
        area = self.window[0] * self.window[1]
        if area == 1 or self.kind in (f.AVG_POOL, f.GLOBAL_POOL):
            return 0
        return 2 if area <= 4 else 4 if area <= 16 else 8

    @property
    def argmax_bytes(self) -> int:
        """Bytes of the winners of max-pooling: every channel starts on a byte."""
        return self.n_out * ((self.positions * self.argmax_bits + 7) // 8)

    @property
    def multiplier(self) -> int:
        """2^16 / area of an averaging window, rounded; 0 of other kinds."""
        area = self.window[0] * self.window[1]
        return (65536 + area // 2) // area if self.kind == f.AVG_POOL else 0

    @property
    def mask(self) -> int:
        """What its output says to the gradient of who reads it: see `mask_dx`."""
        return 0 if not self.relu else self.largest if self.largest < 127 else 128

    def descriptor(self) -> np.ndarray:
        """int32 [N_FIELDS], freshly made: what the device derives from the record."""
        d = np.zeros(f.N_FIELDS, np.int32)
        d[f.N_IN], d[f.H_IN], d[f.W_IN] = self.shape_in
        d[f.N_OUT], d[f.H_OUT], d[f.W_OUT] = self.shape_out
        _, d[f.H_CONV], d[f.W_CONV] = self.shape_conv
        d[f.KERNEL_H], d[f.KERNEL_W] = self.kernel
        d[f.STRIDE_H], d[f.STRIDE_W] = self.stride
        d[f.PAD_TOP], d[f.PAD_BOTTOM], d[f.PAD_LEFT], d[f.PAD_RIGHT] = self.padding
        d[f.POOL_H], d[f.POOL_W] = self.window
        d[f.POOL_STRIDE_H], d[f.POOL_STRIDE_W] = self.window_stride
        d[f.GROUPS], d[f.GROUP_IN] = self.groups, self.shape_in[0] // self.groups
        d[f.GROUP_OUT] = self.n_out // self.groups
        d[f.N_ROW], d[f.ARGMAX_BITS] = self.n_row, self.argmax_bits
        d[f.MULTIPLIER] = self.multiplier
        d[f.BIAS], d[f.RELU], d[f.HIGH] = self.bias is not None, self.relu, self.largest
        d[f.MASK_DX], d[f.MASK_DZ] = self.mask_dx, self.mask_dz
        d[f.NONNEGATIVE], d[f.Z_SHIFT] = self.nonnegative, self.b_shift
        d[f.FORWARD_SHIFT], d[f.BACKWARD_SHIFT] = self.forward_shift, self.backward_shift
        d[f.ROWS] = self.n_out
        return d


def global_exponent(window: Pair) -> int:
    """k of a global pool's output: sum / 2^k, and 2^k / area lies in the weights behind it."""
    return (window[0] * window[1]).bit_length() - 1


def pool_factor(stages: Sequence[Stage], stage: Stage) -> float:
    """What a global pool below leaves to a stage's weights, 2^k / area; 1 without one."""
    below = stages[stage.a] if stage.a >= 0 else None
    if below is None or below.kind != f.GLOBAL_POOL:
        return 1.0
    return 2.0**below.weight_exponent / (below.window[0] * below.window[1])
