"""A node list to a float graph: what becomes a stage, joins one, folds into one or is dropped."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from priot.backbone.float_graph import FloatGraph, FloatStage
from priot.errors import FileError, mismatch
from priot.importer import layers
from priot.importer.advice import advice
from priot.importer.builder import Builder
from priot.importer.constants import argument, computes, evaluate, moved
from priot.importer.nodes import MAX_VALUES, Dims, Node, NodeList
from priot.importer.report import Fate, Report
from priot.importer.values import NOTHING, Tail, UnfitError, Value
from priot.network.stage import IMAGE

Known = Value | Tail | np.ndarray | None  # None: behind a node that cannot be imported
Array = np.ndarray

FINAL = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid", "ArgMax": ""}
_BEHIND_FINAL = ("ArgMax", "ArrayFeatureExtractor", "ZipMap", "Cast", "Identity", "Reshape",
                 "Concat", "Sub", "Squeeze", "Unsqueeze", "Flatten", "TopK", "QuantizeLinear",
                 "DequantizeLinear", "Transpose", "Log", "Normalizer", "Gather", "Unpack")
_LARGE = 1e30  # limits beyond are none: exporters write the largest float
_WRONG = (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError,
          ZeroDivisionError)


def fold(listed: NodeList, path: Path) -> tuple[FloatGraph, Report]:
    """The float graph of a node list, and what became of each node.

    Raises FileError: all nodes that cannot be imported in one message, a line each.
    """
    return _Folder(listed, path).run()


class _Folder:
    def __init__(self, listed: NodeList, path: Path) -> None:
        self.listed, self.path = listed, path
        self.report = Report()
        self.builder = Builder(listed.shape, listed.channels_last)
        self.known: dict[str, Known] = dict(listed.constants)
        self.unfit: list[tuple[Node, str]] = []
        self.final = ""

    def run(self) -> tuple[FloatGraph, Report]:
        needed = self._needed()
        self.uses = Counter(name for node in needed if node.op not in ("Shape", "Size")
                            for name in node.inputs)
        self.uses.update(self.listed.outputs)
        self.known[self.listed.input] = self._image()
        for node in self.listed.nodes:
            if not any(node is other for other in needed):
                self._say(node, "dropped: no output needs it")
                continue
            outcome, text = self._try(node)
            for name in node.outputs:
                self.known[name] = outcome if name == node.outputs[0] or isinstance(
                    outcome, Tail) else None
            self._say(node, text)
        self._complain()
        return self._graph(), self.report

    def _needed(self) -> list[Node]:
        """Nodes that an output depends on."""
        makers = {name: node for node in self.listed.nodes for name in node.outputs if name}
        seen: set[int] = set()
        waiting = list(self.listed.outputs)
        while waiting:
            node = makers.get(waiting.pop())
            if node is not None and id(node) not in seen:
                seen.add(id(node))
                waiting += [name for name in node.inputs if name]
        return [node for node in self.listed.nodes if id(node) in seen]

    def _image(self) -> Value:
        value = self.builder.image()
        if self.listed.quantised is None:
            return value
        scale, zero, low, high = self.listed.quantised
        if not (np.isfinite(scale) and scale > 0):
            raise FileError(self.path, mismatch("input: scale", scale, "above 0"))
        self.builder.limits = scale * (low - zero), scale * (high - zero)
        ones = np.ones(value.places.shape)
        return self.builder.arithmetic(value, ones * scale, -ones * scale * zero, "its scale")[0]

    # -- one node --

    def _try(self, node: Node) -> tuple[Known, str]:
        """The value of a node's first output and what became of it; complaints are kept."""
        try:
            inputs = [self._input(name) for name in node.inputs]
            outcome, text = self._rule(node, inputs)
            if isinstance(outcome, Value) and "range" in node.attributes:
                text += self._range(outcome, *node.attributes["range"])
            if np.size(outcome.places if isinstance(outcome, Value) else 0) > MAX_VALUES:
                raise UnfitError(f"gives more than {MAX_VALUES} values")
            return outcome, text
        except UnfitError as error:
            reason = str(error)
        except _WRONG as error:
            reason = "its sizes do not fit: " + " ".join(str(error).split())[:160]
        except MemoryError:
            reason = "its sizes do not fit in memory"
        self.unfit.append((node, reason))
        return self._go_on(node), "cannot be imported"

    def _input(self, name: str) -> Known:
        if name and name not in self.known:
            raise UnfitError(f"reads {name!r}, which no node before it gives")
        value = self.known.get(name)
        if isinstance(value, Value) and self.uses[name] > 1:
            value = replace(value, alone=False)
        return value

    def _go_on(self, node: Node) -> Known:
        """What stands for the output of a refused node: its input, where the shape is the same."""
        value = self.known.get(node.inputs[0]) if node.inputs else None
        shape = self.listed.shapes().get(node.outputs[0] if node.outputs else "", ())
        if isinstance(value, Value) and shape == value.places.shape:
            return value
        return None

    def _rule(self, node: Node, inputs: list[Known]) -> tuple[Known, str]:
        given = [x for x, name in zip(inputs, node.inputs, strict=True) if name]
        constants = [x if isinstance(x, np.ndarray) else None for x in inputs]
        if all(isinstance(x, np.ndarray) for x in given) and (given or computes(node.op)):
            if not computes(node.op):
                raise UnfitError(advice(node))
            return evaluate(node, constants), "constant"
        first = given[0]
        if any(isinstance(x, Tail) for x in given):
            tail = next(x for x in given if isinstance(x, Tail))
            if node.op not in _BEHIND_FINAL:
                raise UnfitError("stands behind a softmax or sigmoid, which can only be the end")
            return tail, "dropped: behind the last layer"
        if node.op in ("Shape", "Size") and isinstance(first, Value):
            sizes = first.places.shape if node.op == "Shape" else first.places.size
            return np.array(sizes, np.int64), "constant"
        rule = _RULES.get(node.op)
        if rule is None:
            raise UnfitError(advice(node))
        if any(x is None for x in given):
            return None, "not looked at: behind a node that cannot be imported"
        if not isinstance(first, Value) and node.op not in _ARITHMETIC:
            raise UnfitError("its first input is a constant, expected a layer's output")
        return rule(self, node, inputs, constants)

    def _say(self, node: Node, text: str) -> None:
        value = self.known.get(node.outputs[0]) if node.outputs else None
        shape: Dims = ()
        if isinstance(value, Value):
            shape = value.places.shape
        self.report.fates.append(Fate(node.shown or node.op, node.name, shape, text))

    # -- rules --

    def _conv(self, node: Node, inputs: list[Known], constants: list[Array | None],
              ) -> tuple[Known, str]:
        return layers.conv(self.builder, node, _value(inputs), _weights(inputs),
                           _optional(inputs, 2))

    def _gemm(self, node: Node, inputs: list[Known], constants: list[Array | None],
              ) -> tuple[Known, str]:
        attributes, weights = node.attributes, _weights(inputs)
        if attributes.get("transA", 0):
            raise UnfitError("transposes its input; transpose the weights")
        if not attributes.get("transB", 0):
            weights = weights.T
        bias = _optional(inputs, 2)
        if bias is not None:
            bias = bias * np.float64(attributes.get("beta", 1.0))
        return layers.linear(self.builder, node, _value(inputs),
                             weights * np.float64(attributes.get("alpha", 1.0)), bias)

    def _matmul(self, node: Node, inputs: list[Known], constants: list[Array | None],
                ) -> tuple[Known, str]:
        return layers.linear(self.builder, node, _value(inputs), _weights(inputs).T, None)

    def _linear(self, node: Node, inputs: list[Known], constants: list[Array | None],
                ) -> tuple[Known, str]:
        value, weights = _value(inputs), _weights(inputs)
        if np.prod(value.places.shape[:-1]) > 1 and weights.ndim == 2 and (
                value.places.shape[-1] == weights.shape[1] != value.places.size):
            raise UnfitError("works on every position by itself; use a convolution of 1x1")
        return layers.linear(self.builder, node, value, weights, _optional(inputs, 2))

    def _pool(self, node: Node, inputs: list[Known], constants: list[Array | None],
              ) -> tuple[Known, str]:
        return layers.pool(self.builder, node, _value(inputs))

    def _reduce(self, node: Node, inputs: list[Known], constants: list[Array | None],
                ) -> tuple[Known, str]:
        axes = argument(node, constants, 1, "axes")
        if axes is None and node.attributes.get("noop_with_empty_axes", 0):
            return inputs[0], "dropped"
        return layers.reduce(self.builder, node, _value(inputs), axes)

    def _batch_norm(self, node: Node, inputs: list[Known], constants: list[Array | None],
                    ) -> tuple[Known, str]:
        value = _value(inputs)
        gamma, beta, mean, variance = (
            layers.finite(_constant(inputs, i), "batch norm") for i in range(1, 5))
        with np.errstate(all="ignore"):
            scale = gamma / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
        if node.attributes.get("training_mode", 0) or any(node.outputs[1:]):
            self.report.warnings.append(
                f"{node.label} was exported for training: its stored mean and variance are "
                "taken; call model.eval() before the export")
        shape = [1, -1] + [1] * (value.places.ndim - 2)
        return self.builder.arithmetic(value, scale.reshape(shape),
                                       (beta - mean * scale).reshape(shape), node.label)

    def _arithmetic(self, node: Node, inputs: list[Known], constants: list[Array | None],
                    ) -> tuple[Known, str]:
        a, b = (inputs[0], inputs[1] if len(inputs) > 1 else None)
        op = node.op
        if isinstance(a, Value) and isinstance(b, Value):
            if op == "Add":
                return layers.add(self.builder, node, a, b)
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
        return self.builder.arithmetic(value, scale, offset, node.label)

    def _scaler(self, node: Node, inputs: list[Known], constants: list[Array | None],
                ) -> tuple[Known, str]:
        """Scaler of scikit-learn's pipelines: (x - offset) * scale."""
        offset, scale = (np.array(node.attributes[key], float) for key in ("offset", "scale"))
        return self.builder.arithmetic(_value(inputs), scale, -offset * scale, node.label)

    def _activation(self, node: Node, inputs: list[Known], constants: list[Array | None],
                    ) -> tuple[Known, str]:
        value = _value(inputs)
        low, high = 0.0, np.inf
        if node.op == "Clip":
            low, high = (_scalar(argument(node, constants, i, name), none) for i, name, none in (
                (1, "min", -np.inf), (2, "max", np.inf)))
        elif node.op in ("Max", "Min"):
            if len(inputs) != 2:
                raise UnfitError("of more than a layer's output and a number")
            limit = _scalar(_constant(inputs, 1), 0.0)
            low, high = (limit, np.inf) if node.op == "Max" else (-np.inf, limit)
        if low < 0 and value.stage != IMAGE and self.builder.nonnegative(value.stage) and (
                value.scale is None):
            low = 0.0
        if low == -np.inf and high == np.inf:
            return value, "dropped: limits nothing"
        if low != 0.0:
            raise UnfitError(f"limits from {low:g} to {high:g}; only 0 can be the lower limit "
                             "(ReLU, ReLU6)")
        return value, self.builder.limit(value, None if high == np.inf else high, node.label,
                                         node.name)

    def _move(self, node: Node, inputs: list[Known], constants: list[Array | None],
              ) -> tuple[Known, str]:
        value = _value(inputs)
        places = moved(node, value.places, constants)
        assert places is not None
        return value.at(places), "dropped: order only"

    def _pad(self, node: Node, inputs: list[Known], constants: list[Array | None],
             ) -> tuple[Known, str]:
        value = _value(inputs)
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

    def _same(self, node: Node, inputs: list[Known], constants: list[Array | None],
              ) -> tuple[Known, str]:
        if node.op == "Dropout" and len(constants) > 2 and constants[2] is not None and (
                constants[2].any()):
            self.report.warnings.append(f"{node.label} was exported for training; it is dropped")
        return inputs[0], "dropped"

    def _quantize(self, node: Node, inputs: list[Known], constants: list[Array | None],
                  ) -> tuple[Known, str]:
        value, scale = _value(inputs), layers.finite(_constant(inputs, 1), "scale")
        zero = _optional(inputs, 2)
        if scale.size != 1 or scale.ravel()[0] <= 0:
            raise UnfitError(mismatch("scale", scale.tolist(), "one number above 0"))
        step = float(scale.ravel()[0])
        limits = np.iinfo(np.uint8 if zero is None else zero.dtype)
        origin = 0 if zero is None else int(np.ravel(zero)[0])
        text = self._range(value, step * (limits.min - origin), step * (limits.max - origin), step)
        return replace(value, quantised=True), "dropped: quantised anew" + text

    def _dequantize(self, node: Node, inputs: list[Known], constants: list[Array | None],
                    ) -> tuple[Known, str]:
        value = _value(inputs)
        if value.quantised:
            return replace(value, quantised=False), "dropped: quantised anew"
        scale = layers.finite(_constant(inputs, 1), "scale")
        zero = _optional(inputs, 2)
        origin = 0.0 if zero is None else zero.astype(np.float64)
        if scale.size != 1 or np.size(origin) != 1 or value.stage != IMAGE:
            raise UnfitError("only the input can be a quantised value; " + advice(node))
        if zero is not None and self.builder.limits is None:
            limits = np.iinfo(zero.dtype)
            ends = [(float(end) - float(np.ravel(origin)[0])) * float(scale.ravel()[0])
                    for end in (limits.min, limits.max)]
            self.builder.limits = ends[0], ends[1]
        return self.builder.arithmetic(value, scale, -scale * origin, node.label)

    def _range(self, value: Value, low: float, high: float, step: float) -> str:
        """Take in the range of a quantised value: from 0 on, it limits as a ReLU does.

        Quantisers leave out the ReLU where the range says it already.
        """
        if value.stage == IMAGE:
            if self.builder.limits is None:
                self.builder.limits = low, high
            return ""
        builder, stage = self.builder, self.builder.stages[value.stage]
        if abs(low) > step / 2 or builder.nonnegative(value.stage) or not value.alone or (
                value.scale is not None):
            return ""
        stage.relu = True
        builder.by_range.add(value.stage)
        if abs(high - 6) <= step:
            stage.clamp = 6.0
            return f"; its range is a ReLU6 of stage {value.stage}"
        return f"; its range is a ReLU of stage {value.stage}"

    def _final(self, node: Node, inputs: list[Known], constants: list[Array | None],
               ) -> tuple[Known, str]:
        value = _value(inputs)
        shape = value.places.shape
        if node.op in ("Softmax", "LogSoftmax"):
            axis = int(node.attributes.get("axis", -1))
            old = node.attributes.get("opset", 13) < 13
            axis = int(node.attributes.get("axis", 1)) if old else axis
            span = np.prod(shape[axis:]) if old else shape[axis]
            if span != value.places.size:
                raise UnfitError(f"over a part of {shape}; only one over all outputs, at the end")
        for name in node.outputs:
            if self._ends(name, set()):
                continue
            raise UnfitError("can only stand at the end")
        if self.final and FINAL[node.op] and self.final != FINAL[node.op]:
            raise UnfitError("a second end of another kind")
        self.final = self.final or FINAL[node.op]
        return Tail(value, shape), "left out: the logits are the outputs"

    def _ends(self, name: str, seen: set[str]) -> bool:
        """Whether only operations that may follow the end read a value."""
        for node in self.listed.nodes:
            if name and name in node.inputs and node.op not in _BEHIND_FINAL:
                return False
        return True

    # -- the end --

    def _complain(self) -> None:
        if not self.unfit:
            return
        shapes = self.listed.shapes()
        lines = []
        for node, reason in self.unfit:
            shape = next((shapes[name] for name in node.outputs if name in shapes), ())
            size = f" ({'x'.join(map(str, shape))})" if shape else ""
            lines.append(f"{node.label}{size}: {reason}")
        if len(lines) == 1:
            raise FileError(self.path, f"cannot import {lines[0]}")
        raise FileError(self.path, "\n  ".join([f"cannot import {len(lines)} nodes:", *lines]))

    def _graph(self) -> FloatGraph:
        logits = self._logits()
        builder = self.builder
        shape = builder.shape_of(IMAGE)
        last = builder.stages[-1]
        if len(builder.stages) - 1 in builder.by_range:
            last.relu, last.clamp = False, None  # the outputs' own range limits no logits
        if not np.array_equal(logits.places.ravel(), np.arange(logits.places.size)):
            assert last.weights is not None
            last.weights = last.weights[logits.places.ravel()]
            last.bias = None if last.bias is None else last.bias[logits.places.ravel()]
        for stage in builder.stages:
            for name in ("weights", "bias"):
                values = getattr(stage, name)
                if values is not None:
                    with np.errstate(over="ignore"):
                        values = np.ascontiguousarray(values, np.float32)
                    if not np.isfinite(values).all():
                        raise FileError(self.path, mismatch(
                            f"{name} of {stage.source[0]}", "NaN or infinity", "finite numbers"))
                    setattr(stage, name, values)
        assert builder.order is not None
        natural = np.array_equal(builder.order, np.arange(len(builder.order)))
        mean, std = self._scale()
        if self.final == "sigmoid" and logits.places.size == 1 and last.weights is not None:
            self._two_classes(last)
        return FloatGraph(
            self.listed.name, shape, builder.stages, self.final, mean, std, builder.limits,
            self.listed.shape[1:] if len(self.listed.shape) > 1 else self.listed.shape,
            None if natural else builder.order)

    def _two_classes(self, last: FloatStage) -> None:
        """Make one output z the two -z / 2, z / 2: their softmax is the sigmoid of z."""
        assert last.weights is not None
        half = last.weights / 2
        last.weights, last.n_out = np.concatenate([-half, half]), 2
        if last.bias is not None:
            last.bias = np.concatenate([-last.bias / 2, last.bias / 2])
        self.final = "softmax"
        self.report.warnings.append(
            "one output behind a sigmoid became two classes, 0 and 1, whose softmax is the same")

    def _logits(self) -> Value:
        """What all outputs of the file come from: the last stage, whole. Raises FileError."""
        found = []
        for name in self.listed.outputs:
            known = self.known.get(name)
            if isinstance(known, Tail):
                known = known.logits
            if not isinstance(known, Value) or known.stage == IMAGE:
                raise FileError(self.path, mismatch(
                    f"output {name}", "no layer's", "that of a layer"))
            found.append(known)
        logits, builder = found[0], self.builder
        if any(other.stage != logits.stage or not np.array_equal(
                other.places.ravel(), logits.places.ravel()) for other in found[1:]):
            raise FileError(self.path, mismatch(
                "outputs", f"{len(found)} different ones ({', '.join(self.listed.outputs)})",
                "one; export the logits alone"))
        places = logits.places.ravel()
        whole = places.size == builder.size_of(logits.stage) and (
            np.sort(places) == np.arange(places.size)).all()
        natural = np.array_equal(places, np.arange(places.size))
        last = builder.stages[-1]
        if logits.stage != len(builder.stages) - 1 or not whole or not (
                natural or last.kind == "linear"):
            raise FileError(self.path, mismatch(
                "outputs", "a part of a layer's, or in another order", "all of the last layer's"))
        try:
            builder.refuse_pending(logits, "the end")
        except UnfitError as error:
            raise FileError(self.path, str(error)) from None
        return logits

    def _scale(self) -> tuple[float | Array, float | Array]:
        """mean and std of the input: numbers, or one a channel."""
        scale, offset = self.builder.scale, self.builder.offset
        if scale is None or offset is None:
            return 0.0, 1.0
        mean, std = -offset / scale + 0.0, 1 / scale
        if (mean == mean[0]).all() and (std == std[0]).all():
            return float(mean[0]), float(std[0])
        return mean, std


