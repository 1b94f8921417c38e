"""Networks trained by squared error, from the prompt to the report: errors, tests, anomalies."""

import json

import numpy as np
import pytest
from priot import cli
from priot.backbone import trial
from priot.backbone.quantize import calibrate, permuted
from priot.errors import PriotError
from priot.formats import Dataset, Model
from priot.jobs.evaluate import evaluate, separation
from priot.jobs.train import TrainJob, train
from priot.network import fields as f
from priot.oracle import kernels as oracle
from priot.oracle.adapted import errors, logits
from priot.targets.unix import UnixTarget
from support import import_device, random_dataset, random_model

AUTOENCODER = "flatten, linear 20 bias, relu, linear 8, relu, linear 48 bias"
SHAPE = (1, 6, 8)
REGRESSION = "conv 4 3 pad 1 bias, relu, flatten, linear 3"
HEAP = 2_000_000


@pytest.fixture
def priot():
    return import_device()


def stripes(n: int, seed: int, first: int = 0) -> np.ndarray:
    """Images of bright columns from the `first` on, at one of three places, and noise."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 20, (n, *SHAPE))
    for image, column in zip(images, rng.integers(first, first + 3, n), strict=True):
        image[:, :, column] += 100
    return images.astype(np.uint8)


def pretrained(folder, epochs: int = 20):
    """An autoencoder of stripes on the left, made by the commands."""
    data = Dataset(stripes(600, 1), np.zeros(600, np.uint8), 1)
    data.write(folder / "pretrain.prd")
    network = "flatten, linear 20, bn, relu, linear 8 bias, relu, linear 48 bias"
    run("pretrain", folder / "pretrain.prd", "--network", network, "--loss", "squared",
        "--epochs", epochs, "--optimizer", "adamw", "--lr", 0.01, "-o", folder / "net.npz")
    run("quantize", folder / "net.npz", "--calibrate", folder / "pretrain.prd",
        "-o", folder / "net.priot", "--json", folder / "quantize.json")


def run(*words: object) -> None:
    """A command that succeeds."""
    assert cli.main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A pretrained autoencoder, and stripes that have moved: to learn, and normal and other ones
    to test."""
    folder = tmp_path_factory.mktemp("squared")
    pretrained(folder)
    Dataset(stripes(400, 2, 4), np.zeros(400, np.uint8), 1).write(folder / "train.prd")
    rng = np.random.default_rng(3)
    other = rng.permuted(stripes(60, 3, 4).reshape(60, -1), axis=1).reshape(60, *SHAPE)
    labels = np.repeat(np.array([0, 1], np.uint8), 60)
    Dataset(np.concatenate([stripes(60, 4, 4), other]), labels, 2, ("normal", "other")).write(
        folder / "test.prd")
    return folder


# ---- the loss ----------------------------------------------------------------------------------


@pytest.mark.parametrize("z, target, shift, g, found", [
    ([10, -20, 0], [10, 20, -5], 0, [0, -40, 5], [40, 0]),
    ([127, -127, 126], [-127, 127, 0], 0, [127, -127, 126], [127, 2]),  # clamped at 127
    ([6, 6, -6], [1, 2, -3], 2, [2, -2, 6], [6, 0]),  # targets times 4
    ([0, 0, 0, 0], [1, 2, 3, -2], -2, [0, -1, -1, 0], [1, 0]),  # 0.25, 0.5, 0.75, -0.5 half up
    ([3], [127], -8, [3], [3, 0]), ([0], [1], 8, [-127], [127, 0]),
])
def test_squared_error_by_hand(priot, z, target, shift, g, found):
    """The oracle and the viper source, and what they return: the sum of the squares."""
    viper = import_device("viper_error")
    d = np.zeros(f.N_FIELDS, np.int32)
    d[f.N_CLASSES], d[f.LOSS_SHIFT] = len(z), shift
    for kernel in (oracle.squared_error, viper.squared_error):
        gradient, seen = bytearray(len(z)), np.zeros(2, np.int32)
        operands = (gradient, np.int8(z).tobytes(), np.int8(target).tobytes(), seen, d)
        assert kernel(operands) == sum(v * v for v in g)
        assert np.frombuffer(gradient, np.int8).tolist() == g and seen.tolist() == found
        assert kernel((bytearray(), *operands[1:])) == sum(v * v for v in g)  # none is wanted


