"""A Trainer and its network: who may use it, what a file brings back, all of it or nothing."""

import copy
import json
from array import array
from pathlib import Path

import pytest
from priot.backbone.quantize import calibrate
from priot.formats import Model
from support import import_device, micropython, random_dataset, random_model

SPEC = "conv 4 3, relu, maxpool 2, flatten, linear 12, relu, linear 10"
NOT_ITS = "trainer: the network was reset, or has another one; make a new one"


@pytest.fixture(scope="module")
def files(tmp_path_factory, long) -> tuple[str, str]:
    """A model and a dataset for it."""
    folder = tmp_path_factory.mktemp("state")
    model = random_model(SPEC, (1, 12, 12), seed=5)
    data = random_dataset(model, 24 if long else 12, seed=6)
    calibrate(model, data)
    model.write(folder / "model.priot")
    data.write(folder / "data.prd")
    return str(folder / "model.priot"), str(folder / "data.prd")


@pytest.fixture
def priot():
    return import_device()


def trainer_of(priot, files, *arguments, **options):
    return priot.Trainer(priot.load(files[0]), *arguments, **options)


def learn(trainer, files, epochs=1):
    trainer.fit(files[1], epochs=epochs, verbose=False)
    return trainer


def state(trainer) -> list:
    """All that training has changed."""
    return [bytes(layer.scores) + bytes(layer.stage.weff) for layer in trainer.layers]


def logits(net, files, priot) -> bytes:
    """Of every image of the dataset."""
    found = b""
    with priot.Dataset(files[1]) as data:
        for i in range(len(data)):
            data.read(i, net.record)
            net.forward()
            found += bytes(net.logits)
    return found


@pytest.mark.parametrize("method", ["priot", "gain", "weights", "weights16", "niti"])
def test_a_trainer_without_its_network_touches_nothing(priot, files, tmp_path, method):
    """Every way to use it is refused; weights that are gone do not replace a good file."""
    kept = tmp_path / "kept.scores"
    for take_away in (lambda net: net.reset(), lambda net: priot.Trainer(net, "priot-s")):
        trainer = learn(trainer_of(priot, files, method), files)
        net = trainer.net
        trainer.save(str(kept))
        good = kept.read_bytes()
        take_away(net)
        before = logits(net, files, priot)
        for use in (lambda t=trainer, n=net: t.learn(bytearray(len(n.x)), 0),
                    lambda t=trainer: t.step(0), lambda t=trainer: t.load(str(kept)),
                    lambda t=trainer: t.evaluate(files[1]), lambda t=trainer: t.fit(files[1]),
                    lambda t=trainer: t.export_mask(str(tmp_path / "mask"))):
            with pytest.raises(ValueError, match=NOT_ITS):
                use()
        assert logits(net, files, priot) == before
        if method in ("weights", "weights16", "niti"):
            with pytest.raises(ValueError, match=NOT_ITS):
                trainer.save(str(kept))
        else:
            trainer.save(str(kept))  # scores are the trainer's own
        assert kept.read_bytes() == good


@pytest.mark.parametrize("saved, loaded, reason", [
    ({"keep": 70}, {}, "keep is 70, expected 0"), ({}, {"keep": 70}, "keep is 0, expected 70"),
    ({"rounding": "psr"}, {}, "rounding is psr, expected rhu"),
    ({"last": 1}, {}, "number of layers is 1, expected 3"),
])
def test_a_file_of_other_options_changes_nothing(priot, files, tmp_path, saved, loaded, reason):
    learn(trainer_of(priot, files, **saved), files).save(str(tmp_path / "a"))
    trainer = learn(trainer_of(priot, files, seed=2, **loaded), files)
    before = state(trainer), trainer.epoch, trainer.seed
    with pytest.raises(ValueError, match=reason):
        trainer.load(str(tmp_path / "a"))
    assert (state(trainer), trainer.epoch, trainer.seed) == before


@pytest.mark.parametrize("method, options", [
    ("priot", {"step": 8, "threshold": 10}), ("priot", {"keep": 60}),
    ("weights", {"step": 3, "gmin": 5, "halve": 1}),
    ("gain", {"fraction": 30, "select": "layers"}), ("niti", {"step": 4}), ("weights16", {}),
    ("weights16", {"fraction": 30})])
