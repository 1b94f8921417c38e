"""Training traces: every backend and every method, byte for byte as the numpy oracle."""

import json
import subprocess
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from priot.formats import Adapter, Dataset, Model
from priot.network import fields as f
from priot.oracle.step import Oracle
from support import cpython_environment, micropython, random_dataset, random_model

TRACE = Path(__file__).parent / "training" / "trace.py"
STEPS = 24

# name -> network, input shape
NETWORKS = {
    "like-a": ("conv 4 3, relu, maxpool 2, conv 6 3, relu, maxpool 2, flatten, linear 12, relu, "
               "linear 10", (1, 14, 14)),
    "padded": ("conv 4 3 pad 1, relu, conv 5 3 pad 1 stride 2, maxpool 3 stride 2, relu, flatten, "
               "linear 10", (2, 9, 11)),
    "pools": ("conv 6 5 pad 2, relu, avgpool 2, maxpool 3 stride 1, relu, conv 7 1, avgpool 2, "
              "flatten, linear 9, linear 10", (1, 12, 12)),
}

NETWORKS["residual"] = (
    "conv 6 3 pad 1 stride 2 bias, relu as x, conv 6 3 pad 1 bias, relu, conv 6 3 pad 1 bias, "
    "add x, relu as y, conv 8 3 stride 2 pad 0x1x0x1 bias, relu, conv 8 3 pad 1 as z, from y, "
    "conv 8 1 stride 2 bias, add z, relu, globalpool, linear 10 bias", (1, 16, 16))
NETWORKS["separable"] = (
    "conv 8 4x10 stride 2x2 pad 1x2x4x5 bias, relu, dw 3 pad 1 bias, relu6, conv 9 1 bias, relu6, "
    "dw 3x2 times 2 stride 2x1 bias, relu, maxpool 1x2, conv 6 3x1 groups 3, "
    "avgpool 2x1 stride 1, flatten, linear 10 bias", (1, 17, 11))
NETWORKS["skips"] = (
    "conv 4 1x5 bias as a, conv 4 1x3 pad 0x1 bias, relu as b, add a as c, conv 4 1x3 pad 0x1, "
    "add b, relu, add c, maxpool 1x3, flatten, linear 10", (3, 1, 24))
NETWORKS["wide"] = ("conv 3 3 pad 1 bias, relu, globalpool, linear 10 bias", (1, 36, 36))
# a convolution of so many weights that layout "small" keeps no effective ones
NETWORKS["crowded"] = ("conv 16 3 pad 1 bias, relu, maxpool 2, conv 16 3 pad 1 bias, relu, "
                       "conv 18 3, relu, globalpool, linear 10", (1, 13, 12))
NETWORKS["global"] = ("conv 5 3 pad 1 stride 2, relu, conv 7 3, relu, globalpool, linear 10",
                      (2, 15, 11))

# networks of squared error: name -> layers, input shape, outputs, loss
SQUARED = {
    "autoencoder": ("flatten, linear 20 bias, relu, linear 6, relu, linear 20, relu, "
                    "linear 63 bias", (1, 7, 9), 63, f.RECONSTRUCTION),
    "regression": ("conv 4 3 pad 1 bias, relu, maxpool 2, flatten, linear 9, relu, linear 5",
                   (2, 9, 8), 5, f.SQUARED_ERROR),
    "filter": ("conv 3 3 pad 1, relu, conv 2 3 pad 1", (2, 6, 5), 60, f.RECONSTRUCTION),
}

# method and keywords of the Trainer
CASES = [
    ("priot", {}), ("priot", {"keep": 80}), ("priot", {"rounding": "psr"}),
    ("priot", {"threshold": 0, "step": 8}), ("priot", {"last": 2}), ("priot", {"layout": "small"}),
    ("priot", {"keep": 60, "layout": "small"}), ("priot-s", {"fraction": 20}),
    ("priot-s", {"fraction": 30, "select": "random"}),
    ("priot-s", {"fraction": 10, "select": "layers", "layout": "small"}),
    ("gain", {}), ("gain", {"fraction": 25, "select": "layers", "layout": "small"}),
    ("weights", {}), ("weights", {"fraction": 20}), ("weights", {"last": 1}), ("niti", {}),
    ("weights16", {}), ("weights16", {"fraction": 20}), ("weights16", {"layout": "small"}),
    ("head", {}), ("bias", {}), ("bias", {"last": 2, "layout": "small"}),
]


@dataclass
class Case:
    """Files of a network and its data, and the oracle's traces on them."""

    model_path: Path
    data_path: Path
    model: Model
    data: Dataset
    traces: dict[str, tuple] = field(default_factory=dict)

    def is_chain(self) -> bool:
        """Whether every stage reads the one before it."""
        return all(s.inputs == (i - 1,) for i, s in enumerate(self.model.stages))


@pytest.fixture(scope="session", params=sorted(NETWORKS) + sorted(SQUARED))
def case(request, tmp_path_factory) -> Case:
    folder = tmp_path_factory.mktemp(request.param)
    spec, shape, *end = NETWORKS.get(request.param) or SQUARED[request.param]
    model = random_model(spec, shape, len(request.param), *end)
    data = random_dataset(model, STEPS, seed=5)
    model.write(folder / "model.priot")
    data.write(folder / "data.prd")
    model = Model.read(folder / "model.priot")
    return Case(folder / "model.priot", folder / "data.prd", model, data)


