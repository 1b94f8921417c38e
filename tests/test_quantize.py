"""Quantisation and calibration: exponents, percentiles, and shifts found anew by the oracle."""

import json

import numpy as np
import pytest
from priot import cli
from priot.backbone import quantize as quantization
from priot.backbone import steps
from priot.backbone.float_network import FloatNetwork
from priot.backbone.nearest import quantize
from priot.backbone.quantize import (
    accuracy,
    calibrate,
    percentile_bits,
    quantize_weights,
    wrong_labels,
)
from priot.data.prepare import read_part, to_dataset
from priot.errors import PriotError
from priot.formats import Dataset, Model
from priot.network import fields as f
from priot.network.link import loss_shift
from priot.network.spec import format_network, parse_network
from priot.oracle import batch
from priot.oracle import kernels as oracle
from priot.oracle.selection import Selection
from priot.oracle.step import Oracle
from priot.paths import BACKBONES
from support import random_dataset, random_model

# name -> network, input shape, classes: every kind of stage, strides, padding, overlapping pools
NETWORKS = {
    "conv": ("conv 4 3, relu, maxpool 2, conv 5 2 pad 1, relu, avgpool 2 stride 1, relu, "
             "flatten, linear 9, relu, linear 4", (2, 8, 7), 4),
    "pools": ("maxpool 2 stride 1, conv 4 3 stride 2 pad 1, maxpool 2 stride 1, "
              "maxpool 2 stride 1, relu, conv 3 2, flatten, linear 3", (1, 12, 12), 3),
    "wide": ("conv 3 5 pad 2 stride 2, relu, maxpool 3 stride 2, avgpool 3 stride 2, "
             "conv 6 1, relu, flatten, linear 2", (3, 19, 17), 2),
}
EACH_NETWORK = pytest.mark.parametrize("network", NETWORKS)


def model_and_data(network: str, n: int = 40) -> tuple[Model, Dataset]:
    spec, shape, classes = NETWORKS[network]
    model = random_model(spec, shape, 3, classes)
    return model, random_dataset(model, n, 4)


def float_network(spec: str, shape: tuple[int, int, int], classes: int) -> FloatNetwork:
    rng = np.random.default_rng(6)
    model = random_model(spec, shape, 6, classes)
    weights = [rng.normal(0, 0.3, stage.weight_shape) for stage in model.weight_stages]
    return FloatNetwork(parse_network(spec), weights)


@pytest.mark.parametrize("values, exponent, expected", [
    ([127.0, -1.5], 0, [127, -2]),
    ([0.5, -0.9921875], 7, [64, -127]),  # 127 / 128
    ([0.996], 7, [127]),  # 127.488 rounds to 127
    ([0.997], 6, [64]),  # 127.616 would be 128
    ([300.0, 4.0], -2, [75, 1]),
])
def test_weight_exponents(values, exponent, expected):
    weights, found = quantize_weights(np.array(values))
    assert (found, weights.tolist()) == (exponent, expected)


def test_zero_weights_are_refused():
    with pytest.raises(ValueError, match="weights: all zero"):
        quantize_weights(np.zeros(3))


def test_percentile_bits():
    assert percentile_bits(np.array([0, 0, 0])) == 0
    assert percentile_bits(np.array([127])) == 7 and percentile_bits(np.array([128])) == 8
    hundred = np.array([3] * 99 + [2**20])
    assert percentile_bits(hundred) == 2  # one of a hundred may exceed it
    assert percentile_bits(np.append(hundred, 2**20)) == 21  # two may not
    assert percentile_bits(np.array([0] * 500 + [2**20])) == 21  # zeros are left out
    assert percentile_bits(np.array([1, 1, 4, 4, 4, 64]), naive=True) == 3


def test_wrong_labels_are_all_wrong_and_even():
    labels = np.repeat(np.arange(10, dtype=np.uint8), 9)
    wrong = wrong_labels(labels, 10)
    assert (wrong != labels).all() and wrong.max() == 9
    assert np.bincount(wrong).tolist() == [9] * 10
    assert wrong_labels(np.array([0, 9], np.uint8), 10).tolist() == [1, 1]  # (9 + 1 + 1) mod 10
    assert wrong_labels(np.array([0, 1, 0], np.uint8), 2).tolist() == [1, 0, 1]


