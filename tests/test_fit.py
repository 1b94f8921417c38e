"""What `fit` is asked for beside plain epochs: balance, replay, the best epoch; and what it says.

Names of classes, where files meet, are test_labels.py's.
"""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from priot import cli
from priot.backbone.quantize import calibrate
from priot.data.prepare import prepare
from priot.errors import PriotError
from priot.formats import Adapter, Dataset, Model
from priot.jobs.evaluate import evaluate
from priot.jobs.train import TrainJob, train
from priot.paths import BACKBONES
from priot.targets.unix import UnixTarget
from support import import_device, micropython, random_dataset, random_model

SPEC = "conv 2 3, relu, maxpool 2, flatten, linear 10"  # small: CPython runs it as plain Python
COUNTS = {0: 11, 3: 2, 4: 5, 9: 6}  # samples of each class

# Trains on any backend and saves what was learned.
LEARN = """
import sys, priot
model, data, old, backend, path = sys.argv[1:]
priot.backend.use(backend)
t = priot.Trainer(priot.load(model), seed=7)
t.fit(data, epochs=2, balance=True, replay=old, share=40, verbose=False)
t.save(path)
"""


def with_counts(data: Dataset, counts: dict[int, int]) -> Dataset:
    """So many samples of each class, mixed."""
    labels = np.repeat(list(counts), list(counts.values())).astype(np.uint8)
    labels = np.random.default_rng(1).permutation(labels)
    return replace(data, images=data.images[: len(labels)], labels=labels)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    """A model, an unbalanced dataset, one with old samples, one to validate on."""
    folder = tmp_path_factory.mktemp("fit")
    model = random_model(SPEC, (1, 6, 6), seed=5)
    data = random_dataset(model, 40, seed=6)
    calibrate(model, data)
    model.write(folder / "model.priot")
    with_counts(data, COUNTS).write(folder / "data.prd")
    random_dataset(model, 13, seed=8).write(folder / "old.prd")
    random_dataset(model, 30, seed=9).write(folder / "validate.prd")
    return {path.stem: str(path) for path in folder.iterdir()}


@pytest.fixture
def priot():
    return import_device()


def new_trainer(priot, files, **options):
    return priot.Trainer(priot.load(files["model"]), **{"seed": 3, **options})


def drawn(trainer, monkeypatch) -> list[tuple[bytes, int]]:
    """A list that grows by every sample that is trained: its image and label."""
    samples: list[tuple[bytes, int]] = []
    step = trainer.step

    def spy(label):
        samples.append((bytes(trainer.net.x), label))
        return step(label)

    monkeypatch.setattr(trainer, "step", spy)
    return samples


def images_of(path: str) -> dict[bytes, int]:
    data = Dataset.read(path)
    return {image.tobytes(): int(label) for image, label in zip(
        data.images, data.labels, strict=True)}


# ---- balance ----