def oracle_trace(case: Case, method: str, options: dict[str, Any], epoch: int) -> tuple:
    """CRCs of every step and the learned bytes of every layer, by the oracle."""
    key = json.dumps([method, options, epoch])
    if key not in case.traces:
        rounding = {None: None, "rhu": 0, "psr": 1}[options.get("rounding")]
        threshold = options["threshold"] + 128 if "threshold" in options else None
        plain = {k: v for k, v in options.items() if k not in ("layout", "rounding", "threshold")}
        oracle = Oracle(case.model, method, seed=3, rounding=rounding, threshold=threshold,
                        **plain)
        oracle.epoch = epoch
        crcs, error = [], 0
        model_has_targets = case.model.n_targets > 0
        for i in range(STEPS):
            target = case.data.targets[i] if model_has_targets else int(case.data.labels[i])
            oracle.step(case.data.images[i], target)
            crcs.append(_crc(oracle))
            error += oracle.error
        learned = [bytes(s.bias if method == "bias" else s.w if method == "weights16"
                         else s.scores or s.w) for s in oracle.states if s.trained]
        case.traces[key] = (crcs, oracle.skipped, learned, error)
    return case.traces[key]


def _crc(oracle: Oracle) -> int:
    crc = 0
    for s in oracle.states:
        if s.trained:
            crc = zlib.crc32(s.bias, zlib.crc32(s.scores, zlib.crc32(s.w, crc)))
            crc = zlib.crc32(bytes([int(s.d[f.THRESHOLD])]), crc)
    return crc


def compare(case: Case, method: str, options: dict[str, Any], epoch: int, found: tuple,
            saved: Path) -> None:
    crcs, skipped, learned, error = oracle_trace(case, method, options, epoch)
    assert 0 < STEPS - skipped, "the case never runs a backward pass"
    assert found[0] == crcs, f"first difference at step {first_difference(found[0], crcs)}"
    assert found[1] == skipped
    assert found[3] == error
    assert (error > 0) == (case.model.loss != f.CROSS_ENTROPY)
    adapter = Adapter.read(saved)
    adapter.check_backbone(case.model)
    for layer, expected in zip(adapter.layers, learned, strict=True):
        values = (np.asarray(layer.values).astype(np.int16) + 128).astype(np.uint8)
        if method == "bias":
            values = layer.values
        if layer.bitmap is not None and method.startswith("weights"):
            continue  # packed: only the selected weights are in the file
        assert values.tobytes() == expected


def first_difference(a: list, b: list) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), -1)


@pytest.mark.parametrize("backend", ["native", "viper"])
def test_trace_on_micropython(case, backend, tmp_path, long):
    """Some steps of every method on the unix port: every buffer of every step.

    In the first epoch and in a later one; by viper the first one in the long form only.
    """
    for method, options in CASES:
        if method == "niti" and (not case.is_chain() or case.model.loss != f.CROSS_ENTROPY):
            continue  # test_dynamic_scales_want_a_chain, and errors of one scale
        trained = case.model.weight_stages[-options.get("last", 0):]
        if method == "bias" and not any(stage.update_bits_bias for stage in trained):
            continue  # no layer of these has biases
        for epoch in (0, 17) if long or backend == "native" else (17,):
            saved = tmp_path / "saved.scores"
            result = micropython(TRACE, str(case.model_path), str(case.data_path), backend,
                                 method, json.dumps({"seed": 3, **options}), str(STEPS),
                                 str(epoch), str(saved), str(f.THRESHOLD), backend=backend)
            compare(case, method, options, epoch, json.loads(result.stdout.splitlines()[-1]),
                    saved)


@pytest.mark.parametrize("method", ["priot", "priot-s"])
def test_pruning_starts_as_the_network_wants_it(method):
    """Networks with a bias from scores of 0, by PSR and without scores of depthwise layers."""
    plain, residual, separable = (
        Oracle(random_model(*NETWORKS[name], seed=1), method, fraction=30, seed=3)
        for name in ("like-a", "residual", "separable"))
    for oracle, rounding in ((plain, f.RHU), (residual, f.PSR), (separable, f.PSR)):
        trained = [s for s in oracle.states if s.trained]
        assert {int(s.d[f.ROUNDING]) for s in trained} == {rounding}
        assert all((set(s.scores) == {128}) == (rounding == f.PSR) for s in trained)
    depthwise = [s for s in separable.states if s.stage.is_depthwise]
    assert len(depthwise) == 2
    assert not any(s.trained or s.scores or s.d[f.RULE] for s in depthwise)
    gain = Oracle(separable.model, "gain")
    assert all(s.trained for s in gain.states if s.stage.is_depthwise)


@pytest.mark.parametrize("method, options", [CASES[0], CASES[1], CASES[-2]])
def test_trace_on_cpython(case, method, options, tmp_path):
    """Viper's own source as plain Python, where a wrong index is an error."""
    if method == "bias" and not case.model.has_biases:
        return
    saved = tmp_path / "saved.scores"
    found = subprocess.run(
        [sys.executable, str(TRACE), str(case.model_path), str(case.data_path), "viper", method,
         json.dumps({"seed": 3, **options}), str(STEPS), "0", str(saved), str(f.THRESHOLD)],
        env=cpython_environment(), capture_output=True, text=True, check=True)
    compare(case, method, options, 0, json.loads(found.stdout.splitlines()[-1]), saved)
