"""What becomes of each kind of node: the rules by operation.

A rule gets the context, the node, what its inputs stand for, and these as arrays where they are
constants. It gives what the node's output stands for and what became of the node, and raises
UnfitError, or the errors of numpy where sizes do not fit.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from priot.errors import mismatch
from priot.importer import layers
from priot.importer.advice import advice
from priot.importer.builder import Builder
from priot.importer.constants import argument, moved
from priot.importer.nodes import MAX_VALUES, Node
from priot.importer.report import Report
from priot.importer.values import NOTHING, Tail, UnfitError, Value
from priot.network.stage import IMAGE

Array = np.ndarray
Known = Value | Tail | Array | None  # None: behind a node that cannot be imported
Inputs = list[Known]
Constants = list[Array | None]
Outcome = tuple[Known, str]
_TRAINING = "exported for training; call model.eval() before the export; {}"
_LARGE = 1e30  # limits beyond are none: exporters write the largest float


@dataclass
class Context:
    """What rules change: the stages, and the warnings of the report."""

    builder: Builder
    report: Report

    def warn(self, text: str) -> None:
        """Add a warning that is not there yet."""
        if text not in self.report.warnings:
            self.report.warnings.append(text)


def conv(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """Conv, with constant weights."""
    return layers.conv(context.builder, node, value_of(inputs), _weights(inputs),
                       _optional(inputs, 2))


def gemm(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """Gemm: factors and transposes go into the weights."""
    attributes, weights = node.attributes, _weights(inputs)
    if attributes.get("transA", 0):
        raise UnfitError("transposes its input; transpose the weights")
    if not attributes.get("transB", 0):
        weights = weights.T
    bias = _optional(inputs, 2)
    if bias is not None:
        bias = bias * np.float64(attributes.get("beta", 1.0))
    return layers.linear(context.builder, node, value_of(inputs),
                         weights * np.float64(attributes.get("alpha", 1.0)), bias)


def matmul(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """MatMul with constant weights behind it."""
    return layers.linear(context.builder, node, value_of(inputs), _weights(inputs).T, None)


def linear(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """FULLY_CONNECTED of TFLite."""
    value, weights = value_of(inputs), _weights(inputs)
    if np.prod(value.places.shape[:-1]) > 1 and weights.ndim == 2 and (
            value.places.shape[-1] == weights.shape[1] != value.places.size):
        raise UnfitError("works on every position by itself; use a convolution of 1x1")
    return layers.linear(context.builder, node, value, weights, _optional(inputs, 2))


def pool(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """Pools over windows and over whole images."""
    return layers.pool(context.builder, node, value_of(inputs))


def reduce(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """ReduceMean and ReduceMax over all positions."""
    axes = argument(node, constants, 1, "axes")
    if axes is None and node.attributes.get("noop_with_empty_axes", 0):
        return inputs[0], "dropped"
    return layers.reduce(context.builder, node, value_of(inputs), axes)


def batch_norm(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """BatchNormalization by its stored mean and variance."""
    value = value_of(inputs)
    gamma, beta, mean, variance = (
        layers.finite(_constant(inputs, i), "batch norm") for i in range(1, 5))
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    if node.attributes.get("training_mode", 0) or any(node.outputs[1:]):
        context.warn(_TRAINING.format("batch norms use their stored means and variances"))
    shape = [1, -1] + [1] * (value.places.ndim - 2)
    return context.builder.arithmetic(value, scale.reshape(shape),
                                      (beta - mean * scale).reshape(shape), node.label)


def arithmetic(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """Sums of two layers' outputs; a layer's output and a constant."""
    a, b = (inputs[0], inputs[1] if len(inputs) > 1 else None)
    op = node.op
    if isinstance(a, Value) and isinstance(b, Value):
        if op == "Add":
            return layers.add(context.builder, node, a, b)
        raise UnfitError("of two layers' outputs; only their sum can be computed")
    first = isinstance(a, Value)
    value, constant = (a, b) if first else (b, a)
    assert isinstance(value, Value)
    k = np.zeros(1) if op == "Neg" else layers.finite(np.asarray(constant), "constant")
    if np.broadcast_shapes(value.places.shape, k.shape) != value.places.shape:
        raise UnfitError(f"constant of shape {k.shape} enlarges {value.places.shape}")
    one, zero = np.ones(1), np.zeros(1)
    if op == "Div" and (not first or not k.all()):
        raise UnfitError("divides by " + ("zero" if first else "a layer's output"))
    scale, offset = {
        "Add": (one, k), "Sub": (one, -k) if first else (-one, k), "Mul": (k, zero),
        "Div": (1 / k if op == "Div" else one, zero), "Neg": (-one, zero)}[op]
    return context.builder.arithmetic(value, scale, offset, node.label)


def scaler(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """Scaler of scikit-learn's pipelines: (x - offset) * scale."""
    offset, scale = (np.array(node.attributes[key], float) for key in ("offset", "scale"))
    return context.builder.arithmetic(value_of(inputs), scale, -offset * scale, node.label)