def test_calibration_takes_images_whose_values_have_changed_places():
    """Shifts of gradients are those of the naive calibration on permuted images; forward shifts
    those of the images."""
    images = stripes(64, 1)
    found, naive = (random_model(AUTOENCODER, SHAPE, 3, 48, f.RECONSTRUCTION) for _ in range(2))
    calibrate(found, Dataset(images, np.zeros(64, np.uint8), 1))
    assert (permuted(images) != images).any()
    assert (np.sort(permuted(images).ravel()) == np.sort(images.ravel())).all()
    for stage, other in zip(naive.stages, found.stages, strict=True):
        stage.forward_shift = other.forward_shift
    o = np.int8(logits(naive, permuted(images)))
    g = o.astype(int) - np.int64(oracle.shifted(permuted(images).reshape(64, -1).astype(int),
                                                naive.target_shift))
    x = np.maximum(0, np.int64(_layer_input(naive, permuted(images))))
    dw = np.clip(g, -127, 127)[:, :, None] * x[:, None, :]
    largest = np.sort([int(v).bit_length() for v in np.abs(dw).reshape(64, -1).max(axis=1)])
    assert found.stages[-1].update_bits_weights == largest[-(-99 * 64 // 100) - 1]


def _layer_input(model: Model, images: np.ndarray) -> np.ndarray:
    """What the last stage reads."""
    short = Model("short", model.shape, 8, model.stages[:-1])
    return logits(short, images)


@pytest.mark.parametrize("found, expected", [
    ([90, 50, 20, 24, 12], 6),  # a quarter above the least is worth having
    ([90, 50, 20, 26, 3], 8),  # more is not, whatever comes then
    ([90, 100, 80, 130, 1], 8), ([0, 0, 0, 1, 0], 8), ([5, 7, 1, 1, 1], 10)])
def test_steps_are_doubled_until_the_error_grows(monkeypatch, found, expected):
    model = random_model(AUTOENCODER, SHAPE, 3, 48, f.RECONSTRUCTION)
    data = random_dataset(model, 6, 2)
    left = list(found)
    monkeypatch.setattr(trial, "errors", lambda model, data: np.array([left.pop(0)]))
    bits = [stage.update_bits_weights for stage in model.stages]

    def put(tried, c):
        tried.stages[-1].update_bits_weights = c

    assert trial.largest_step(model, "weights", data, range(10, 5, -1), put) == expected
    assert [stage.update_bits_weights for stage in model.stages] == bits
    one = Dataset(data.images[:1], data.labels[:1], data.classes)
    assert trial.largest_step(model, "weights", one, range(10, 5, -1), put) is None


@pytest.mark.parametrize("line, loss, method", [
    (AUTOENCODER, f.RECONSTRUCTION, "weights"), (AUTOENCODER, f.RECONSTRUCTION, "gain"),
    (AUTOENCODER, f.RECONSTRUCTION, "bias"), (REGRESSION, f.SQUARED_ERROR, "weights")])
def test_a_trial_learns_what_a_board_would(priot, tmp_path, line, loss, method):
    model = random_model(line, SHAPE, 3, 48 if loss == f.RECONSTRUCTION else 3, loss)
    data = random_dataset(model, 20, 2)
    model.write(tmp_path / "m.priot")
    net = priot.load(str(tmp_path / "m.priot"))
    trainer = priot.Trainer(net, method)
    for i, image in enumerate(data.images):
        trainer.learn(image.tobytes(), data.targets[i].tolist() if data.n_targets else None)
    learned = [net.predict(image.tobytes()) for image in data.images]
    tried = trial._trained(Model.read(tmp_path / "m.priot"), method, data)
    assert logits(tried, data.images).tolist() == learned
    assert learned != logits(model, data.images).tolist()


def test_quantize_chooses_a_step_for_every_method(moved):
    """The bits are those of the trials, and by them errors fall in one epoch."""
    model, data = Model.read(moved / "net.priot"), Dataset.read(moved / "train.prd")
    before = errors(model, data).mean()
    for method in ("weights", "gain", "priot", "head", "bias"):
        job = TrainJob(moved / "net.priot", moved / "train.prd", moved / "train.prd", method, 4)
        after = train(job, UnixTarget(HEAP))["error_after"]
        assert after < 0.9 * before, method


# ---- at the prompt -----------------------------------------------------------------------------


def test_error_is_the_oracles(priot, tmp_path):
    model = random_model(AUTOENCODER, SHAPE, 3, 48, f.RECONSTRUCTION)
    data = random_dataset(model, 9, 2)
    model.write(tmp_path / "m.priot")
    net = priot.load(str(tmp_path / "m.priot"))
    expected = errors(model, data)
    found = [net.error(bytes(image.tobytes())) for image in data.images]
    assert found == expected.tolist() and min(found) > 0
    assert "48 outputs, squared error to its input" in repr(net)
    assert net.predict(data.images[0].tobytes()) == logits(model, data.images[:1])[0].tolist()
    data.write(tmp_path / "d.prd")
    result = net.evaluate(str(tmp_path / "d.prd"))
    assert (result.total, result.sum) == (9, int(expected.sum()))
    for label, row in enumerate(result.by_label):
        some = expected[data.labels == label]
        assert row == [len(some), some.sum(), some.max(initial=0)]
    assert f"9 samples, mean error {round(expected.mean())}" in repr(result)
    both = net.evaluate(str(tmp_path / "d.prd"), [image.tobytes() for image in data.images])
    assert repr(both).count(f"error {round(expected.mean())}") == 2


def test_targets_that_come_with_samples(priot, tmp_path):
    model = random_model(REGRESSION, SHAPE, 3, 3, f.SQUARED_ERROR)
    data = random_dataset(model, 20, 2)
    model.write(tmp_path / "m.priot")
    data.write(tmp_path / "d.prd")
    net = priot.load(str(tmp_path / "m.priot"))
    expected = errors(model, data)
    pairs = list(zip(data.images, data.targets, strict=True))
    assert [net.error(x.tobytes(), t.tolist()) for x, t in pairs] == expected.tolist()
    trainer = priot.Trainer(net, "weights")
    trainer.fit([(x.tobytes(), t.tolist()) for x, t in pairs], verbose=False, shuffle=False)
    twin = priot.Trainer(priot.load(str(tmp_path / "m.priot")), "weights")
    twin.fit(str(tmp_path / "d.prd"), verbose=False, shuffle=False)
    assert [bytes(a.stage.w) for a in trainer.layers] == [bytes(a.stage.w) for a in twin.layers]
    assert trainer.epoch == 1 and trainer.seen == 20
    for target in (None, [1, 2], [1, 2, 128], ["a", "b", "c"]):
        with pytest.raises(ValueError, match="target: "):
            net.error(data.images[0].tobytes(), target)


def test_what_has_no_classes_says_so(priot, tmp_path):
    model = random_model(AUTOENCODER, SHAPE, 3, 48, f.RECONSTRUCTION)
    other = random_model("flatten, linear 4", SHAPE, 3, 4)
    targets = random_model(REGRESSION, SHAPE, 3, 3, f.SQUARED_ERROR)
    for name, made in (("m", model), ("c", other), ("t", targets)):
        made.write(tmp_path / f"{name}.priot")
        random_dataset(made, 5, 2).write(tmp_path / f"{name}.prd")
    net, classifier = (priot.load(str(tmp_path / f"{name}.priot")) for name in "mc")
    image = bytes(48)
    for text, call in (
            ("scores: the network has no classes", lambda: net.scores(image)),
            ("error: the network has classes", lambda: classifier.error(image)),
            ("targets have 3 values, expected 0, where 0 is a label",
             lambda: net.evaluate(str(tmp_path / "t.prd"))),
            ("balance: the network has no classes", lambda: priot.Trainer(net).fit(
                str(tmp_path / "m.prd"), balance=True)),
            ("method: niti gives every sample's outputs a scale of their own",
             lambda: priot.Trainer(net, "niti")),
            ("label: None, expected 0..3", lambda: priot.Trainer(classifier).learn(image))):
        with pytest.raises(ValueError, match=text):
            call()


def test_one_epoch_in_words(priot, tmp_path, capsys):
    """Progress, survey and the best epoch tell errors, and of labels only that they are not
    looked at."""
    model = random_model(AUTOENCODER, SHAPE, 3, 48, f.RECONSTRUCTION)
    data = random_dataset(model, 30, 2)
    calibrate(model, data)
    model.write(tmp_path / "m.priot")
    data.write(tmp_path / "d.prd")
    trainer = priot.Trainer(priot.load(str(tmp_path / "m.priot")), "gain", step=1)
    history = trainer.fit(str(tmp_path / "d.prd"), 2, validate=str(tmp_path / "d.prd"),
                          keep_best=str(tmp_path / "best.scores"))
    said = capsys.readouterr().out
    assert "labels are not looked at: " in said and "are all learned as normal" in said
    assert f"train error {history[-1]['train_error']}" in said
    assert f"test error {history[-1]['validate_error']}" in said
    least = min(trainer.best.found, *(f"error {entry['validate_error']}" for entry in history),
                key=lambda text: int(text.split()[1]))
    assert trainer.best.found == least
    assert f"best: epoch {trainer.best.epoch}, test {least}" in said
    assert f"error {trainer.evaluate(str(tmp_path / 'd.prd')).error}" == least


# ---- jobs, reports, commands -------------------------------------------------------------------


def test_separation():
    assert separation(np.array([1, 2]), np.array([3, 4, 5])) == 100
    assert separation(np.array([3, 4, 5]), np.array([1, 2])) == 0
    assert separation(np.array([1, 2]), np.array([2])) == 75  # a tie counts half
    assert separation(np.array([1, 2]), np.array([])) is None


def test_an_autoencoder_learns_a_new_place(moved, tmp_path, capsys):
    """Without labels: the error of what is normal there falls, and tells the others better."""
    target = UnixTarget(HEAP)
    before = evaluate(moved / "net.priot", moved / "test.prd", target)
    assert json.loads((moved / "quantize.json").read_text())["fidelity"]["error"] < 1
    job = TrainJob(moved / "net.priot", moved / "train.prd", moved / "test.prd", "gain", 12,
                   {"halve": 4}, save=tmp_path / "moved.scores")
    report = train(job, target)
    after = evaluate(moved / "net.priot", moved / "test.prd", target, tmp_path / "moved.scores")
    assert (report["error_before"], report["error_after"]) == (before["error"], after["error"])
    assert report["accuracy_before"] is None and report["confusion"] is None
    normal = [result["by_label"][0][1] for result in (before, after)]
    assert normal[1] < 0.7 * normal[0]
    assert after["auc"] > 90 > before["auc"]
    model = Model.read(moved / "net.priot")
    assert before["mean_squared_error"] == pytest.approx(
        before["error"] / 48 * 4.0 ** model.exponents[-1], rel=1e-3)


def test_reports_of_errors(moved, tmp_path, capsys):
    """Train, evaluate, inspect and the page show errors and nothing of classes."""
    run("train", moved / "net.priot", moved / "train.prd", "--test", moved / "test.prd",
        "--method", "gain", "--epochs", 2, "--validate-on", moved / "test.prd", "--keep-best",
        "--save", tmp_path / "s.scores", "--json", tmp_path / "run.json", "--also",
        moved / "pretrain.prd")
    said = capsys.readouterr().out
    report = json.loads((tmp_path / "run.json").read_text())
    assert (f"mean error {report['error_before']:.0f} before, "
            f"{report['error_after']:.0f} after") in said
    assert report["best"]["error"] == pytest.approx(
        report["error_after"] * report["test_images"], abs=1)
    assert f"pretrain.prd: mean error {report['also'][0]['error_before']:.0f} before" in said
    run("report", tmp_path / "run.json", "-o", tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text()
    assert "mean error before" in page and "Squared error" in page and "Confusion" not in page
    run("evaluate", moved / "net.priot", moved / "test.prd", "--adapter", tmp_path / "s.scores",
        "--json", tmp_path / "e.json")
    found = json.loads((tmp_path / "e.json").read_text())
    said = capsys.readouterr().out
    assert f"{found['auc']:.1f} % of all pairs (AUC)" in said
    for name, (n, error, largest) in zip(("normal", "other"), found["by_label"], strict=True):
        row = f"{name:6}  {n} samples, mean error {error / n:.0f}, largest {largest}"
        assert row in said
    run("evaluate", moved / "net.priot", moved / "test.prd", "--normal", "other", "--adapter",
        tmp_path / "s.scores", "--json", tmp_path / "e.json")
    turned = json.loads((tmp_path / "e.json").read_text())["auc"]
    assert turned == pytest.approx(100 - found["auc"], abs=0.01) and turned != found["auc"]
    run("inspect", moved / "net.priot")
    assert "48 outputs, squared error to the input" in capsys.readouterr().out


@pytest.mark.parametrize("loss", [f.RECONSTRUCTION, f.CROSS_ENTROPY])
def test_biases_are_advised_to_sensors_of_classes_alone(tmp_path, capsys, loss):
    line = "flatten, linear 100 bias, relu, linear 96 bias, relu, linear 48 bias"
    model = random_model(line, (6, 1, 8), 3, 48, loss)
    model.signed = True
    model.write(tmp_path / "m.priot")
    run("plan", tmp_path / "m.priot")
    advice = next(text for text in capsys.readouterr().out.splitlines() if "recommended" in text)
    assert ("biases" in advice) == (loss == f.CROSS_ENTROPY)


@pytest.mark.parametrize("normal, text", [
    ("noise", "--normal: class: found noise, expected normal, other")])
def test_a_class_that_is_not_there(moved, normal, text):
    with pytest.raises(PriotError) as error:
        evaluate(moved / "net.priot", moved / "test.prd", UnixTarget(HEAP), normal=normal)
    assert str(error.value) == text


# ---- words -------------------------------------------------------------------------------------


def test_what_is_said_speaks_of_errors_and_samples(moved, tmp_path, capsys):
    """No command says images, classes or accuracy of a network that has none."""
    net, data = moved / "net.priot", moved / "train.prd"
    Dataset(np.zeros((4, 1, 5, 8), np.uint8), np.zeros(4, np.uint8), 1).write(
        tmp_path / "wrong.prd")
    Dataset(np.full((4, *SHAPE), 3, np.uint8), np.zeros(4, np.uint8), 1).write(
        tmp_path / "flat.prd")
    files = [f"{moved}/", f"{tmp_path}/"]
    train = ["train", net, data, "--method", "gain", "--epochs", 1]
    for status, *words in (
            (0, *train, "--test", data, "--validate", "--plot", tmp_path / "p.png",
             "--json", tmp_path / "run.json", "--keep-best", "--save", tmp_path / "s.scores"),
            (0, *train, "--plot", tmp_path / "untested.png"),
            (0, "report", tmp_path / "run.json"), (0, "inspect", data),
            (1, "train", net, tmp_path / "wrong.prd"),
            (1, *train, "--add-class", "mug"),
            (1, "quantize", moved / "net.npz", "--calibrate", tmp_path / "flat.prd", "-o",
             tmp_path / "n.priot"),
            (1, "quantize", moved / "net.npz", "--calibrate", data, "--spare", 2, "-o",
             tmp_path / "n.priot")):
        assert cli.main([str(word) for word in words]) == status, words
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1 or not status
        said = printed.out + printed.err
        for name in files:
            said = said.replace(name, "")
        wrong = {"image", "images", "accuracy", "classes"} & set(said.replace(",", " ").split())
        assert wrong <= ({"classes"} if "has no classes" in said else set()), said
    assert (tmp_path / "p.png").stat().st_size > 5000
    page = (tmp_path / "run.html").read_text()
    assert "samples" in page and "which class" not in page and "their sample" in page


def test_a_class_cannot_be_added(priot, moved):
    with pytest.raises(ValueError, match="^class mug: .* has no classes, it is trained by"):
        priot.load(str(moved / "net.priot")).add_class("mug")