@EACH_NETWORK
def test_batch_is_the_oracle(network):
    """Forward, loss, every gradient and dW of a batch, image by image, against the oracle."""
    model, data = model_and_data(network, 7)
    stages = model.stages
    x, inputs, winners = data.images.astype(np.int8), [], []
    for stage in stages:
        inputs.append(x)
        acc, winner = batch.forward(stage, x)
        winners.append(winner)
        x = batch.requantise(stage, acc)
    g = batch.loss_gradient(loss_shift(model.exponents[-1]), x, data.labels)
    gradients = [g]
    for stage, below, winner in zip(stages[::-1], inputs[::-1], winners[::-1], strict=True):
        acc = batch.backward_input(stage, g, winner, below)
        g = batch.clamp_gradient(stage, acc)
        gradients.append(g)
    for i, image in enumerate(data.images):
        o = Oracle(model, "weights")
        o.forward(image)
        for s, y in zip(o.states, [*inputs[1:], x], strict=True):
            assert bytes(s.y) == y[i].tobytes()
        last = o.states[-1]
        oracle.cross_entropy((last.g, last.y, o.scratch, o.loss), int(data.labels[i]))
        for k, s in enumerate(reversed(o.states)):
            assert bytes(s.g) == gradients[k][i].tobytes()
            dx = bytearray(len(s.x))
            o._run(s, *o._call(s, "backward", dx), f.BACKWARD_SHIFT)
            assert bytes(dx) == gradients[k + 1][i].tobytes()
            if k + 1 < len(o.states):
                o.states[-k - 2].g[:] = dx


@EACH_NETWORK
def test_shifts_are_what_the_oracle_measures(network):
    """Every shift of a calibrated model, by running the oracle's kernels with MEASURE."""
    model, data = model_and_data(network)
    calibrate(model, data)
    labels = wrong_labels(data.labels, model.classes)
    seen: dict[tuple[int, str], list[int]] = {}
    for image, label in zip(data.images, labels, strict=True):
        measure_one(Oracle(model, "weights"), image, int(label), seen)
    assert any(key[1] == "backward" for key in seen)
    for (index, what), values in seen.items():
        stage = model.weight_stages[index]
        bits = percentile_bits(np.array(values))
        assert bits > 0, (index, what)
        if what == "dw":
            assert stage.update_bits_weights == bits
        elif what == "product":
            assert stage.update_bits_scores == bits
        else:
            assert getattr(stage, f"{what}_shift") == max(0, bits - 7)


def measure_one(o: Oracle, image: np.ndarray, label: int, seen: dict) -> None:
    """Largest accumulators and gradients of one image, by layer and kind."""
    o.forward(image)
    last = o.states[-1]
    oracle.cross_entropy((last.g, last.y, o.scratch, o.loss), label)
    first = next(i for i, s in enumerate(o.states) if s.w)
    for i in range(len(o.states) - 1, first - 1, -1):
        s = o.states[i]
        found = {}
        if s.stage.kind == f.CONV2D:
            found["forward"] = (oracle.conv2d_forward, (s.y, s.argmax, s.x, s.w, b"", b"", s.d))
            found["backward"] = (oracle.conv2d_backward,
                                 (b"", s.g, s.argmax, s.x, s.w, o.scratch, s.d))
        elif s.stage.kind == f.LINEAR:
            found["forward"] = (oracle.linear_forward, (s.y, s.x, s.w, b"", b"", s.d))
            found["backward"] = (oracle.linear_backward,
                                 (b"", s.g, s.x, s.w, o.scratch, s.d))
        if i == first:
            found.pop("backward")
        values = {what: o._measure(*call) for what, call in found.items()}
        if s.w:
            dw = [absolute_dw(o, s, edge) for edge in range(len(s.w))]
            values["dw"] = max(dw)
            values["product"] = max(n * abs(w - 128) for n, w in zip(dw, s.w, strict=True))
        for what, value in values.items():
            seen.setdefault((s.stage.index, what), []).append(value)
        if i > first:
            o._run(s, *o._call(s, "backward", o.states[i - 1].g), f.BACKWARD_SHIFT)


