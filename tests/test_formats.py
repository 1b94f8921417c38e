"""Model, dataset and adapter files: the bytes, and every way a bad file is refused."""

import os
import runpy
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from forgery import seal
from hypothesis import given
from hypothesis import strategies as st
from priot import cli
from priot.errors import FileError
from priot.formats import Adapter, AdapterLayer, Dataset, Model
from priot.formats.container import Sound, write_file
from priot.network import fields
from priot.network.spec import format_network, parse_network
from priot.network.stage import Stage
from priot.network.stages import compile_layers
from support import random_dataset, random_model

ROOT = Path(__file__).parents[1]
NETWORKS = {
    "linear": ("linear 6, relu, linear 5", (7, 1, 1), 5),
    "conv": ("conv 4 3, relu, maxpool 2, conv 5 2 pad 1, relu, avgpool 2 stride 1, flatten, "
             "linear 9, relu, linear 4", (2, 8, 7), 4),
}


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
    """Three kinds of selection on the layers of `conv`; a mask has all edges."""
    model = small_model("conv")
    rng = np.random.default_rng(2)
    weights = [stage.weights for stage in model.weight_stages]
    bitmap = np.arange(weights[1].size) % 5 == 2
    n_large = int((np.abs(weights[2].astype(int)) >= 40).sum())
    layers = [
        AdapterLayer(0, rng.integers(-128, 128, weights[0].size).astype(np.int8), threshold=64),
        AdapterLayer(1, rng.integers(-128, 128, bitmap.sum()).astype(np.int8), fields.BITMAP,
                     threshold=64, bitmap=bitmap),
        AdapterLayer(2, rng.integers(-128, 128, n_large).astype(np.int8), fields.LARGEST, 40, 64,
                     80),
    ]
    if content == "mask":
        layers = [AdapterLayer(i, weights[i].ravel() > 0, threshold=64) for i in range(3)]
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


NOWHERE = b"\xff" * 4


def test_model_bytes():
    weights = np.array([[1, -127], [0, 127], [5, -1]], np.int8)
    stages = [
        Stage(fields.CONV2D, 2, True, weight_exponent=7, forward_shift=1, update_bits_weights=16,
              update_bits_scores=22, weights=np.array([3, -4], np.int8).reshape(2, 1, 1, 1)),
        Stage(fields.LINEAR, 3, a=0, weight_exponent=-2, forward_shift=9, backward_shift=8,
              update_bits_weights=15, update_bits_scores=20, weights=weights)]
    table = ("é".encode() + bytes(14) + struct.pack("<4HBBbBHHfiII", 1, 1, 1, 3, 0, 0, -7, 0, 2, 8,
                                                    0.5, -2, 12, 0))
    plain = bytes([1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0])  # kernel .. groups
    conv = (bytes([1, 1, 2, 0]) + plain + struct.pack("<hhBbhb", -1, -2, 127, 0, -13, 7)
            + bytes([1, 0, 16, 22, 0]) + struct.pack("<I", 0) + NOWHERE + NOWHERE + bytes(20))
    linear = (bytes([2, 0, 3, 0]) + plain + struct.pack("<hhBbhb", 0, -2, 127, 0, -2, -2)
              + bytes([9, 8, 15, 20, 0]) + struct.pack("<I", 4) + NOWHERE + NOWHERE + bytes(20))
    payload = bytes([131, 124, 128, 128]) + bytes([129, 1, 128, 255, 133, 127, 128, 128])
    body = table + conv + linear + "a\0b\0ü\0\0".encode() + payload
    expected = struct.pack("<4sHHII", b"PRIM", 2, 200, 212, zlib.crc32(body)) + body
    model = Model("é", (1, 1, 1), 3, stages, ("a", "b", "ü"), scale=0.5, zero=-2)
    assert model.to_bytes() == expected
    assert model.crc == zlib.crc32(body)
    again = Model.from_bytes(expected)
    assert again == model and again.exponents == [-13, -2]
    assert (again.stages[1].weights == weights).all()


def test_dataset_bytes():
    images = np.array([[[[0, 127]]], [[[3, 4]]]], np.uint8)
    body = (struct.pack("<I4HHBBHHfiI", 2, 1, 1, 2, 3, 1, 0, 0, 8, 0, 2.0, 1, 0) + b"a\0b\0cd\0\0"
            + bytes([0, 127, 2, 3, 4, 0]))
    expected = struct.pack("<4sHHII", b"PRID", 2, 56, 62, zlib.crc32(body)) + body
    names = ("a", "b", "cd")
    dataset = Dataset(images, np.array([2, 0], np.uint8), 3, names, 2.0, 1)
    assert dataset.to_bytes() == expected
    again = Dataset.from_bytes(expected)
    assert (again.images == images).all() and again.labels.tolist() == [2, 0]
    assert (again.names, again.scale, again.zero) == (names, 2.0, 1)


