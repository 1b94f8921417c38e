"""Host and device: the same descriptors, and the same files refused."""

import random
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from forgery import (
    adapters,
    forged_adapters,
    forged_datasets,
    forged_models,
    models,
    pack_unchecked,
    seal,
    whole_adapters,
)
from priot.errors import FileError
from priot.formats import Adapter, Dataset, Model
from priot.formats.container import to_offset
from priot.network import fields as f
from priot.network.spec import parse_network
from priot.network.stages import Stage, compile_layers, layers_of
from priot.oracle import batch, kernels
from priot.paths import BACKBONES
from support import import_device, micropython, random_model

SCRIPTS = Path(__file__).parent / "device"
N_RANDOM = 200


def random_spec(rng: random.Random) -> tuple[str, tuple[int, int, int], int]:
    """A random network that compiles: its line, input and number of outputs."""
    while True:
        shape = (rng.randint(1, 4), rng.randint(1, 14), rng.randint(1, 14))
        parts = []
        for _ in range(rng.randint(0, 4)):
            stride = f" stride {rng.randint(1, 3)}" if rng.random() < 0.4 else ""
            if rng.random() < 0.5:
                pad = f" pad {rng.randint(0, 2)}" if rng.random() < 0.4 else ""
                parts.append(f"conv {rng.randint(1, 5)} {rng.randint(1, 5)}{stride}{pad}")
            else:
                parts.append(f"{rng.choice(('max', 'avg'))}pool {rng.randint(2, 5)}{stride}")
            if rng.random() < 0.5:
                parts.append("relu")
        parts.append("flatten")
        for _ in range(rng.randint(0, 2)):
            parts.append(f"linear {rng.randint(1, 9)}")
            if rng.random() < 0.6:
                parts.append("relu")
        classes = rng.randint(2, 6)
        spec = ", ".join([*parts, f"linear {classes}"])
        try:
            compile_layers(parse_network(spec), shape, classes)
        except ValueError:
            continue
        return spec, shape, classes


def line(stage: Stage, exponent: int) -> str:
    """What device/descriptors.py prints of a stage."""
    return (f"{stage.descriptor().tobytes().hex()} {stage.index} {stage.a} {exponent} "
            f"{stage.weight_exponent} {stage.update_bits_weights} {stage.update_bits_scores}")


def check_descriptors(paths: list[Path]) -> None:
    expected = []
    for path in paths:
        model = Model.read(path)
        expected += map(line, model.stages, model.exponents)
        expected.append(" ".join(["checked", model.name, str(model.input_exponent),
                                  *model.names]))
    found = micropython(SCRIPTS / "descriptors.py", *map(str, paths)).stdout.splitlines()
    assert found == expected


def test_descriptors_of_the_shipped_backbones():
    paths = sorted(BACKBONES.glob("*.priot"))
    assert len(paths) == 9
    check_descriptors(paths)


def test_descriptors_of_random_models(tmp_path):
    rng = random.Random(1)
    paths = []
    for i in range(N_RANDOM):
        spec, shape, classes = random_spec(rng)
        model = random_model(spec, shape, i, classes)
        model.names = ("a", "ü", "c", "d", "e", "f")[:classes] if i % 2 else ()
        model.input_exponent = rng.randint(-128, 127)
        paths.append(tmp_path / f"{i}.priot")
        model.write(paths[-1])
        assert compile_layers(layers_of(model.stages, shape), shape, classes) == [
            without_shifts(stage) for stage in model.stages]
    check_descriptors(paths)


def without_shifts(stage: Stage) -> Stage:
    """A stage as it is compiled."""
    return Stage(stage.kind, stage.n_out, stage.relu, stage.kernel, stage.stride, stage.padding,
                 stage.window, stage.window_stride, a=stage.a)


def host_says(cls, data: bytes, model: Model | None = None) -> str:
    """"" where the host accepts the bytes, else why not."""
    try:
        found = cls.from_bytes(data, "x")
        if model is not None:
            found.check_backbone(model, "x")
    except FileError as error:
        assert str(error).startswith("x") and "\n" not in str(error)
        return str(error)
    assert found.to_bytes() == data, "means other bytes"
    return ""


