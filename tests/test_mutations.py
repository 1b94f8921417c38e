"""Mutated files of every kind into the readers of host and device: one line, or used without harm.

PRIOT_MUTATIONS=10000 PRIOT_SEED=7 .venv/bin/python -m pytest -q tests/test_mutations.py

reads so many of each kind; the few that are usual go through in well under a minute. Bits, bytes,
pieces lost, moved and taken from other files, most with a CRC32 that is right again, and files
forged in what they mean. What a reader accepts is computed with.
"""

import gzip
import io
import json
import os
import pickle
import random
import signal
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from forgery import (
    adapters,
    datasets,
    forged_adapters,
    forged_datasets,
    forged_models,
    models,
    mutated,
    seal,
    whole_adapters,
)
from PIL import Image
from priot.backbone.float_network import FloatNetwork
from priot.backbone.nearest import quantize
from priot.data.sources import load
from priot.errors import FileError, PriotError
from priot.experiments.results import ResultsFile
from priot.experiments.spec import Spec
from priot.formats import Adapter, Dataset, Model
from priot.formats.container import to_offset
from priot.jobs.protocol import MARK, checked, parse_line
from priot.methods import METHODS
from priot.network import fields as f
from priot.network.spec import parse_network
from priot.oracle import batch
from priot.oracle import kernels as oracle
from priot.oracle.selection import Selection
from priot.paths import BACKBONES
from priot.reports.describe import describe_adapter, describe_dataset, describe_model
from support import micropython, random_dataset
from test_readers import SCRIPTS

N = int(os.environ.get("PRIOT_MUTATIONS", "120"))
SEED = int(os.environ.get("PRIOT_SEED", "1"))
RULES = {"scores": f.PRUNE, "mask": f.PRUNE, "gains": f.GAIN, "weights": f.WEIGHTS}
AT_ONCE = 1000  # files in a process of MicroPython
LONGEST_S = 60  # for one file, on the busiest machine
VERSION_1 = Path(__file__).parent / "files_v1"


@contextmanager
def watched(what: object) -> Iterator[None]:
    """A reader that does not come back is a failure that names the file."""
    def late(*_):
        raise AssertionError(f"{what}: no end after {LONGEST_S} s")
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# ---- models, datasets, adapters: host and device ------------------------------------------------


def logits_crc(model: Model) -> int:
    """CRC32 of the logits of the images of device/readers.py."""
    n = int(np.prod(model.shape))
    x = np.array([np.zeros(n), np.full(n, 127), (37 * np.arange(n) + 11) & 127]).astype(np.int8)
    for stage in model.stages:
        x = np.concatenate([batch.requantise(stage, batch.forward(stage, x[some])[0])
                            for some in batch.chunks(stage, 3)])
    return zlib.crc32(x.tobytes())


def adapted(model: Model, adapter: Adapter) -> Model:
    """The model with the effective weights of an adapter, and the classes that it has added."""
    model = replace(model, names=adapter.names[: model.classes]).with_classes(
        adapter.names[model.classes :])
    stages = list(model.stages)
    for layer in adapter.layers:
        i = model.stages.index(model.weight_stages[layer.index])
        stage, d = stages[i], stages[i].descriptor()
        if adapter.content == "biases":
            stages[i] = replace(stage, bias=layer.values, index=stage.index)
            continue
        bitmap = None if layer.bitmap is None else layer.bitmap[: stage.weights.size]
        selection = Selection(layer.tau if layer.selection == f.LARGEST else 0, bitmap)
        select = selection.pack(stage.rows, d)
        w = to_offset(stage.rows).tobytes()
        if adapter.content == "mask":
            weights = np.where(layer.values, stage.weights.ravel(), 0)
        elif adapter.content in ("weights", "weights16"):
            weights = stage.weights.ravel().copy()
            weights[selection.edges(stage.rows)] = layer.values
        else:
            d[f.RULE], d[f.THRESHOLD] = RULES[adapter.content], layer.threshold
            weff = bytearray(len(w))
            oracle.effective_weights((weff, w, to_offset(layer.values).tobytes(), select, d))
            weights = (np.frombuffer(weff, np.uint8) ^ 128).view(np.int8)
        stages[i] = replace(stage, weights=weights.reshape(stage.weight_shape), index=stage.index)
    return replace(model, stages=stages)