def absolute_dw(o: Oracle, s, edge: int) -> int:
    """abs(dW) of one edge: the largest of a selection that is this edge alone."""
    bitmap = np.arange(len(s.w)) == edge
    d = s.d.copy()
    select = Selection(bitmap=bitmap).pack(np.zeros((d[f.N_OUT], d[f.N_ROW]), np.int8), d)
    d[f.MEASURE] = 1
    if s.stage.kind == f.CONV2D:
        return oracle.conv2d_update((b"", b"", s.g, s.argmax, s.x, s.w, select, b"", d))
    return oracle.linear_update((b"", b"", s.g, s.x, s.w, select, b"", d))


def test_a_calibrated_model_uses_its_range():
    """Few logits of the calibration images saturate, and few are all near zero."""
    model, data = model_and_data("conv", 200)
    calibrate(model, data)
    o = Oracle(model, "weights")
    largest = [max(abs(v) for v in np.frombuffer(o.forward(x), np.int8).astype(int))
               for x in data.images]
    assert np.mean(np.array(largest) == 127) <= 0.01
    assert np.mean(np.array(largest) >= 16) > 0.5


def test_accuracy_is_that_of_the_oracle():
    model, data = model_and_data("wide", 60)
    calibrate(model, data)
    o = Oracle(model, "weights")
    right = sum(o.predict(x) == y for x, y in zip(data.images, data.labels, strict=True))
    assert accuracy(model, data) == 100 * right / 60


def test_quantised_weights_and_names():
    spec, shape, classes = NETWORKS["conv"]
    network = float_network(spec, shape, classes)
    model, *_ = quantize(network, model_and_data("conv")[1], "a name")
    assert (model.name, format_network(model.layers)) == ("a name", spec)
    for stage, weights in zip(model.weight_stages, network.weights, strict=True):
        assert np.abs(stage.weights - weights * 2.0**stage.weight_exponent).max() <= 0.5
        assert 64 <= np.abs(stage.weights.astype(int)).max() <= 127


def test_wrong_labels_give_larger_gradients_than_right_ones():
    """The reason for wrong labels: on images the network knows, right ones leave nothing."""
    model, data = model_and_data("conv")
    calibrate(model, data)
    o = Oracle(model, "weights")
    known = np.array([o.predict(x) for x in data.images], np.uint8)
    data = Dataset(data.images, known, data.classes)
    calibrate(model, data)
    wrong = model.weight_stages[-1].update_bits_weights
    calibrate(model, data, naive=True)
    assert model.weight_stages[-1].update_bits_weights < wrong


@pytest.mark.parametrize("change, layers, found", [
    (0.69, 8, {"weights": 5, "gain": 5}), (2.0, 8, {"weights": 7, "gain": 9}),
    (2.9, 8, {"weights": 8, "gain": 10}), (0.69, 7, {"weights": 5, "gain": 5}),
    (2.0, 7, {"weights": 7, "gain": 7}), (2.9, 7, {"weights": 8, "gain": 8})])
def test_steps_are_as_usual_or_change_other_outputs_little(monkeypatch, change, layers, found):
    """change: of other outputs by steps of 2^-5; of one of 2^-c it is 2^(5 - c) as large."""
    before = np.ones((20, 3))
    monkeypatch.setattr(steps, "logits", lambda model, images: before * (
        1 + change * model if isinstance(model, float) else 1))
    assert {method: steps._least(None, before, 5, 16, steps._wanted(method, layers),
                                 lambda c: [2.0**(5 - c)]) for method in found} == found


def test_a_step_on_biases_is_foreseen(monkeypatch):
    """What calibration expects of a step on each of the first samples, up to how it is rounded;
    where that changes the outputs too much the bits of all biases grow alike."""
    model = random_model("conv 4 3 bias, relu, flatten, linear 9 bias, relu, linear 4 bias",
                         (2, 8, 7), 3, 4)
    data = random_dataset(model, 40, 4)
    given = []
    monkeypatch.setattr(quantization, "set_update_bits", lambda *found: given.extend(found))
    calibrate(model, data, relative=True)
    usual = [stage.update_bits_bias for stage in model.weight_stages]
    foreseen = list(steps._with_moved_biases(model, given[2], 0))
    assert len(foreseen) == steps.MOVERS
    n_steps = 0
    for moved, x, label in zip(foreseen, data.images, wrong_labels(data.labels, 4), strict=False):
        oracle = Oracle(model, "bias")
        oracle.step(x, int(label))
        n_steps += 1 - oracle.skipped
        for stage, state in zip(moved.stages, oracle.states, strict=True):
            if stage.bias is not None and not oracle.skipped:
                assert np.abs(stage.bias - np.frombuffer(state.bias, "<i4")).max() <= 1
    assert n_steps > steps.MOVERS // 2
    monkeypatch.undo()
    for change, more in ((1e9, 0), (1e-9, 6)):
        monkeypatch.setattr(steps, "_CHANGE", change)
        calibrate(model, data, relative=True)
        assert [stage.update_bits_bias for stage in model.weight_stages] == [
            bits + more for bits in usual]