def test_sound_stands_behind_the_scales():
    """8 bytes more, in a model and in a dataset; without sound files are as they were."""
    sound = struct.pack("<4H", 16000, 512, 320, 0)
    for file, flags, of_sound in ((some_model(), 41, 2), (some_dataset(), 30, 4)):
        plain = file.to_bytes()
        file.sound = Sound(16000, 512, 320)
        data, n_head = file.to_bytes(), struct.unpack_from("<H", plain, 6)[0]
        assert data[16:flags] + data[flags + 1 : n_head] == (
            plain[16:flags] + plain[flags + 1 : n_head])
        assert data[flags] == plain[flags] | of_sound
        assert data[n_head:] == sound + plain[n_head:]
        again = type(file).from_bytes(data)
        assert again.sound == file.sound and again.to_bytes() == data
        for at, bad in ((0, 3999), (0, 48001), (2, 200), (2, 0), (4, 0), (4, 513), (6, 1)):
            with pytest.raises(FileError, match="rate, frame, hop of sound: found"):
                type(file).from_bytes(patch(data, n_head + at, struct.pack("<H", bad)))


def test_columns_of_other_sound_do_not_fit():
    model = some_model()
    dataset = random_dataset(model, 5, 3)
    for of_model, of_dataset, fits in ((160, 160, True), (160, 128, False), (0, 128, True),
                                       (160, 0, True)):
        model.sound, dataset.sound = (Sound(8000, 256, hop) if hop else None
                                      for hop in (of_model, of_dataset))
        try:
            dataset.check_fits(model, "x.prd")
            assert fits
        except FileError as error:
            assert not fits and str(error) == (
                "x.prd: sound: found 8000 samples a second, a column of 256 of them every 128, "
                "expected 8000 samples a second, a column of 256 of them every 160")


def test_adapter_bytes():
    bitmap = np.zeros(9, bool)
    bitmap[[0, 8]] = True
    adapter = Adapter(0x01020304, "scores", "priot-s",
                      [AdapterLayer(1, np.array([-128, 127], np.int8), fields.BITMAP, 0, 64, 50,
                                    bitmap)], 5, 6, 7, -8, 1, 1, 2, 0x108, ("no", "y"))
    tables = (bytes([4, 3, 2, 1, 1, 2, 1, 0]) + struct.pack("<IIH", 5, 6, 7)
              + bytes([248, 1, 1, 2, 8, 1]) + struct.pack("<H6x", 8)
              + struct.pack("<HBBBBHII", 1, 2, 0, 64, 50, 0, 2, 8) + b"no\0y\0\0\0\0")
    body = tables + bytes([1, 1, 0, 0]) + bytes([0, 255, 0, 0])
    assert adapter.to_bytes() == struct.pack(
        "<4sHHII", b"PRIA", 2, 72, 80, zlib.crc32(body)) + body
    assert Adapter.from_bytes(adapter.to_bytes()).names == ("no", "y")


