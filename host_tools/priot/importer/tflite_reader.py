"""Reads a TFLite file to a node list: float, int8 weights alone, or int8 throughout.

Constants are given as float32 wherever the file has a scale for them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from priot.errors import FileError, mismatch
from priot.importer.constants import dequantise
from priot.importer.nodes import MAX_VALUES, Dims, Node, NodeList, required, short

IDENTIFIER = b"TFL3"
_DTYPES = {"FLOAT32": np.float32, "FLOAT16": np.float16, "FLOAT64": np.float64,
           "INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16, "INT32": np.int32,
           "INT64": np.int64, "BOOL": np.bool_}
_SAME_NAME = {
    "ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div", "RELU": "Relu", "SOFTMAX": "Softmax",
    "LOG_SOFTMAX": "LogSoftmax", "LOGISTIC": "Sigmoid", "RESHAPE": "Reshape",
    "EXPAND_DIMS": "Unsqueeze", "TRANSPOSE": "Transpose", "SHAPE": "Shape", "PAD": "Pad",
    "PADV2": "Pad", "CAST": "Cast", "ARG_MAX": "ArgMax", "SQUEEZE": "Squeeze", "PACK": "Pack",
    "STRIDED_SLICE": "StridedSlice", "MEAN": "ReduceMean", "REDUCE_MAX": "ReduceMax",
    "QUANTIZE": "Identity", "DEQUANTIZE": "Identity", "CONV_2D": "Conv",
    "DEPTHWISE_CONV_2D": "Conv", "FULLY_CONNECTED": "Linear", "MAX_POOL_2D": "MaxPool",
    "AVERAGE_POOL_2D": "AveragePool", "MINIMUM": "Min", "MAXIMUM": "Max", "SQRT": "Sqrt",
    "RSQRT": "Rsqrt", "NEG": "Neg", "CONCATENATION": "Concat", "GATHER": "Gather",
}


def read_tflite(path: Path) -> NodeList:
    """The network of a TFLite file. Raises FileError, OSError, PriotError (no package tflite)."""
    schema = required("tflite")
    data = path.read_bytes()
    try:
        return _Reader(schema, path, data).read()
    except FileError:
        raise
    except Exception as error:  # flatbuffers follows any offset: struct.error, IndexError, ...
        text = " ".join(str(error).split())[:120] or type(error).__name__
        raise FileError(path, f"not a TFLite file, or damaged: {text}") from None


class _Reader:
    def __init__(self, schema: Any, path: Path, data: bytes) -> None:
        self.schema, self.path = schema, path
        self.model = schema.Model.GetRootAsModel(data, 0)
        self.operators = _words(schema.BuiltinOperator)
        self.types = _words(schema.TensorType)
        self.nodes: list[Node] = []

    def read(self) -> NodeList:
        if self.model.SubgraphsLength() != 1:
            raise FileError(self.path, mismatch(
                "subgraphs", self.model.SubgraphsLength(), "one"))
        graph = self.model.Subgraphs(0)
        self.tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
        ends = [[int(i) for i in (numbers if length else ())] for numbers, length in (
            (graph.InputsAsNumpy(), graph.InputsLength()),
            (graph.OutputsAsNumpy(), graph.OutputsLength()))]
        if len(ends[0]) != 1 or not ends[1]:
            raise FileError(self.path, mismatch(
                "inputs and outputs", f"{len(ends[0])} and {len(ends[1])}", "one input"))
        constants = {}
        for i in range(len(self.tensors)):
            values = self._constant(i)
            if values is not None:
                constants[str(i)] = values
        if not graph.OperatorsLength():
            raise FileError(self.path, mismatch("operators", "none", "a network"))
        for i in range(graph.OperatorsLength()):
            self._operator(graph.Operators(i))
        shapes = {str(i): self._shape(i) for i in range(len(self.tensors))}
        entry = ends[0][0]
        shape = shapes[str(entry)]
        if min(shape, default=0) < 1 or np.prod(shape, dtype=float) > MAX_VALUES:
            raise FileError(self.path, mismatch(
                "input: shape", list(shape), f"1..{MAX_VALUES} values"))
        return NodeList(self.path.stem, self.nodes, constants, str(entry),
                        (1, *shape[1:]) if len(shape) > 1 else shape,
                        [str(i) for i in ends[1]], True, self._quantised(entry),
                        lambda: shapes)

    def _shape(self, i: int) -> Dims:
        tensor = self.tensors[i]
        return tuple(int(size) for size in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()

    def _type(self, i: int) -> str:
        kind = self.tensors[i].Type()
        return self.types.get(kind, str(kind))

    def _scales(self, i: int) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Scales, zero points and the axis that they lie along."""
        found = self.tensors[i].Quantization()
        if found is None or not found.ScaleLength():
            return None
        zeros = found.ZeroPointAsNumpy() if found.ZeroPointLength() else np.zeros(1, np.int64)
        return found.ScaleAsNumpy(), zeros, found.QuantizedDimension()

    def _quantised(self, i: int) -> tuple[float, int, int, int] | None:
        """Scale, zero, smallest and largest number of values that are integers."""
        scales, kind = self._scales(i), self._type(i)
        if scales is None or kind not in ("INT8", "UINT8", "INT16"):
            return None
        limits = np.iinfo(_DTYPES[kind])
        return float(scales[0][0]), int(scales[1][0]), int(limits.min), int(limits.max)

    def _constant(self, i: int) -> np.ndarray | None:
        tensor = self.tensors[i]
        number = tensor.Buffer()
        if not 0 <= number < self.model.BuffersLength():
            raise FileError(self.path, mismatch("buffer", number, "one of the file"))
        buffer = self.model.Buffers(number)
        if not buffer.DataLength():
            return None
        kind = self._type(i)
        if kind not in _DTYPES or tensor.Sparsity() is not None:
            raise FileError(self.path, f"tensor {self._name(i)}: found "
                            f"{'sparse ' if tensor.Sparsity() is not None else ''}{kind}, "
                            "expected floats, int8, int16 or int32")
        shape = self._shape(i)
        values: np.ndarray = np.frombuffer(
            buffer.DataAsNumpy().tobytes(), _DTYPES[kind]).reshape(shape)
        scales = self._scales(i)
        if scales is not None and values.dtype.kind in "iu":
            scale, zero, axis = scales
            # biases keep the axis of their weights
            return dequantise(values, scale, zero, min(axis, values.ndim - 1))
        return values.astype(np.float32) if values.dtype.kind == "f" else values

    def _name(self, i: int) -> str:
        return (self.tensors[i].Name() or str(i).encode()).decode(errors="replace").split(";")[0]

    def _operator(self, operator: Any) -> None:
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        shown = self.operators.get(number, f"operator {number}")
        if shown == "CUSTOM":
            shown = short((code.CustomCode() or b"CUSTOM").decode(errors="replace"))
        inputs, outputs = ([int(i) for i in (numbers if length else ())] for numbers, length in (
            (operator.InputsAsNumpy(), operator.InputsLength()),
            (operator.OutputsAsNumpy(), operator.OutputsLength())))
        if any(not -1 <= i < len(self.tensors) for i in inputs + outputs) or not outputs:
            raise FileError(self.path, f"damaged: {shown} reads or writes no tensor of the file")
        node = Node(_SAME_NAME.get(shown, shown), self._name(outputs[0]),
                    ["" if i < 0 else str(i) for i in inputs], [str(i) for i in outputs],
                    shown=shown)
        activation = self._options(operator, node)
        self.nodes.append(node)
        if activation != "NONE":
            self._activate(node, activation)
        quantised = self._quantised(outputs[0])
        if quantised is not None:
            scale, zero, low, high = quantised
            self.nodes[-1].attributes["range"] = (
                scale * (low - zero), scale * (high - zero), scale)

    def _activate(self, node: Node, activation: str) -> None:
        """A node for the activation that the file has joined to an operation."""
        final, sums = node.outputs[0], f"{node.outputs[0]} before its activation"
        node.outputs = [sums]
        op = {"RELU": "Relu", "RELU6": "Clip"}.get(activation, activation)
        limits = {"min": 0.0, "max": 6.0} if op == "Clip" else {}
        self.nodes.append(Node(op, node.name, [sums], [final], dict(limits),
                               f"{activation} of {node.shown}"))

    def _options(self, operator: Any, node: Node) -> str:
        """Fill in attributes from an operator's table of options; the word of its activation."""
        fill = _FILLERS.get(node.shown)
        if node.shown == "RELU6":
            node.op, node.attributes = "Clip", {"min": 0.0, "max": 6.0}
        if node.op == "Cast":
            node.attributes["dtype"] = np.dtype(_DTYPES[self._type(int(node.outputs[0]))])
        if node.op in ("ReduceMean", "ReduceMax"):
            node.attributes["keepdims"] = 0
        if fill is None:
            return "NONE"
        kind, function = fill
        table, options = operator.BuiltinOptions(), getattr(self.schema, kind)()
        if table is None:
            if node.shown not in ("RESHAPE", "SQUEEZE", "MEAN", "REDUCE_MAX", "ADD", "MUL"):
                raise FileError(self.path, f"damaged: {node.shown} without options")
            return "NONE"
        options.Init(table.Bytes, table.Pos)
        function(node, options)
        words = _words(self.schema.ActivationFunctionType)
        if not hasattr(options, "FusedActivationFunction"):
            return "NONE"
        number = options.FusedActivationFunction()
        return words.get(number, f"activation {number}")


