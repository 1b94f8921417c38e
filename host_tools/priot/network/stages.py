"""Groups a model's layers into stages and fills their descriptors, as device/DESIGN.md says."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from priot.errors import mismatch
from priot.network import fields as f

if TYPE_CHECKING:
    from priot.formats.model import Layer

Shape = tuple[int, int, int]

# 131072 products of 127 * 127 stay below 2^31
MAX_PRODUCTS = 131072
# dW of a filter sums one product of 127 * 127 per position, times a weight: 1048 * 127^3 < 2^31
MAX_POSITIONS = 1048
# Logits differ by at most 254: beyond 8 bits, either all differences vanish or all saturate.
MAX_LOSS_SHIFT = 8
_INPUT_EXPONENT = -7
_TABLE_EXPONENT = 4  # EXP_TABLE counts in sixteenths


@dataclass
class Stage:
    """One call of a kernel.

    `kind` is CONV2D, LINEAR, MAX_POOL2D or AVG_POOL2D; `layer` the index of its first layer;
    `weight_index` counts conv2d and linear layers from 0 and is -1 for a pool; `d` the
    descriptor, int32 [N_FIELDS], for all rows at once.
    """

    kind: int
    layer: int
    weight_index: int
    d: np.ndarray

    @property
    def shape_in(self) -> Shape:
        """Channels, height, width of the input."""
        return int(self.d[f.N_IN]), int(self.d[f.H_IN]), int(self.d[f.W_IN])

    @property
    def shape_out(self) -> Shape:
        """Channels, height, width of the output."""
        return int(self.d[f.N_OUT]), int(self.d[f.H_OUT]), int(self.d[f.W_OUT])

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """[n_out][n_in][ky][kx] of a conv2d, [n_out][n_in] of a linear stage, () of a pool."""
        n_out, n_in, k = (int(self.d[i]) for i in (f.N_OUT, f.N_IN, f.KERNEL))
        return {f.CONV2D: (n_out, n_in, k, k), f.LINEAR: (n_out, n_in)}.get(self.kind, ())

    @property
    def argmax_bytes(self) -> int:
        """Bytes of the stage's argmax: every channel starts on a byte."""
        n_out, height, width = self.shape_out
        return n_out * ((height * width * int(self.d[f.ARGMAX_BITS]) + 7) // 8)


def argmax_bits(pool: int) -> int:
    """Bits that hold wy * pool + wx of a pooling window; 0 without pooling."""
    if pool == 1:
        return 0
    return 2 if pool == 2 else 4 if pool <= 4 else 8


def loss_shift(exponents: Iterable[int]) -> int:
    """t of cross_entropy: from the exponent of the logits to the table's sixteenths, -8..8.

    `exponents`: forward shift - weight exponent of every conv2d and linear layer.
    """
    t = _INPUT_EXPONENT + _TABLE_EXPONENT + sum(exponents)
    return max(-MAX_LOSS_SHIFT, min(MAX_LOSS_SHIFT, t))


def compile_stages(layers: Sequence["Layer"], shape: Shape, classes: int) -> list[Stage]:
    """Stages of a sequence of layers on an input of (channels, height, width).

    Raises ValueError, "layer i (kind): field: found .., expected ..", where a value is outside
    its range or a sum could leave int32.
    """
    if min(shape) < 1:
        raise ValueError(mismatch("input", shape, "at least (1, 1, 1)"))
    if not 2 <= classes <= 256:
        raise ValueError(mismatch("classes", classes, "2..256"))
    stages: list[Stage] = []
    ended = True  # nothing can join the last stage
    for index, layer in enumerate(layers):
        where = f"layer {index} ({f.KIND_NAMES.get(layer.kind, layer.kind)})"
        _check_ranges(layer, where)
        if layer.kind == f.FLATTEN:
            shape = (shape[0] * shape[1] * shape[2], 1, 1)
            ended = True
        elif layer.kind == f.RELU_LAYER:
            if ended or stages[-1].d[f.RELU]:
                raise ValueError(f"{where}: must follow a conv2d, linear or pool layer")
            stages[-1].d[f.RELU] = 1
        elif (layer.kind == f.MAX_POOL2D and not ended and stages[-1].kind == f.CONV2D
              and stages[-1].d[f.POOL] == 1):
            _set_pool(stages[-1].d, layer, where)
            stages[-1].d[f.ARGMAX_BITS] = argmax_bits(layer.kernel)
            shape = stages[-1].shape_out
        else:
            stages.append(_new_stage(index, layer, shape, stages, where))
            shape = stages[-1].shape_out
            ended = False
    for stage in stages:
        _check_sums(stage)
    _finish(stages, layers, shape, classes)
    return stages


def _finish(stages: list[Stage], layers: Sequence["Layer"], shape: Shape, classes: int) -> None:
    """Check that the last stage gives the logits, and give it the fields of the loss."""
    if not any(stage.weight_index >= 0 for stage in stages):
        raise ValueError(mismatch("layers", "no conv2d or linear layer", "at least one"))
    n_logits = shape[0] * shape[1] * shape[2]
    if n_logits != classes:
        raise ValueError(mismatch("outputs of the last layer", n_logits, f"{classes} classes"))
    d = stages[-1].d
    if d[f.RELU]:
        raise ValueError("last layer: logits must not pass a relu")
    d[f.N_CLASSES] = classes
    d[f.LOSS_SHIFT] = loss_shift(a.forward_shift - a.weight_exponent for a in layers)


def _new_stage(index: int, layer: "Layer", shape: Shape, stages: list[Stage], where: str) -> Stage:
    d = np.zeros(f.N_FIELDS, np.int32)
    weight_index = -1
    n_out = shape[0]
    if layer.kind in (f.CONV2D, f.LINEAR):
        weight_index = sum(stage.weight_index >= 0 for stage in stages)
        n_out = layer.n_out
        if layer.kind == f.LINEAR and shape[1:] != (1, 1):
            raise ValueError(f"{where}: needs flatten before it, its input is {shape}")
        kernel = layer.kernel if layer.kind == f.CONV2D else 1
        n_row = shape[0] * kernel * kernel
        if n_row > MAX_PRODUCTS:
            raise ValueError(f"{where}: " + mismatch(
                "weights of a row", n_row, f"at most {MAX_PRODUCTS}"))
        d[f.N_ROW] = n_row
        d[f.FORWARD_SHIFT], d[f.BACKWARD_SHIFT] = layer.forward_shift, layer.backward_shift
    d[f.N_IN], d[f.H_IN], d[f.W_IN] = shape
    d[f.N_OUT] = d[f.ROWS] = n_out
    d[f.KERNEL] = d[f.STRIDE] = d[f.POOL] = d[f.POOL_STRIDE] = 1
    if layer.kind == f.CONV2D:
        d[f.KERNEL], d[f.STRIDE], d[f.PADDING] = layer.kernel, layer.stride, layer.padding
    for size_in, size_conv, size_out in ((f.H_IN, f.H_CONV, f.H_OUT), (f.W_IN, f.W_CONV, f.W_OUT)):
        room = d[size_in] + 2 * d[f.PADDING] - d[f.KERNEL]
        if room < 0:
            raise ValueError(f"{where}: " + mismatch("kernel", layer.kernel, f"within {shape}"))
        d[size_conv] = d[size_out] = room // d[f.STRIDE] + 1
    d[f.X_RELU] = stages[-1].d[f.RELU] if stages else 0
    if layer.kind in (f.MAX_POOL2D, f.AVG_POOL2D):
        _set_pool(d, layer, where)
        if layer.kind == f.MAX_POOL2D:
            d[f.ARGMAX_BITS] = argmax_bits(layer.kernel)
        else:
            area = layer.kernel * layer.kernel
            d[f.MULTIPLIER] = (65536 + area // 2) // area
    return Stage(layer.kind, index, weight_index, d)


def _set_pool(d: np.ndarray, layer: "Layer", where: str) -> None:
    d[f.POOL], d[f.POOL_STRIDE] = layer.kernel, layer.stride
    for size_conv, size_out in ((f.H_CONV, f.H_OUT), (f.W_CONV, f.W_OUT)):
        if d[size_conv] < layer.kernel:
            raise ValueError(f"{where}: " + mismatch(
                "window", layer.kernel, f"within {d[f.H_CONV]} x {d[f.W_CONV]}"))
        d[size_out] = (d[size_conv] - layer.kernel) // layer.stride + 1


def _check_ranges(layer: "Layer", where: str) -> None:
    """Raise ValueError for a field outside its range, or used by a kind that has none."""
    conv, linear = layer.kind == f.CONV2D, layer.kind == f.LINEAR
    pool = layer.kind in (f.MAX_POOL2D, f.AVG_POOL2D)
    if layer.kind not in f.KIND_NAMES:
        raise ValueError(f"{where}: " + mismatch("kind", layer.kind, "1..6"))
    weighted = conv or linear
    ranges = {
        "kernel": (1, 15) if conv else (2, 15) if pool else (0, 0),
        "stride": (1, 15) if conv or pool else (0, 0),
        "padding": (0, min(14, layer.kernel - 1)) if conv else (0, 0),
        "n_out": (1, 0xFFFF) if weighted else (0, 0),
        "weight_exponent": (-128, 127) if weighted else (0, 0),
        "forward_shift": (0, 30) if weighted else (0, 0),
        "backward_shift": (0, 30) if weighted else (0, 0),
        "update_bits_weights": (0, 31) if weighted else (0, 0),
        "update_bits_scores": (0, 31) if weighted else (0, 0),
    }
    for name, (low, high) in ranges.items():
        value = getattr(layer, name)
        if not low <= value <= high:
            raise ValueError(f"{where}: " + mismatch(name, value, f"{low}..{high}"))


def _check_sums(stage: Stage) -> None:
    """Raise ValueError where a sum of a conv2d stage could leave int32."""
    d = stage.d
    if stage.kind != f.CONV2D:
        return
    positions = int(d[f.H_OUT]) * int(d[f.W_OUT])
    # Overlapping pooling windows may all send their gradient to one position.
    overlap = -(-int(d[f.POOL]) // int(d[f.POOL_STRIDE]))
    terms = int(d[f.N_OUT]) * (int(d[f.KERNEL]) * overlap) ** 2
    for name, value, most in (("positions after pooling", positions, MAX_POSITIONS),
                              ("filters times kernel area", terms, MAX_PRODUCTS)):
        if value > most:
            raise ValueError(f"layer {stage.layer} (conv2d): "
                             + mismatch(name, value, f"at most {most}"))
