"""What a label means where a dataset, an adapter and a model meet: the class of its name."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from priot import cli
from priot.backbone.quantize import calibrate
from priot.board.session import _make_plan
from priot.errors import FileError
from priot.formats import Adapter, Dataset, Model
from priot.jobs.evaluate import evaluate
from priot.jobs.train import TrainJob, train
from priot.reports.accuracy import confusion_text
from priot.targets.unix import UnixTarget
from support import import_device, random_dataset, random_model

SPEC = "conv 2 3, relu, maxpool 2, flatten, linear 4"  # small: CPython runs it as plain Python
NAMES = ("cat", "dog", "owl", "mug")
OTHERS = ("owl", "cat", "mug")  # some of them, in another order


@pytest.fixture
def model() -> Model:
    model = random_model(SPEC, (1, 6, 6), 1, 4)
    calibrate(model, random_dataset(model, 30, 2))
    model.names = NAMES
    return model


@pytest.fixture
def pair(model) -> tuple[Dataset, Dataset]:
    """The same samples, labelled in the model's order and in another one."""
    data = random_dataset(model, 24, 3)
    labels = np.array([NAMES.index(OTHERS[i % 3]) for i in range(24)], np.uint8)
    own = replace(data, labels=labels, names=NAMES)
    return own, replace(data, labels=np.arange(24, dtype=np.uint8) % 3, classes=3, names=OTHERS)


@pytest.fixture
def priot():
    return import_device()


def written(folder: Path, **what) -> list[str]:
    paths = [folder / f"{name}.prd" for name in what]
    for path, thing in zip(paths, what.values(), strict=True):
        thing.write(path)
    return list(map(str, paths))


@pytest.mark.parametrize("options", [{}, {"balance": True}, {"replay": "second"}])
def test_a_label_means_the_class_of_its_name(priot, model, pair, tmp_path, options):
    """In `fit`, `evaluate` and what is mixed in: the same is learned, the same is found."""
    path, own, other = written(tmp_path, model=model, own=pair[0], other=pair[1])
    learned = []
    for data in (own, other):
        more = {key: data if value == "second" else value for key, value in options.items()}
        trainer = priot.Trainer(priot.load(path), seed=2)
        trainer.fit(data, verbose=False, **more)
        result = trainer.evaluate(data)
        learned.append(([bytes(layer.scores) for layer in trainer.layers], result.confusion))
    assert learned[0] == learned[1]
    assert sum(map(sum, learned[1][1])) == 24 and sum(learned[1][1][1]) == 0, "there is no dog"


def test_the_host_maps_as_the_device_does(priot, model, pair, tmp_path):
    path, other = written(tmp_path, model=model, other=pair[1])
    check = import_device("dataset").check_dataset
    with priot.Dataset(other) as data:
        table = check(data, priot.load(path))
    assert [table[label] for label in pair[1].labels] == pair[1].labels_of(model).tolist()
    assert pair[1].labels_of(model).tolist() == pair[0].labels.tolist()


@pytest.mark.parametrize("names", [(), NAMES, NAMES[:3]])
def test_names_that_agree_change_nothing(priot, model, tmp_path, names):
    """Nor does a dataset without names: its labels are the model's."""
    data = random_dataset(model, 9, 5)
    data = replace(data, labels=data.labels % 3, classes=len(names) or 4, names=names)
    assert data.labels_of(model) is data.labels
    nameless = replace(model, names=())
    assert replace(data, names=names).labels_of(nameless) is data.labels
    path, there = written(tmp_path, model=model, data=data)
    with priot.Dataset(there) as found:
        assert import_device("dataset").check_dataset(found, priot.load(path)) == bytes(
            range(data.classes))


@pytest.mark.parametrize("names, said", [
    (("cat", "dog", "ow"), r"has the class ow, the model has not \(class 2 is ow there, owl in "),
    (("owl", "cat", "cup"), r"has the class cup, the model has not \(class 0 is owl there, cat i"),
    ((*NAMES, "cup"), r"has the class cup, the model has not \(class 4 is cup there, missing in "),
])
def test_a_class_that_the_model_lacks_is_refused(priot, model, tmp_path, names, said):
    """By host and device, in training, evaluating and mixing in, before anything is learned."""
    data = replace(random_dataset(model, 9, 5), classes=len(names), names=names)
    data.labels %= 3
    good = random_dataset(model, 9, 5)
    path, bad, good = written(tmp_path, model=model, bad=data, good=good)
    with pytest.raises(FileError, match=said):
        data.check_fits(model)
    net = priot.load(path)
    trainer = priot.Trainer(net)
    for use in (lambda: trainer.fit(bad), lambda: trainer.fit(good, validate=bad),
                lambda: trainer.fit(good, replay=bad), lambda: trainer.evaluate(bad),
                lambda: net.evaluate(good, bad)):
        with pytest.raises(ValueError, match="bad.prd: " + said):
            use()
    assert trainer.seen == trainer.epoch == 0


