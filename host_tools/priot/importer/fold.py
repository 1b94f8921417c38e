"""A node list to a float graph: what becomes a stage, joins one, folds into one or is dropped."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from priot.backbone.float_graph import FloatGraph
from priot.backbone.float_stage import FloatStage
from priot.errors import FileError, mismatch
from priot.importer.advice import advice
from priot.importer.builder import Builder
from priot.importer.constants import computes, evaluate
from priot.importer.nodes import MAX_VALUES, Dims, Node, NodeList, short
from priot.importer.report import Fate, Report
from priot.importer.rules import ARITHMETIC, RULES, Array, Context, Known, take_range, value_of
from priot.importer.values import Tail, UnfitError, Value
from priot.network.stage import IMAGE

FINAL = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid", "ArgMax": ""}
_BEHIND_FINAL = ("ArgMax", "ArrayFeatureExtractor", "ZipMap", "Cast", "Identity", "Reshape",
                 "Concat", "Sub", "Squeeze", "Unsqueeze", "Flatten", "TopK", "QuantizeLinear",
                 "DequantizeLinear", "Transpose", "Log", "Normalizer", "Gather", "Unpack")
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
        self.context = Context(self.builder, self.report)
        self.known: dict[str, Known] = dict(listed.constants)
        self.unfit: list[tuple[Node, str]] = []
        self.final = ""

    def run(self) -> tuple[FloatGraph, Report]:
        needed = self._needed()
        kept = set(map(id, needed))
        self.uses = Counter(name for node in needed if node.op not in ("Shape", "Size")
                            for name in node.inputs)
        self.uses.update(self.listed.outputs)
        self.known[self.listed.input] = self._image()
        for node in self.listed.nodes:
            if id(node) not in kept:
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
        self.builder.limits = float(low), float(high)
        ones = np.ones(value.places.shape)
        return self.builder.arithmetic(value, ones * scale, -ones * scale * zero, "its scale")[0]

    # -- one node --

    def _try(self, node: Node) -> tuple[Known, str]:
        """The value of a node's first output and what became of it; complaints are kept."""
        try:
            inputs = [self._input(name) for name in node.inputs]
            outcome, text = self._rule(node, inputs)
            if isinstance(outcome, Value) and "range" in node.attributes:
                text += take_range(self.context, outcome, *node.attributes["range"])
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
        rule = RULES.get(node.op)
        if rule is None and node.op not in FINAL:
            raise UnfitError(advice(node))
        if any(x is None for x in given):
            return None, "not looked at: behind a node that cannot be imported"
        if not isinstance(first, Value) and node.op not in ARITHMETIC:
            raise UnfitError("its first input is a constant, expected a layer's output")
        if rule is None:
            return self._final(node, inputs)
        return rule(self.context, node, inputs, constants)

    def _say(self, node: Node, text: str) -> None:
        value = self.known.get(node.outputs[0]) if node.outputs else None
        shape: Dims = ()
        if isinstance(value, Value):
            shape = value.places.shape
        self.report.fates.append(Fate(node.shown or node.op, node.name, shape, text))

    def _final(self, node: Node, inputs: list[Known]) -> tuple[Known, str]:
        value = value_of(inputs)
        shape = value.places.shape
        if any(name in other.inputs and other.op not in _BEHIND_FINAL
               for name in node.outputs for other in self.listed.nodes):
            raise UnfitError("can only stand at the end")
        if node.op in ("Softmax", "LogSoftmax"):
            axis = int(node.attributes.get("axis", -1))
            old = node.attributes.get("opset", 13) < 13
            axis = int(node.attributes.get("axis", 1)) if old else axis
            span = np.prod(shape[axis:]) if old else shape[axis]
            if span != value.places.size:
                raise UnfitError(f"over a part of {shape}; only one over all outputs, at the end")
        if self.final and FINAL[node.op] and self.final != FINAL[node.op]:
            raise UnfitError("a second end of another kind")
        self.final = self.final or FINAL[node.op]
        return Tail(value, shape), "left out: the logits are the outputs"

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
        raise FileError(self.path, f"cannot import {len(lines)} nodes:", lines)

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
                            f"{name} of {short(stage.source[0])}", "NaN or infinity",
                            "finite numbers"))
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
                    f"output {short(name)}", "no layer's", "that of a layer"))
            found.append(known)
        logits, builder = found[0], self.builder
        if any(other.stage != logits.stage or not np.array_equal(
                other.places.ravel(), logits.places.ravel()) for other in found[1:]):
            names = ", ".join(map(short, self.listed.outputs))
            raise FileError(self.path, mismatch(
                "outputs", f"{len(found)} different ones ({names})",
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
        mean, std = (float(values[0]) if (values == values[0]).all() else values
                     for values in (-offset / scale + 0.0, 1 / scale))
        return mean, std