@pytest.mark.parametrize("names, text", [
    (("a", "b"), "names: found 2, expected 0 or 4"),
    (("a", "", "c", "d"), "name of a class: found b''"),
    (("a", "b", "c", "x" * 64), "expected 1..63 bytes of text"),
    (("a", "b\n", "c", "d"), "expected 1..63 bytes of text"),
])
def test_names_that_no_reader_takes(names, text):
    dataset = some_dataset()
    dataset.names = names
    with pytest.raises(FileError, match=text):
        dataset.to_bytes()


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
        at = data.draw(st.integers(16, min(len(good), 200) - 1))
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
    (4, b"\3\0", "version: found 3, expected 1..2; a newer priot wrote it"),
    (6, b"\xc1\0", "header size: found 193, expected 192"),
    (6, b"\0\2", "header size: found 512, expected 16..268"),
    (16, b"\xff", "name: found b'\\xff"),
    (16, b"\0", "name: found b'\\x00"),
    (32, b"\x08", "stage 1: place of the weights: found 44, expected 48"),
    (34, b"\0", "height: found 0, expected 1..65535"),
    (38, b"\1", "classes: found 1, expected 2..256"),
    (38, b"\4", "outputs of the last layer: found 5, expected 4 classes"),
    (40, b"\2", "outputs: found 5, expected 7, as the input has"),
    (40, b"\3", "loss: found 3, expected 0..2"),
    (41, b"\2", "header size: found 192, expected 200"),  # of sound
    (41, b"\4", "flags: found 4, expected 0..3"),
    (42, b"\0", "stage 0: exponent: found -7, expected 0"),
    (43, b"\xff", "classes: found -"),
    (44, b"\3", "header size: found 192, expected 256"),
    (44, b"\0", "stages: found 0, expected 1..256"),
    (46, b"\4", "header size: found 192, expected 196"),
    (48, b"\0\0\xc0\x7f", "scale: found 7fc00000, expected a finite number"),
    (48, b"\0\0\0\x80", "scale: found 80000000"),
    (56, b"\1", "bytes of the payload: found 76, expected 1"),
    (60, b"\1", "header size"),  # a channel with a scale of its own
    (62, b"\1", "exponent of a target: found 1, expected 0"),
    (63, b"\1", "reserved: found 1, expected 0"),
    (64, b"\7", "stage 0 (7): kind: found 7, expected 1..6"),
    (64, b"\6", "stage 0 (add): weight exponent"),
    (65, b"\3", "stage 0: flags: found 3, expected 0..1"),
    (66, b"\0", "stage 0 (linear): outputs: found 0, expected 1..65535"),
    (68, b"\2", "stage 0 (linear): kernel: found 2, expected 1..1"),
    (70, b"\0", "stride: found 0, expected 1..1"),
    (72, b"\1", "padding: found 1, expected 0..0"),
    (76, b"\2", "window: found 2, expected 1..1"),
    (79, b"\2", "stride of the window: found 2, expected 1..1"),
    (80, b"\7", "stage 0 (linear): groups: found 7, expected 1..1"),
    (82, b"\0\0", "stage 0 (linear): input: found 0, expected -1..-1"),
    (84, b"\xff\xff", "stage 0 (linear): second input: found -1, expected none"),
    (86, b"\0", "stage 0 (linear): largest output: found 0, expected 1..127"),
    (150, b"\x7e", "stage 1 (linear): largest output: found 126, expected 127..127"),
    (87, b"\1", "shift of the second input: found 1, expected 0..0"),
    (88, b"\0", "stage 0: exponent: found -256, expected -7"),
    (91, b"\x1f", "forward shift: found 31, expected 0..30"),
    (92, b"\xff", "backward shift: found 255, expected 0..30"),
    (93, b"\x20", "update bits of weights: found 32, expected 0..31"),
    (95, b"\1", "update bits of the bias: found 1, expected 0..0"),
    (96, b"\4", "stage 0: place of the weights: found 4, expected 0"),
    (100, bytes(4), "stage 0: place of the bias: found 0, expected 44"),
    (104, bytes(4), "stage 0: has shifts by row, which this version cannot compute"),
    (127, b"\1", "stage 0: reserved: found 00"),
    (129, b"\1", "last stage: relu: found 1, expected 0, logits of either sign"),
    (192, b"\0", "stage 0: weight byte: found 0, expected 1..255"),
    (235, b"\0", "stage 0: padding of weights"),
])
def test_a_bad_model_is_refused_by_name(offset, replacement, text):
    with pytest.raises(FileError) as error:
        Model.from_bytes(patch(some_model().to_bytes(), offset, replacement), "m")
    message = str(error.value)
    assert message.startswith("m: ")
    assert text in message


@pytest.mark.parametrize("offset, replacement, text", [
    (6, b"\x34\0", "header size: found 52, expected 48"),
    (16, b"\6", "bytes of samples: found 35, expected 6 * (6 + 1)"),
    (16, b"\0", "bytes of samples: found 35, expected 0 * (6 + 1)"),
    (26, b"\0", "classes: found 0, expected 1..256"),
    (28, b"\2", "bytes of a target: found 2, expected 1, or more where it is a vector"),
    (30, b"\2", "classes: found 4, expected 1, as samples have targets"),
    (30, b"\4", "header size: found 48, expected 56"),  # of sound
    (30, b"\x08", "flags: found 8, expected 0..7"),
    (31, b"\1", "reserved: found 1, expected 0"),
    (32, b"\4", "header size: found 48, expected 52"),
    (34, b"\1", "header size: found 48, expected 56"),
    (44, b"\1", "reserved: found 1, expected 0"),
    (48, b"\x80", "pixel: found 128, expected 0..127"),
    (54, b"\4", "label: found 4, expected below 4"),
])
def test_a_bad_dataset_is_refused_by_name(offset, replacement, text):
    data = some_dataset().to_bytes()
    with pytest.raises(FileError) as error:
        Dataset.from_bytes(patch(data, offset, replacement), "d")
    assert str(error.value) == f"d: {text}"


