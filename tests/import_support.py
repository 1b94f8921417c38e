"""Judges of an imported network: other people's interpreters of ONNX and TFLite."""

import struct

import flatbuffers
import numpy as np
import onnx
import onnxruntime
import tflite
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from priot.backbone.float_graph import FloatGraph, run

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "AVERAGE_POOL_2D",
          "MAX_POOL_2D", "MEAN")
FINAL = ("SOFTMAX", "LOGISTIC")


def logits(graph: FloatGraph, samples: np.ndarray) -> np.ndarray:
    """Outputs of a graph [n][classes] for samples as the file takes them."""
    return run(graph, graph.images(samples))[-1].reshape(len(samples), -1)


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference as a part of the largest expected value."""
    assert found.shape == expected.shape and np.abs(expected).max() > 0
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def without_end(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose output is what a softmax or sigmoid at the end reads."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    last = next(node for node in model.graph.node if model.graph.output[0].name in node.output)
    if last.op_type in ("Softmax", "LogSoftmax", "Sigmoid"):
        del model.graph.output[1:]
        model.graph.output[0].name = last.input[0]
    return model


def onnx_outputs(model: onnx.ModelProto, samples: np.ndarray) -> np.ndarray:
    """What onnxruntime gives [n][classes], one sample at a time: batches of exports are fixed."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name
    return np.array([session.run(None, {entry: sample[None]})[0].ravel() for sample in samples])


def without_activation_qdq(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that quantises weights alone, as the import does."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    constants = {tensor.name for tensor in model.graph.initializer}
    new = {}
    kept = []
    for node in model.graph.node:
        quantises = node.op_type == "QuantizeLinear"
        if quantises or (node.op_type == "DequantizeLinear" and node.input[0] not in constants):
            new[node.output[0]] = new.get(node.input[0], node.input[0])
        else:
            for i, name in enumerate(node.input):
                node.input[i] = new.get(name, name)
            kept.append(node)
    for output in model.graph.output:
        output.name = new.get(output.name, output.name)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


class Tflite:
    """A TFLite file under LiteRT: what every layer of it gave."""

    def __init__(self, data: bytes) -> None:
        self.graph = tflite.Model.GetRootAsModel(data, 0).Subgraphs(0)
        model = tflite.Model.GetRootAsModel(data, 0)
        words = {number: name for name, number in vars(tflite.BuiltinOperator).items()
                 if isinstance(number, int)}
        self.operators = []
        for i in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(i)
            code = model.OperatorCodes(operator.OpcodeIndex())
            self.operators.append((
                words[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())],
                list(operator.InputsAsNumpy()), list(operator.OutputsAsNumpy())))
        data = _with_axes(data)
        # the reference kernels: the others compute in other orders and precisions
        self.interpreter = Interpreter(
            model_content=data, experimental_preserve_all_tensors=True, num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        self.interpreter.allocate_tensors()
        self.details = {detail["index"]: detail
                        for detail in self.interpreter.get_tensor_details()}

    @property
    def entry(self) -> int:
        """The number of the input."""
        return int(self.graph.InputsAsNumpy()[0])

    def logits_tensor(self) -> int:
        """The number of what a softmax at the end reads, or of the output."""
        op, inputs, outputs = self.operators[-1]
        return inputs[0] if op in FINAL else outputs[0]

    def run(self, samples: np.ndarray, tensors: list[int]) -> list[np.ndarray]:
        """Values of some tensors [n][...], float, for samples as the file takes them."""
        found: list[list[np.ndarray]] = [[] for _ in tensors]
        for sample in samples:
            self.interpreter.set_tensor(self.entry, sample[None])
            self.interpreter.invoke()
            for values, i in zip(found, tensors, strict=True):
                values.append(self.real(i, self.interpreter.get_tensor(i))[0])
        return [np.array(values) for values in found]

    def scale(self, i: int) -> float:
        """The step of a quantised tensor; 0 of another."""
        return float(self.details[i]["quantization"][0])

    def real(self, i: int, values: np.ndarray) -> np.ndarray:
        """What the numbers of a tensor mean."""
        scale, zero = self.details[i]["quantization"]
        if not scale:
            return values
        return ((values.astype(np.float64) - zero) * scale).astype(np.float32)

    def layers(self) -> list[tuple[str, list[int], list[int]]]:
        """Operators that become stages."""
        return [operator for operator in self.operators if operator[0] in LAYERS]


def _with_axes(data: bytes) -> bytes:
    """A file whose one-dimensional constants are quantised along their only axis.

    Old converters wrote the axis of the weights there, which LiteRT now refuses.
    """
    copy = bytearray(data)
    graph = tflite.Model.GetRootAsModel(copy, 0).Subgraphs(0)
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        found = tensor.Quantization()
        if found is not None and found.QuantizedDimension() >= max(1, tensor.ShapeLength()):
            table = found._tab
            struct.pack_into("<i", copy, table.Pos + table.Offset(16), 0)
    return bytes(copy)


def samples_for(shape: tuple[int, ...], n: int, seed: int = 0, scale: float = 1.0,
                ) -> np.ndarray:
    """Random samples float32 [n][...] of both signs."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, *shape)) * scale).astype(np.float32)



class Net:
    """A small ONNX network: operations in order, weights as they are given."""

    def __init__(self, *shape: int, opset: int = 17, seed: int = 0) -> None:
        self.shape, self.opset = (1, *shape), opset
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.last = "x"

    def constant(self, values: object, dtype: type = np.float32) -> str:
        """The name of an initializer."""
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def random(self, *shape: int, low: float = -1.0) -> str:
        """An initializer of random numbers, low..1."""
        return self.constant(self.rng.uniform(low, 1, shape))

    def op(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes) -> str:
        """A node whose first input, if none is given, is the last one's output; its output."""
        inputs = inputs or (self.last,)
        name = f"{op.lower()}{len(self.nodes)}"
        names = [f"{name}:{i}" for i in range(outputs)]
        self.nodes.append(onnx.helper.make_node(
            op, inputs, names, name, domain=domain, **attributes))
        self.last = names[0]
        return self.last

    def conv(self, n_out: int, n_in: int, *kernel: int, x: str = "", bias: bool = True,
             **attributes) -> str:
        """A Conv of random weights."""
        parts = [x or self.last, self.random(n_out, n_in, *kernel)]
        if bias:
            parts.append(self.random(n_out))
        return self.op("Conv", *parts, **attributes)

    def linear(self, n_out: int, n_in: int) -> str:
        """A Gemm of random weights."""
        return self.op("Gemm", self.last, self.random(n_out, n_in), self.random(n_out), transB=1)

    def batch_norm(self, channels: int, **attributes) -> str:
        """A BatchNormalization of random numbers, some of its factors negative."""
        return self.op("BatchNormalization", self.last, self.random(channels),
                       self.random(channels), self.random(channels),
                       self.random(channels, low=0.2), **attributes)

    def model(self, outputs: tuple[str, ...] = ()) -> onnx.ModelProto:
        """The file; its outputs are the last node's."""
        helper, kind = onnx.helper, onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes, "net", [helper.make_tensor_value_info("x", kind, ["n", *self.shape[1:]])],
            [helper.make_tensor_value_info(name, kind, None) for name in outputs or (self.last,)],
            self.constants)
        domains = {node.domain: 1 for node in self.nodes} | {"": self.opset, "ai.onnx.ml": 3}
        return helper.make_model(graph, ir_version=8, opset_imports=[
            helper.make_opsetid(*domain) for domain in domains.items()])

    def samples(self, n: int = 5) -> np.ndarray:
        """Random samples of both signs."""
        return samples_for(self.shape[1:], n, seed=1)


