"""New classes: spare outputs of a model, taken into use on the device; scores and names."""

import json
import os
import random
import re
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import forgery
import numpy as np
import pytest
from priot.backbone.quantize import add_spare, calibrate
from priot.formats import Adapter, Dataset, Model
from priot.methods import METHODS
from priot.network import fields as f
from priot.oracle import kernels as oracle
from priot.oracle.step import Oracle
from priot.paths import BACKBONES, ROOT
from support import import_device, micropython, random_dataset, random_model
from test_readers import compare, device_says, host_says

SCRIPTS = Path(__file__).parent / "device"
SPEC = "conv 4 3, relu, maxpool 2, flatten, linear 12, relu, linear 5"
NAMES = ("cat", "dog", "owl", "fox", "elk")
STEPS = 16


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A model of five classes with two spare outputs, data of five classes and of six."""
    return made(SPEC, tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def biased_files(tmp_path_factory) -> dict[str, Path]:
    """The same of a network with biases."""
    return made(SPEC.replace(", relu", " bias, relu") + " bias", tmp_path_factory.mktemp("biased"))


def made(spec: str, folder: Path) -> dict[str, Path]:
    model = random_model(spec, (1, 10, 10), seed=8, classes=5)
    model.names = NAMES
    data = random_dataset(replace(model, classes=6), STEPS, seed=9)
    data.names = (*NAMES, "mug")
    old = data.labels < 5
    five = Dataset(data.images[old], data.labels[old], 5, NAMES)
    calibrate(model, five)
    add_spare(model, 2)
    paths = {name: folder / name for name in ("model.priot", "five.prd", "six.prd")}
    model.write(paths["model.priot"])
    five.write(paths["five.prd"])
    data.write(paths["six.prd"])
    return paths


@pytest.fixture
def priot():
    return import_device()


def text(path: Path) -> str:
    return str(path)


# ---- the file -------------------------------------------------------------------------------


def test_spare_outputs_in_the_file(files):
    """They follow the others; a reader that knows of none would see seven classes."""
    model = Model.read(files["model.priot"])
    data = model.to_bytes()
    assert data == files["model.priot"].read_bytes()
    assert struct.unpack_from("<H", data, 38) == (7,) and data[43] == 2
    assert (model.classes, model.spare.shape, model.names) == (5, (2, 12), NAMES)
    assert model.weight_stages[-1].weights.shape == (5, 12)
    plain = replace(model, spare=model.spare[:0])
    for one, other in zip(plain.stages, model.stages, strict=True):
        assert one == other  # shifts and all
    without = plain.to_bytes()
    assert len(data) - len(without) == 24 and without[43] == 0  # 2 * 12 weights
    last_rows = model.weight_stages[-1].rows
    assert data.endswith(bytes(int(v) + 128 for v in [*last_rows.ravel(), *model.spare.ravel()]))
    again = Model.read(files["model.priot"])
    add_spare(again, 2)
    assert (again.spare == model.spare).all(), "not always the same"
    assert set(np.unique(np.abs(model.spare))) <= set(np.unique(np.abs(last_rows)))


def test_host_and_device_refuse_the_same_spare_outputs(files, tmp_path):
    model = Model.read(files["model.priot"])
    rng = random.Random(4)
    good = model.to_bytes()
    bad = [forgery.seal(good[:43] + bytes([n]) + good[44:]) for n in range(256)]
    pooled = random_model("conv 3 3, relu, avgpool 2", (1, 4, 4), 1, 3).to_bytes()
    bad += [forgery.seal(pooled[:43] + b"\1" + pooled[44:])]
    bad += [forgery.damaged(rng, good) for _ in range(400)]
    bad = [data for data in bad if data[4:6] != b"\1\0"]
    compare(bad, [host_says(Model, data) for data in bad], device_says("model", bad, tmp_path), 20)
    with pytest.raises(ValueError, match="outputs are spare of linear only"):
        add_spare(random_model("conv 3 3, relu, avgpool 2", (1, 4, 4), 1, 3), 1)


def test_host_and_device_refuse_the_same_adapters_with_added_classes(files, tmp_path):
    model = Model.read(files["model.priot"])
    rng = random.Random(5)
    good = []
    for added in (["mug"], ["mug", "cup"]):
        wide = model.with_classes(added)
        for adapter in forgery.adapters(replace(wide, names=wide.names)):
            adapter.backbone_crc, adapter.names = model.crc, wide.names
            good.append(adapter.to_bytes())
    files_there = good + [forgery.damaged(rng, rng.choice(good)) for _ in range(600)]
    files_there = [data for data in files_there if data[4:6] != b"\1\0"]
    host = [host_says(Adapter, data, model) for data in files_there]
    assert not any(host[: len(good)])
    device = device_says("adapter", files_there, tmp_path, text(files["model.priot"]))
    compare(files_there, host, device, len(good))


# ---- as the oracle --------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["native", "viper"])
@pytest.mark.parametrize("method, options", [
    *((name, {}) for name in METHODS), ("priot", {"layout": "small"}), ("priot", {"last": 1}),
    ("priot-s", {"fraction": 30, "select": "random"}), ("gain", {"layout": "small"})])
def test_training_a_new_class_is_the_oracle_of_the_wider_model(request, tmp_path, backend, method,
                                                               options):
    """Logits of five classes, of six, every step, and what was learned."""
    files = request.getfixturevalue("biased_files" if method == "bias" else "files")
    model, data = Model.read(files["model.priot"]), Dataset.read(files["six.prd"])
    save = tmp_path / "a.scores"
    said = micropython(
        SCRIPTS / "added.py", text(files["model.priot"]), text(files["six.prd"]), "mug", method,
        json.dumps({"seed": 3, **options}), str(STEPS), text(save), backend=backend).stdout
    label, before, added, crcs, after = json.loads(said.splitlines()[-1])
    wide = model.with_classes(["mug"])
    assert label == 5 and wide.names == (*NAMES, "mug")
    for narrow_or_wide, found in ((model, before), (wide, added)):
        plain = Oracle(narrow_or_wide, "weights")
        assert found == [plain.forward(image).hex() for image in data.images]
    plain_options = {k: v for k, v in options.items() if k != "layout"}
    trained = Oracle(wide, method, seed=3, **plain_options)
    expected = []
    for image, target in zip(data.images, data.labels, strict=True):
        trained.step(image, int(target))
        crc = 0
        for s in trained.states:
            if s.trained:
                crc = zlib.crc32(s.scores, zlib.crc32(s.w, zlib.crc32(s.bias, crc)))
        expected.append(crc)
    assert crcs == expected and len(set(crcs)) > 3
    assert after == [trained.forward(image).hex() for image in data.images]
    adapter = Adapter.read(save)
    adapter.check_backbone(model)
    assert adapter.names == wide.names


# ---- at the prompt --------------------------------------------------------------------------


def trained(priot, files, method="priot", **options):
    """A trainer of six classes."""
    net = priot.load(text(files["model.priot"]))
    net.add_class("mug")
    trainer = priot.Trainer(net, method, **options)
    trainer.fit(text(files["six.prd"]), epochs=2, verbose=False)
    return trainer


def logits(priot, net, files) -> bytes:
    """Of every third sample."""
    found = b""
    with priot.Dataset(text(files["six.prd"])) as data:
        for i in range(0, len(data), 3):
            data.read(i, net.record)
            net.forward()
            found += bytes(net.logits)
    return found


def test_a_spare_output_is_never_seen(priot, files):
    """No logit, no gradient, no byte of an adapter belongs to it."""
    net = priot.load(text(files["model.priot"]))
    assert (net.n_classes, net.n_outputs, len(net.logits)) == (5, 7, 5)
    plain = Model.read(files["model.priot"])
    spare_weights = bytes(net.weights_of(net.stages[-1], 7 * 12)[5 * 12:])
    trainer = priot.Trainer(net, "weights")
    assert len(trainer.loss_operands[0]) == 5
    trainer.fit(text(files["five.prd"]), epochs=1, verbose=False)
    assert bytes(net.weights_of(net.stages[-1], 7 * 12)[5 * 12:]) == spare_weights
    assert spare_weights == bytes(int(v) + 128 for v in plain.spare.ravel())


@pytest.mark.parametrize("method, options", [
    ("priot", {}), ("priot", {"keep": 70}), ("gain", {"layout": "small"}), ("weights", {}),
    ("priot-s", {"fraction": 40, "select": "random"}), ("niti", {}), ("head", {}),
    ("bias", {})])
def test_what_was_saved_brings_its_classes(request, priot, tmp_path, method, options):
    """apply widens a fresh network; reset, and a file from before, take the class away again."""
    files = request.getfixturevalue("biased_files" if method == "bias" else "files")
    fresh = priot.load(text(files["model.priot"]))
    backbone = logits(priot, fresh, files)
    before = priot.Trainer(fresh, method, **options)
    before.fit(text(files["five.prd"]), epochs=1, verbose=False)
    narrow = logits(priot, fresh, files)
    before.save(text(tmp_path / "five.scores"))
    trainer = trained(priot, files, method, **options)
    six = logits(priot, trainer.net, files)
    trainer.save(text(tmp_path / "six.scores"))
    paths = ["six.scores"]
    if METHODS[method].rule == 1:
        trainer.export_mask(text(tmp_path / "six.adapter"))
        paths.append("six.adapter")
    for path in paths:
        for layout in ("kept", "small"):
            fresh.apply(text(tmp_path / path), layout)
            assert (fresh.n_classes, fresh.names) == (6, (*NAMES, "mug"))
            assert logits(priot, fresh, files) == six
    fresh.apply(text(tmp_path / "five.scores"))
    assert fresh.names == NAMES and logits(priot, fresh, files) == narrow
    fresh.apply(text(tmp_path / "six.scores"))
    fresh.reset()
    assert fresh.names == NAMES and logits(priot, fresh, files) == backbone
    fresh.add_class("mug")
    again = priot.Trainer(fresh, method, **options)
    if method == "priot":
        again = priot.Trainer(fresh, method, seed=5, **options)
    again.load(text(tmp_path / "six.scores"))
    assert logits(priot, fresh, files) == six
    again.save(text(tmp_path / "again.scores"))
    assert (tmp_path / "again.scores").read_bytes() == (tmp_path / "six.scores").read_bytes()


@pytest.mark.parametrize("method", ["priot", "gain", "weights", "head"])
def test_what_was_learned_before_is_taken_along(priot, files, tmp_path, method):
    """A file of five classes in a trainer of six: the five answer as before."""
    first = priot.Trainer(priot.load(text(files["model.priot"])), method)
    first.fit(text(files["five.prd"]), epochs=2, verbose=False)
    five = logits(priot, first.net, files)
    first.save(text(tmp_path / "five.scores"))
    net = priot.load(text(files["model.priot"]))
    net.add_class("mug")
    trainer = priot.Trainer(net, method, seed=9)
    trainer.load(text(tmp_path / "five.scores"))
    six = np.frombuffer(logits(priot, net, files), np.int8).reshape(-1, 6)
    assert (six[:, :5] == np.frombuffer(five, np.int8).reshape(-1, 5)).all()
    trainer.fit(text(files["six.prd"]), epochs=1, verbose=False)
    trainer.save(text(tmp_path / "six.scores"))
    assert Adapter.read(tmp_path / "six.scores").names == (*NAMES, "mug")


def test_scores_saved_late_are_those_of_their_classes(priot, files, tmp_path):
    """The network got a class meanwhile; the trainer before still saves what it has."""
    for options in ({}, {"fraction": 40, "select": "random"}):
        trainer = priot.Trainer(priot.load(text(files["model.priot"])), "priot-s", **options)
        trainer.save(text(tmp_path / "a"))
        trainer.net.reset()
        trainer.net.add_class("mug")
        trainer.save(text(tmp_path / "b"))
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_refusals(priot, files, tmp_path):
    """Each is one line, and changes nothing."""
    net = priot.load(text(files["model.priot"]))
    before = logits(priot, net, files)
    for name, reason in ((7, "class: 7, expected a name"), ("", "class: name is b'', expected"),
                         ("x" * 64, "expected 1..63 bytes of text"),
                         ("a\n", "expected 1..63 bytes of text"),
                         ("owl", "class: owl is there already, its label is 2")):
        with pytest.raises(ValueError, match=reason):
            net.add_class(name)
    with pytest.raises(ValueError, match=re.escape(
            "six.prd: has the class mug, the model has not (class 5 is mug there, missing in the "
            "model); net.add_class('mug') adds it")):
        net.evaluate(text(files["six.prd"]))
    trainer = trained(priot, files)
    trainer.save(text(tmp_path / "six.scores"))
    for what_is_there in (lambda: net.apply(text(tmp_path / "six.scores")),
                          lambda: priot.Trainer(net)):
        what_is_there()
        with pytest.raises(ValueError, match=r"class cup: what is in force has \d classes; net"):
            net.add_class("cup")
        net.reset()
    with pytest.raises(ValueError, match=re.escape(
            "six.scores: knows mug too; net.reset(), net.add_class('mug'), then a new Trainer")):
        priot.Trainer(net).load(text(tmp_path / "six.scores"))
    net.reset()
    net.add_class("cup")
    with pytest.raises(ValueError, match="names of the classes is .*mug, expected .*cup"):
        priot.Trainer(net).load(text(tmp_path / "six.scores"))
    net.reset()
    assert logits(priot, net, files) == before
    assert [net.add_class(name) for name in ("cup", "mug")] == [5, 6]
    with pytest.raises(ValueError, match=r"class hat: .*model.priot has no spare output left; pr"):
        net.add_class("hat")
    plain = priot.load(str(BACKBONES / "digits-0.priot"))
    with pytest.raises(ValueError, match="digits-0.priot has no spare output; priot quantize"):
        plain.add_class("hat")


def test_names_where_the_model_has_none(priot, files, tmp_path):
    """The classes before get their numbers as names, which the adapter file keeps."""
    model = replace(Model.read(files["model.priot"]), names=())
    model.write(tmp_path / "model.priot")
    net = priot.load(str(tmp_path / "model.priot"))
    assert net.names == () and net.add_class("mug") == 5
    assert net.names == ("0", "1", "2", "3", "4", "mug")
    priot.Trainer(net, "head").save(str(tmp_path / "a"))
    Adapter.read(tmp_path / "a").check_backbone(model)
    other = priot.load(str(tmp_path / "model.priot"))
    other.apply(str(tmp_path / "a"))
    assert other.names == net.names
    other.reset()
    assert other.names == ()


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_class_that_cannot_be_added_changes_nothing(priot, files, monkeypatch, error):
    net = priot.load(text(files["model.priot"]))
    before = logits(priot, net, files)
    calls = []

    def fails(self, layout, trainer=None):
        calls.append(1)
        if len(calls) == 1:
            raise error("none")
        return prepare(self, layout, trainer)

    prepare = type(net).prepare
    monkeypatch.setattr(type(net), "prepare", fails)
    with pytest.raises(error):
        net.add_class("mug")
    assert (net.n_classes, net.names) == (5, NAMES) and logits(priot, net, files) == before


# ---- scores and names -----------------------------------------------------------------------


def expected_scores(logits: np.ndarray, shift: int) -> list[int]:
    """1000 * softmax by the table, largest remainders first, then the predicted class."""
    z = logits.astype(int)
    below = z.max() - z
    e = oracle.EXP_TABLE[np.minimum(255, below << shift if shift >= 0 else below >> -shift)]
    e = e.astype(int)
    floor, rest = np.divmod(1000 * e, e.sum())
    order = sorted(range(len(z)), key=lambda i: (-rest[i], i != z.argmax(), i))
    floor[order[: 1000 - floor.sum()]] += 1
    return floor.tolist()


SCORES = """
import json, priot, sys
net = priot.load(sys.argv[1])
data = priot.Dataset(sys.argv[2])
images = [bytes(100)]  # all logits equal
for i in range(12):
    record = bytearray(101)
    data.read(i, record)
    images.append(record[:-1])