@pytest.mark.parametrize("spec, shape, outputs, loss", [
    ("linear 3, relu, linear 6", (6, 1, 1), 6, fields.RECONSTRUCTION),
    ("conv 2 3, relu, flatten, linear 1", (1, 4, 4), 1, fields.SQUARED_ERROR),
    ("linear 300", (4, 1, 1), 300, fields.SQUARED_ERROR),
])
def test_losses_are_kept(spec, shape, outputs, loss, tmp_path):
    """Model and dataset of squared error are what they were, and say so in their header."""
    model = random_model(spec, shape, 1, outputs, loss)
    data = random_dataset(model, 5, 2)
    found = Model.from_bytes(model.to_bytes())
    assert (found.loss, found.target_exponent, found.classes) == (
        loss, -5 if loss == fields.SQUARED_ERROR else 0, outputs)
    assert found.to_bytes() == model.to_bytes()
    again = Dataset.from_bytes(data.to_bytes())
    again.check_fits(found)
    assert np.array_equal(again.targets, data.targets) and again.to_bytes() == data.to_bytes()
    assert again.n_targets == (outputs if loss == fields.SQUARED_ERROR else 0)


def test_a_dataset_of_another_loss_does_not_fit():
    model = random_model("linear 3", (4, 1, 1), 1, 3, fields.SQUARED_ERROR)
    other = random_model("linear 3", (4, 1, 1), 1, 3)
    with pytest.raises(FileError, match="values of a target: found 0, expected 3"):
        random_dataset(other, 5, 2).check_fits(model)
    with pytest.raises(FileError, match="values of a target: found 3, expected 0"):
        random_dataset(model, 5, 2).check_fits(other)


def test_a_target_of_minus_128_is_refused():
    data = random_dataset(random_model("linear 3", (4, 1, 1), 1, 3, fields.SQUARED_ERROR), 5, 2)
    with pytest.raises(FileError, match="target: found -128, expected -127..127"):
        Dataset.from_bytes(patch(data.to_bytes(), 48 + 4, b"\x80"))


def test_an_empty_dataset_is_refused():
    table = struct.pack("<I4HHBBHHfiI", 0, 1, 2, 3, 4, 1, 0, 0, 0, 0, 0, 0, 0)
    data = seal(b"PRID" + struct.pack("<HHII", 2, 48, 0, 0) + table)
    with pytest.raises(FileError, match="samples: found 0, expected 1..4294967295"):
        Dataset.from_bytes(data)


@pytest.mark.parametrize("offset, replacement, text", [
    (20, b"\7", "content: found 7, expected 1..6"),
    (20, b"\5", "method: found priot-s, expected bias"),
    (20, b"\3", "method: found priot-s, expected gain"),
    (21, b"\0", "method: found 0, expected 1..8"),
    (22, b"\2", "header size: found 96, expected 80"),
    (35, b"\2", "rounding: found 2, expected 0..1"),
    (36, b"\2", "init: found 2, expected 0..1"),
    (37, b"\x80", "gmin: found 128, expected 0..127"),
    (40, b"\1", "header size: found 96, expected 97"),
    (42, b"\1", "reserved: found other bytes, expected zeros"),
    (64, b"\0", "layer: found 0, expected above 0"),
    (50, b"\3", "layer 0: selection: found 3, expected 0..2"),
    (51, b"\1", "layer 0: tau: found 1, expected 0..0"),
    (83, b"\0", "layer 2: tau: found 0, expected 1..127"),
    (53, b"\x61", "layer 0: keep: found 97, expected 0..96"),
    (54, b"\1", "layer 0: reserved: found 1, expected 0..0"),
    (56, b"\xff\0\0\0", "layer 0: bytes: found 72"),
    (56, bytes(4), "layer 0: parameters: found 0, expected 1.."),
    (72, b"\1", "layer 1: bits of bitmap"),
    (-1, b"\1", "layer 2: padding: found other bits, expected zeros"),
])
def test_a_bad_adapter_is_refused_by_name(offset, replacement, text):
    data = some_adapter().to_bytes()
    with pytest.raises(FileError) as error:
        Adapter.from_bytes(patch(data, offset % len(data), replacement), "a")
    assert str(error.value).startswith("a: " + text)