def _value(inputs: list[Known]) -> Value:
    if not inputs or not isinstance(inputs[0], Value):
        raise UnfitError("its first input is a constant, expected a layer's output")
    return inputs[0]


def _constant(inputs: list[Known], place: int) -> Array:
    value = inputs[place] if place < len(inputs) else None
    if not isinstance(value, np.ndarray):
        raise UnfitError(f"input {place} is computed or missing, expected a constant")
    return value


def _weights(inputs: list[Known]) -> Array:
    if len(inputs) > 1 and not isinstance(inputs[1], np.ndarray):
        raise UnfitError("its weights are computed in the network, expected constants")
    return _constant(inputs, 1)


def _optional(inputs: list[Known], place: int) -> Array | None:
    return _constant(inputs, place) if place < len(inputs) and inputs[place] is not None else None


def _scalar(value: object, none: float) -> float:
    """A number; none where it is left out or beyond what limits anything."""
    if value is None or not np.size(value):
        return none
    if np.size(value) != 1:
        raise UnfitError(mismatch("limit", np.shape(value), "one number"))
    number = float(np.ravel(value)[0])
    if np.isnan(number):
        raise UnfitError(mismatch("limit", number, "a number"))
    return none if abs(number) > _LARGE else number


_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Neg")
_Rule = Callable[[_Folder, Node, list[Known], list[Array | None]], tuple[Known, str]]
_RULES: dict[str, _Rule] = {
    "Conv": _Folder._conv, "Gemm": _Folder._gemm, "MatMul": _Folder._matmul,
    "Linear": _Folder._linear, "BatchNormalization": _Folder._batch_norm,
    "Scaler": _Folder._scaler, "Pad": _Folder._pad, "QuantizeLinear": _Folder._quantize,
    "DequantizeLinear": _Folder._dequantize,
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
                    _Folder._pool),
    **dict.fromkeys(("ReduceMean", "ReduceMax"), _Folder._reduce),
    **dict.fromkeys(_ARITHMETIC, _Folder._arithmetic),
    **dict.fromkeys(("Relu", "Clip", "Max", "Min"), _Folder._activation),
    **dict.fromkeys(("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"), _Folder._move),
    **dict.fromkeys(("Identity", "Dropout", "Cast"), _Folder._same),
    **dict.fromkeys(FINAL, _Folder._final),
}
