"""Model, dataset and adapter files: the bytes, and every way a bad file is refused."""

import os
import runpy
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from priot.errors import FileError
from priot.formats import Adapter, AdapterLayer, Dataset, Layer, Model
from priot.formats.container import write_file
from priot.network import fields
from priot.network.spec import parse_network
from support import random_dataset, random_model

ROOT = Path(__file__).parents[1]
NETWORKS = {
    "linear": ("linear 6, relu, linear 5", (7, 1, 1), 5),
    "conv": ("conv 4 3, relu, maxpool 2, conv 5 2 pad 1, relu, avgpool 2 stride 1, flatten, "
             "linear 9, relu, linear 4", (2, 8, 7), 4),
}


def seal(data: bytes) -> bytes:
    """The same bytes with a fitting file size and CRC32."""
    data = data[:8] + struct.pack("<I", len(data)) + data[12:]
    return data[:12] + struct.pack("<I", zlib.crc32(data[16:])) + data[16:]


def patch(data: bytes, offset: int, replacement: bytes) -> bytes:
    """Sealed bytes with something else at an offset."""
    return seal(data[:offset] + replacement + data[offset + len(replacement):])


def small_model(network: str, seed: int = 1) -> Model:
    spec, shape, classes = NETWORKS[network]
    return random_model(spec, shape, seed, classes)


def some_model() -> Model:
    return small_model("linear")


def some_dataset() -> Dataset:
    return random_dataset(random_model("conv 4 1, flatten, linear 4", (1, 2, 3), 1, 4), 5, 3)


def some_adapter(content: str = "scores") -> Adapter:
    """Three kinds of selection on the layers of `conv`."""
    model = small_model("conv")
    rng = np.random.default_rng(2)
    sizes = [layer.weights.size for layer in model.weight_layers]
    bitmap = np.arange(sizes[1]) % 5 == 2
    n_large = int((np.abs(model.weight_layers[2].weights.astype(int)) >= 40).sum())
    layers = [
        AdapterLayer(0, rng.integers(-128, 128, sizes[0]).astype(np.int8), threshold=64),
        AdapterLayer(1, rng.integers(-128, 128, bitmap.sum()).astype(np.int8), fields.BITMAP,
                     threshold=64, bitmap=bitmap),
        AdapterLayer(2, rng.integers(-128, 128, n_large).astype(np.int8), fields.LARGEST, 40, 64,
                     80),
    ]
    if content == "mask":
        layers = [AdapterLayer(a.index, a.values > 0, a.selection, a.tau, 64, 0, a.bitmap)
                  for a in layers]
    return Adapter(model.crc, content, "priot-s", layers, 7, 12345, 3, -2, 1, 1, 2, 8)


KINDS = {
    "model": (Model, some_model),
    "dataset": (Dataset, some_dataset),
    "adapter": (Adapter, some_adapter),
    "mask": (Adapter, lambda: some_adapter("mask")),
}
EACH_KIND = pytest.mark.parametrize("kind", KINDS)


def test_fields_are_the_devices():
    device = runpy.run_path(str(ROOT / "device" / "priot" / "fields.py"))
    table = {name: value for name, value in device.items() if name.isupper()}
    assert len(table) > 40
    assert table == {name: getattr(fields, name) for name in table}


def test_model_bytes():
    weights = np.array([[1, -127], [0, 127], [5, -1]], np.int8)
    layers = [Layer(fields.CONV2D, 1, 1, 0, 2, 7, 1, 0, 16, 22,
                    np.array([3, -4], np.int8).reshape(2, 1, 1, 1)),
              Layer(fields.RELU_LAYER),
              Layer(fields.LINEAR, n_out=3, weight_exponent=-2, forward_shift=9, backward_shift=8,
                    update_bits_weights=15, update_bits_scores=20, weights=weights)]
    tables = (
        "é".encode() + bytes(14) + struct.pack("<HHHHHHI", 1, 1, 1, 3, 3, 0, 12)
        + bytes([1, 1, 1, 0, 2, 0, 0, 0, 7, 1, 0, 16, 22, 0, 0, 0])
        + bytes([3]) + bytes(15)
        + bytes([2, 0, 0, 0, 3, 0, 0, 0, 254, 9, 8, 15, 20, 0, 0, 0]))
    payload = bytes([131, 124, 128, 128]) + bytes([129, 1, 128, 255, 133, 127, 128, 128])
    body = tables + payload
    expected = struct.pack("<4sHHII", b"PRIM", 1, 96, 108, zlib.crc32(body)) + body
    model = Model("é", (1, 1, 1), 3, layers)
    assert model.to_bytes() == expected
    assert model.crc == zlib.crc32(body)
    again = Model.from_bytes(expected)
    assert (again.name, again.shape, again.classes) == ("é", (1, 1, 1), 3)
    assert (again.layers[2].weights == weights).all()