def device_says(kind: str, files: Iterable[bytes], folder: Path, *model: str,
                backend: str = "portable") -> list[str]:
    """A line for every file."""
    blob = folder / "blob"
    blob.write_bytes(b"".join(struct.pack("<I", len(data)) + data for data in files))
    said = micropython(SCRIPTS / "readers.py", kind, backend, str(blob), str(folder / "scratch"),
                       *model, backend=backend, heap_bytes=8_000_000).stdout.splitlines()
    return [line for line in said if not line.startswith("warning: ")]


def compare(files: list[bytes], host: list[str], device: list[str], least: int) -> None:
    """Both accept the same, at least `least` of them, and the device never stumbles."""
    assert len(device) == len(files)
    other = [(i, told, said) for i, (told, said) in enumerate(zip(host, device, strict=True))
             if said.split()[0] != ("refused" if told else "accepted")]
    assert not other, f"{len(other)} of {len(files)}: {other[:3]}"
    assert least < sum(not told for told in host) < len(files) - least


LIMITS = {
    "weights of a row": lambda n: ((2, n, 256), [Stage(f.LINEAR, 2)], 256),
    "weights of a row, kernel": lambda n: (
        (n, 15, 15), [Stage(f.CONV2D, 1, kernel=(15, 15)), Stage(f.LINEAR, 2, a=0)], 582),
    "positions": lambda n: ((1, 362, n), [
        Stage(f.CONV2D, 1), *(Stage(f.MAX_POOL, 1, window=(15, 15), window_stride=(15, 15), a=i)
                              for i in (0, 1)), Stage(f.LINEAR, 2, a=2)], 362),
    "filters times kernel area": lambda n: (
        (1, 15, 15), [Stage(f.CONV2D, n, kernel=(15, 15)), Stage(f.LINEAR, 2, a=0)], 582),
    "filters times overlapping windows": lambda n: (
        (1, 16, 16), [Stage(f.CONV2D, n, window=(3, 3), window_stride=(2, 2)),
                      Stage(f.MAX_POOL, n, window=(7, 7), window_stride=(7, 7), a=0),
                      Stage(f.LINEAR, 2, a=1)], 32768),
    "values of the input": lambda n: ((2, 4096, n), [
        *(Stage(f.MAX_POOL, 2, window=(15, 15), window_stride=(15, 15), a=i - 1)
          for i in range(2)), Stage(f.LINEAR, 2, a=1)], 1024),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_limits_of_both_are_the_same_number(limit, tmp_path):
    files, most = [], LIMITS[limit](1)[2]
    for n in (most, most + 1):
        shape, stages, _ = LIMITS[limit](n)
        for stage in stages:
            stage.weights = np.ones(1, np.int8)
        files.append(pack_unchecked(Model("limit", shape, 2, stages)))
    host = [host_says(Model, data) for data in files]
    assert not host[0] and f"{limit.split(',')[0].split(' over')[0]}" in host[1], host
    assert [said.split()[0] for said in device_says("model", files, tmp_path)] == [
        "accepted", "refused"]


def without_version_1(files: Iterable[bytes]) -> list[bytes]:
    """What the device reads: the host takes files of version 1 too."""
    return [data for data in files if data[4:6] != b"\1\0"]


@pytest.mark.parametrize("seed", range(2))
def test_both_accept_the_same_models(seed, tmp_path):
    files = without_version_1(forged_models(seed, 2000))
    host = [host_says(Model, data) for data in files]
    compare(files, host, device_says("model", files, tmp_path), 100)


def test_both_accept_the_same_datasets(tmp_path):
    files = without_version_1(forged_datasets(3, 1500))
    host = [host_says(Dataset, data) for data in files]
    compare(files, host, device_says("dataset", files, tmp_path), 50)


def test_both_accept_the_same_adapters(tmp_path):
    for number, model in enumerate((models()[0], models()[1], models()[6])):
        model.write(tmp_path / "model")
        files = without_version_1(forged_adapters(number, 1500, model))
        host = [host_says(Adapter, data, model) for data in files]
        device = device_says("adapter", files, tmp_path, str(tmp_path / "model"))
        compare(files, host, device, 50)


def test_an_adapter_of_large_weights_after_training_in_place(tmp_path):
    """Which weights are large is counted in the backbone's, not in those that training left."""
    model = models()[0]
    model.write(tmp_path / "model")
    adapter = next(a for a in adapters(model) if a.layers[0].selection == f.LARGEST)
    adapter.write(tmp_path / "good")
    adapter.layers[0].values = np.resize(adapter.layers[0].values, 5)
    adapter.write(tmp_path / "bad")
    said = micropython(SCRIPTS / "modified.py", *(str(tmp_path / name) for name in (
        "model", "good", "bad")), backend="portable").stdout.splitlines()
    assert [line for line in said if not line.startswith("warning: ")] == [
        "trained True", "good True", "bad refused True"]


def test_extreme_sizes_of_datasets(tmp_path):
    """No product wraps round, nothing is divided by zero or reserved before it is refused."""
    rng = random.Random(4)
    good = Dataset(np.ones((2, 1, 2, 2), np.uint8), np.ones(2, np.uint8), 2).to_bytes()
    files = [good]
    sizes = (0, 1, 2, 4, 0x100, 0xFFFF)
    for _ in range(400):
        n = rng.choice((0, 1, 2, 5, 10, 0xFFFF, 0x10000, 0x33333333, 0xFFFFFFFF))
        head = struct.pack("<I4H", n, *(rng.choice(sizes) for _ in range(3)), rng.choice(
            (0, 1, 2, 256, 257, 0xFFFF)))
        files.append(seal(good[:16] + head + good[28:48] + bytes(rng.choice((0, 1, 2, 5, 10)))))
    host = [host_says(Dataset, data) for data in files]
    device = device_says("dataset", files, tmp_path)
    compare(files, host, device, 0)


def test_the_oracle_computes_by_the_devices_descriptors(tmp_path):
    """Of convolutions without pooling too: the descriptor as the device has it, not the host's."""
    reader = import_device("model_file")
    model = random_model("conv 3 3 pad 1, relu, conv 4 2 stride 2, flatten, linear 3", (2, 7, 6),
                         1, 3)
    path = tmp_path / "model.priot"
    model.write(path)
    with open(path, "rb") as file:
        descriptors = [stage.d for stage in reader.Description(file, str(path)).stages]
    rng = np.random.default_rng(1)
    for stage, d in zip(model.stages[:2], descriptors, strict=False):
        n_in, n_out = int(np.prod(stage.shape_in)), int(np.prod(stage.shape_out))
        x, g = (rng.integers(0, 128, n).astype(np.int8) for n in (n_in, n_out))
        w = to_offset(stage.rows).tobytes()
        y, dx, trained = bytearray(n_out), bytearray(n_in), bytearray(w)
        kernels.conv2d_forward((y, b"", x, w, b"", b"", d))
        kernels.conv2d_backward((dx, g, b"", x, w, b"", d))
        d[f.RULE] = f.WEIGHTS
        d[f.UPDATE_SHIFT] = 8
        kernels.conv2d_update((b"", b"", g, b"", x, trained, b"", b"", d))
        acc, winner = batch.forward(stage, x.reshape(1, *stage.shape_in))
        assert bytes(y) == batch.requantise(stage, acc).tobytes()
        acc = batch.backward_input(stage, g[None], winner, x[None])
        assert bytes(dx) == batch.clamp_gradient(stage, acc).tobytes()
        dw = batch.weight_gradient(stage, g[None], winner, x[None])[0].astype(np.int64)
        moved = np.clip(stage.rows - kernels.rhu(dw, 8), -127, 127).astype(np.int8)
        assert bytes(trained) == to_offset(moved).tobytes()


def test_names_of_added_classes(tmp_path):
    """Those of the model come first, all differ, no more are added than outputs are spare."""
    for named in (True, False):
        model = models()[2]
        known = model.names if named else ("a", "b", "c", "d", "e")
        model.names = model.names if named else ()
        model.write(tmp_path / "model")
        files, wanted = [], []
        for added, good in ((("x",), True), (("x", "y"), True), (("x", "y", "z"), False),
                            ((known[0],), False), (("x", "x"), False), (("0",), True)):
            adapter = whole_adapters(model)[4]  # of the last layer
            adapter.names = (*known, *added)
            n = adapter.layers[0].values.size // 6 * (5 + len(added))
            adapter.layers[0].values = np.resize(adapter.layers[0].values, n)
            files.append(adapter.to_bytes())
            wanted.append("accepted" if good else "refused")
        host = [host_says(Adapter, data, model) for data in files]
        device = device_says("adapter", files, tmp_path, str(tmp_path / "model"))
        assert ["refused" if text else "accepted" for text in host] == wanted
        assert [said.split()[0] for said in device] == wanted