def test_a_mask_has_all_edges():
    layer = AdapterLayer(0, np.ones(3, bool), fields.LARGEST, 5)
    with pytest.raises(FileError, match="layer 0: selection: found 1, expected 0..0"):
        Adapter(0, "mask", "priot", [layer]).to_bytes()


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
    ("conv 1 5, flatten, linear 2", (1, 4, 4), r"layer 0 \(conv2d\): kernel: found 5x5, expected "
     "within 4x4"),
    ("conv 0 3, flatten, linear 2", (1, 4, 4), "outputs: found 0, expected 1..65535"),
    ("conv 2 3 pad 3, flatten, linear 2", (1, 4, 4), "padding: found 3, expected 0..2"),
    ("conv 2 16, flatten, linear 2", (1, 20, 20),
     "area of the kernel: found 256, expected 1..225"),
    ("conv 2 1 stride 16, flatten, linear 2", (1, 20, 20), "stride: found 16, expected 1..15"),
    ("maxpool 3 stride 1, flatten, linear 2", (1, 2, 9), "window: found 3x3, expected within 2x9"),
    ("avgpool 1, flatten, linear 2", (1, 2, 9), "area of the window: found 1, expected 2..225"),
    ("flatten, linear 2", (1, 363, 362), "weights of a row: found 131406, expected at most"),
    ("conv 65535 2, flatten, linear 2", (1, 2, 2), "filters times kernel area: found 262140"),
    ("conv 40000 1, maxpool 2 stride 1, flatten, linear 2", (1, 2, 2), "area: found 160000"),
    ("linear 2", (1, 2, 1), r"layer 0 \(linear\): needs flatten before it"),
    ("flatten, conv 2 1", (1, 2, 1), r"layer 1 \(conv2d\): must not follow flatten"),
    ("relu, linear 2", (2, 1, 1), r"layer 0 \(relu\): must follow"),
    ("linear 2, relu, relu, linear 2", (2, 1, 1), r"layer 2 \(relu\): must follow"),
    ("linear 2, flatten, relu, linear 2", (2, 1, 1), r"layer 2 \(relu\): must follow"),
    ("linear 2, relu", (2, 1, 1), "last stage: relu: found 1, expected 0"),
    ("linear 3", (2, 1, 1), "outputs of the last layer: found 3, expected 2 classes"),
    ("flatten", (2, 1, 1), "stages: found none with weights, expected at least one"),
    ("maxpool 2", (2, 2, 2), "stages: found none with weights, expected at least one"),
])
def test_limits_of_a_network(network, shape, text):
    with pytest.raises(ValueError, match=text):
        compile_layers(parse_network(network), shape, 2)


def test_weights_below_127_are_refused():
    model = some_model()
    model.stages[0].weights[0, 0] = -128
    with pytest.raises(FileError, match="stage 0: weights: found -128, expected -127..127"):
        model.to_bytes()


# ---- version 1 ----

VERSION_1 = Path(__file__).parent / "files_v1"
SPECS_1 = {"conv": NETWORKS["conv"][0], "pools": (
    "maxpool 2, conv 3 3 stride 2 pad 1, relu, maxpool 2 stride 1, maxpool 2 stride 1, linear 3")}


@pytest.mark.parametrize("name", SPECS_1)
def test_models_of_version_1(name):
    """Layers become stages; weights and shifts stay what they were, byte for byte."""
    data = (VERSION_1 / f"{name}.priot").read_bytes()
    model = Model.from_bytes(data)
    assert format_network(model.layers) == SPECS_1[name]
    converted = model.to_bytes()
    n_payload = struct.unpack_from("<I", data, 44)[0]
    assert converted[-n_payload:] == data[-n_payload:] and converted[4] == 2
    n_layers = struct.unpack_from("<H", data, 40)[0]
    records = [data[48 + 16 * i : 64 + 16 * i] for i in range(n_layers)]
    shifts = [record[8:13] for record in records if record[0] in (1, 2)]
    assert shifts == [struct.pack("<5b", s.weight_exponent, s.forward_shift, s.backward_shift,
                                  s.update_bits_weights, s.update_bits_scores)
                      for s in model.weight_stages]


