"""VGG11 on 32x32 colour images: quantised, trained byte for byte as the oracle, its memory known.

The long form trains as many steps as PRIOT_VGG_STEPS says, for example

    PRIOT_VGG_STEPS=300 .venv/bin/python -m pytest tests/test_vgg.py
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from priot import cli
from priot.backbone.float_network import FloatNetwork
from priot.formats import Dataset, Model
from priot.jobs.train import TrainJob, train
from priot.network import fields as f
from priot.network.named import network_line
from priot.network.spec import parse_network
from priot.network.stages import compile_layers
from priot.oracle.step import Oracle
from priot.targets.unix import UnixTarget
from support import micropython
from test_training import TRACE, _crc, first_difference

SHAPE = (3, 32, 32)
CLASSES = 10
IMAGES = 16
STEPS = int(os.environ.get("PRIOT_VGG_STEPS", "25"))
HEAP_BYTES = 4_000_000
# method and keywords of the Trainer; steps as METHODS.md advises for deep networks
CASES = [("priot", {"step": 7}), ("priot-s", {"fraction": 10, "select": "layers", "step": 7}),
         ("gain", {"layout": "small"}), ("weights", {"step": 1}), ("niti", {})]


def write_vgg11(folder: Path, width: float) -> tuple[Path, Path]:
    """A float VGG11 of random weights, through `priot dataset` and `priot quantize`."""
    layers = parse_network(network_line("vgg11", CLASSES, width))
    rng = np.random.default_rng(11)
    shapes = [stage.weight_shape for stage in compile_layers(layers, SHAPE, CLASSES)
              if stage.has_weights]
    weights = [rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape) for shape in shapes]
    FloatNetwork(layers, weights).write(folder / "vgg11.npz")
    images = rng.integers(0, 256, (IMAGES, *SHAPE), np.uint8)
    np.savez(folder / "images.npz", x=images, y=rng.permutation(np.arange(IMAGES) % CLASSES))
    data, model = folder / "data.prd", folder / "vgg11.priot"
    for command in (["dataset", "arrays", folder / "images.npz", "-o", data],
                    ["quantize", folder / "vgg11.npz", "--calibrate", data, "-o", model]):
        assert cli.main([str(word) for word in command]) == 0
    return model, data


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    """A VGG11 of an eighth of the width, 144,856 weights, and 16 images."""
    return write_vgg11(tmp_path_factory.mktemp("vgg"), 1 / 8)


def test_shapes(files):
    """3x3 convolutions with padding keep 32x32; five max-pools leave 1x1."""
    model = Model.read(files[0])
    outputs = [stage.shape_out for stage in model.stages]
    assert outputs == [(8, 16, 16), (16, 8, 8), (32, 8, 8), (32, 4, 4), (64, 4, 4), (64, 2, 2),
                       (64, 2, 2), (64, 1, 1), (10, 1, 1)]
    assert sum(stage.weights.size for stage in model.weight_stages) == 144_856


@pytest.mark.parametrize("method, options", CASES)
def test_trains_as_the_oracle(files, method, options, tmp_path):
    model, data = Model.read(files[0]), Dataset.read(files[1])
    result = micropython(TRACE, str(files[0]), str(files[1]), "native", method,
                         json.dumps({"seed": 5, **options}), str(STEPS), "0",
                         str(tmp_path / "scores"), str(f.THRESHOLD), backend="native",
                         heap_bytes=HEAP_BYTES)
    crcs, skipped, *_ = json.loads(result.stdout.splitlines()[-1])
    oracle = Oracle(model, method, seed=5,
                    **{name: value for name, value in options.items() if name != "layout"})
    expected = []
    for i in range(STEPS):
        oracle.step(data.images[i % len(data)], int(data.labels[i % len(data)]))
        expected.append(_crc(oracle))
    assert STEPS - oracle.skipped > STEPS // 2, "hardly a backward pass: the case tells little"
    assert crcs == expected, f"first difference at step {first_difference(crcs, expected)}"
    assert skipped == oracle.skipped


@pytest.fixture(scope="module")
def full_width(tmp_path_factory) -> tuple[Path, Path]:
    """VGG11 itself, 9,222,848 weights."""
    return write_vgg11(tmp_path_factory.mktemp("full"), 1)


@pytest.mark.parametrize("method, options, heap_bytes, training_bytes", [
    ("weights", {"step": 1}, 12_000_000, 130_000),
    ("priot", {"step": 7}, 32_000_000, 18_600_000),
])
def test_full_width_trains(full_width, method, options, heap_bytes, training_bytes):
    """`priot train --target unix --heap BYTES` learns, within known memory; -s shows the time."""
    model, data = full_width
    report = train(TrainJob(model, data, data, method, 2, options), UnixTarget(heap_bytes))
    assert report["n_weights"] == 9_222_848 and report["finished"]
    assert report["backward_passes"] > IMAGES
    assert report["training_bytes"] < training_bytes
    microseconds = min(epoch["us_per_sample"] for epoch in report["history"])
    print(f"VGG11 at full width, {method}: {microseconds // 1000} ms a step, "
          f"{report['training_bytes']} bytes beside the network")


def test_too_small_a_heap_is_one_line(files, capsys):
    """No memory: what was wanted and what there is, and no traceback."""
    status = cli.main(["train", str(files[0]), str(files[1]), "--heap", "350000", "--epochs", "1"])
    error = capsys.readouterr().err.splitlines()[-1]
    assert status == 1
    assert error.startswith("priot: unix: training by priot: needs a block of ")
    assert "the heap has" in error


def test_the_network_survives_what_does_not_fit(files):
    """After a MemoryError the network answers as before, and a smaller method trains."""
    script = Path(__file__).parent / "methods" / "no_memory.py"
    result = micropython(script, str(files[0]), str(files[1]), backend="native",
                         heap_bytes=450_000)
    first, text, second, third = result.stdout.splitlines()
    assert text.startswith("training by priot: needs a block of ")
    assert first == second == third