found = []
for shift in range(-8, 9):
    net.loss[LOSS_SHIFT] = shift
    net.set_exponent = lambda: None
    for image in images:
        scores = net.scores(image)
        top = net.predict(image)
        found.append((shift, [(v ^ 128) - 128 for v in bytes(net.logits)], scores, top, [
            net.predict(image, least=n) for n in (scores[top], min(1000, scores[top] + 1))]))
print(json.dumps(found))
"""


@pytest.mark.parametrize("backend", ["native", "viper"])
def test_scores_are_the_softmax_in_thousandths(files, backend):
    """On every backend, for every exponent of logits; they sum to 1000, the predicted leads."""
    script = SCORES.replace("LOSS_SHIFT", str(f.LOSS_SHIFT))
    found = json.loads(micropython(script, text(files["model.priot"]), text(files["five.prd"]),
                                   backend=backend).stdout)
    assert len(found) == 17 * 13
    for shift, z, scores, top, (sure, unsure) in found:
        assert scores == expected_scores(np.array(z), shift)
        assert sum(scores) == 1000 and scores[top] == max(scores) and z[top] == max(z)
        assert sure == top and (unsure is None or scores[top] == 1000)
    assert len({tuple(scores) for _, _, scores, *_ in found}) > 20


def test_least_has_a_range(priot, files):
    net = priot.load(text(files["model.priot"]))
    for least in (-1, 1001):
        with pytest.raises(ValueError, match=f"least: {least}, expected 0..1000"):
            net.predict(bytes(100), least=least)


def test_names_at_the_prompt(priot, files):
    net = priot.load(text(files["model.priot"]))
    assert net.names[net.predict(bytes(100))] in NAMES
    assert "5 classes" in repr(net) and "classes: cat, dog, owl, fox, elk" in repr(net)
    assert "2 more can be added" in repr(net)
    net.add_class("mug")
    assert "elk, mug" in repr(net) and "1 more can be added" in repr(net)
    data = priot.Dataset(text(files["six.prd"]))
    assert repr(data).endswith("6 classes: cat, dog, owl, fox, elk, mug>")
    data.close()
    assert "6 classes" in repr(data)
    many = import_device("files").names_text([str(i) for i in range(100)])
    assert many.endswith("18, 19 and 80 more")


# ---- what it is for -------------------------------------------------------------------------


PROMPT = """
import priot, sys
folder = sys.argv[1]
net = priot.load(folder + "/model.priot")
print(net.evaluate(folder + "/old.prd").permille)
net.add_class("nine")
before = net.evaluate(folder + "/test.prd").per_class
t = priot.Trainer(net, sys.argv[2], seed=1)
t.fit(folder + "/train.prd", epochs=6, verbose=False)
after = t.evaluate(folder + "/test.prd").per_class
t.save(folder + "/nine.scores")
net.reset()
net.apply(folder + "/nine.scores")
print(net.names[9], net.evaluate(folder + "/test.prd").per_class == after)
print([sum([row[0] for row in found[:9]]) for found in (before, after)], before[9], after[9])
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """A network of nine digits, made of one of ten by taking a row away; data with the tenth."""
    folder = tmp_path_factory.mktemp("digits")
    model = Model.read(BACKBONES / "digits-0.priot")
    last = model.stages[-1]
    model.stages[-1] = replace(last, n_out=9, weights=last.weights[:9])
    model.classes = 9
    model.names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")
    add_spare(model, 1)
    model.write(folder / "model.priot")
    for part in ("train", "test"):
        run("dataset", "digits", "--part", part, "-o", folder / f"{part}.prd")
        data = replace(Dataset.read(folder / f"{part}.prd"), names=(*model.names, "nine"))
        data.write(folder / f"{part}.prd")
    old = data.labels < 9
    Dataset(data.images[old], data.labels[old], 9, model.names).write(folder / "old.prd")
    return folder