@pytest.mark.parametrize("name", ["digits-0", "digits-1", "digits-2"])
def test_shipped_backbones_are_what_quantize_writes(name):
    """From their own weights as floats: the exponents, all shifts and the file, to the byte."""
    shipped = BACKBONES / f"{name}.priot"
    model = Model.read(shipped)
    network = FloatNetwork(model.layers, [
        stage.weights * 2.0**-stage.weight_exponent for stage in model.weight_stages])
    images = to_dataset(read_part("digits", None, "pretrain"))
    first = Dataset(images.images[:512], images.labels[:512], images.classes)
    assert quantize(network, first, name)[0].to_bytes() == shipped.read_bytes()


# ---- the command ----


@pytest.fixture
def files(tmp_path):
    """A float network and its calibration data; returns the folder."""
    spec, shape, classes = NETWORKS["conv"]
    float_network(spec, shape, classes).write(tmp_path / "float.npz")
    model_and_data("conv")[1].write(tmp_path / "data.prd")
    return tmp_path


def command(files, *more: str) -> int:
    return cli.main(["quantize", str(files / "float.npz"), "--calibrate",
                     str(files / "data.prd"), "-o", str(files / "out.priot"), *more])


def test_command(files, capsys):
    report = files / "report.json"
    assert command(files, "--images", "20", "--test", str(files / "data.prd"), "--json",
                   str(report)) == 0
    model = Model.read(files / "out.priot")
    data = Dataset.read(files / "data.prd")
    first = Dataset(data.images[:20], data.labels[:20], data.classes)
    expected, *_ = quantize(FloatNetwork.read(files / "float.npz"), first, "out")
    assert model.to_bytes() == expected.to_bytes()
    found = json.loads(report.read_text())
    assert found["crc32"] == f"{model.crc:08x}" and found["images"] == 20
    assert found["accuracy"] == round(accuracy(model, data), 2)
    assert [a["forward_shift"] for a in found["layers"]] == [
        a.forward_shift for a in model.weight_stages]
    assert NETWORKS["conv"][0] in capsys.readouterr().out


def test_a_test_set_that_does_not_fit(files, capsys):
    data = Dataset.read(files / "data.prd")
    Dataset(data.images[:, :, 1:], data.labels, data.classes).write(files / "other.prd")
    assert command(files, "--test", str(files / "other.prd")) == 1
    assert "other.prd: images: found " in capsys.readouterr().err
    assert not (files / "out.priot").exists()


