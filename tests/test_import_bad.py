"""Files that cannot be imported: one clear complaint, whatever is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from import_mutations import lite_net, onnx_net
from import_support import Lite, Net, packed
from priot import cli
from priot.errors import FileError, PriotError
from priot.formats import Model
from priot.importer import import_file, nodes

N_MUTATIONS = int(os.environ.get("PRIOT_MUTATIONS", "300"))


def refused(path: Path) -> str:
    """What is said of a file, behind its name."""
    with pytest.raises(FileError) as caught:
        import_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)[len(f"{path}: ") :]


def said(net: Net | Lite, folder: Path, outputs: tuple[str, ...] = ()) -> str:
    """What is said of a network."""
    if isinstance(net, Lite):
        path = folder / "net.tflite"
        path.write_bytes(net.data())
    else:
        path = folder / "net.onnx"
        onnx.save(net.model(outputs), path)
    return refused(path)


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
@pytest.mark.parametrize("part", [0, 3, 20, 200, 0.5, 0.9])
def test_truncated(kind, part, tmp_path):
    data = onnx_net().SerializeToString() if kind == "onnx" else lite_net().data()
    path = tmp_path / f"net.{kind}"
    path.write_bytes(data[: int(part if part >= 1 else part * len(data))])
    text = refused(path)
    assert "\n" not in text
    assert "empty" in text or "not a" in text or "damaged" in text


@pytest.mark.parametrize("start", [b"", b"\0\0\0\0TFL3", b"\x08\x08"])
def test_random(start, tmp_path):
    for seed in range(20):
        path = tmp_path / "net.bin"
        path.write_bytes(start + np.random.default_rng(seed).bytes(300))
        text = refused(path)
        assert "\n" not in text
        assert "not a" in text or "damaged" in text or text == "subgraphs: found 0, expected one"


@pytest.mark.parametrize(("data", "word"), [
    (b"PK\x03\x04 archive", "torch.onnx.export"), (b"\x80\x02 pickle", "torch.onnx.export"),
    (b"\x89HDF\r\n\x1a\n", "TFLiteConverter")])
def test_files_of_frameworks(data, word, tmp_path):
    (tmp_path / "net.pt").write_bytes(data)
    assert word in refused(tmp_path / "net.pt")


def test_no_file(tmp_path):
    with pytest.raises(OSError):
        import_file(tmp_path / "none.onnx")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", ["weights", "bias"])
def test_weights_that_are_not_finite(value, place, tmp_path):
    net = Net(2, 5, 5)
    w, b = np.ones((3, 2, 3, 3)), np.ones(3)
    (w if place == "weights" else b)[1] = value
    net.op("Conv", "x", net.constant(w), net.constant(b))
    assert said(net, tmp_path) == (f"cannot import Conv 'conv0' (1x3x3x3): {place}: found NaN or "
                                   "infinity, expected finite numbers")


def test_batch_norm_that_is_not_finite(tmp_path):
    net = Net(2, 5, 5)
    net.conv(3, 2, 3, 3)
    parts = [net.constant(np.ones(3)) for _ in range(3)]
    net.op("BatchNormalization", net.last, *parts, net.constant([1.0, -1.0, 1.0]))
    assert "BatchNormalization" in said(net, tmp_path)


def test_all_unknown_nodes_are_listed(tmp_path):
    net = Net(2, 8, 8)
    net.conv(3, 2, 3, 3)
    net.op("Tanh")
    net.conv(3, 3, 3, 3)
    net.op("Resize", net.last, "", net.constant([1.0, 1.0, 2.0, 2.0]))
    net.op("MyOp", domain="com.example")
    net.op("InstanceNormalization", net.last, net.random(3), net.random(3))
    first, *lines = said(net, tmp_path).splitlines()
    assert first == "cannot import 4 nodes:"
    assert lines[0] == ("  Tanh 'tanh1' (1x3x6x6): no such function here; "
                        "train with ReLU or ReLU6 in its place")
    assert [line.split()[0] for line in lines] == [
        "Tanh", "Resize", "com.example.MyOp", "InstanceNormalization"]
    assert "(1x3x8x8)" in lines[1] and all(line.count(": ") >= 1 for line in lines)


def test_unknown_operators_of_tflite(tmp_path):
    lite = Lite(4, 4, 2)
    lite.op("TANH", shape=(1, 4, 4, 2))
    lite.op("RESIZE_BILINEAR", lite.last, lite.constant([8, 8], np.int32), shape=(1, 8, 8, 2),
            options="ResizeBilinearOptions")
    lines = said(lite, tmp_path).splitlines()[1:]
    assert "TANH 't1' (1x4x4x2): " in lines[0] and "RESIZE_BILINEAR" in lines[1]


def unfit(kind: str) -> Net:
    """A network of known operations that cannot become stages."""
    net = Net(2, 8, 8)
    first = net.conv(4, 2, 3, 3, pads=[1, 1, 1, 1])
    if kind == "relu read twice":
        net.op("Add", first, net.op("Relu"))
    elif kind == "relu of the image":
        net.op("Relu", "x")
        net.conv(4, 2, 3, 3)
    elif kind == "batch norm before padding":
        net.op("Relu")
        net.batch_norm(4)
        net.conv(4, 4, 3, 3, pads=[1, 1, 1, 1])
    elif kind == "batch norm of a sum":
        net.op("Add", first, net.conv(4, 4, 1, 1))
        net.batch_norm(4)
        net.op("Relu")
    elif kind == "batch norm at the end":
        net.op("Relu")
        net.batch_norm(4)
    elif kind == "padded pool":
        net.op("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    elif kind == "ceil pool":
        net.op("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    elif kind == "softmax within":
        net.op("Softmax", axis=1)
        net.conv(3, 4, 1, 1)
    elif kind == "average over height":
        net.op("ReduceMean", axes=[2])
    elif kind == "product of layers":
        net.op("Mul", first, net.conv(4, 4, 1, 1))
    elif kind == "clip":
        net.op("Clip", net.last, net.constant(-1.0), net.constant(1.0))
    elif kind == "leaves the image's order":
        net.op("Transpose", perm=[0, 2, 1, 3])
        net.conv(3, 8, 1, 1)
    elif kind == "cast":
        net.op("Cast", to=onnx.TensorProto.INT32)
    elif kind == "concatenation":
        net.op("Concat", first, net.conv(4, 4, 1, 1), axis=1)
    else:
        net.op("Conv", first, net.op("Relu", net.conv(4, 4, 3, 3)))
    return net


@pytest.mark.parametrize(("kind", "words"), [
    ("relu read twice", "'relu1' (1x4x8x8): what it reads is also read without"),
    ("relu of the image", "an activation on the input"),
    ("batch norm before padding", "has shifted"),
    ("batch norm of a sum", "cannot join add through BatchNormalization 'batchnormalization3'"),
    ("batch norm at the end", "the end cannot take in BatchNormalization"),
    ("padded pool", "pools have no padding here"), ("ceil pool", "ceil_mode=False"),
    ("softmax within", "can only stand at the end"),
    ("average over height", "only all positions of a channel"),
    ("product of layers", "only their sum can be computed"), ("clip", "only 0 can be the lower"),
    ("leaves the image's order", "in another order or size"),
    ("cast", "casts to integers"), ("concatenation", "use a sum (Add) or one wider layer"),
    ("computed weights", "its weights are computed in the network")])
def test_what_no_stage_can_be(kind, words, tmp_path):
    text = said(unfit(kind), tmp_path)
    assert "\n" not in text and words in text


@pytest.mark.parametrize("what", ["channels", "bias", "features", "kernel", "sum", "reshape"])
def test_shapes_that_do_not_fit(what, tmp_path):
    net = Net(3, 6, 6)
    if what == "channels":
        net.conv(4, 2, 3, 3)
    elif what == "bias":
        net.op("Conv", "x", net.random(4, 3, 3, 3), net.random(5))
    elif what == "features":
        net.op("Flatten")
        net.linear(3, 100)
    elif what == "kernel":
        net.conv(4, 3, 7, 7)
    elif what == "sum":
        net.op("Add", net.conv(4, 3, 3, 3), net.conv(4, 3, 1, 1, x="x"))
    else:
        net.op("Reshape", net.last, net.constant([1, 7, 5], np.int64))
    text = said(net, tmp_path)
    assert "\n" not in text and text.startswith("cannot import ")
    assert "found" in text or "do not fit" in text or "must be of one size" in text


def test_inputs_and_outputs(tmp_path):
    net = Net(4)
    first = net.linear(3, 4)
    second = net.op("Gemm", "x", net.random(4, 2))
    assert "outputs: found 2 different ones" in said(net, tmp_path, (first, second))
    model = net.model()
    model.graph.input.append(onnx.helper.make_tensor_value_info("y", 1, [1, 4]))
    onnx.save(model, tmp_path / "net.onnx")
    assert refused(tmp_path / "net.onnx") == "inputs: found x, y, expected one"
    model = net.model()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "length"
    onnx.save(model, tmp_path / "net.onnx")
    assert refused(tmp_path / "net.onnx") == (
        "input x: size of axis 1: found length, expected a number; export it with a fixed size")
    lite = lite_net().model()
    lite.subgraphs[0].inputs = [0, 0]
    (tmp_path / "net.tflite").write_bytes(packed(lite))
    assert "expected one input" in refused(tmp_path / "net.tflite")


def test_old_files(tmp_path):
    net = Net(4, opset=9)
    net.linear(3, 4)
    assert said(net, tmp_path) == "opset: found 9, expected 11 or later"


def test_integer_operations_of_onnx(tmp_path):
    net = Net(4)
    net.op("DynamicQuantizeLinear", outputs=3)
    net.op("MatMulInteger", net.last, net.constant(np.ones((4, 3)), np.int8))
    assert "export the float network" in said(net, tmp_path)


def test_packages_that_are_not_installed(tmp_path, monkeypatch):
    onnx.save(onnx_net(), tmp_path / "net.onnx")
    (tmp_path / "net.tflite").write_bytes(lite_net().data())

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(nodes.importlib, "import_module", missing)
    for kind in ("onnx", "tflite"):
        with pytest.raises(PriotError) as caught:
            import_file(tmp_path / f"net.{kind}")
        assert str(caught.value) == (
            f"import: the package {kind} is not installed; pip install priot[import]")


@pytest.mark.parametrize("seed", range(3))
def test_mutated_files(seed, tmp_path):
    n = -(-N_MUTATIONS // 3)
    script = Path(__file__).parent / "import_mutations.py"
    done = subprocess.run([sys.executable, script, tmp_path, str(seed), str(n)],
                          capture_output=True, text=True)
    kept = [path.name for path in tmp_path.iterdir()]
    assert done.returncode == 0, (kept, done.stdout[-50:], done.stderr[-2000:])
    refused, taken = map(int, done.stdout.splitlines()[-1].split())
    assert refused + taken == n and refused > n / 4 and taken > n / 50


@pytest.mark.parametrize("place", ["weights", "bias", "samples"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, 1e30, 1e-30])
def test_extreme_numbers_to_the_model(place, value, tmp_path, capsys):
    """A line each and nothing written; only what a model can hold is written."""
    net = Net(2, 5, 5)
    rng = np.random.default_rng(0)
    first = {"weights": rng.uniform(-1, 1, (3, 2, 3, 3)), "bias": rng.uniform(-1, 1, 3),
             "samples": rng.uniform(-1, 1, (40, 2, 5, 5))}
    first[place].flat[1] = value
    net.op("Conv", "x", net.constant(first["weights"]), net.constant(first["bias"]))
    net.op("Relu")
    net.op("Flatten")
    net.linear(3, 27)
    onnx.save(net.model(), tmp_path / "net.onnx")
    np.savez(tmp_path / "data.npz", x=first["samples"].astype(np.float32), y=np.arange(40) % 3)
    model = tmp_path / "net.priot"
    status = cli.main(["import", str(tmp_path / "net.onnx"), "--calibrate",
                       str(tmp_path / "data.npz"), "-o", str(model)])
    lines = capsys.readouterr().err.splitlines()
    if value == 1e-30:  # one small number among others
        assert status == 0 and Model.read(model).classes == 3
        return
    assert status == 1 and len(lines) == 1 and lines[0].startswith("priot: "), lines
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "net.onnx"]
