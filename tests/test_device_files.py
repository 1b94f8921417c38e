"""The device's readers: whatever is wrong with a file, one line names file and reason."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from priot.formats import Adapter, Dataset, Model
from support import micropython, random_dataset, random_model

SCRIPTS = Path(__file__).parent / "device"
SPEC = "conv 2 3, relu, maxpool 2, flatten, linear 3"
SHAPE = (1, 6, 6)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A tiny model, a dataset for it, and an adapter of it with a bitmap."""
    folder = tmp_path_factory.mktemp("files")
    model = random_model(SPEC, SHAPE, seed=1, classes=3)
    paths = {kind: folder / kind for kind in ("model", "dataset", "adapter", "scores")}
    model.write(paths["model"])
    random_dataset(model, 4, seed=2).write(paths["dataset"])
    micropython(
        f"import priot\nt = priot.Trainer(priot.load({str(paths['model'])!r}), 'priot-s', "
        f"fraction=30, select='random')\nt.save({str(paths['scores'])!r})\n"
        f"t = priot.Trainer(t.net)\nt.export_mask({str(paths['adapter'])!r})")
    return paths


@pytest.mark.parametrize("kind", ["model", "dataset", "adapter", "scores"])
def test_every_truncation_and_flipped_bit_is_refused(files, kind, tmp_path):
    result = micropython(SCRIPTS / "corrupt.py", kind, str(files[kind]), str(tmp_path / "bad"),
                         str(files["model"]))
    lines = result.stdout.splitlines()
    n = 9 * files[kind].stat().st_size + 1
    assert lines == [f"refused {n} of {n}"], lines[:5]


def forged(data: bytes, changes: dict[int, bytes]) -> bytes:
    """The file with bytes replaced, and its size and CRC32 put right again."""
    forged_data = bytearray(data)
    for offset, new in changes.items():
        forged_data[offset:offset + len(new)] = new
    struct.pack_into("<II", forged_data, 8, len(forged_data), zlib.crc32(forged_data[16:]))
    return bytes(forged_data)


def outcomes(kind: str, files: dict[str, Path], folder: Path, forgeries: list[bytes]) -> list[str]:
    paths = []
    for i, data in enumerate(forgeries):
        paths.append(folder / f"forged{i}")
        paths[-1].write_bytes(data)
    result = micropython(SCRIPTS / "forge.py", kind, str(files["model"]), *map(str, paths))
    return result.stdout.splitlines()


def test_forged_models(files, tmp_path):
    """A right CRC32 does not make wrong sizes acceptable."""
    good = files["model"].read_bytes()
    weights = 48 + 5 * 16
    found = outcomes("model", files, tmp_path, [
        forged(good, {4: b"\x02\0"}),  # version
        forged(good, {32: b"\0\0"}),  # no channels
        forged(good, {36: b"\x09\0"}),  # another width: sizes no longer fit
        forged(good, {38: b"\x04\0"}),  # classes
        forged(good, {48: b"\x09"}),  # kind of a layer
        forged(good, {49: b"\x00"}),  # kernel 0
        forged(good, {49: b"\x0f"}),  # kernel larger than the image
        forged(good, {50: b"\0"}),  # stride 0
        forged(good, {57: b"\x1f"}),  # shift 31
        forged(good, {40: b"\x04\0"}),  # number of layers
        forged(good, {weights: b"\0"}),  # a weight of -128
        forged(good, {44: b"\xff\xff\xff\xff"}),  # weight bytes
    ])
    assert len(found) == 12
    assert [line.split()[0] for line in found] == ["refused"] * 12, found
    assert [line for line in found if str(tmp_path) not in line] == []
    assert "version is 2, expected 1" in found[0]


def test_forged_datasets(files, tmp_path):
    good = files["dataset"].read_bytes()
    found = outcomes("dataset", files, tmp_path, [
        forged(good, {32: b"\x80"}),  # a pixel of 128
        forged(good, {32 + 36: b"\x03"}),  # label 3 of 3 classes
        forged(good, {16: b"\x05"}),  # one sample more than there are
        forged(good, {20: b"\x02\0"}),  # two channels
        forged(good, {26: b"\x01\0"}),  # one class
    ])
    assert [line.split()[0] for line in found] == ["refused"] * 5, found
    assert "pixel of sample 0 is 128, expected 0..127" in found[0]
    assert "label of sample 0 is 3, expected below 3" in found[1]


def test_a_file_of_another_kind(files, tmp_path):
    found = outcomes("model", files, tmp_path, [files["dataset"].read_bytes(), bytes(range(64))])
    assert [line.split(" ", 2)[2] for line in found] == [
        "file is a dataset, expected a model", "file is none of priot's, expected a model"]


def test_dataset_of_another_network(files, tmp_path):
    model = Model.read(files["model"])
    wide = Dataset(np.zeros((2, 1, 6, 8), np.uint8), np.zeros(2, np.uint8), 3)
    many = Dataset(np.zeros((2, *model.shape), np.uint8), np.zeros(2, np.uint8), 9)
    wide.write(tmp_path / "wide")
    many.write(tmp_path / "many")
    found = outcomes("dataset", files, tmp_path,
                     [(tmp_path / name).read_bytes() for name in ("wide", "many")])
    assert "images are 1x6x8, expected 1x6x6" in found[0]
    assert "9 classes, the network has 3" in found[1]


def test_adapter_of_another_backbone(files, tmp_path):
    other = random_model(SPEC, SHAPE, seed=9, classes=3)
    other.write(tmp_path / "other")
    found = outcomes("adapter", {"model": tmp_path / "other"}, tmp_path,
                     [files["adapter"].read_bytes(), files["scores"].read_bytes()])
    assert [line.split()[0] for line in found] == ["refused"] * 2, found
    assert all("backbone is" in line for line in found)


def test_host_and_device_agree_on_adapters(files):
    """What the device wrote, the host reads, bit for bit."""
    mask = Adapter.read(files["adapter"])
    mask.check_backbone(Model.read(files["model"]))
    scores = Adapter.read(files["scores"])
    scores.check_backbone(Model.read(files["model"]))
    assert mask.content == "mask" and scores.method == "priot-s"
    model = Model.read(files["model"])
    assert [len(layer.values) for layer in mask.layers] == [
        layer.weights.size for layer in model.weight_layers]


def test_training_does_not_go_on_from_a_mask(files):
    result = micropython(
        f"import priot\nt = priot.Trainer(priot.load({str(files['model'])!r}))\n"
        f"try:\n  t.load({str(files['adapter'])!r})\nexcept ValueError as e:\n  print(e)")
    assert result.stdout.strip() == (
        f"{files['adapter']}: is a mask; training goes on from what save() wrote")


@pytest.mark.parametrize("backend", ["native", "viper"])
def test_training_allocates_nothing(tmp_path, backend):
    """A training step of every method runs under heap_lock() and leaves the heap as it was."""
    model = random_model("conv 4 3, relu, maxpool 2, flatten, linear 12, relu, linear 10",
                         (1, 12, 12), seed=4)
    model.write(tmp_path / "model")
    random_dataset(model, 30, seed=3).write(tmp_path / "data")
    result = micropython(SCRIPTS / "no_allocation.py", str(tmp_path / "model"),
                         str(tmp_path / "data"), backend, backend=backend)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert len(lines) == 7
    for method, gained, backward_passes in lines:
        assert int(gained) == 0, f"{method} allocated {gained} bytes"
        assert int(backward_passes) > 0
