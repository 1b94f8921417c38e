"""Damaged ONNX, TFLite and wav files by the hundred: each is taken or refused in words.

What imports is also quantised, by `priot import`: it writes a model that can be read, or complains
in a line and writes nothing. wav files go to `priot dataset`.

Run by test_import_bad.py as a process of its own, so that a crash in a parser is seen as one:

    python import_mutations.py FOLDER SEED N
"""

import contextlib
import copy
import io
import random
import resource
import shutil
import signal
import struct
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from import_support import Lite, Net, packed
from priot import cli
from priot.backbone.float_graph import run
from priot.errors import FileError
from priot.formats import Model
from priot.importer import import_file
from scipy.io import wavfile

MEMORY_BYTES = 6 << 30  # a file of some kB that wants more is a fault
SECONDS = 60  # for one file, on a machine that does much else
MOST_VALUES = 1 << 16  # of an input whose network is quantised
NUMBERS = (0, 1, 2, 3, 5, -1, -2, 127, 255, 256, 65535, 1 << 20, 2**31 - 1, -(2**31), 2**62)


def onnx_net() -> onnx.ModelProto:
    """A residual network with everything folded that can be."""
    net = Net(3, 8, 8)
    net.op("Sub", net.last, net.random(3, 1, 1))
    net.conv(4, 3, 3, 3, pads=[1, 1, 1, 1])
    net.batch_norm(4)
    stem = net.op("Relu")
    net.conv(4, 1, 3, 3, group=4, pads=[2, 2, 2, 2], dilations=[2, 2])
    net.op("Add", stem, net.last)
    net.op("Clip", net.last, net.constant(0.0), net.constant(6.0))
    net.op("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    net.op("Pad", net.last, net.constant([0, 0, 1, 0, 0, 0, 0, 1], np.int64))
    net.conv(5, 4, 3, 3)
    net.op("AveragePool", kernel_shape=[3, 3])
    net.op("Transpose", perm=[0, 2, 3, 1])
    net.op("Reshape", net.last, net.constant([-1, 5], np.int64))
    weights = net.op("DequantizeLinear", net.constant(net.rng.integers(-9, 9, (3, 5)), np.int8),
                     net.constant(0.1), net.constant(0, np.int8))
    net.op("Gemm", net.nodes[-2].output[0], weights, net.random(3), transB=1)
    net.op("Softmax")
    return net.model()


def lite_net() -> Lite:
    """The same in TFLite, as far as it goes, with weights of int8."""
    lite = Lite(8, 8, 3)
    options = {"options": "Conv2DOptions", "padding": 0, "strideH": 2, "strideW": 1,
               "dilationHFactor": 1, "dilationWFactor": 1, "fusedActivationFunction": 1}
    q = lite.rng.integers(-127, 128, (4, 3, 3, 3))
    stem = lite.op("CONV_2D", lite.last, lite.constant(q, np.int8, scale=[0.1] * 4),
                   lite.random(4), shape=(1, 4, 8, 4), **options)
    options |= {"strideH": 1, "options": "DepthwiseConv2DOptions", "depthMultiplier": 1}
    lite.op("DEPTHWISE_CONV_2D", stem, lite.random(1, 3, 3, 4), lite.random(4),
            shape=(1, 4, 8, 4), **options)
    lite.op("ADD", stem, lite.last, shape=(1, 4, 8, 4), options="AddOptions")
    lite.op("MAX_POOL_2D", shape=(1, 2, 4, 4), options="Pool2DOptions", padding=1, strideH=2,
            strideW=2, filterHeight=2, filterWidth=2)
    lite.op("MEAN", lite.last, lite.constant([1, 2], np.int32), shape=(1, 4),
            options="ReducerOptions")
    lite.op("FULLY_CONNECTED", lite.last, lite.random(3, 4), lite.random(3), shape=(1, 3),
            options="FullyConnectedOptions")
    lite.op("SOFTMAX", shape=(1, 3), options="SoftmaxOptions", beta=1.0)
    return lite


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    """A file with bytes changed, cut, put in, or replaced by numbers at the edge of a range."""
    copied = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        at = rng.randrange(max(1, len(copied)))
        what = rng.randrange(5)
        if what == 0:
            copied[at:] = b""
        elif what == 1:
            copied[at:at] = rng.randbytes(rng.randint(1, 9))
        elif what == 2:
            del copied[at : at + rng.randint(1, 9)]
        elif what == 3 and at + 4 <= len(copied):
            struct.pack_into("<I", copied, at, rng.choice(NUMBERS) & 0xFFFFFFFF)
        elif at < len(copied):
            copied[at] ^= 1 << rng.randrange(8)
    return bytes(copied)


def damaged_onnx(rng: random.Random, model: onnx.ModelProto) -> bytes:
    """A file that parses: other sizes, attributes, operations, connections, weights."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    for _ in range(rng.choice((1, 1, 2, 4))):
        node = rng.choice(graph.node)
        tensor = rng.choice(graph.initializer)
        what = rng.randrange(9)
        if what == 0 and node.attribute:
            attribute = rng.choice(node.attribute)
            attribute.i = rng.choice(NUMBERS)
            if attribute.ints:
                attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
        elif what == 1 and node.input:
            names = [n for other in graph.node for n in (*other.input, *other.output)]
            node.input[rng.randrange(len(node.input))] = rng.choice([*names, "x", "", "none"])
        elif what == 2:
            node.op_type = rng.choice(("Relu", "Add", "Conv", "Tanh", "Gemm", "Reshape", "Softmax",
                                       "MaxPool", "ReduceMean", "Shape", "Concat", "Sigmoid"))
        elif what == 3:
            graph.node.remove(node)
        elif what == 4 and tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
        elif what == 5 and tensor.raw_data:
            tensor.raw_data = damaged_bytes(rng, tensor.raw_data)
        elif what == 6:
            tensor.data_type = rng.randrange(24)
        elif what == 7:
            dims = graph.input[0].type.tensor_type.shape.dim
            rng.choice(dims).dim_value = rng.choice(NUMBERS)
        elif node.input:
            del node.input[rng.randrange(len(node.input)) :]
    return model.SerializeToString()


def damaged_tflite(rng: random.Random, model: "schema.ModelT") -> bytes:
    """A file that parses: other shapes, options, operators, tensors, scales."""
    model = copy.deepcopy(model)
    graph = model.subgraphs[0]
    for _ in range(rng.choice((1, 1, 2, 4))):
        operator, tensor = rng.choice(graph.operators), rng.choice(graph.tensors)
        what = rng.randrange(7)
        if what == 0 and operator.builtinOptions is not None:
            names = [name for name, value in vars(operator.builtinOptions).items()
                     if isinstance(value, int)]
            if names:
                setattr(operator.builtinOptions, rng.choice(names),
                        rng.choice((0, 1, 2, 3, 7, 100)))
        elif what == 1:
            operator.inputs[rng.randrange(len(operator.inputs))] = rng.randint(
                -1, len(graph.tensors))
        elif what == 2:
            code = rng.choice(model.operatorCodes)
            code.builtinCode = rng.randrange(160)
            code.deprecatedBuiltinCode = min(127, code.builtinCode)
        elif what == 3:
            graph.operators.remove(operator)
            if not graph.operators:
                graph.operators.append(operator)
        elif what == 4 and tensor.shape:
            tensor.shape[rng.randrange(len(tensor.shape))] = rng.choice(NUMBERS[:-1])
        elif what == 5:
            tensor.type = rng.randrange(18)
        else:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [rng.choice((0.1, 0.0, -1.0, float("nan"), 1e30))] * (
                rng.choice((1, 3, 4)))
            tensor.quantization.zeroPoint = [rng.choice((0, -128, 5))]
            tensor.quantization.quantizedDimension = rng.choice((0, 3, 9))
    return packed(model)


def good_wav(rng: random.Random) -> bytes:
    """A recording of a tenth of a second, of 8 to 32 bits and one or two channels."""
    data = io.BytesIO()
    kind = rng.choice((np.uint8, np.int16, np.int32))
    sound = np.random.default_rng(rng.randrange(9)).integers(
        np.iinfo(kind).min, np.iinfo(kind).max, (800, rng.randint(1, 2)), kind)
    wavfile.write(data, rng.choice((8000, 16000)), sound)
    return data.getvalue()


def files(rng: random.Random, model: onnx.ModelProto, lite: "schema.ModelT"):
    """One damaged file and its ending, again and again."""
    whole = model.SerializeToString(), packed(lite)
    while True:
        yield "onnx", damaged_bytes(rng, whole[0])
        yield "onnx", damaged_onnx(rng, model)
        yield "tflite", damaged_bytes(rng, whole[1])
        wav = good_wav(rng)  # most of the damage is wanted where the header is
        yield "wav", damaged_bytes(rng, wav[:48]) + wav[48:] if rng.random() < 0.7 else (
            damaged_bytes(rng, wav))
        try:
            yield "tflite", damaged_tflite(rng, lite)
        except (struct.error, ValueError, TypeError, ArithmeticError, AssertionError):
            continue  # flatbuffers writes no such file


def imported(path: Path) -> bool:
    """Import a file and quantise it; False where it is refused."""
    try:
        graph, report = import_file(path)
    except FileError as error:
        check_words(str(error))
        return False
    report.describe(graph)
    with np.errstate(all="ignore"):
        run(graph, np.zeros((1, *graph.shape), np.float32))
    size = int(np.prod(graph.file_shape))
    if size <= MOST_VALUES:
        rng = np.random.default_rng(size)
        data = path.with_suffix(".npz")
        np.savez(data, x=rng.uniform(0, 1, (8, size)), y=np.arange(8) % min(3, graph.classes))
        command(path.with_suffix(".priot"), "import", path, "--calibrate", data)
        data.unlink()
    return True


def heard(path: Path) -> bool:
    """Make a dataset of a folder with a recording and good ones; False where it is refused."""
    folder = path.with_suffix(".sounds")
    for name, data in (("up", path.read_bytes()), ("down", good_wav(random.Random(1)))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "ann_1.wav").write_bytes(data)
    taken = command(path.with_suffix(".prd"), "dataset", folder, "--rate", 8000)
    shutil.rmtree(folder)
    return taken


def command(output: Path, *words: object) -> bool:
    """Whether a command wrote its output; if not, it has to complain and leave nothing."""
    said, complaint = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complaint):
        status = cli.main([*map(str, words), "-o", str(output)])
    text = complaint.getvalue()
    if status == 0:
        if output.suffix == ".priot":
            Model.read(output)
        output.unlink()
        return True
    lines = [line for line in text.splitlines() if not line.startswith("warning: ")]
    assert status == 1 and len(lines) == 1 and lines[0].startswith("priot: "), text
    check_words(lines[0])
    assert not output.exists(), text
    return False


def check_words(text: str) -> None:
    """Fail for a complaint that nobody can read."""
    assert text.isprintable() or "\n" in text, text
    assert len(text.splitlines()[0]) < 500, text


def main() -> None:
    """Print how many files were refused and how many taken. Fails at any other end."""
    folder, seed, n = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    warnings.simplefilter("error", RuntimeWarning)
    made = files(random.Random(seed), onnx_net(), lite_net().model())
    taken = 0
    for i in range(n):
        kind, data = next(made)
        path = folder / f"{seed}.{kind}"
        path.write_bytes(data)
        print(i, flush=True)
        signal.alarm(SECONDS)  # its default action ends the process
        taken += heard(path) if kind == "wav" else imported(path)
        signal.alarm(0)
        path.unlink()
    assert not list(folder.iterdir())
    print(n - taken, taken)


if __name__ == "__main__":
    main()