class Lite:
    """A small TFLite file: operators in order, [n][y][x][channel]."""

    def __init__(self, *shape: int, seed: int = 0, input_type: str = "FLOAT32") -> None:
        self.shape, self.rng = (1, *shape), np.random.default_rng(seed)
        self.tensors: list[schema.TensorT] = []
        self.buffers = [schema.BufferT()]
        self.operators: list[schema.OperatorT] = []
        self.codes: list[str] = []
        self.last = self.tensor(self.shape, input_type)

    def tensor(self, shape: tuple[int, ...], kind: str = "FLOAT32",
               values: np.ndarray | None = None, scale: object = None, zero: int = 0,
               axis: int = 0) -> int:
        """The number of a new tensor; with values, a constant."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape = f"t{len(self.tensors)}", list(shape)
        tensor.type = getattr(schema.TensorType, kind)
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        if scale is not None:
            found = schema.QuantizationParametersT()
            found.scale = [float(s) for s in np.ravel(scale)]
            found.zeroPoint, found.quantizedDimension = [zero] * len(found.scale), axis
            tensor.quantization = found
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, values: object, dtype: type = np.float32, **quantised) -> int:
        """A constant tensor."""
        array = np.asarray(values, dtype)
        return self.tensor(array.shape, array.dtype.name.upper(), array, **quantised)

    def random(self, *shape: int) -> int:
        """A constant of numbers -1..1."""
        return self.constant(self.rng.uniform(-1, 1, shape))

    def op(self, op: str, *inputs: int, shape: tuple[int, ...], options: str = "",
           kind: str = "FLOAT32", scale: object = None, zero: int = 0, **values) -> int:
        """An operator; shape, kind: of its output, whose number is returned."""
        operator = schema.OperatorT()
        if op not in self.codes:
            self.codes.append(op)
        operator.opcodeIndex = self.codes.index(op)
        operator.inputs = list(inputs or (self.last,))
        self.last = self.tensor(shape, kind, scale=scale, zero=zero)
        operator.outputs = [self.last]
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            for name, value in values.items():
                assert hasattr(operator.builtinOptions, name), name
                setattr(operator.builtinOptions, name, value)
        self.operators.append(operator)
        return self.last

    def model(self) -> "schema.ModelT":
        """The tables of the file."""
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = [0], [self.last]
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self.buffers
        model.operatorCodes = []
        for word in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, word)
            code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
            model.operatorCodes.append(code)
        return model

    def data(self) -> bytes:
        """The file."""
        return packed(self.model())


def packed(model: "schema.ModelT") -> bytes:
    """A TFLite file of its tables."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