def test_dataset_bytes():
    images = np.array([[[[0, 127]]], [[[3, 4]]]], np.uint8)
    body = struct.pack("<IHHHHI", 2, 1, 1, 2, 3, 0) + bytes([0, 127, 2, 3, 4, 0])
    expected = struct.pack("<4sHHII", b"PRID", 1, 32, 38, zlib.crc32(body)) + body
    assert Dataset(images, np.array([2, 0], np.uint8), 3).to_bytes() == expected
    again = Dataset.from_bytes(expected)
    assert (again.images == images).all() and again.labels.tolist() == [2, 0]


def test_adapter_bytes():
    bitmap = np.zeros(9, bool)
    bitmap[[0, 8]] = True
    adapter = Adapter(0x01020304, "scores", "priot-s",
                      [AdapterLayer(1, np.array([-128, 127], np.int8), fields.BITMAP, 0, 64, 50,
                                    bitmap)], 5, 6, 7, -8, 1, 1, 2, 0x108)
    tables = (bytes([4, 3, 2, 1, 1, 2, 1, 0]) + struct.pack("<IIH", 5, 6, 7)
              + bytes([248, 1, 1, 2, 8, 1]) + bytes(8)
              + struct.pack("<HBBBBHII", 1, 2, 0, 64, 50, 0, 2, 8))
    body = tables + bytes([1, 1, 0, 0]) + bytes([0, 255, 0, 0])
    assert adapter.to_bytes() == struct.pack(
        "<4sHHII", b"PRIA", 1, 64, 72, zlib.crc32(body)) + body


def test_a_bitmap_ends_on_a_word():
    bitmap = np.arange(32) == 3
    layer = AdapterLayer(0, np.zeros(1, np.int8), fields.BITMAP, bitmap=bitmap)
    good = Adapter(0, "scores", "priot-s", [layer]).to_bytes()
    bad = seal(good[:60] + struct.pack("<I", 6) + good[64:66] + good[68:])
    with pytest.raises(FileError, match="bytes: found 6, expected 4 for 1 values"):
        Adapter.from_bytes(bad)


def test_mask_bytes():
    mask = np.array([1, 0, 0, 0, 0, 0, 0, 1, 1], bool)
    data = Adapter(0, "mask", "priot", [AdapterLayer(0, mask)]).to_bytes()
    assert data[64:] == bytes([0b10000001, 1, 0, 0])
    assert (Adapter.from_bytes(data).layers[0].values == mask).all()


@EACH_KIND
def test_round_trip(kind, tmp_path):
    cls, make = KINDS[kind]
    path = tmp_path / "file"
    make().write(path)
    assert cls.read(path).to_bytes() == path.read_bytes() == make().to_bytes()
    assert os.listdir(tmp_path) == ["file"]


@EACH_KIND
def test_every_truncation_is_refused(kind, tmp_path):
    cls, make = KINDS[kind]
    data = make().to_bytes()
    path = tmp_path / "short"
    for n in range(len(data)):
        path.write_bytes(data[:n])
        with pytest.raises(FileError, match=f"^{path}: [a-z0-9 ]+: found .*, expected [^\n]*$"):
            cls.read(path)