def convert(*arguments: object) -> int:
    return cli.main(["convert", *map(str, arguments)])


def test_files_of_version_1_are_converted(tmp_path, capsys):
    old = {kind: VERSION_1 / f"conv.{kind}" for kind in ("priot", "prd", "adapter")}
    new = {kind: tmp_path / f"new.{kind}" for kind in old}
    assert convert(old["priot"], "-o", new["priot"]) == 0
    assert convert(old["prd"], "-o", new["prd"]) == 0
    assert convert(old["adapter"], "-o", new["adapter"], "--model", old["priot"]) == 0
    for kind, cls in (("priot", Model), ("prd", Dataset), ("adapter", Adapter)):
        assert new[kind].read_bytes()[4:6] == b"\2\0"
        assert cls.read(new[kind]).to_bytes() == new[kind].read_bytes()
    data, before = Dataset.read(new["prd"]), Dataset.read(old["prd"])
    assert (data.images == before.images).all() and (data.labels == before.labels).all()
    model, adapter, before = Model.read(new["priot"]), Adapter.read(new["adapter"]), Adapter.read(
        old["adapter"])
    adapter.check_backbone(model)
    with pytest.raises(FileError, match="backbone: found"):
        before.check_backbone(model)
    before.backbone_crc = model.crc
    assert before.to_bytes() == adapter.to_bytes()
    capsys.readouterr()


@pytest.mark.parametrize("arguments, text", [
    (("conv.adapter",), "is an adapter: give its backbone of version 1 by --model"),
    (("conv.adapter", "--model", VERSION_1 / "pools.priot"), "pools.priot: crc32: found "),
    (("conv.adapter", "--model", VERSION_1 / "conv.prd"), "kind: found dataset, expected model"),
])
def test_what_cannot_be_converted(arguments, text, tmp_path, capsys):
    name, *more = arguments
    assert convert(VERSION_1 / name, "-o", tmp_path / "new", *more) == 1
    error = capsys.readouterr().err
    assert text in error and error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_file_of_today_is_not_converted(tmp_path, capsys):
    some_model().write(tmp_path / "m")
    assert convert(tmp_path / "m", "-o", tmp_path / "m") == 1
    assert "version: found 2, expected 1: there is nothing to convert" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["conv.priot", "conv.prd", "conv.adapter"])
@given(data=st.data())
def test_sealed_nonsense_of_version_1_is_refused_or_converted(name, data):
    cls = {"priot": Model, "prd": Dataset, "adapter": Adapter}[name.split(".")[1]]
    good = bytearray((VERSION_1 / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(16, min(len(good), 200) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = cls.from_bytes(seal(bytes(good)))
    except FileError as error:
        assert "\n" not in str(error)
    else:
        assert cls.from_bytes(found.to_bytes()).to_bytes() == found.to_bytes()


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


@pytest.mark.parametrize("start, what", [
    (b"", "an empty file"), (b"PRIA", "adapter"), (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"PK\3\4", "a zip archive, as .npz files are"), (b"1,2\n3,4\n", "text"),
    (b"\x93NUMPY\1\0v", "a numpy array (.npy)"), (b"\0\0\x08\3", "an idx file"),
    (b"<!DOCTYPE html>", "HTML or XML, perhaps of a failed download"),
    (b"\x08\x08\x12\x07pytorch", "an ONNX file"), (b"\x1c\0\0\0TFL3", "a TensorFlow Lite file"),
    (b"version https://git-lfs", "a pointer of Git LFS (run 'git lfs pull')"),
    (b"\x1f\x8b\x08", "a gzip file (unpack it first)"), (bytes(8), "another file"),
])
def test_a_file_of_another_kind_is_named(start, what, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(start + bytes(20) * (what not in ("text", "an empty file")))
    if what != "adapter":
        with pytest.raises(FileError) as error:
            Adapter.read(path)
        assert str(error.value) == f"{path}: kind: found {what}, expected adapter"
    with pytest.raises(FileError) as error:
        Dataset.read(path)
    assert str(error.value) == (f"{path}: kind: found {what}, expected dataset; 'priot dataset' "
                                "makes one of pictures and arrays")


@pytest.mark.parametrize("change, text", [
    (lambda data: data[:-3], "its header says; cut off"),
    (lambda data: data + b"12", "its header says; something follows it")])
def test_what_is_wrong_with_the_size(change, text, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(change(KINDS["dataset"][1]().to_bytes()))
    with pytest.raises(FileError, match=text):
        Dataset.read(path)