def test_training_goes_on_as_if_never_stopped(priot, files, tmp_path, method, options):
    """What is no matter of structure is the file's, in every method."""
    whole = learn(trainer_of(priot, files, method, seed=3, **options), files, 4)
    learn(trainer_of(priot, files, method, seed=3, **options), files, 2).save(str(tmp_path / "a"))
    structure = {name: value for name, value in options.items()
                 if name not in ("step", "threshold", "gmin", "halve")}
    half = trainer_of(priot, files, method, **structure)
    half.load(str(tmp_path / "a"))
    assert state(learn(half, files, 2)) == state(whole)
    half.save(str(tmp_path / "b"))
    whole.save(str(tmp_path / "c"))
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_file_that_cannot_be_read_to_its_end(priot, files, tmp_path, monkeypatch, error):
    """A Trainer that got half of it is of no use any more; its network is the backbone."""
    adapter = import_device("adapter_reader")

    trainer = learn(trainer_of(priot, files), files)
    trainer.save(str(tmp_path / "a"))
    backbone = logits(priot.load(files[0]), files, priot)
    break_off(monkeypatch, adapter, "_read_layer", error)
    with pytest.raises(error):
        trainer.load(str(tmp_path / "a"))
    assert logits(trainer.net, files, priot) == backbone
    with pytest.raises(ValueError, match=NOT_ITS):
        trainer.step(0)


@pytest.mark.parametrize("layout", ["kept", "small"])
@pytest.mark.parametrize("error", [OSError, MemoryError, KeyboardInterrupt])
def test_an_adapter_that_is_not_put_in_force_whole(priot, files, tmp_path, monkeypatch, layout,
                                                   error):
    adapter = import_device("adapter_reader")

    learn(trainer_of(priot, files), files).save(str(tmp_path / "a"))
    net = priot.load(files[0])
    backbone = logits(net, files, priot)
    with pytest.raises(ValueError, match="layout: 'smal', expected kept or small"):
        net.apply(str(tmp_path / "a"), "smal")
    break_off(monkeypatch, adapter, "_put", error)
    with pytest.raises(error):
        net.apply(str(tmp_path / "a"), layout)
    assert logits(net, files, priot) == backbone


def break_off(monkeypatch, module, name: str, error: type) -> None:
    """Let the second call of a function fail."""
    function = getattr(module, name)
    calls = []

    def fails(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise error("none")
        return function(*arguments)

    monkeypatch.setattr(module, name, fails)


def test_dynamic_shifts_end_at_30(priot, files):
    """NITI's step is halved again and again; nothing breaks, and a reset forgets it."""
    trainer = trainer_of(priot, files, "niti", halve=1, gmin=0)
    trainer.set_epoch(60)
    learn(trainer, files)
    assert {layer.stage.d[priot.network.F.UPDATE_SHIFT] for layer in trainer.layers} == {30}
    net = trainer.net
    net.reset()
    assert not any(stage.d[priot.network.F.UPDATE_SHIFT] for stage in net.weight_stages())


@pytest.mark.parametrize("name", ["model.priot", "data.prd", "notes.txt"])
def test_what_was_learned_replaces_adapters_only(priot, files, tmp_path, name):
    there = tmp_path / name
    source = Path(files[0]).with_name(name)
    there.write_bytes(source.read_bytes() if source.exists() else b"mine")
    before = there.read_bytes()
    with pytest.raises(ValueError, match=f"{name}: is not an adapter; not overwritten"):
        trainer_of(priot, files).save(str(there))
    assert there.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_an_iterator_that_is_used_up(priot, files):
    """It must not count as an epoch in which all was wrong."""
    trainer = trainer_of(priot, files)
    samples = iter([(bytearray(144), 1)] * 3)
    with pytest.raises(ValueError, match="source: gave no samples; an iterator is used up after"):
        trainer.fit(samples, epochs=3, verbose=False)
    assert trainer.epoch == 1


def test_time_of_an_epoch_longer_than_the_clock(priot, monkeypatch):
    """MicroPython's ticks_us comes round after 1,074 s."""
    clock = import_device("clock")

    seconds = 1500
    monkeypatch.setattr(clock, "ticks_ms", lambda: 1000 * seconds)
    monkeypatch.setattr(clock, "ticks_us", lambda: (seconds * 10**6 + (1 << 29)) % (1 << 30))
    assert clock.elapsed_us(0, 1 << 29) == seconds * 10**6


@pytest.mark.parametrize("method, options, saves, said", [
    ("priot", {}, False, "has learned is no longer in force, its save() still keeps it"),
    ("weights", {}, False, "has learned is lost, it was not saved"),
    ("priot", {"keep": 70}, False, "has learned is lost, it was not saved"),
    ("weights", {}, True,
     "has learned is no longer in force (load() takes up what save() wrote)")])
def test_a_new_trainer_says_what_is_no_longer_in_force(priot, files, tmp_path, capsys, method,
                                                       options, saves, said):
    """Nothing that was learned goes without a word; where nothing was, there is none."""
    net = priot.load(files[0])
    priot.Trainer(net, method, **options)
    trainer = priot.Trainer(net, method, **options)
    assert trainer.warnings == [] and "warning" not in capsys.readouterr().out
    learn(trainer, files)
    if saves:
        trainer.save(str(tmp_path / "a"))
    priot.Trainer(net)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "warning: training starts from the backbone: what the trainer before " + said)
    net.reset()
    assert priot.Trainer(net).warnings == []