def _words(enum: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


def _window(node: Node, options: Any) -> None:
    if node.shown != "CONV_2D" and node.shown != "DEPTHWISE_CONV_2D":
        node.attributes["kernel_shape"] = [options.FilterHeight(), options.FilterWidth()]
    node.attributes |= {
        "strides": [options.StrideH(), options.StrideW()], "channels_last": True,
        "auto_pad": {0: "SAME_UPPER", 1: "VALID"}.get(options.Padding(), "?")}


def _conv(node: Node, options: Any) -> None:
    _window(node, options)
    node.attributes |= {
        "weights": "1HWO" if node.shown == "DEPTHWISE_CONV_2D" else "OHWI",
        "dilations": [options.DilationHFactor(), options.DilationWFactor()]}


def _linear(node: Node, options: Any) -> None:
    if options.WeightsFormat():
        node.op = "FULLY_CONNECTED with shuffled weights"
    node.attributes["keep_dims"] = bool(options.KeepNumDims())


def _reshape(node: Node, options: Any) -> None:
    if options.NewShapeLength():
        node.attributes["shape"] = options.NewShapeAsNumpy()
    node.attributes["allowzero"] = 1


def _squeeze(node: Node, options: Any) -> None:
    if options.SqueezeDimsLength():
        node.attributes["axes"] = options.SqueezeDimsAsNumpy()


def _strided_slice(node: Node, options: Any) -> None:
    if options.EllipsisMask() or options.NewAxisMask():
        node.op = "STRIDED_SLICE with new axes"
    node.attributes["masks"] = {"begin": options.BeginMask(), "end": options.EndMask(),
                                "shrink": options.ShrinkAxisMask()}


def _axis(node: Node, options: Any) -> None:
    node.attributes["axis"] = options.Axis()


def _keep(node: Node, options: Any) -> None:
    node.attributes["keepdims"] = int(options.KeepDims())


def _softmax(node: Node, options: Any) -> None:
    if options.Beta() != 1.0:
        node.op = f"SOFTMAX with beta {options.Beta():g}"


def _nothing(node: Node, options: Any) -> None:
    """Options of which only the activation matters."""


_FILLERS: dict[str, tuple[str, Callable[[Node, Any], None]]] = {
    "CONV_2D": ("Conv2DOptions", _conv),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", _conv),
    "MAX_POOL_2D": ("Pool2DOptions", _window), "AVERAGE_POOL_2D": ("Pool2DOptions", _window),
    "FULLY_CONNECTED": ("FullyConnectedOptions", _linear),
    "RESHAPE": ("ReshapeOptions", _reshape), "SQUEEZE": ("SqueezeOptions", _squeeze),
    "MEAN": ("ReducerOptions", _keep), "REDUCE_MAX": ("ReducerOptions", _keep),
    "STRIDED_SLICE": ("StridedSliceOptions", _strided_slice), "PACK": ("PackOptions", _axis),
    "CONCATENATION": ("ConcatenationOptions", _axis), "GATHER": ("GatherOptions", _axis),
    "SOFTMAX": ("SoftmaxOptions", _softmax), "ADD": ("AddOptions", _nothing),
    "SUB": ("SubOptions", _nothing), "MUL": ("MulOptions", _nothing),
    "DIV": ("DivOptions", _nothing),
}