@EACH_KIND
def test_every_flipped_bit_is_refused(kind):
    cls, make = KINDS[kind]
    data = make().to_bytes()
    for i in range(8 * len(data)):
        bad = bytearray(data)
        bad[i // 8] ^= 1 << i % 8
        with pytest.raises(FileError, match=r"^x: [^\n]*: found [^\n]*, expected [^\n]*$"):
            cls.from_bytes(bytes(bad), "x")


@EACH_KIND
@given(data=st.data())
def test_sealed_nonsense_is_refused_or_understood_to_the_byte(kind, data):
    """Random bytes under a fitting CRC32: an error, or an object that means just these bytes."""
    cls, make = KINDS[kind]
    good = bytearray(make().to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(16, min(len(good), 140) - 1))
        good[at] = data.draw(st.integers(0, 255))
    bad = seal(bytes(good))
    try:
        found = cls.from_bytes(bad)
    except FileError as error:
        assert "\n" not in str(error)
    else:
        assert found.to_bytes() == bad


@EACH_KIND
@given(cut=st.integers(0, 60), more=st.binary(max_size=9))
def test_sealed_wrong_sizes_are_refused(kind, cut, more):
    cls, make = KINDS[kind]
    good = make().to_bytes()
    bad = seal(good[:max(16, len(good) - cut)] + more)
    if bad == good:
        return
    try:
        found = cls.from_bytes(bad)
    except FileError:
        return
    assert found.to_bytes() == bad


@pytest.mark.parametrize("offset, replacement, text", [
    (0, b"PRID", "kind: found dataset, expected model"),
    (0, b"ELF!", "kind: found another file, expected model"),
    (4, b"\2\0", "version: found 2, expected 1"),
    (6, b"\x61\0", "header size: found 97, expected 96"),
    (6, b"\0\1", "header size: found 256, expected 16..172"),
    (16, b"\xff", "name: found b'\\xff"),
    (32, b"\x08", "bytes of weights: found 76"),
    (34, b"\0", "input: found (7, 0, 1), expected at least (1, 1, 1)"),
    (38, b"\1", "classes: found 1, expected 2..256"),
    (40, b"\4", "header size: found 96, expected 112"),
    (42, b"\1", "reserved: found 1, expected 0"),
    (44, b"\1", "bytes of weights: found 76, expected 1"),
    (48, b"\7", "kind: found 7, expected 1..6"),
    (49, b"\1", "kernel: found 1, expected 0..0"),
    (54, b"\1", "reserved of a layer"),
    (57, b"\x1f", "forward_shift: found 31, expected 0..30"),
    (57, b"\xff", "forward_shift: found -1, expected 0..30"),
    (59, b"\x20", "update_bits_weights: found 32, expected 0..31"),
    (61, b"\1", "reserved of a layer"),
    (80, b"\3", "layer 2 (relu): n_out: found 5, expected 0..0"),
    (96, b"\0", "layer 0: weight byte: found 0, expected 1..255"),
    (139, b"\0", "padding of weights"),
])
def test_a_bad_model_is_refused_by_name(offset, replacement, text):
    with pytest.raises(FileError) as error:
        Model.from_bytes(patch(some_model().to_bytes(), offset, replacement), "m")
    message = str(error.value)
    assert message.startswith("m: ")
    assert text in message


@pytest.mark.parametrize("offset, replacement, text", [
    (6, b"\x24\0", "header size: found 36, expected 32"),
    (16, b"\6", "bytes of samples: found 35, expected 6 * (6 + 1)"),
    (16, b"\0", "bytes of samples: found 35, expected 0 * (6 + 1)"),
    (26, b"\1", "classes: found 1, expected 2..256"),
    (28, b"\1", "reserved: found 1, expected 0"),
    (32, b"\x80", "pixel: found 128, expected 0..127"),
    (38, b"\4", "label: found 4, expected below 4"),
])
def test_a_bad_dataset_is_refused_by_name(offset, replacement, text):
    data = some_dataset().to_bytes()
    with pytest.raises(FileError) as error:
        Dataset.from_bytes(patch(data, offset, replacement), "d")
    assert str(error.value) == f"d: {text}"


def test_an_empty_dataset_is_refused():
    header = b"PRID" + struct.pack("<HHII", 1, 32, 0, 0)
    data = seal(header + struct.pack("<IHHHHI", 0, 1, 2, 3, 4, 0))
    with pytest.raises(FileError, match="samples: found 0, expected 1..4294967295"):
        Dataset.from_bytes(data)


@pytest.mark.parametrize("offset, replacement, text", [
    (20, b"\5", "content: found 5, expected 1..4"),
    (20, b"\3", "method: found priot-s, expected gain"),
    (21, b"\0", "method: found 0, expected 1..6"),
    (22, b"\2", "header size: found 96, expected 80"),
    (35, b"\2", "rounding: found 2, expected 0..1"),
    (36, b"\2", "init: found 2, expected 0..1"),
    (37, b"\x80", "gmin: found 128, expected 0..127"),
    (40, b"\1", "reserved: found other bytes, expected zeros"),
    (64, b"\0", "layer: found 0, expected above 0"),
    (50, b"\3", "layer 0: selection: found 3, expected 0..2"),
    (51, b"\1", "layer 0: tau: found 1, expected 0..0"),
    (83, b"\0", "layer 2: tau: found 0, expected 1..127"),
    (53, b"\x61", "layer 0: keep: found 97, expected 0..96"),
    (54, b"\1", "layer 0: reserved: found 1, expected 0..0"),
    (56, b"\xff\0\0\0", "layer 0: bytes: found 72"),
    (72, b"\1", "layer 1: bits of bitmap"),
    (-1, b"\1", "layer 2: padding: found other bits, expected zeros"),
])
def test_a_bad_adapter_is_refused_by_name(offset, replacement, text):
    data = some_adapter().to_bytes()
    with pytest.raises(FileError) as error:
        Adapter.from_bytes(patch(data, offset % len(data), replacement), "a")
    assert str(error.value).startswith("a: " + text)


def test_an_adapter_fits_only_its_backbone():
    model, adapter = small_model("conv"), some_adapter()
    adapter = Adapter.from_bytes(adapter.to_bytes())
    adapter.check_backbone(model)
    with pytest.raises(FileError, match="backbone: found"):
        adapter.check_backbone(small_model("conv", seed=9))
    for change, text in ((lambda a: a.layers.append(AdapterLayer(9, np.zeros(1, np.int8))),
                          "layer: found 9, expected below 4"),
                         (lambda a: setattr(a.layers[2], "tau", 41), "layer 2: parameters: found"),
                         (lambda a: setattr(a.layers[1], "bitmap", np.ones(1, bool)),
                          "layer 1: bitmap: found 32, expected 80 edges")):
        other = some_adapter()
        change(other)
        with pytest.raises(FileError, match=text):
            other.check_backbone(model)


@pytest.mark.parametrize("network, shape, text", [
    ("conv 1 5, flatten, linear 2", (1, 4, 4), r"layer 0 \(conv2d\): kernel: found 5"),
    ("conv 0 3, flatten, linear 2", (1, 4, 4), "n_out: found 0, expected 1..65535"),
    ("conv 2 3 pad 3, flatten, linear 2", (1, 4, 4), "padding: found 3, expected 0..2"),
    ("conv 2 16, flatten, linear 2", (1, 20, 20), "kernel: found 16, expected 1..15"),
    ("conv 2 1 stride 16, flatten, linear 2", (1, 20, 20), "stride: found 16, expected 1..15"),
    ("maxpool 3 stride 1, flatten, linear 2", (1, 2, 9), "window: found 3, expected within 2 x 9"),
    ("avgpool 1, flatten, linear 2", (1, 2, 9), "kernel: found 1, expected 2..15"),
    ("conv 2 1, flatten, linear 2", (1, 33, 32), "positions after pooling: found 1056, expected"),
    ("flatten, linear 2", (1, 363, 362), "weights of a row: found 131406, expected at most"),
    ("conv 65535 2, flatten, linear 2", (1, 2, 2), "filters times kernel area: found 262140"),
    ("conv 40000 1, maxpool 2 stride 1, flatten, linear 2", (1, 2, 2), "area: found 160000"),
    ("linear 2", (1, 2, 1), r"layer 0 \(linear\): needs flatten before it"),
    ("relu, linear 2", (2, 1, 1), r"layer 0 \(relu\): must follow"),
    ("linear 2, relu, relu, linear 2", (2, 1, 1), r"layer 2 \(relu\): must follow"),
    ("linear 2, flatten, relu, linear 2", (2, 1, 1), r"layer 2 \(relu\): must follow"),
    ("linear 2, relu", (2, 1, 1), "last layer: logits must not pass a relu"),
    ("linear 3", (2, 1, 1), "outputs of the last layer: found 3, expected 2 classes"),
    ("flatten", (2, 1, 1), "no conv2d or linear layer"),
])
def test_limits_of_a_network(network, shape, text):
    with pytest.raises(FileError, match=text):
        Model("n", shape, 2, parse_network(network)).check()


def test_largest_sums_are_allowed():
    """32 x 32 positions (an unpooled layer of a CIFAR-sized network) stay below 1048."""
    layers = parse_network("conv 2 1, flatten, linear 2")
    assert Model("n", (1, 32, 32), 2, layers).stages()[0].shape_out == (2, 32, 32)


def test_weights_below_127_are_refused():
    model = some_model()
    model.layers[0].weights[0, 0] = -128
    with pytest.raises(FileError, match="layer 0: weights: found -128, expected -127..127"):
        model.to_bytes()


@pytest.mark.parametrize("broken", ["replace", "fsync"])
def test_a_failed_write_leaves_the_previous_file(broken, tmp_path, monkeypatch):
    path = tmp_path / "kept"
    path.write_bytes(b"before")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match="No space"):
        write_file(path, b"after")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["kept"]