def test_a_trainer_after_apply_says_that_it_starts_from_the_backbone(priot, files, tmp_path,
                                                                     capsys):
    net = priot.load(files[0])
    fresh = state(priot.Trainer(net))
    trainer = learn(priot.Trainer(net), files)
    trainer.save(str(tmp_path / "a.scores"))
    capsys.readouterr()
    net.apply(str(tmp_path / "a.scores"))
    assert f"in force: {tmp_path / 'a.scores'}" in repr(net) and net.adapter
    assert capsys.readouterr().out == ""  # its save() still keeps scores
    learn(priot.Trainer(net, "weights"), files)
    net.apply(str(tmp_path / "a.scores"))
    assert capsys.readouterr().out.endswith(
        "warning: what the trainer before has learned is lost, it was not saved\n")
    trainer = priot.Trainer(net)
    assert capsys.readouterr().out == (
        f"warning: training starts from the backbone: {tmp_path / 'a.scores'} is no longer in "
        "force (load() takes up what save() wrote)\n")
    assert state(trainer) == fresh and net.adapter is None
    assert "in force: what a trainer learns by priot" in repr(net)
    net.reset()
    assert "in force" not in repr(net)


def test_what_the_prompt_shows_is_a_line(priot, files):
    """A bare fit() says no list of dictionaries; programs find the figures in it all the same."""
    trainer = trainer_of(priot, files)
    assert "<Trainer priot: 0 epochs done, seed 1, step size u = 9, " in repr(trainer)
    history = trainer.fit(files[1], epochs=2, validate=files[1], verbose=False)
    train, test = (history[-1][key] / 10 for key in ("train_permille", "validate_permille"))
    assert repr(history) == (
        f"<History of 2 epochs; [-1] is epoch 2: train {train} %, test {test} %>")
    assert [record["epoch"] for record in history] == [1, 2]
    assert json.loads(json.dumps(history)) == history
    assert repr(trainer.fit(files[1], epochs=0)) == "<History: no epoch>"
    assert "2 epochs done" in repr(trainer)


@pytest.mark.parametrize("as_path", [True, False])
def test_long_epochs_say_how_far_they_are(priot, files, tmp_path, monkeypatch, capsys, as_path):
    """By the clock, over the same line, only where the epoch's line is printed too."""
    epochs = import_device("epochs")
    now = [0]

    def ticks():
        now[0] += 300
        return now[0]

    monkeypatch.setattr(epochs, "ticks_ms", ticks)
    random_dataset(Model.read(files[0]), 24, seed=6).write(tmp_path / "data.prd")
    source = str(tmp_path / "data.prd") if as_path else [(bytes(144), i % 10) for i in range(24)]
    trainer = trainer_of(priot, files)
    trainer.fit(source, verbose=False)
    assert capsys.readouterr().out == ""
    trainer.fit(source)
    *steps, blank, last = capsys.readouterr().out.split("\r")[1:]
    of = " of 24" if as_path else ""
    assert len(steps) >= 1 and steps[0].startswith(f"epoch   2  16 samples{of}  train ")
    assert steps[0].strip().endswith(" %") and blank.strip() == ""
    assert last.startswith("epoch   2  train ")


def test_options_are_not_shared(priot, files):
    """Two networks of one file are independent."""
    first, second = trainer_of(priot, files), trainer_of(priot, files)
    before = copy.deepcopy(state(second))
    learn(first, files)
    assert state(second) == before and state(first) != before


def test_bad_pixels_and_folders_are_named(priot, files, tmp_path):
    net = priot.load(files[0])
    with pytest.raises(ValueError, match="image: pixel -5, expected 0..127"):
        net.put([0] * 143 + [-5])
    answers = micropython(f"import priot\nnet = priot.load({files[0]!r})\n"
                          "from array import array\n"
                          "image = [7 * i & 127 for i in range(144)]\n"
                          "kinds = [bytes, bytearray, list, tuple] + [\n"
                          "    lambda x, code=code: array(code, x) for code in 'bBhHiIq']\n"
                          "print([net.predict(kind(image)) for kind in kinds])").stdout
    assert len(set(json.loads(answers))) == 1
    for image in ([0.5] * 144, array("f", [1] * 144), ["a"] * 144, None, 5):
        with pytest.raises(ValueError, match="image: [a-zA-Z]+ of other than integers 0..127"):
            net.put(image)
    with pytest.raises(OSError, match="is a folder"):
        priot.load(str(tmp_path))
