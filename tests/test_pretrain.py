"""`priot pretrain`: named networks, what is learned and refused, the shipped backbones."""

import json
import math
import re

import numpy as np
import pytest
from priot import cli
from priot.backbone.float_network import FloatNetwork
from priot.backbone.nearest import quantize
from priot.backbone.pretrain import Pretraining, Recipe, usual_recipe
from priot.backbone.quantize import accuracy, outputs
from priot.data.prepare import read_part, rotate, to_dataset
from priot.data.sources import Images
from priot.errors import PriotError
from priot.formats import Dataset, Model
from priot.jobs.evaluate import evaluate
from priot.network import fields as f
from priot.network.named import NETWORKS, network_line
from priot.network.spec import format_network, parse_network
from priot.network.stages import compile_layers
from priot.oracle.step import Oracle
from priot.paths import BACKBONES
from priot.targets.unix import UnixTarget
from support import micropython, random_dataset, random_model
from test_training import TRACE, _crc

# ---- networks by name ---------------------------------------------------------------------------


@pytest.mark.parametrize("name, shape, weights", [
    ("digits", (1, 8, 8), 21456), ("network-a", (1, 28, 28), 27464),
    ("vgg11", (3, 32, 32), 9222848)])
def test_named_networks(name, shape, weights):
    layers = parse_network(network_line(name, 10))
    stages = compile_layers(layers, shape, 10)
    assert sum(math.prod(stage.weight_shape) for stage in stages if stage.weight_shape) == weights


def test_width_of_vgg11():
    line = network_line("vgg11", 4, 0.25)
    assert line.startswith("conv 16 3 pad 1, relu, maxpool 2, conv 32 3 pad 1, relu, maxpool 2, ")
    assert line.endswith("conv 128 3 pad 1, relu, maxpool 2, flatten, linear 4")
    assert network_line("vgg11", 4, 0.001).startswith("conv 1 3 pad 1")
    for width in (0, -1, 4.5):
        with pytest.raises(PriotError, match="--width: found"):
            network_line("vgg11", 4, width)
    normed = network_line("vgg11-bn", 4, 0.25)
    assert normed == line.replace("pad 1, relu", "pad 1, bn, relu") and normed.count("bn") == 8
    with pytest.raises(PriotError, match="digits has a fixed width"):
        network_line("digits", 4, 0.5)


def test_lines_pass_through():
    assert network_line("conv 3 3, flatten, linear 2", 9) == "conv 3 3, flatten, linear 2"


# ---- refused ------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path):
    """Two kinds of stripes that a small network tells apart, of 1 x 6 x 6 pixels."""
    rng = np.random.default_rng(2)
    labels = (np.arange(240) % 2).astype(np.uint8)
    images = rng.integers(0, 40, (240, 1, 6, 6))
    images[labels == 0, :, ::2] += 80
    images[labels == 1, :, :, ::2] += 80
    dataset = Dataset(images.astype(np.uint8), labels, 2)
    dataset.write(tmp_path / "stripes.prd")
    return tmp_path / "stripes.prd"


LINE = "conv 4 3, relu, maxpool 2, flatten, linear 2"