@dataclass
class Kind:
    """A kind of file: `good` ones, forged ones, and what the host makes of bytes."""

    good: list[bytes]
    forged: Callable[[int, int], Iterator[bytes]]
    read: Callable[[bytes], object]
    model: Model | None = None

    def files(self, rng: random.Random, n: int) -> list[bytes]:
        """n files; half of them forged, the others mutated, most of these sealed again."""
        found = []
        for data in self.forged(rng.randrange(1 << 30), n // 2):
            found.append(data if rng.random() < 0.9 else mutated(rng, data))
        while len(found) < n:
            data = mutated(rng, rng.choice(self.good), rng.choice(self.good))
            found.append(seal(data) if len(data) >= 16 and rng.random() < 0.8 else data)
        return found


def read_model(data: bytes) -> int:
    model = Model.from_bytes(data, "x")
    assert describe_model(model)["crc32"] == f"{model.crc:08x}"
    return logits_crc(model)


def read_dataset(data: bytes) -> int:
    assert sum(describe_dataset(Dataset.from_bytes(data, "x"))["per_class"]) > 0
    return 0


def kinds() -> dict[str, Kind]:
    """Models, datasets, and adapters of three backbones."""
    found = {
        "model": Kind([model.to_bytes() for model in models()], forged_models, read_model),
        "dataset": Kind([data.to_bytes() for data in datasets()], forged_datasets, read_dataset),
    }
    for number in (0, 2, 6):
        model = models()[number]

        def read_adapter(data: bytes, model: Model = model) -> int | None:
            adapter = Adapter.from_bytes(data, "x")
            adapter.check_backbone(model, "x")
            describe_adapter(adapter)
            # a dynamic method measures its shifts
            return None if METHODS[adapter.method].dynamic else logits_crc(
                adapted(model, adapter))

        good = [a.to_bytes() for a in adapters(model) + whole_adapters(model)]
        found[f"adapter {number}"] = Kind(
            good, lambda seed, n, model=model: forged_adapters(seed, n, model), read_adapter,
            model)
    return found


KINDS = kinds()


def device_lines(name: str, backend: str, files: list[bytes], folder: Path) -> list[str]:
    """A line for every file; what ends the process is a failure that names the file."""
    kind = KINDS[name]
    blob = folder / "blob"
    blob.write_bytes(b"".join(struct.pack("<I", len(data)) + data for data in files))
    arguments = [name.split()[0], backend, str(blob), str(folder / "scratch")]
    if kind.model:
        kind.model.write(folder / "model")
        arguments.append(str(folder / "model"))
    found = micropython(SCRIPTS / "readers.py", *arguments, backend=backend,
                        heap_bytes=8_000_000).stdout.splitlines()
    found = [line for line in found if not line.startswith("warning: ")]
    assert len(found) == len(files)
    return found


@pytest.mark.parametrize("backend", ["portable", "viper"])
@pytest.mark.parametrize("name", KINDS)
def test_host_and_device_say_the_same_and_compute_the_same(name, backend, tmp_path):
    rng = random.Random(f"{SEED} {name} {backend}")
    accepted = 0
    for first in range(0, N, AT_ONCE):
        files = KINDS[name].files(rng, min(AT_ONCE, N - first))
        told = []
        for i, data in enumerate(files):
            with watched(f"{name} {first + i}"):
                try:
                    told.append(("accepted", KINDS[name].read(data)))
                except FileError as error:
                    assert str(error).startswith("x") and "\n" not in str(error)
                    told.append(("refused", str(error)))
        for i, (data, host, device) in enumerate(zip(
                files, told, device_lines(name, backend, files, tmp_path), strict=True)):
            what = f"{name} {first + i}: host {host}, device {device}"
            verdict, _, rest = device.partition(" ")
            if data[4:6] == b"\1\0":  # the host reads version 1, the device says what to do
                assert verdict == "refused", what
                continue
            assert verdict == host[0], what
            if verdict == "accepted" and rest and host[1] is not None:
                assert int(rest) == host[1], what
            accepted += verdict == "accepted"
    assert 0.02 * N < accepted < 0.9 * N


@pytest.mark.parametrize("kind, cls", [("priot", Model), ("prd", Dataset), ("adapter", Adapter)])
def test_version_1(kind, cls):
    rng = random.Random(f"{SEED} {kind}")
    good = [path.read_bytes() for path in sorted(VERSION_1.glob(f"*.{kind}"))]
    refused = 0
    for i in range(N):
        data = mutated(rng, rng.choice(good), rng.choice(good))
        data = seal(data) if len(data) >= 16 and rng.random() < 0.8 else data
        with watched(f"{kind} {i}"):
            try:
                cls.from_bytes(cls.from_bytes(data, "x").to_bytes(), "x")
            except FileError as error:
                assert str(error).startswith(("x", cls.__name__.lower())), error
                refused += 1
    assert refused > N // 2


# ---- what only the host reads -------------------------------------------------------------------


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def float_network(line: str, *shapes: tuple[int, ...], bias: tuple[int, ...] = ()) -> bytes:
    """bias: the shape of the first layer's, if it has one."""
    rng = np.random.default_rng(3)
    arrays = {f"layer{i}.weight": shape for i, shape in enumerate(shapes)}
    if bias:
        arrays["layer0.bias"] = bias
    return npz(network=np.array(line), **{
        name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in arrays.items()})


def quantized(path: Path) -> None:
    """A float network, as `priot quantize` takes it."""
    network = FloatNetwork.read(path)
    model = models()[2]
    try:
        quantize(network, random_dataset(model, 5, 1), "x")
    except (ValueError, PriotError):
        pass  # what does not fit its images: the command puts the file in front


def in_folder(name: str, *files: tuple[str, bytes]) -> Callable[[Path], None]:
    """A folder of `files` beside the mutated one, whose images are loaded."""
    def read(path: Path) -> None:
        for other, data in files:
            (path.parent / other).parent.mkdir(exist_ok=True)
            (path.parent / other).write_bytes(data)
        load(name, path.parents[1] if name == "folders" else path.parent)
    return read


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def picture(kind: str, mode: str) -> bytes:
    pixels = np.random.default_rng(4).integers(0, 256, (6, 9, 4)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGBA").convert(mode).save(buffer, kind)
    return buffer.getvalue()


X = np.random.default_rng(2).integers(0, 256, (12, 7, 5)).astype(np.uint8)
Y = (np.arange(12) % 10).astype(np.uint8)
BATCH = {b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 9]}
TRAIN = [(f"data_batch_{i}", pickle.dumps(BATCH)) for i in range(2, 6)]
EVENTS = [(MARK + json.dumps(event)).encode() for event in (
    {"event": "epoch", "epoch": 1, "complete": True, "pruned_by_layer": [1, 2]},
    {"event": "error", "kind": "ValueError", "text": "x: is a folder"},
    {"event": "after", "total": 3, "correct": 2, "confusion": [[1, 0], [1, 1]]})]


def said(path: Path) -> None:
    """A line that a board has sent."""
    event = parse_line(path.read_bytes().decode(errors="replace"))
    if event is not None:
        checked(event, "x")


def toml() -> list[bytes]:
    folder = BACKBONES.parent / "experiments"
    return [path.read_bytes() for path in sorted(folder.glob("*.toml"))]


def result_lines() -> bytes:
    path = BACKBONES.parent / "experiments" / "digits.jsonl"
    return b"".join(path.read_bytes().splitlines(keepends=True)[:3])


# kind -> name of the file, good ones, what reads it
HOST = {
    "float network": ("net.npz", lambda: [
        float_network("linear 6, relu, linear 5", (6, 7), (5, 6)),
        float_network("conv 2 1, relu, flatten, linear 5", (2, 7, 1, 1), (5, 2)),
        float_network("flatten, linear 5, bn", (5, 7), bias=(5,))], quantized),
    "arrays": ("images.npz", lambda: [npz(x=X, y=Y), npz(x=X[..., None], y=Y.astype(int))],
               lambda path: load("arrays", path)),
    "npy": ("images.npz", lambda: [npy(X), npy(Y)], lambda path: load("arrays", path)),
    "idx": ("train-images-idx3-ubyte", lambda: [idx(X)], in_folder(
        "mnist", ("train-labels-idx1-ubyte", idx(Y)))),
    "idx.gz": ("train-labels-idx1-ubyte.gz", lambda: [gzip.compress(idx(Y))], in_folder(
        "mnist", ("train-images-idx3-ubyte", idx(X)))),
    "cifar python": ("data_batch_1", lambda: [
        pickle.dumps(BATCH), pickle.dumps(BATCH, 2)], in_folder("cifar10", *TRAIN)),
    "cifar binary": ("data_batch_1.bin", lambda: [bytes(3073 * 2)], in_folder(
        "cifar10", *TRAIN)),
    "dataset": ("d.prd", lambda: [d.to_bytes() for d in datasets()],
                lambda path: load("dataset", path)),
    "png": ("a/1.png", lambda: [picture("PNG", mode) for mode in ("RGB", "L", "P", "RGBA")],
            in_folder("folders", ("../b/2.png", picture("PNG", "RGB")))),
    "jpeg": ("a/1.jpg", lambda: [picture("JPEG", mode) for mode in ("RGB", "L", "CMYK")],
             in_folder("folders", ("../b/2.png", picture("PNG", "RGB")))),
    "tiff, bmp, gif": ("a/1.png", lambda: [
        picture("TIFF", "RGB"), picture("BMP", "RGB"), picture("GIF", "L")],
            in_folder("folders", ("../b/2.png", picture("PNG", "RGB")))),
    "experiment": ("e.toml", toml, lambda path: Spec.read(path).runs()),
    "results": ("r.jsonl", lambda: [result_lines()], ResultsFile),
    "event": ("event", lambda: EVENTS, said),
}


@pytest.mark.filterwarnings("ignore")  # of Pillow and numpy, on what they read all the same
@pytest.mark.parametrize("name", HOST)
def test_host_readers(name, tmp_path):
    """Everything ends in a line, whatever the file holds."""
    place, make, read = HOST[name]
    rng = random.Random(f"{SEED} {name}")
    good = make()
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    refused = 0
    for i in range(N):
        data = mutated(rng, rng.choice(good), rng.choice(good))
        path.write_bytes(data)
        with watched(f"{name} {i}"):
            try:
                read(path)
            except PriotError as error:
                assert "\n" not in str(error) and len(str(error)) < 1000, (i, str(error))
                refused += 1
            except OSError as error:  # a file that it names is not there
                assert error.filename and error.strerror
            except Exception as error:
                raise AssertionError(f"{name} {i}: {data[:300]!r}") from error
    assert refused > N // 20


def test_an_archive_of_other_files(tmp_path):
    """A .docx or .jar is a zip file too."""
    path = tmp_path / "net.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<document/>")
    for read in (FloatNetwork.read, lambda path: load("arrays", path)):
        with pytest.raises(FileError, match="word/document.xml in it is no array"):
            read(path)


def test_every_network_line_is_read_or_refused():
    rng = random.Random(f"{SEED} line")
    good = [b"conv 8 3 stride 2 pad 1, relu, maxpool 2, flatten, linear 10",
            b"avgpool 2 stride 1, relu, globalpool, linear 5",
            b"conv 4 3x1 pad 0x1x2x0 bias as x, bn, dw 3 times 2, relu6, add x, from input"]
    for _ in range(N):
        text = mutated(rng, rng.choice(good), rng.choice(good)).decode(errors="replace")
        try:
            parse_network(text)
        except PriotError as error:
            assert str(error).startswith("network: ")