def test_balance_draws_every_class_equally_often(priot, files, monkeypatch):
    """In rounds of one of each; samples come again only when all of their class have come."""
    trainer = new_trainer(priot, files)
    samples = drawn(trainer, monkeypatch)
    trainer.fit(files["data"], epochs=2, balance=True, verbose=False)
    n, k = sum(COUNTS.values()), len(COUNTS)
    assert len(samples) == 2 * (n // k) * k
    known = images_of(files["data"])
    assert all(known[image] == label for image, label in samples)
    orders = []
    for epoch in (samples[: n // k * k], samples[n // k * k :]):
        rounds = [[label for _, label in epoch[i : i + k]] for i in range(0, len(epoch), k)]
        assert all(sorted(labels) == sorted(COUNTS) for labels in rounds)
        assert len(set(map(tuple, rounds))) > 1, "the order in a round is drawn"
        for label, count in COUNTS.items():
            times = Counter(image for image, found in epoch if found == label)
            assert len(times) == min(count, n // k)
            assert max(times.values()) - min(times.values()) <= 1
        orders.append(epoch)
    assert orders[0] != orders[1]


def test_balance_without_shuffle_takes_the_order_of_the_file(priot, files, monkeypatch):
    trainer = new_trainer(priot, files)
    samples = drawn(trainer, monkeypatch)
    state = trainer.state[0]
    trainer.fit(files["data"], balance=True, shuffle=False, verbose=False)
    assert trainer.state[0] == state
    data = Dataset.read(files["data"])
    places = {label: np.flatnonzero(data.labels == label) for label in COUNTS}
    expected = [(data.images[places[c][i % len(places[c])]].tobytes(), c)
                for i in range(len(data) // len(COUNTS)) for c in sorted(COUNTS)]
    assert samples == expected


# ---- replay ----


@pytest.mark.parametrize("share, n_old", [(50, 24), (20, 6), (1, 1), (90, 216)])
def test_replay_mixes_in_a_share(priot, files, monkeypatch, share, n_old):
    """Every new sample once, the old ones evenly between them, none again before all others."""
    trainer = new_trainer(priot, files)
    samples = drawn(trainer, monkeypatch)
    record = trainer.fit(files["data"], replay=files["old"], share=share, verbose=False)[0]
    new, old = images_of(files["data"]), images_of(files["old"])
    assert record["samples"] == len(samples) == len(new) + n_old
    assert all((new | old)[image] == label for image, label in samples)
    assert Counter(image for image, _ in samples if image in new) == Counter(new.keys())
    times = Counter(image for image, _ in samples if image in old)
    assert len(times) == min(n_old, len(old)) and max(times.values()) == -(-n_old // len(old))
    so_far = np.cumsum([image in old for image, _ in samples])
    due = np.cumsum([image in new for image, _ in samples]) * n_old / len(new)
    assert np.abs(so_far - due).max() <= max(1, n_old / len(new))


@pytest.mark.parametrize("backend", ["native", "portable", "viper"])
def test_the_seed_alone_decides_what_is_learned(priot, files, tmp_path, backend):
    """The same bytes on every backend as on CPython, in one go or saved and resumed between."""
    options = {"balance": True, "replay": files["old"], "share": 40, "verbose": False}
    trainer = new_trainer(priot, files, seed=7)
    trainer.fit(files["data"], **options)
    trainer.save(str(tmp_path / "half.scores"))
    resumed = new_trainer(priot, files, seed=9)
    resumed.load(str(tmp_path / "half.scores"))
    resumed.fit(files["data"], **options)
    resumed.save(str(tmp_path / "here.scores"))
    micropython(LEARN, files["model"], files["data"], files["old"], backend,
                str(tmp_path / "there.scores"), backend=backend)
    assert (tmp_path / "there.scores").read_bytes() == (tmp_path / "here.scores").read_bytes()


# ---- the best epoch ----


def scripted(trainer, monkeypatch, rights: list[int]) -> None:
    """Validations find so many right, one after the other."""
    answers = iter(rights)

    class Answer:
        def __init__(self, n):
            self.correct, self.total, self.permille = n, 30, n * 1000 // 30

    monkeypatch.setattr(trainer, "evaluate", lambda source: Answer(next(answers)))


@pytest.mark.parametrize("rights, patience, epochs, best", [
    ([3, 5, 9, 8, 9, 4], 0, 5, 2), ([3, 5, 9, 8, 9, 4], 2, 4, 2), ([9, 5, 3], 2, 2, 0),
    ([1, 2, 3], 1, 2, 2), ([1, 1, 2, 2, 2], 2, 4, 2),
])
def test_the_best_epoch_is_kept(priot, files, tmp_path, monkeypatch, rights, patience, epochs,
                                best):
    """In the file at any moment, and in the trainer in the end; patience ends the training."""
    kept = tmp_path / "best.scores"
    trainer = new_trainer(priot, files)
    scripted(trainer, monkeypatch, rights)
    in_file: list[int] = []
    history = trainer.fit(
        files["data"], epochs=len(rights) - 1, validate=files["validate"], verbose=False,
        keep_best=str(kept), patience=patience,
        progress=lambda record: in_file.append(Adapter.read(kept).epochs))
    assert len(history) == epochs
    assert in_file == [int(np.argmax(rights[: i + 2])) for i in range(epochs)]
    assert trainer.epoch == Adapter.read(kept).epochs == best
    again = new_trainer(priot, files)
    again.fit(files["data"], epochs=best, verbose=False)
    assert [bytes(layer.scores) for layer in trainer.layers] == [
        bytes(layer.scores) for layer in again.layers]


def test_patience_alone_keeps_the_last_epoch(priot, files, monkeypatch, capsys):
    trainer = new_trainer(priot, files)
    scripted(trainer, monkeypatch, [3, 4, 2, 1])
    trainer.fit(files["data"], epochs=9, validate=files["validate"], patience=2)
    assert trainer.epoch == 3
    said = capsys.readouterr().out
    assert "best: epoch 1, test 13.3 %; not kept, there was no keep_best" in said


def test_ctrl_c_leaves_the_best_epoch(priot, files, tmp_path, monkeypatch, capsys):
    """In the middle of the third epoch, after a first that was the best."""
    trainer = new_trainer(priot, files)
    scripted(trainer, monkeypatch, [3, 8, 4])
    left = iter(range(3 * 24 - 5))
    trainer.fit(files["data"], epochs=9, validate=files["validate"],
                keep_best=str(tmp_path / "best.scores"), stop=lambda: next(left, None) is None)
    assert trainer.epoch == 1 and trainer.is_stopped
    said = capsys.readouterr().out
    assert "stopped by Ctrl-C\nbest: epoch 1, test 26.7 %; in force, and in " in said


@pytest.mark.parametrize("options, reason", [
    ({"keep_best": "a"}, "keep_best, patience: need a dataset to validate on"),
    ({"patience": 2}, "keep_best, patience: need a dataset to validate on"),
    ({"patience": -1, "validate": "validate"}, "patience: -1, expected epochs"),
    ({"keep_best": "a", "checkpoint": "a", "validate": "validate"}, "keep_best: a is the check"),
    ({"replay": "old", "share": 0}, "share: 0, expected 1..90"),
    ({"replay": "old", "share": 91}, "share: 91, expected 1..90"),
    ({"replay": []}, "balance, replay: need a dataset"),
    ({"balance": True, "source": []}, "balance, replay: need a dataset"),
])
def test_what_cannot_be_is_refused_before_training(priot, files, options, reason):
    trainer = new_trainer(priot, files)
    options = {name: files.get(value, value) if isinstance(value, str) else value
               for name, value in options.items()}
    with pytest.raises(ValueError, match=reason):
        trainer.fit(options.pop("source", files["data"]), verbose=False, **options)
    assert trainer.seen == trainer.epoch == 0


# ---- what is said before training ----


NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# Prints what fit would say of each dataset: [text, warnings].
SURVEY = """
import json, sys, priot
from priot.survey import Survey
net = priot.load(sys.argv[1])
with open(sys.argv[2]) as f:
    cases = json.load(f)
for name in sorted(cases):
    more = {k: priot.Dataset(v) if isinstance(v, str) else v for k, v in cases[name].items()}
    s = Survey(net, **more)
    print(json.dumps([name, s.text(), s.warnings]))
"""


def some(data: Dataset, keep: np.ndarray) -> Dataset:
    return replace(data, images=data.images[keep], labels=data.labels[keep])


@pytest.fixture(scope="module")
def digits() -> tuple[Model, Dataset]:
    """A network that knows upright digits, and such digits."""
    model = Model.read(BACKBONES / "digits-0.priot")
    model.names = NAMES
    return model, replace(prepare("digits", part="train", n=200), names=NAMES)


@pytest.fixture(scope="module")
def said(digits, tmp_path_factory) -> dict[str, tuple[str, list[str]]]:
    """Of every case what is said before the first epoch."""
    model, data = digits
    labels = data.labels
    datasets = {
        "good": data, "three": some(data, labels == 3),
        "absent": some(data, ~np.isin(labels, [3, 8])),
        "few": some(data, (labels != 3) | (np.cumsum(labels == 3) <= 2)),
        "negative": replace(data, images=127 - data.images),
        "shifted": replace(data, labels=(labels + 1) % 10),
        "sorted": some(data, np.argsort(labels)),
        "negative three": some(replace(data, images=127 - data.images), labels == 3),
    }
    datasets["negative sorted"] = some(datasets["negative"], np.argsort(labels))
    folder = tmp_path_factory.mktemp("survey")
    model.write(folder / "m.priot")
    for name, dataset in datasets.items():
        dataset.write(folder / f"{name}.prd")
    cases: dict[str, dict] = {name: {"source": name} for name in datasets}
    cases |= {"good with old": {"source": "good", "replay": "good", "validate": "good"},
              "three with old": {"source": "three", "replay": "good"},
              "few balanced": {"source": "few", "balance": True},
              "negative old": {"source": "good", "replay": "negative"},
              "negative test": {"source": "good", "validate": "negative"}}
    (folder / "cases.json").write_text(json.dumps({name: {
        key: str(folder / f"{value}.prd") if isinstance(value, str) else value
        for key, value in case.items()} for name, case in cases.items()}))
    printed = micropython(SURVEY, str(folder / "m.priot"), str(folder / "cases.json"),
                          backend="native").stdout.replace(f"{folder}/", "")
    return {name: (text, warnings) for name, text, warnings in map(
        json.loads, printed.splitlines())}


def test_good_data_is_counted_in_silence(digits, said):
    counts = np.bincount(digits[1].labels)
    listed = ", ".join(f"{name}: {n}" for name, n in zip(NAMES, counts, strict=True))
    assert said["good"] == (f"good.prd: 200 samples, by class {listed}", [])
    assert said["good with old"] == said["good"]


def test_what_is_doubtful_about_the_counts(digits, said):
    counts = np.bincount(digits[1].labels)
    assert said["three"][1] == [
        "three.prd: every sample is of class three: nothing else will be predicted any more; mix "
        "in others by replay"]
    assert said["three with old"][1] == []
    assert said["absent"][1] == [
        "absent.prd: no sample of class three, eight: it will hardly be predicted any more; mix "
        "in others by replay"]
    most = max(range(10), key=lambda i: (counts[i], i))
    assert said["few"][1] == [
        f"few.prd: {counts[most]} samples of class {NAMES[most]}, 2 of three: balance draws every "
        "class equally often"]
    assert said["few balanced"][1] == []


@pytest.mark.parametrize("name", ["negative", "shifted", "negative sorted"])
def test_worse_than_chance(said, name):
    [warning] = said[name][1]
    assert warning.startswith(f"{name}.prd: before training ")
    assert "by chance it would be 10.0 %: are images inverted, or labels those of" in warning


def test_some_classes_alone_may_be_unfamiliar(said):
    """That the network knows none of them is no sign of inverted images."""
    assert len(said["negative three"][1]) == 1


def test_a_sorted_dataset_is_no_worse_than_chance(said):
    """The samples that are looked at come from all classes."""
    assert said["sorted"][1] == []


def test_one_of_two_datasets_inverted(said):
    for name in ("negative old", "negative test"):
        [warning] = said[name][1]
        assert warning.startswith("good.prd: the mean pixel is ")
        assert warning.endswith(": is one of them inverted?") and "negative.prd" in warning


def test_fit_says_it_at_the_prompt(priot, files, tmp_path, capsys):
    new_trainer(priot, files).fit(files["data"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{files['data']}: 24 samples, by class 0: 11, 1: 0, ")
    assert said[1].startswith(f"warning: {files['data']}: no sample of class 1, 2, 5, 6, 7, 8:")
    assert said[2].startswith(f"warning: {files['data']}: 11 samples of class 0, 2 of 3:")
    assert said[-1].startswith("epoch   1")


def test_too_little_memory_to_look_is_no_reason_not_to_train(priot, files, monkeypatch, capsys):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(import_device("survey"), "_look", full)
    trainer = new_trainer(priot, files)
    trainer.fit(files["data"])
    assert trainer.epoch == 1
    assert "warning: too little memory to look at the samples first\n" in capsys.readouterr().out


def test_fit_says_it_of_an_iterable_after_the_first_epoch(priot, files, capsys):
    """Which gives what it has once, so that nothing is known before."""
    trainer = new_trainer(priot, files)
    samples = [(bytes(36), 4), (bytes(range(36)), 4)]
    trainer.fit(samples, epochs=2)
    said = capsys.readouterr().out
    assert said.count("warning: ") == 1
    assert "warning: what was learned: every sample is of class 4: nothing else will be " in said


# ---- the same from the host ----


def test_a_job_with_everything(files, tmp_path):
    """The report: counts, the best epoch, old data before and after."""
    kept = tmp_path / "best.scores"
    model, data, validate, old = (Path(files[name]) for name in ("model", "data", "validate",
                                                                 "old"))
    job = TrainJob(model, data, validate, epochs=6, balance=True, replay=old, share=40,
                   also=[old, data], keep_best=True, patience=2, validate_on=validate, save=kept)
    report = train(job, UnixTarget())
    counts = np.bincount(Dataset.read(data).labels, minlength=10).tolist()
    assert report["train_per_class"] == counts and report["finished"]
    assert (report["balance"], report["replay"], report["share"]) == (True, str(old), 40)
    assert report["best"]["epoch"] == report["epochs"] == Adapter.read(kept).epochs
    assert sum(event["best"] for event in report["history"]) <= len(report["history"])
    assert [test["dataset"] for test in report["also"]] == [str(old), str(data)]
    found = evaluate(model, validate, UnixTarget(), kept, also=[old, data])
    assert found["confusion"] == report["confusion"]
    assert [test["confusion"] for test in found["also"]] == [
        test["confusion"] for test in report["also"]]
    before = evaluate(model, old, UnixTarget())
    assert report["also"][0]["confusion_before"] == before["confusion"]
    assert report["also"][0]["per_class_before"] == before["per_class"]
    assert any(f"{old}: is learned too" in text for text in report["warnings"])
    assert any(f"{validate}: chooses the best epoch too" in text for text in report["warnings"])


def test_the_command_says_what_is_doubtful_and_forgotten(digits, tmp_path, capsys):
    model, data = digits
    model.write(tmp_path / "m.priot")
    data.write(tmp_path / "old.prd")
    turned = replace(prepare("digits", part="train", degrees=90, n=200), names=NAMES)
    some(turned, turned.labels == 3).write(tmp_path / "d.prd")
    assert cli.main(["train", str(tmp_path / "m.priot"), str(tmp_path / "d.prd"), "--also",
                     str(tmp_path / "old.prd"), "--epochs", "12", "--gmin", "0",
                     "--json", str(tmp_path / "run.json")]) == 0
    said = capsys.readouterr().out
    assert "d.prd: 19 samples, by class zero: 0" in said
    assert "warning: " in said and "every sample is of class three" in said
    report = json.loads((tmp_path / "run.json").read_text())
    test = report["also"][0]
    assert report["names"] == list(NAMES)
    assert f"{test['accuracy_before']:.1f} % before, {test['accuracy_after']:.1f} % after" in said
    assert test["accuracy_after"] < test["accuracy_before"] - 5
    assert "; forgotten: " in said


@pytest.mark.parametrize("options, reason", [
    ({"share": 20}, "share: needs --replay"),
    ({"replay": "old", "share": 95}, "share: found 95, expected 1..90"),
    ({"patience": 2}, "patience: needs --validate-on"),
    ({"keep_best": True, "save": "x.scores"}, "keep-best: needs --validate-on"),
    ({"keep_best": True, "validate_on": "validate"}, "keep-best: needs --save"),
    ({"patience": -1, "validate_on": "validate"}, "patience: found -1"),
])
def test_a_job_that_cannot_be(files, tmp_path, options, reason):
    options = {name: Path(files.get(value, tmp_path / value)) if isinstance(value, str) else value
               for name, value in options.items()}
    with pytest.raises(PriotError, match=reason):
        TrainJob(Path(files["model"]), Path(files["data"]), **options).check()


def test_evaluate_shows_datasets_side_by_side(digits, tmp_path, capsys):
    model, data = digits
    model.write(tmp_path / "m.priot")
    data.write(tmp_path / "all.prd")
    some(data, data.labels < 5).write(tmp_path / "half.prd")
    assert cli.main(["evaluate", str(tmp_path / "m.priot"), str(tmp_path / "all.prd"),
                     str(tmp_path / "half.prd"), "--json", str(tmp_path / "e.json")]) == 0
    said = capsys.readouterr().out.splitlines()
    report = json.loads((tmp_path / "e.json").read_text())
    assert [report["test_images"], report["also"][0]["test_images"]] == [
        200, int((data.labels < 5).sum())]
    right, total = report["per_class"][9]
    row = next(line for line in said if line.startswith("nine"))
    assert row.split() == ["nine", f"{right}/{total}", f"{100 * right / total:.1f}", "%", "0/0",
                           "-"]


def test_the_prompt_shows_datasets_side_by_side(priot, files):
    net = priot.load(files["model"])
    found = net.evaluate(files["validate"], files["data"])
    assert [e.confusion for e in found.evaluations] == [
        net.evaluate(files[name]).confusion for name in ("validate", "data")]
    row = repr(found).splitlines()[2]
    right, total = found.evaluations[0].per_class[0]
    assert row.split()[:2] == ["0", f"{right}/{total}"]
    assert repr(found).splitlines()[3].split()[-2:] == ["0/0", "-"]