def refused(capsys, *arguments: object) -> str:
    assert cli.main(["pretrain", *map(str, arguments)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("priot: ") and error.count("\n") == 1
    return error


@pytest.mark.parametrize("options, message", [
    (["--network", "conv 4"], "layer 0 (conv 4): expected conv N_OUT KERNEL"),
    (["--network", "network-b"], "layer 0 (network-b): expected one of conv"),
    (["--network", "conv 4 3, linear 2"], "needs flatten"),
    (["--network", "flatten, linear 3"], "outputs of the last layer: found 3, expected 2"),
    (["--network", "conv 4 9, flatten, linear 2"], "kernel: found 9"),
    (["--network", "network-a"], "kernel: found 3x3, expected within"),
    (["--network", LINE, "--width", "0.5"], "has a fixed width"),
    (["--network", "relu, bn, flatten, linear 2"], "layer 0 (relu): must follow a conv2d, linear"),
    (["--network", "conv 4 3, relu, bn, flatten, linear 2"],
     "layer 2 (batch_norm): must follow a conv2d or linear layer at once"),
    (["--network", "conv 4 3, bn, bn, flatten, linear 2"],
     "layer 2 (batch_norm): follows another batch_norm"),
    (["--network", "bn 4, flatten, linear 2"], "layer 0 (bn 4): option 4 is unknown"),
    (["--network", "dw 3 groups 2, flatten, linear 2"], "option groups is unknown"),
    (["--network", "conv 3 3 groups 2, flatten, linear 2"], "groups: found 2, expected"),
    (["--network", "conv 4 3 as x, conv 4 3, add x, flatten, linear 2"],
     "layer 2 (add): second input: found 4x4x4, expected 4x2x2"),
    (["--network", "conv 4 3, add x, flatten, linear 2"],
     "layer 1 (add): name: found x, expected input"),
    (["--network", "conv 4 3 as x, from y, flatten, linear 2"],
     "layer 1 (from): name: found y, expected input, x"),
    (["--network", "conv 4 3 as x, conv 4 1 as x, flatten, linear 2"], "name: found x, expected"),
    (["--network", "conv 4 3 as x, from input, conv 4 3, flatten, linear 2"],
     "no stage reads its output"),
    (["--network", "conv 4 3x3x3, flatten, linear 2"], "kernel: found 3x3x3, expected fewer"),
    (["--network", "conv 4 3 pad 0x3x0x0, flatten, linear 2"], "padding: found 3, expected 0..2"),
    (["--network", "flatten, linear 2, relu6"], "last stage: relu: found 1"),
    (["--network", LINE, "--epochs", "0"], "--epochs: found 0"),
    (["--network", LINE, "--batch", "0"], "--batch: found 0"),
    (["--network", LINE, "--lr", "nan"], "--lr: found nan"),
    (["--network", LINE, "--dropout", "1"], "--dropout: found 1"),
    (["--network", LINE, "--shift", "16"], "--shift: found 16"),
    (["--network", LINE, "--optimizer", "lbfgs"], "--optimizer: found lbfgs, expected sgd or"),
    (["--network", LINE, "--weight-decay", "-1"], "--weight-decay: found -1"),
    (["--network", LINE, "--seed", "-1"], "--seed: found -1"),
])
def test_wrong_options(data, tmp_path, capsys, options, message):
    assert message in refused(capsys, data, *options, "-o", tmp_path / "x.npz")


def test_a_missing_folder_is_told_before_training(data, tmp_path, capsys):
    path = tmp_path / "none" / "x.npz"
    assert refused(capsys, data, "--network", LINE, "-o", path) == (
        f"priot: {path}: its folder does not exist\n")


def test_a_test_set_of_another_shape_is_refused(data, tmp_path, capsys):
    other = random_dataset(random_model("flatten, linear 3", (1, 5, 6), 1, 3), 9, 1)
    other.write(tmp_path / "other.prd")
    line = refused(capsys, data, "--network", LINE, "--test", tmp_path / "other.prd", "-o",
                   tmp_path / "x.npz")
    assert "found (1, 5, 6), 3, expected (1, 6, 6), 2" in line


# ---- learned ------------------------------------------------------------------------------------


def test_a_network_learns_and_keeps_its_accuracy_in_int8(data, tmp_path):
    command = ["pretrain", data, "--network", LINE, "--epochs", 10, "--batch", 16, "--test", data]
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert cli.main([*map(str, command), "--seed", str(seed), "-o", f"{tmp_path}/{name}.npz",
                         "--json", f"{tmp_path}/{name}.json"]) == 0
    files = [(tmp_path / f"{name}.npz").read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["network"] == LINE and report["seed"] == 3 and report["input"] == [1, 6, 6]
    assert report["accuracy_test"] >= 98
    dataset = Dataset.read(data)
    model, *_ = quantize(FloatNetwork.read(tmp_path / "a.npz"), dataset, "stripes")
    assert abs(accuracy(model, dataset) - report["accuracy_test"]) <= 1


@pytest.mark.parametrize("line, given, optimizer, lr, weight_decay", [
    ("conv 4 3, relu, flatten, linear 2", {}, "sgd", 0.05, 1e-4),
    ("conv 4 3, bn, relu, flatten, linear 2", {}, "adamw", 0.01, 0.05),
    ("conv 4 3, bn, relu, flatten, linear 2", {"optimizer": "sgd"}, "sgd", 0.05, 1e-4),
    ("conv 4 3, flatten, linear 2", {"optimizer": "adamw", "lr": 0.5}, "adamw", 0.5, 0.05)])
def test_the_recipe_follows_the_network(line, given, optimizer, lr, weight_decay):
    given = {"lr": None, "epochs": 3} | given
    assert usual_recipe(parse_network(line), **given) == Recipe(
        optimizer, 3, lr, weight_decay=weight_decay)


def test_weights_stay_within_the_limit():
    dataset = random_dataset(random_model("flatten, linear 4", (1, 6, 6), 1, 4), 60, 1)
    layers = parse_network("conv 6 3, relu, flatten, linear 4")
    for clip in (1.5, 0.0):
        training = Pretraining(layers, dataset.shape, 4, Recipe(epochs=3, clip=clip, lr=0.2))
        list(training.run(dataset))
        ratios = [np.abs(w).max() / w.std() for w in training.network().weights]
        # Clipping itself makes the deviation a little smaller.
        assert (max(ratios) < 1.7) == (clip > 0)


def test_images_move_by_at_most_the_shift():
    """A dot in the middle comes to every place around it, and out of the image to none."""
    training = Pretraining(parse_network("flatten, linear 4"), (1, 5, 7), 4, Recipe(shift=2))
    image = np.zeros((3, 1, 5, 7))
    image[:, 0, 2, 3] = 1
    moved = np.array([training._moved(image) for _ in range(400)])
    assert moved.shape == (400, 3, 1, 5, 7) and (moved.sum((2, 3, 4)) == 1).all()
    seen = moved.sum((0, 1, 2)) > 0
    assert seen[:, 1:6].all() and not seen[:, [0, 6]].any()


def test_a_line_of_samples_moves_along_itself_alone():
    training = Pretraining(parse_network("flatten, linear 4"), (2, 1, 7), 4, Recipe(shift=2))
    image = np.zeros((1, 2, 1, 7))
    image[..., 3] = 1
    moved = np.array([training._moved(image) for _ in range(100)])
    assert (moved.sum((1, 2, 3, 4)) == 2).all()


def test_divergence_is_reported(data, tmp_path, capsys):
    line = refused(capsys, data, "--network", LINE, "--lr", 99, "--clip", 0, "--weight-decay", 1,
                   "-o", tmp_path / "x.npz")
    assert "diverged" in line and "--lr" in line


# a stem, a block whose sum skips it, depthwise layers with a stride and two filters a channel
SEPARABLE = (
    "conv 12 3 pad 1, bn, relu as x, dw 3 pad 1 bias, bn, relu6, conv 12 1 bias, add x, relu, "
    "dw 3 stride 2 pad 0x1x0x1 times 2, bn, relu6, conv 32 1, bn, relu, globalpool, flatten, "
    "linear 10 bias")


@pytest.fixture(scope="module")
def separable(tmp_path_factory):
    """The folder of that network, learned from digits and quantised, with what was reported."""
    folder = tmp_path_factory.mktemp("separable")
    for part in ("pretrain", "test"):
        to_dataset(read_part("digits", None, part)).write(folder / f"{part}.prd")
    run("pretrain", folder / "pretrain.prd", "--network", SEPARABLE, "--epochs", 15, "--batch",
        32, "-o", folder / "net.npz", "--json", folder / "pretrain.json")
    run("quantize", folder / "net.npz", "--calibrate", folder / "pretrain.prd", "--test",
        folder / "test.prd", "-o", folder / "net.priot", "--json", folder / "quantize.json")
    return folder


def run(*words: object) -> None:
    assert cli.main([str(word) for word in words]) == 0


def test_a_separable_network_learns_and_agrees_in_int8(separable):
    before = json.loads((separable / "pretrain.json").read_text())
    after = json.loads((separable / "quantize.json").read_text())
    assert before["network"] == SEPARABLE and before["accuracy_train"] >= 97
    assert after["float_accuracy"] >= 92 and abs(
        after["accuracy"] - after["float_accuracy"]) <= 1
    for found in (after["fidelity"], after["test_fidelity"]):
        assert found["same"] >= 0.97 * found["images"]


def test_the_file_has_batch_norm_in_weights_and_biases(separable):
    arrays = np.load(separable / "net.npz")
    assert str(arrays["network"]) == SEPARABLE
    shapes = {name: arrays[name].shape for name in arrays if name != "network"}
    assert shapes.pop("layer5.weight") == (10, 32) and shapes.pop("layer5.bias") == (10,)
    expected = [(12, 1, 3, 3), (12, 1, 3, 3), (12, 12, 1, 1), (24, 1, 3, 3), (32, 24, 1, 1)]
    assert [shapes.pop(f"layer{i}.weight") for i in range(5)] == expected
    assert [shapes.pop(f"layer{i}.bias") for i in range(5)] == [shape[:1] for shape in expected]
    assert not shapes


def test_a_separable_network_is_on_the_device_what_it_is_here(separable, tmp_path):
    """Classes of all test images, and bytes learned in 20 steps, on the unix port."""
    path, test = separable / "net.priot", separable / "test.prd"
    model, images = Model.read(path), Dataset.read(test)
    assert {(stage.relu, stage.largest < 127) for stage in model.stages} == {
        (False, False), (True, False), (True, True)}
    assert any(stage.bias is not None and stage.bias.any() for stage in model.stages)
    top = outputs(model, images.images)[-2].reshape(len(images), -1).argmax(axis=1)
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (images.labels, top), 1)
    assert evaluate(path, test, UnixTarget())["confusion"] == confusion.tolist()
    steps = 20
    result = micropython(TRACE, str(path), str(test), "viper", "gain",
                         json.dumps({"seed": 2, "step": 1}), str(steps), "0",
                         str(tmp_path / "scores"), str(f.THRESHOLD))
    crcs, skipped, *_ = json.loads(result.stdout.splitlines()[-1])
    oracle = Oracle(model, "gain", seed=2, step=1)
    expected = []
    for image, label in zip(images.images[:steps], images.labels, strict=False):
        oracle.step(image, int(label))
        expected.append(_crc(oracle))
    assert (crcs, skipped) == (expected, oracle.skipped) and skipped < steps


def test_signed_samples_in_a_line(tmp_path):
    """1 x k over windows of two channels of both signs: which of two waves runs ahead."""
    rng = np.random.default_rng(1)
    time, start = np.arange(32), rng.uniform(0, 2 * np.pi, (300, 1))
    labels = (np.arange(300) % 2).astype(np.uint8)
    wave = [60 * np.sin(0.5 * time + start + shift * (2 * labels[:, None] - 1.0))
            for shift in (0, 1)]
    values = np.stack(wave, axis=1)[:, :, None] + rng.normal(0, 10, (300, 2, 1, 32))
    data = Dataset(np.clip(np.rint(values), -127, 127).astype(np.int8), labels, 2)
    data.write(tmp_path / "waves.prd")
    run("pretrain", tmp_path / "waves.prd", "--network", "conv 8 1x5 stride 1x2 bias, relu, "
        "conv 8 1x3 bias, relu, globalpool, flatten, linear 2 bias", "--epochs", 20, "--batch",
        16, "-o", tmp_path / "net.npz")
    run("quantize", tmp_path / "net.npz", "--calibrate", tmp_path / "waves.prd", "-o",
        tmp_path / "net.priot", "--json", tmp_path / "report.json")
    model = Model.read(tmp_path / "net.priot")
    assert model.signed and accuracy(model, data) >= 98
    found = json.loads((tmp_path / "report.json").read_text())["fidelity"]
    assert found["same"] >= 0.97 * found["images"]
    device = evaluate(tmp_path / "net.priot", tmp_path / "waves.prd", UnixTarget())
    assert device["accuracy"] == round(accuracy(model, data), 2)


# ---- the shipped backbones ----------------------------------------------------------------------

DIGITS = [f"digits-{seed}" for seed in range(3)]
MNIST = [f"mnist-a{kind}-{seed}" for kind in ("", "-still") for seed in range(3)]


@pytest.mark.parametrize("name", DIGITS + MNIST)
def test_backbones_are_the_named_networks(name):
    model = Model.read(BACKBONES / f"{name}.priot")
    network = "digits" if name in DIGITS else "network-a"
    assert format_network(model.layers) == NETWORKS[network].format(classes=10)
    assert model.name == name and model.classes == 10


def readme_row(name: str) -> list[float]:
    """Figures of a backbone's row in the README: float, int8, and at each angle."""
    text = (BACKBONES / "README.md").read_text()
    row = re.search(rf"^\| `{name}` \|(.*)\|$", text, re.MULTILINE)
    assert row, name
    return [float(cell) for cell in row.group(1).split("|") if cell.strip() != ""]


@pytest.mark.parametrize("name", DIGITS)
def test_the_readme_states_the_accuracy_of_the_digits_backbones(name):
    model = Model.read(BACKBONES / f"{name}.priot")
    images = read_part("digits", None, "test")
    found = [accuracy(model, to_dataset(Images(rotate(images.pixels, degrees), images.labels, 10)))
             for degrees in (0, 30, 45, 60, 90)]
    assert [round(value, 2) for value in found] == readme_row(name)[1:]


@pytest.mark.parametrize("name", DIGITS + MNIST)
def test_quantisation_is_lossless(name):
    row = readme_row(name)
    assert abs(row[0] - row[1]) <= 0.1
