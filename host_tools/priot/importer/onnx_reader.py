"""Reads an ONNX file to a node list: opset 11 and later, functions put in their places."""

from pathlib import Path
from typing import Any

import numpy as np

from priot.errors import FileError, mismatch
from priot.importer.nodes import MAX_VALUES, Dims, Node, NodeList, required, short

LEAST_OPSET = 11
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")


def read_onnx(path: Path) -> NodeList:
    """The network of an ONNX file. Raises FileError, OSError, PriotError (no package onnx)."""
    onnx = required("onnx")
    path.open("rb").close()  # an OSError of the file itself is the user's to read
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's own, and whatever external data brings
        raise FileError(path, f"not an ONNX file, or damaged: {_line(error)}") from None
    try:
        return _Reader(onnx, path, model).read()
    except FileError:
        raise
    except Exception as error:  # of onnx, which trusts what a file says
        raise FileError(path, f"damaged: {_line(error)}") from None


class _Reader:
    def __init__(self, onnx: Any, path: Path, model: Any) -> None:
        self.onnx, self.path, self.model = onnx, path, model

    def read(self) -> NodeList:
        self._check_opset()
        if self.model.functions:
            inliner = required("onnx.inliner")
            self.model = inliner.inline_local_functions(self.model)
        graph = self.model.graph
        if not graph.node:
            raise FileError(self.path, mismatch("nodes", "none", "a network"))
        constants = {}
        for tensor in graph.initializer:
            constants[_text(tensor.name)] = self._array(tensor)
        if graph.sparse_initializer:
            raise FileError(self.path, "has sparse weights; export them dense")
        nodes = [node for i, proto in enumerate(graph.node)
                 if (node := self._node(proto, i, constants)) is not None]
        name, shape = self._input(graph, constants)
        if not graph.output:
            raise FileError(self.path, mismatch("outputs", "none", "one"))
        return NodeList(self.path.stem, nodes, constants, name, shape,
                        [_text(value.name) for value in graph.output],
                        channels_last=self.model.producer_name == "tf2onnx",
                        shapes=self._shapes)

    def _check_opset(self) -> None:
        versions = {entry.domain: entry.version for entry in self.model.opset_import}
        version = versions.get("", versions.get("ai.onnx"))
        if version is None:
            raise FileError(self.path, "not an ONNX file, or damaged: no operator set")
        if version < LEAST_OPSET:
            raise FileError(self.path, mismatch("opset", version, f"{LEAST_OPSET} or later"))
        self.opset = version

    def _input(self, graph: Any, constants: dict[str, np.ndarray]) -> tuple[str, Dims]:
        inputs = [value for value in graph.input if _text(value.name) not in constants]
        if len(inputs) != 1:
            raise FileError(self.path, mismatch(
                "inputs", ", ".join(short(_text(value.name)) for value in inputs) or "none",
                "one"))
        name = _text(inputs[0].name)
        where = f"input {short(name)}"
        if not inputs[0].type.HasField("tensor_type"):
            raise FileError(self.path, mismatch(where, "no tensor", "one"))
        dims = inputs[0].type.tensor_type.shape.dim
        shape = []
        for i, dim in enumerate(dims):
            size = dim.dim_value if dim.HasField("dim_value") else 1 if i == 0 else 0
            if i == 0 and len(dims) > 1:
                size = 1  # the batch
            if size < 1:
                raise FileError(self.path, mismatch(
                    f"{where}: size of axis {i}", short(_text(dim.dim_param)) or size,
                    "a number; export it with a fixed size"))
            shape.append(size)
        if np.prod(shape, dtype=float) > MAX_VALUES or not shape:
            raise FileError(self.path, mismatch(
                f"{where}: shape", shape, f"1..{MAX_VALUES} values"))
        return name, tuple(shape)

    def _node(self, proto: Any, place: int, constants: dict[str, np.ndarray]) -> Node | None:
        """A node, or None of one that is itself a constant."""
        helper = self.onnx.helper
        attributes = {}
        for attribute in proto.attribute:
            value = helper.get_attribute_value(attribute)
            if isinstance(value, self.onnx.TensorProto):
                value = self._array(value)
            attributes[_text(attribute.name)] = _text(value) if isinstance(
                value, bytes) else value
        outputs = [_text(name) for name in proto.output]
        name = _text(proto.name) or (outputs[0] if outputs else f"node {place}")
        if proto.op_type == "Constant" and proto.domain in _DOMAINS:
            value = next((attributes[key] for key in (
                "value", "value_float", "value_floats", "value_int", "value_ints")
                if key in attributes), None)
            if value is not None and outputs:
                kind = None if isinstance(value, np.ndarray) else (
                    np.float32 if isinstance(np.ravel(value)[:1].sum(), np.floating)
                    else np.int64)
                constants[outputs[0]] = np.asarray(value, kind)
                return None
        if proto.op_type == "Cast" and "to" in attributes:
            attributes["dtype"] = helper.tensor_dtype_to_np_dtype(int(attributes["to"]))
        attributes["opset"] = self.opset
        op = _text(proto.op_type)
        # onnxruntime's quantiser writes them so where an old opset has no int16
        same = proto.domain == "com.microsoft" and op in ("QuantizeLinear", "DequantizeLinear")
        if proto.domain not in _DOMAINS and not same:
            op = f"{_text(proto.domain)}.{op}"
        return Node(op, name, [_text(name) for name in proto.input], outputs, attributes)

    def _array(self, tensor: Any) -> np.ndarray:
        size = np.prod(tensor.dims, dtype=float)
        if size > 4 * MAX_VALUES or any(dim < 0 for dim in tensor.dims):
            raise FileError(self.path, mismatch(
                f"constant {short(_text(tensor.name))}: shape", list(tensor.dims),
                f"up to {MAX_VALUES} values"))
        values = self.onnx.numpy_helper.to_array(tensor)
        return values if values.dtype.kind in "iubUSO" else values.astype(np.float32)

    def _shapes(self) -> dict[str, Dims]:
        """What shape inference finds."""
        try:
            graph = self.onnx.shape_inference.infer_shapes(self.model).graph
        except Exception:  # a file that cannot be inferred can still be complained about
            return {}
        found = {}
        for value in (*graph.value_info, *graph.output):
            dims = value.type.tensor_type.shape.dim
            found[_text(value.name)] = tuple(
                dim.dim_value or (1 if i == 0 else 0) for i, dim in enumerate(dims))
        return {name: dims for name, dims in found.items() if dims and min(dims) > 0}


def _text(name: str | bytes) -> str:
    """A name; protobuf gives bytes where it is no UTF-8."""
    return name.decode(errors="replace") if isinstance(name, bytes) else name


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:117] + "..."