def activation(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """Relu, Clip, Max and Min, where they are ReLU or ReLU6."""
    value = value_of(inputs)
    low, high = 0.0, np.inf
    if node.op == "Clip":
        low, high = (_scalar(argument(node, constants, i, name), none) for i, name, none in (
            (1, "min", -np.inf), (2, "max", np.inf)))
    elif node.op in ("Max", "Min"):
        if len(inputs) != 2:
            raise UnfitError("of more than a layer's output and a number")
        limit = _scalar(_constant(inputs, 1), 0.0)
        low, high = (limit, np.inf) if node.op == "Max" else (-np.inf, limit)
    if low < 0 and value.stage != IMAGE and context.builder.nonnegative(value.stage) and (
            value.scale is None):
        low = 0.0
    if low == -np.inf and high == np.inf:
        return value, "dropped: limits nothing"
    if low != 0.0:
        raise UnfitError(f"limits from {low:g} to {high:g}; only 0 can be the lower limit "
                         "(ReLU, ReLU6)")
    return value, context.builder.limit(value, None if high == np.inf else high, node.label,
                                     node.name)


def move(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """Reshape, Flatten, Transpose, Squeeze and Unsqueeze."""
    value = value_of(inputs)
    places = moved(node, value.places, constants)
    assert places is not None
    return value.at(places), "dropped: order only"


def pad(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """Pad with zeros, for the convolution behind it."""
    value = value_of(inputs)
    mode = node.attributes.get("mode", "constant")
    pads = np.asarray(argument(node, constants, 1, "pads", ())).astype(np.int64)
    filler = _scalar(argument(node, constants, 2, "value", 0.0), 0.0)
    axes = np.ravel(argument(node, constants, 3, "axes", range(value.places.ndim)))
    pairs = pads if pads.ndim == 2 else pads.reshape(2, -1).T
    if mode != "constant" or filler:
        raise UnfitError(f"pads with {filler if mode == 'constant' else mode}; only zeros can "
                         "be padded")
    if len(pairs) != len(axes) or (pairs < 0).any() or pairs.max(initial=0) > 4096:
        raise UnfitError(mismatch("padding", pairs.tolist(), "up to 4096 on each axis"))
    if not pairs.any():
        return value, "dropped: pads nothing"
    widths = np.zeros((value.places.ndim, 2), np.int64)
    widths[axes.astype(int)] = pairs
    if np.prod(np.array(value.places.shape) + widths.sum(axis=1), dtype=float) > MAX_VALUES:
        raise UnfitError(mismatch("padding", pairs.tolist(), f"{MAX_VALUES} values at most"))
    return value.at(np.pad(value.places, widths, constant_values=NOTHING)), (
        "joined to the layer behind it")


def same(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """What does nothing once a network is trained."""
    if node.op == "Dropout" and len(constants) > 2 and constants[2] is not None and (
            constants[2].any()):
        context.warn(_TRAINING.format("dropout is dropped"))
    if np.dtype(node.attributes.get("dtype", np.float32)).kind in "iub":
        raise UnfitError("casts to integers, which rounds; leave it out")
    return inputs[0], "dropped"


def quantize(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """QuantizeLinear of an activation."""
    value, scale = value_of(inputs), layers.finite(_constant(inputs, 1), "scale")
    zero = _optional(inputs, 2)
    if scale.size != 1 or scale.ravel()[0] <= 0:
        raise UnfitError(mismatch("scale", scale.tolist(), "one number above 0"))
    step = float(scale.ravel()[0])
    limits = np.iinfo(np.uint8 if zero is None else zero.dtype)
    origin = 0 if zero is None else int(np.ravel(zero)[0])
    low, high = (step * (end - origin) for end in (limits.min, limits.max))
    text = take_range(context, value, low, high, step)
    return replace(value, quantised=True), "dropped: quantised anew" + text


def dequantize(context: Context, node: Node, inputs: Inputs, constants: Constants) -> Outcome:
    """DequantizeLinear of an activation, or of an integer input."""
    value = value_of(inputs)
    if value.quantised:
        return replace(value, quantised=False), "dropped: quantised anew"
    scale = layers.finite(_constant(inputs, 1), "scale")
    zero = _optional(inputs, 2)
    origin = 0.0 if zero is None else zero.astype(np.float64)
    if scale.size != 1 or np.size(origin) != 1 or value.stage != IMAGE:
        raise UnfitError("only the input can be a quantised value; " + advice(node))
    if zero is not None and context.builder.limits is None:
        limits = np.iinfo(zero.dtype)
        context.builder.limits = float(limits.min), float(limits.max)
    return context.builder.arithmetic(value, scale, -scale * origin, node.label)


def take_range(context: Context, value: Value, low: float, high: float, step: float) -> str:
    """Take in the range of a quantised value: from 0 on, it limits as a ReLU does.

    Quantisers leave out the ReLU where the range says it already.
    """
    if value.stage == IMAGE:
        if context.builder.limits is None:
            context.builder.limits = low, high
        return ""
    builder, stage = context.builder, context.builder.stages[value.stage]
    if abs(low) > step / 2 or builder.nonnegative(value.stage) or not value.alone or (
            value.scale is not None):
        return ""
    stage.relu = True
    builder.by_range.add(value.stage)
    if abs(high - 6) <= step:
        stage.clamp = 6.0
        return f"; its range is a ReLU6 of stage {value.stage}"
    return f"; its range is a ReLU of stage {value.stage}"


def value_of(inputs: Inputs) -> Value:
    if not inputs or not isinstance(inputs[0], Value):
        raise UnfitError("its first input is a constant, expected a layer's output")
    return inputs[0]


def _constant(inputs: Inputs, place: int) -> Array:
    value = inputs[place] if place < len(inputs) else None
    if not isinstance(value, np.ndarray):
        raise UnfitError(f"input {place} is computed or missing, expected a constant")
    return value


def _weights(inputs: Inputs) -> Array:
    if len(inputs) > 1 and not isinstance(inputs[1], np.ndarray):
        raise UnfitError("its weights are computed in the network, expected constants")
    return _constant(inputs, 1)


def _optional(inputs: Inputs, place: int) -> Array | None:
    return _constant(inputs, place) if place < len(inputs) and inputs[place] is not None else None


def _scalar(value: Any, none: float) -> float:
    """A number; none where it is left out or beyond what limits anything."""
    if value is None or not np.size(value):
        return none
    if np.size(value) != 1:
        raise UnfitError(mismatch("limit", np.shape(value), "one number"))
    number = float(np.ravel(value)[0])
    if np.isnan(number):
        raise UnfitError(mismatch("limit", number, "a number"))
    return none if abs(number) > _LARGE else number


ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Neg")
Rule = Callable[[Context, Node, Inputs, Constants], Outcome]
RULES: dict[str, Rule] = {
    "Conv": conv, "Gemm": gemm, "MatMul": matmul,
    "Linear": linear, "BatchNormalization": batch_norm,
    "Scaler": scaler, "Pad": pad, "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
                    pool),
    **dict.fromkeys(("ReduceMean", "ReduceMax"), reduce),
    **dict.fromkeys(ARITHMETIC, arithmetic),
    **dict.fromkeys(("Relu", "Clip", "Max", "Min"), activation),
    **dict.fromkeys(("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"), move),
    **dict.fromkeys(("Identity", "Dropout", "Cast"), same),
}