def run(*arguments: object, status: int = 0) -> str:
    """What a priot command prints."""
    result = subprocess.run([sys.executable, "-m", "priot.cli", *map(str, arguments)], text=True,
                            capture_output=True, env=dict(os.environ, PYTHONPATH=str(
                                ROOT / "host_tools")))
    assert result.returncode == status, result.stderr
    return result.stdout + result.stderr


@pytest.mark.parametrize("method", [name for name in METHODS if name != "bias"])
def test_a_new_digit_is_learned_and_the_others_hold(digits, method):
    """Never predicted before, most are right after six epochs; the others lose next to none."""
    said = micropython(PROMPT, str(digits), method, backend="native").stdout.splitlines()
    assert int(said[0]) > 980
    assert said[1] == "nine True"
    olds, right_before, right_after = re.findall(r"[\[(].*?[\])]", said[2])
    old_before, old_after = json.loads(olds)
    assert eval(right_before)[0] <= 5
    new, total = eval(right_after)
    assert total == 47 and new >= 38, said[2]
    assert old_after >= old_before - 15 and old_before > 380, said[2]


def test_a_new_class_from_the_pc(digits, tmp_path):
    """train --add-class, --resume of the file, evaluate with it; a model without is refused."""
    model, train, test = (digits / n for n in ("model.priot", "train.prd", "test.prd"))
    said = run("train", model, train, "--epochs", 1, status=1)
    assert "has the class nine, the model has not (class 9 is nine there, missing in" in said
    assert "; --add-class nine adds it" in said
    saved = tmp_path / "a.scores"
    run("train", model, train, "--add-class", "nine", "--epochs", 1, "--save", saved)
    report = tmp_path / "report.json"
    run("train", model, train, "--test", test, "--epochs", 2, "--resume", saved, "--save", saved,
        "--json", report)
    assert json.loads(report.read_text())["accuracy_after"] > 85
    assert "of 449 images right" in run("evaluate", model, test, "--adapter", saved)
    assert "spare outputs for classes to add: 1" in run("inspect", model)
    assert "spare outputs: found 1, expected 2, for nine, ten" in run(
        "train", model, train, "--add-class", "nine", "--add-class", "ten", status=1)