@pytest.mark.parametrize("arrays, text", [
    ({}, "arrays: found none, expected one named network"),
    ({"network": np.array("linear 2")}, "arrays: found none, expected layer0.weight"),
    ({"network": np.array("liner 2"), "layer0.weight": np.ones((2, 2))},
     "network: layer 0 (liner 2): expected one of conv"),
    ({"network": np.array("flatten, linear 4"), "layer0.weight": np.ones((4, 3))},
     "layer0.weight: shape: found (4, 3), expected (4, 112)"),
    ({"network": np.array("flatten, linear 4"), "layer0.weight": np.full((4, 112), np.nan)},
     "layer0.weight: found nan, 448 of 448 weights are not finite"),
    ({"network": np.array("flatten, linear 4"), "layer0.weight": np.diag([np.inf] * 112)[:4]},
     "layer0.weight: found inf, 4 of 448 weights are not finite"),
    ({"network": np.array("flatten, linear 4"), "layer0.weight": np.ones((4, 112), np.int8)},
     "layer0.weight: type: found int8, expected floats"),
    ({"network": np.array("flatten, linear 4"), "layer0.weight": np.full((4, 112), 1e-300)},
     "stage 0 (layer0.weight): weights: found 1e-300 at most, expected 2^-128 or more"),
    ({"network": np.array("flatten, linear 4 bias"), "layer0.weight": np.ones((4, 112))},
     "arrays: found layer0.weight, expected layer0.bias, layer0.weight"),
    ({"network": np.array("flatten, linear 4, bn"), "layer0.weight": np.ones((4, 112)),
      "layer0.bias": np.ones(3)}, "layer0.bias: shape: found (3,), expected (4,)"),
    ({"network": np.array("flatten, linear 4 bias"), "layer0.weight": np.ones((4, 112)),
      "layer0.bias": np.array([0, 1, np.inf, np.nan])},
     "layer0.bias: found inf, 2 of 4 values are not finite"),
    ({"network": np.array("flatten, linear 4"), "layer0.weight": np.ones((4, 112)),
      "layer0.bias": np.ones(4)}, "found layer0.bias, layer0.weight, expected layer0.weight"),
    ({"network": np.array("dw 3, flatten, linear 4"), "layer0.weight": np.ones((2, 2, 3, 3)),
      "layer1.weight": np.ones((4, 60))},
     "layer0.weight: shape: found (2, 2, 3, 3), expected (2, 1, 3, 3)"),
    ({"network": np.array("globalpool as x, avgpool 1x1, flatten, linear 4"),
      "layer0.weight": np.ones((4, 2))}, "layer 1 (avg_pool): "),
    ({"x": np.zeros((2, 8, 7), np.uint8), "y": np.array([0, 1])},
     "arrays: found x, y, expected one named network; x and y are images with labels"),
    ({"network": np.array("flatten, linear 4"), "layer0.weight": np.zeros((4, 112))},
     "weights: all zero"),
    ({"network": np.array("flatten, linear 3"), "layer0.weight": np.ones((3, 112))},
     "outputs of the last layer: found 3, expected 4 classes"),
    ({"network": np.array("linear 4"), "layer0.weight": np.ones((4, 112))},
     "layer 0 (linear): needs flatten before it"),
])
def test_bad_float_networks_end_in_one_line(arrays, text, files, capsys):
    np.savez(files / "float.npz", **arrays)
    assert command(files) == 1
    error = capsys.readouterr().err
    assert error.startswith("priot: ") and error.count("\n") == 1 and text in error
    assert not (files / "out.priot").exists()


@pytest.mark.parametrize("name, content", [
    ("float.npz", b"PK\3\4 nothing"), ("float.npz", b""), ("float.npz", b"\x80\4K\1."),
    ("data.prd", b"PRIM"), ("data.prd", None), ("float.npz", None)])
def test_bad_files_end_in_one_line(name, content, files, capsys):
    if content is None:
        (files / name).unlink()
    else:
        (files / name).write_bytes(content)
    assert command(files) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"priot: {files / name}: ") and error.count("\n") == 1


# ---- the line that describes a network ----


@pytest.mark.parametrize("text", [spec for spec, _, _ in NETWORKS.values()] + ["relu"])
def test_network_lines_round_trip(text):
    layers = parse_network(text)
    assert parse_network(format_network(layers)) == layers


def test_network_line_defaults():
    conv, pool = parse_network(" conv 8 3 ,maxpool 2 ")
    assert (conv.n_out, conv.kernel, conv.stride) == (8, (3, 3), (1, 1))
    assert (pool.kernel, pool.stride) == ((2, 2), (2, 2))
    assert format_network([conv, pool]) == "conv 8 3, maxpool 2"


@pytest.mark.parametrize("text, message", [
    ("", "layer 0 (): expected one of conv"),
    ("conv 8", "layer 0 (conv 8): expected conv N_OUT KERNEL [stride N] [pad N]"),
    ("relu, conv a 3", "layer 1 (conv a 3): n_out: found a, expected a number"),
    ("conv 8 -3", "kernel: found -3, expected a number"),
    ("conv 8 3 pad", "expected conv N_OUT"),
    ("conv 8 3 stride 1 stride 2", "option stride is unknown or given twice"),
    ("maxpool 2 pad 1", "option pad is unknown or given twice"),
])
def test_bad_network_lines(text, message):
    with pytest.raises(PriotError) as error:
        parse_network(text)
    assert message in str(error.value) and str(error.value).startswith("network: ")
