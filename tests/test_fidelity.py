"""What `priot quantize` says of an int8 model beside its float network, and what it refuses."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from priot import cli
from priot.backbone.fidelity import compare
from priot.backbone.float_graph import run as evaluate
from priot.backbone.float_network import FloatNetwork
from priot.backbone.nearest import quantize
from priot.backbone.verdict import problem
from priot.data.prepare import read_part, to_dataset
from priot.formats import Dataset, Model
from priot.network.spec import parse_network
from priot.oracle.step import Oracle
from priot.paths import BACKBONES
from support import random_dataset, random_model

SPEC = ("conv 4 3 pad 1, relu, maxpool 2, avgpool 2 stride 1, conv 5 2 stride 2, globalpool, "
        "flatten, linear 9, relu, linear 4")


def digits(change=lambda weights: None) -> FloatNetwork:
    """The float twin of a shipped backbone; `change` alters its list of weights."""
    rng = np.random.default_rng(0)
    model = Model.read(BACKBONES / "digits-0.priot")
    network = FloatNetwork(model.layers, [
        (stage.weights + rng.uniform(-0.4, 0.4, stage.weight_shape)) * 2.0**-stage.weight_exponent
        for stage in model.weight_stages])
    change(network.weights)
    return network


@pytest.fixture(scope="module")
def images() -> Dataset:
    return to_dataset(read_part("digits", None, "pretrain"))


@pytest.fixture
def run(tmp_path, capsys):
    """Quantises a network on images; status, what was said and warned, and the report."""
    def command(network: FloatNetwork, data: Dataset, *more: str):
        network.write(tmp_path / "net.npz")
        data.write(tmp_path / "data.prd")
        (tmp_path / "report.json").unlink(missing_ok=True)
        status = cli.main([
            "quantize", str(tmp_path / "net.npz"), "--calibrate", str(tmp_path / "data.prd"),
            "-o", str(tmp_path / "net.priot"), "--json", str(tmp_path / "report.json"), *more])
        said = capsys.readouterr()
        written = (tmp_path / "net.priot").exists()
        assert written == (status == 0)
        report = json.loads((tmp_path / "report.json").read_text()) if written else {}
        return status, said.out, said.err, report
    return command


# ---- measured -----------------------------------------------------------------------------------


def test_float_outputs_by_hand():
    """conv and ReLU, both pools, a global pool, linear: 4x4 pixels, one channel."""
    network = FloatNetwork(parse_network(
        "conv 1 1, relu, maxpool 2 stride 1, avgpool 2 stride 1, globalpool, flatten, linear 2"),
        [np.full((1, 1, 1, 1), 2.0), np.array([[1.0], [-3.0]])])
    x = np.arange(-8.0, 8.0).reshape(1, 1, 4, 4) / 4
    found = evaluate(network.graph((1, 4, 4), 2), x)
    # doubled, cut at 0, the largest of 2x2: -1.5, -1, -0.5 cut, the others doubled
    pooled = np.maximum(0, 2 * x[0, 0, 1:, 1:])
    assert found[0][0, 0].tolist() == pooled.tolist()
    means = (pooled[:-1, :-1] + pooled[1:, :-1] + pooled[:-1, 1:] + pooled[1:, 1:]) / 4
    assert found[1][0, 0].tolist() == means.tolist()
    assert found[2].ravel() == [means.sum() / 4]
    assert found[3].ravel().tolist() == [means.mean(), -3 * means.mean()]


def test_classes_and_logits_are_those_of_the_oracle():
    """Agreement, saturation and errors of a small network, image by image."""
    model = random_model(SPEC, (2, 9, 11), 3, 4)
    data = random_dataset(model, 70, 4)
    rng = np.random.default_rng(8)
    network = FloatNetwork(parse_network(SPEC), [
        rng.normal(0, 0.3, stage.weight_shape) for stage in model.weight_stages])
    model, graph, _ = quantize(network, data, "x")
    for stage in model.weight_stages[-1:]:
        stage.forward_shift = max(0, stage.forward_shift - 2)  # so that some logits saturate
    found = compare(graph, model, data)
    oracle, logits = Oracle(model, "weights"), []
    for image in data.images:
        logits.append(np.frombuffer(bytes(oracle.forward(image)), np.int8).astype(int))
    ours = np.array(logits)
    *_, theirs = evaluate(graph, data.images / 128)
    theirs = theirs.reshape(ours.shape)
    assert found.images == 70
    assert found.same == (ours.argmax(1) == theirs.argmax(1)).sum()
    assert found.correct == (ours.argmax(1) == data.labels).sum()
    assert found.float_correct == (theirs.argmax(1) == data.labels).sum()
    assert found.saturated == (abs(ours) == 127).any(axis=1).sum() > 0
    errors = abs(ours * 2.0**model.exponents[-1] - theirs)
    assert found.largest_logit_error == pytest.approx(errors.max())
    assert found.largest_logit == pytest.approx(abs(theirs).max())
    assert found.layers[-1].saturated == pytest.approx((abs(ours) == 127).mean())
    assert found.layers[-1].sqnr_db == pytest.approx(
        10 * np.log10((theirs**2).sum() / (errors**2).sum()))


def test_zeros_of_the_float_network_are_told_apart(images):
    """Weights that are zero already are not lost by rounding."""
    def prune(weights):
        weights[1][:, :8] = 0
    network = digits(prune)
    model, graph, _ = quantize(network, images, "x")
    layer = compare(graph, model, images).layers[1]
    values, found = network.weights[1], model.weight_stages[1].weights
    assert layer.float_zero == 0.5
    assert layer.zero == (found == 0).mean() > 0.5
    assert layer.lost == ((found == 0) & (values != 0)).sum() / (values != 0).sum() < 0.05


def test_further_outputs_are_not_compared(images):
    """A model with more outputs than its float network: the first are its twins."""
    network = digits()
    model, graph, _ = quantize(network, images, "x")
    before = compare(graph, model, images)
    last = model.stages[-1]
    last.n_out, last.weights = 12, np.concatenate([last.weights, last.weights[:2]])
    model.classes = 12
    assert compare(graph, model, images) == before


# ---- said ---------------------------------------------------------------------------------------


def test_a_healthy_network(run, images):
    status, said, warned, report = run(digits(), images)
    assert status == 0 and warned == ""
    found = report["fidelity"]
    assert found["same"] >= 0.99 * found["images"] and found["saturated"] <= 6
    assert [layer["kind"] for layer in found["layers"]] == ["conv2d"] * 2 + ["linear"] * 2
    for line, layer in zip(said.splitlines()[7:11], found["layers"], strict=True):
        assert layer["sqnr_db"] > 20 and f"{layer['sqnr_db']:.1f} dB" in line
        assert f"{100 * layer['zero']:.1f} % (0.0 %)" in line
    assert f"the same class as the float network on {found['same']} of 512 images" in said


def test_a_test_set_has_both_accuracies(run, images, tmp_path):
    test = to_dataset(read_part("digits", None, "test"))
    test.write(tmp_path / "test.prd")
    status, said, _, report = run(digits(), images, "--test", str(tmp_path / "test.prd"))
    assert status == 0 and report["test_fidelity"]["images"] == 449
    assert report["accuracy"] == round(report["test_fidelity"]["correct"] / 4.49, 2) > 97
    assert f"{report['accuracy']:.2f} % (float {report['float_accuracy']:.2f} %)" in said


def outlier(weights):
    weights[1].flat[5] = 1000


def dead(weights):
    weights[0][:] = -abs(weights[0])


HOPELESS = {
    "outlier": (outlier, None, "net.priot: stage 1 (conv2d): 100.0 % of its weights become zero, "
                "because the largest is 10,9"),
    "dead": (dead, None, "net.priot: stage 0 (conv2d): the float network's output is zero on "
             "every image"),
    "black": (None, lambda d: d.images * 0, "data.prd: every one of the 512 images has one value "
              "in all its pixels, so there is nothing to calibrate on"),
    "grey": (None, lambda d: d.images * 0 + np.arange(900)[:, None, None, None].astype(np.uint8)
             % 128, "data.prd: every one of the 512 images has one value"),
    "one image": (None, lambda d: d.images[:1].repeat(900, 0), "data.prd: all 512 images are the "
                  "same"),
    "mostly black": (None, lambda d: d.images * (np.arange(900) % 3 == 0)[
        :, None, None, None].astype(np.uint8), "data.prd: 341 of 512 images have one value"),
}


@pytest.mark.parametrize("case", HOPELESS)
def test_the_hopeless_is_refused_in_a_line_that_says_what_to_do(case, run, images):
    change, pixels, text = HOPELESS[case]
    network = digits(change or (lambda weights: None))
    data = Dataset(pixels(images), images.labels, 10) if pixels else images
    status, _, error, _ = run(network, data)
    assert status == 1 and error.count("\n") == 1 and text in error
    assert "; --force writes it all the same" in error
    status, _, error, report = run(network, data, "--force")
    assert status == 0 and report["fidelity"]
    assert f"{text}" in error and error.startswith("warning: ")


def test_images_of_one_class(run, images):
    threes = images.labels == 3
    data = Dataset(images.images[threes], images.labels[threes], 10,
                   tuple(f"digit {i}" for i in range(10)))
    status, _, error, _ = run(digits(), data)
    assert status == 1 and f"all {threes.sum()} images are of class 3 (digit 3)" in error


def test_images_in_the_order_of_their_classes_are_spread(run, images):
    """As a file made of folders has them: the first would be of few classes."""
    order = np.argsort(images.labels, kind="stable")
    data = Dataset(images.images[order], images.labels[order], 10)
    status, said, error, report = run(digits(), data, "--images", "100")
    assert (status, error) == (0, "")
    assert "calibrating on 100 images spread over all 900, as the first lack a class" in said
    shifts = [layer["forward_shift"] for layer in report["layers"]]
    _, said, _, report = run(digits(), images, "--images", "100")
    assert "spread" not in said
    assert shifts == [layer["forward_shift"] for layer in report["layers"]]


@pytest.mark.parametrize("pixels, text", [
    (lambda x: x // 16, "data.prd: the brightest pixel is 7 of 127"),
    (lambda x: 127 - x, "the float network itself classifies 0 of 512 images rightly"),
])
def test_images_of_another_range_are_warned_of(pixels, text, run, images):
    status, _, error, _ = run(digits(), Dataset(pixels(images.images), images.labels, 10))
    assert status == 0 and text in error
    assert all(line.startswith("warning: ") for line in error.splitlines())


def test_logits_that_saturate_on_the_test_set(run, images, tmp_path):
    """Calibrated on dim images, used on bright ones."""
    images.write(tmp_path / "test.prd")
    dim = Dataset(images.images // 16, images.labels, 10)
    status, _, error, report = run(digits(), dim, "--test", str(tmp_path / "test.prd"))
    assert status == 0
    assert (f"test.prd: logits saturate on {report['test_fidelity']['saturated']} of 900 images: "
            "they are unlike those of the calibration") in error


def test_a_layer_that_loses_many_weights_is_warned_of(run, images):
    def large(weights):
        weights[1].flat[5] = 10
    status, _, error, report = run(digits(large), images)
    lost = report["fidelity"]["layers"][1]["lost"]
    assert status == 0 and 0.2 < lost < 0.5
    assert f"net.priot: stage 1 (conv2d): {100 * lost:.1f} % of its weights become zero" in error


def test_biases_too_large_for_int32_are_said(run, images):
    """Beside weights of 1e-7 the sums stand for so little that a bias of 9 is beyond them."""
    rng = np.random.default_rng(1)
    layers = parse_network("conv 4 3 bias, relu, flatten, linear 10 bias")
    weights = [rng.normal(0, 1e-7, (4, 1, 3, 3)), rng.normal(0, 1, (10, 144))]
    network = FloatNetwork(layers, [w.astype(np.float32) for w in weights],
                           [np.float32([9, 1e-7, -9, 0]), np.zeros(10, np.float32)])
    status, _, error, report = run(network, images, "--force")
    assert status == 0
    assert [layer["clamped"] for layer in report["fidelity"]["layers"]] == [2, 0]
    assert "stage 0 (conv2d): 2 biases are too large beside weights this small" in error


def no_shift(stages):
    stages[-1].forward_shift = 0


def shifted_away(stages):
    stages[1].forward_shift = 30


def no_gradient(stages):
    stages[2].update_bits_weights = 0


def other_rows(stages):
    stages[-1].weights = np.roll(stages[-1].weights, 1, axis=0)


@pytest.mark.parametrize("change, text", [
    (no_shift, "logits are at the end of their range on 900 of 900 images; calibrate on"),
    (shifted_away, "stage 1 (conv2d): its int8 output is zero on every image; pretrain with"),
    (no_gradient, "layer 2 (linear): no gradient reaches it on any image"),
    (other_rows, "int8 and float agree on "),
    (lambda stages: None, None),
])
def test_what_is_hopeless_about_a_model(change, text, images):
    network = digits()
    model, graph, _ = quantize(network, images, "x")
    change(model.weight_stages)
    found = problem(model, compare(graph, model, images))
    assert found is None if text is None else found.startswith(text)


@pytest.mark.parametrize("size, text", [(np.nan, "found nan"), (np.inf, "found inf"),
                                        (1e-300, "found 1e-300 at most")])
def test_weights_that_are_no_numbers_are_named(size, text, run, images):
    def spoil(weights):
        weights[2][:] = weights[2] * 0 + size
    network = digits(spoil)
    with pytest.raises(ValueError, match=f"layer2.weight.: .*{text}"):
        quantize(network, images, "x")


class Pretrained:
    """Stands for a Pretraining that has ended."""

    graph = SimpleNamespace(parameters=0)
    learned: FloatNetwork

    def __init__(self, *_):
        pass

    def run(self, _):
        return [0.5]

    def network(self):
        return self.learned

    def accuracy(self, _):
        return 99.0


@pytest.mark.parametrize("size, text", [
    (1000, "warning: {}: layer 1: as int8, 100.0 % of its weights become zero"),
    (0, ""), (np.nan, "priot: pretrain: layer 1: found nan, 1 of 4608 weights")])
def test_pretrain_tells_of_outliers(size, text, tmp_path, images, monkeypatch, capsys):
    def change(weights):
        weights[1].flat[5] = size
    monkeypatch.setattr("priot.commands.pretrain.Pretraining", Pretrained)
    monkeypatch.setattr(Pretrained, "learned", digits(change), raising=False)
    images.write(tmp_path / "data.prd")
    path = tmp_path / "net.npz"
    assert cli.main(["pretrain", str(tmp_path / "data.prd"), "--network", "digits",
                     "-o", str(path)]) == np.isnan(size)
    error = capsys.readouterr().err
    assert text.format(path) in error and error.count("\n") == (text != "")
    assert path.exists() != np.isnan(size)