def test_an_adapter_of_other_classes_is_refused(priot, model, tmp_path):
    path, data = written(tmp_path, model=model, data=random_dataset(model, 9, 5))
    trainer = priot.Trainer(priot.load(path))
    saved = tmp_path / "a.scores"
    trainer.save(str(saved))
    adapter = Adapter.read(saved)
    assert adapter.names == NAMES
    replace(adapter, names=("cat", "owl", "dog", "mug")).write(saved)
    said = "a.scores: names of the classes: found cat, owl, dog, mug, expected cat, dog, owl, mug"
    told = "a.scores: names of the classes is cat, owl, dog, mug, expected cat, dog, owl, mug"
    with pytest.raises(FileError, match=said):
        Adapter.read(saved).check_backbone(model, saved)
    for use in (lambda: trainer.load(str(saved)), lambda: trainer.net.apply(str(saved))):
        with pytest.raises(ValueError, match=told):
            use()
    replace(adapter, names=()).write(saved)
    trainer.load(str(saved))


def test_commands_refuse_and_show_names(model, pair, tmp_path, capsys):
    """One line, status 1; and the names in matrix, report and JSON."""
    path, own, other, bad = written(
        tmp_path, model=model, own=pair[0], other=pair[1],
        bad=replace(pair[1], names=("owl", "cat", "cup")))
    for command in (["train", path, own, "--test", bad], ["train", path, bad],
                    ["train", path, own, "--replay", bad], ["train", path, own, "--also", bad],
                    ["evaluate", path, bad], ["evaluate", path, own, bad]):
        assert cli.main(command) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"priot: {bad}: has the class cup, the model has not (class 0 is ")
    assert cli.main(["evaluate", path, other, "--json", str(tmp_path / "e.json")]) == 0
    rows = capsys.readouterr().out.splitlines()[-5:-1]  # then what was written
    assert [row.split()[-1] for row in rows] == list(NAMES)
    report = json.loads((tmp_path / "e.json").read_text())
    assert report["names"] == list(NAMES) and report["per_class"][1] == [0, 0]
    assert report["confusion"] == evaluate(Path(path), Path(own), UnixTarget())["confusion"]
    job = TrainJob(Path(path), Path(own), Path(other), epochs=1)
    trained = train(job, UnixTarget())
    assert trained["names"] == list(NAMES) and trained["train_per_class"] == [8, 0, 8, 8]
    assert any("no sample of class dog" in text for text in trained["warnings"])


def test_a_matrix_without_names_stays_as_it_was():
    report = {"confusion": [[2, 1], [0, 3]], "per_class": [[2, 3], [3, 3]], "names": [],
              "test_images": 6}
    assert confusion_text(report) == ("label    0    1   right/of\n"
                                      "    0    2    1   2/3\n    1    0    3   3/3")


def test_the_prompt_shows_names(priot, model, pair, tmp_path):
    path, own = written(tmp_path, model=model, own=pair[0])
    shown = repr(priot.load(path).evaluate(own)).rstrip(">").splitlines()
    assert [line.split()[-1] for line in shown[-4:]] == list(NAMES)


class NoFiles:
    """A board without files, and without room for any."""

    def free_bytes(self) -> int:
        return 0

    def has(self, data: bytes, path: str) -> bool:
        return False


def test_a_streamed_dataset_tells_its_classes(priot, model, pair, tmp_path):
    """What the board gets to know of datasets that stay on the host, wherever a job names them."""
    path, own, other = written(tmp_path, model=model, own=pair[0], other=pair[1])
    job = TrainJob(Path(path), Path(own), replay=Path(other), also=[Path(other)]).for_device()
    plan = _make_plan(job, NoFiles(), stream=False)
    assert sorted(plan.streamed) == ["/other.prd", "/own.prd"]
    assert plan.job["replay"] == plan.job["also"][0]
    stream = import_device("stream")
    for key, data in (("train", pair[0]), ("replay", pair[1])):
        there = stream.HostDataset(plan.job[key])
        assert there.counts == data.counts and there.names == data.names
        there.read = lambda i, record, data=data: int(data.labels[i])
        assert [there.label(i) for i in range(24)] == data.labels.tolist()
