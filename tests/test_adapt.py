"""`priot adapt`: from folders of pictures to an adapter in use, on the unix port and a board."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pico_support import complaint, most_of_the_package, priot, running_pico
from PIL import Image
from priot import cli
from priot.adapting.adapt import step
from priot.adapting.choice import choose
from priot.backbone.quantize import add_spare
from priot.board import Board, BoardGone
from priot.board.connection import REPEAT
from priot.board.session import _Plan, _with_what_is_kept
from priot.data.images import Images
from priot.data.prepare import prepare
from priot.data.split import stratified
from priot.errors import PriotError
from priot.formats import Adapter, Dataset, Model
from priot.oracle.adapted import predict
from priot.paths import BACKBONES
from priot.planning.board import Limits, file_sizes, package_sizes
from priot.planning.flash import flash_blocks
from support import micropython

MODEL = BACKBONES / "digits-0.priot"
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def pictures(folder: Path, part: str, n: int, names: tuple[str, ...] = (),
             degrees: float = 30) -> Path:
    """A folder with n pictures in a folder for each digit, turned, at the most."""
    found = prepare("digits", part=part, degrees=degrees)
    for label in range(len(names) or 10):
        inner = folder / (names[label] if names else str(label))
        inner.mkdir(parents=True)
        for i in np.flatnonzero(found.labels == label)[:n]:
            Image.fromarray(found.images[i, 0] << 1).save(inner / f"{i}.png")
    return folder


def model_of(path: Path, classes: int, spare: int, names: tuple[str, ...]) -> Path:
    """The digits' model with fewer classes, names for them, and spare outputs."""
    model = Model.read(MODEL)
    last = model.stages[-1]
    model.stages[-1] = replace(last, n_out=classes, weights=last.weights[:classes])
    model.classes, model.names = classes, names
    if spare:
        add_spare(model, spare)
    model.write(path)
    return path


def adapt(*arguments: object) -> int:
    return cli.main(["adapt", *map(str, arguments)])


def refused(capsys, *arguments: object) -> str:
    """The line of a command that failed."""
    capsys.readouterr()
    assert adapt(*arguments) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("priot: ")
    return line.removeprefix("priot: ")


def lines(out: str) -> list[str]:
    """What the command says to type at the prompt, without comments."""
    shown = [line.partition(">>> ")[2] for line in out.splitlines() if ">>> " in line]
    return [line.partition("  #")[0].strip() for line in shown]


def typed(out: str, model: Path, learned: Path, data: Path) -> list[str]:
    """What those lines answer on the unix port, to every image of a dataset."""
    *first, answer = lines(out)
    script = "\n".join(first).replace(model.name, str(model)).replace(learned.name, str(learned))
    script += (f"\nd = priot.Dataset({str(data)!r})\nfor i in range(len(d)):\n"
               "    d.read(i, net.record)\n    image = bytes(net.record[:64])\n"
               f"    print({answer})")
    return micropython(script, backend="native").stdout.split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return pictures(tmp_path_factory.mktemp("pictures") / "tilted", "train", 44)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_split_is_by_class_and_drawn():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(4), (40, 8, 2, 1)).astype(np.uint8)
    images = Images(rng.integers(0, 256, (51, 1, 4, 4), np.uint8), labels, 4)
    learn, test = stratified(images, 25, 0)
    assert np.bincount(test.labels, minlength=4).tolist() == [10, 2, 1, 0]
    assert np.bincount(learn.labels, minlength=4).tolist() == [30, 6, 1, 1]
    both = np.concatenate([learn.pixels, test.pixels])
    assert len(np.unique(both.reshape(51, -1), axis=0)) == 51
    assert (stratified(images, 25, 0)[1].pixels == test.pixels).all()
    other = stratified(images, 25, 1)[1]
    assert (np.bincount(other.labels, minlength=4) == [10, 2, 1, 0]).all()
    assert (other.pixels != test.pixels).any()


def test_what_is_added_or_copied_changes_few_sides():
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (60, 1, 4, 4), np.uint8)
    images = Images(pixels, np.zeros(60, np.uint8), 2)

    def tested(found: Images) -> set[bytes]:
        return {image.tobytes() for image in stratified(found, 25, 0)[1].pixels}

    fewer = tested(images.take(slice(0, 50)))
    assert len(fewer - tested(images)) <= 4  # a draw by position changes most of 12
    twice = Images(np.concatenate([pixels, pixels]), np.zeros(120, np.uint8), 2)
    learn, test = stratified(twice, 25, 0)
    assert not {a.tobytes() for a in learn.pixels} & {a.tobytes() for a in test.pixels}
    same = Images(np.zeros((5, 1, 4, 4), np.uint8), np.zeros(5, np.uint8), 2)
    assert [len(part) for part in stratified(same, 25, 0)] == [5, 0]


def test_the_whole_way_on_this_machine(folder, tmp_path, capsys):
    """Split, plan, training, report, page; what the lines say to type gives what was reported."""
    assert adapt(folder, "--model", MODEL, "--epochs", 3) == 0
    out = capsys.readouterr().out
    made = tmp_path / "tilted-adapted"
    learn, test = (Dataset.read(made / f"tilted-{part}.prd") for part in ("train", "test"))
    assert learn.shape == test.shape == (1, 8, 8) and learn.classes == 10
    for n, tested in zip(np.add(learn.counts, test.counts), test.counts, strict=True):
        assert n > 30 and tested == (n + 2) // 4
    assert (f"split: {len(learn)} pictures to learn and {len(test)} to test, 25 % of each class, "
            "seed 0") in out
    assert re.search(r"plan: --method priot \(recommended: .* stay free on a Pico", out)
    report = json.loads((made / "run.json").read_text())
    assert report["method"] == "priot" and report["target"] == "unix"
    assert report["accuracy_after"] > report["accuracy_before"] + 15
    assert report["command"].startswith("priot adapt ") and "<html" in (
        made / "run.html").read_text()
    assert report["predictions"]["after"] == predict(
        Model.read(MODEL), test.images, Adapter.read(made / "tilted.adapter")).tolist()

    said = typed(out, MODEL, made / "tilted.adapter", made / "tilted-test.prd")
    assert list(map(int, said)) == report["predictions"]["after"]


def test_a_repeat_loses_nothing_and_resumes_only_if_asked(folder, tmp_path, capsys):
    common = (folder, "--model", MODEL, "--name", "k", "-o", tmp_path / "out")
    scores = tmp_path / "out" / "k.scores"
    line = refused(capsys, *common, "--resume")
    assert line.startswith("train: --resume: nothing is learned yet")
    assert adapt(*common, "--epochs", 1) == 0
    first = scores.read_bytes()
    capsys.readouterr()
    assert adapt(*common, "--epochs", 2, "--resume") == 0
    out = capsys.readouterr().out
    assert out.count("dataset: was there, ") == 2
    assert Adapter.read(scores).epochs == 2
    assert len(json.loads((tmp_path / "out" / "run.json").read_text())["history"]) == 1
    resumed = scores.read_bytes()
    assert adapt(*common, "--epochs", 1) == 0
    assert "begins anew, what was learned before is kept in" in capsys.readouterr().out
    assert scores.read_bytes() == first
    assert (tmp_path / "out" / "k.earlier.scores").read_bytes() == resumed


def test_parts_of_the_user_are_kept(folder, tmp_path, capsys):
    both = tmp_path / "both"
    pictures(both / "train", "train", 6)
    pictures(both / "test", "test", 3)
    (both / "val").mkdir()
    assert adapt(both, "--model", MODEL, "--epochs", 1, "--method", "head") == 0
    out = capsys.readouterr().out
    assert "split: 60 pictures to learn in" in out and "30 to test in" in out
    assert "left out: beside the parts train and test: val" in out
    assert "plan: --method head (as asked)" in out
    made = tmp_path / "both-adapted"
    assert (made / "both.scores").exists() and not (made / "both.adapter").exists()
    assert "net.apply('both.scores')" in out
    by_rule = Dataset.read(made / "both-test.prd")
    assert adapt(both / "train", "--test", both / "test", "--model", MODEL, "--epochs", 1,
                 "--method", "head") == 0
    given = Dataset.read(tmp_path / "train-adapted" / "train-test.prd")
    assert (given.images == by_rule.images).all() and (given.labels == by_rule.labels).all()
    assert "--test: " in refused(capsys, both, "--test", both / "test", "--model", MODEL)


def test_a_class_that_the_model_lacks(tmp_path, capsys):
    """Offered where there is room; taken with --add-class, tested, reported, used by its name."""
    folder = pictures(tmp_path / "f", "train", 24, NAMES, degrees=0)
    full = model_of(tmp_path / "full.priot", 9, 0, NAMES[:9])
    line = refused(capsys, folder, "--model", full)
    assert line.startswith(f"dataset: {folder}: not among the model's classes zero, one,")
    assert ": nine; it has 0 spare outputs" in line and "priot quantize --spare" in line
    model = model_of(tmp_path / "nine.priot", 9, 1, NAMES[:9])
    line = refused(capsys, folder, "--model", model)
    assert line.endswith("nine; the model has room (1 spare): add --add-class 'nine'")
    assert "there is no folder of that name" in refused(
        capsys, folder, "--model", model, "--add-class", "mug")
    assert adapt(folder, "--model", model, "--add-class", "nine", "--epochs", 4) == 0
    out = capsys.readouterr().out
    made = tmp_path / "f-adapted"
    assert Dataset.read(made / "f-test.prd").names == NAMES
    assert Adapter.read(made / "f.adapter").names == NAMES
    report = json.loads((made / "run.json").read_text())
    assert report["names"] == list(NAMES)
    assert report["confusion"][9][9] >= 3
    assert "net.names[net.predict(image)]" in out
    assert typed(out, model, made / "f.adapter", made / "f-test.prd") == [
        NAMES[i] for i in report["predictions"]["after"]]
    assert "nine" in (made / "run.html").read_text()


@pytest.mark.parametrize("case", ["sound", "no folder", "file", "one class", "unknown", "spoilt",
                                  "too large", "name", "single"])
def test_what_fails_says_where_and_what_to_do(case, folder, tmp_path, capsys):
    bad = tmp_path / "bad"
    bad.mkdir()
    arguments: list[object] = [bad, "--model", MODEL]
    if case == "sound":
        (bad / "yes").mkdir()
        (bad / "yes" / "1.wav").write_bytes(b"RIFF")
        expected = (f"dataset: {bad}: has recordings, and what they are made for is not of sound: "
                    "its inputs are no log-mel columns")
    elif case == "no folder":
        bad.rmdir()
        expected = f"dataset: {bad}: no such folder: expected a folder that holds"
    elif case == "file":
        bad.rmdir()
        bad.write_bytes(b"x")
        expected = f"dataset: {bad}: is a file: expected a folder that holds"
    elif case == "one class":
        expected = f"dataset: {bad}: sub-folders with pictures, one a class: found 0"
    elif case == "unknown":
        pictures(bad, "train", 2, ("cat", "dog"))
        expected = f"dataset: {bad}: which of 10 classes are cat, dog? Name them all in order"
    elif case == "spoilt":
        pictures(bad, "train", 2)
        (bad / "3" / "x.png").write_bytes(b"nothing")
        expected = f"dataset: {bad}/3/x.png: "
    elif case == "too large":
        arguments = [folder, "--model", MODEL, "--heap", 100_000]
        expected = f"plan: {MODEL}: does not fit: "
    elif case == "name":
        arguments = [folder, "--model", MODEL, "--name", "a/b"]
        expected = "output: "
    else:
        pictures(bad, "train", 1)
        expected = f"dataset: {bad}: no class has two pictures that differ"
    line = refused(capsys, *arguments)
    assert line.startswith(expected), line
    assert not list(tmp_path.rglob("*.scores"))
    assert (tmp_path / "tilted-adapted").is_dir() == (case == "too large")
    assert not (tmp_path / "bad-adapted").exists()


def test_what_the_plan_is_for(tmp_path, monkeypatch):
    """Datasets that the flash has no room for stay; options that are given stand; without
    MicroPython here a method has to be named."""
    paths = [tmp_path / "train.prd", tmp_path / "test.prd"]
    for path in paths:
        prepare("digits", part="train").write(path)
    assert not choose(MODEL, paths, Limits(), None, {}).stays
    room = flash_blocks({**package_sizes(Limits()), **file_sizes(MODEL, [])}).blocks + 12
    small = choose(MODEL, paths, Limits(flash_blocks=room), None, {"seed": 3})
    assert small.stays and small.training.get("seed") == 3 and small.plan is not None
    assert choose(MODEL, paths, Limits(), None, {}, stream=True).stays
    with pytest.raises(PriotError, match="the files lack .* kB of flash"):
        choose(MODEL, paths, Limits(flash_blocks=room // 2), "gain", {})
    few = choose(MODEL, paths, Limits(137_000), None, {}).training
    assert few != choose(MODEL, paths, Limits(), None, {}).training
    monkeypatch.setenv("PRIOT_MICROPYTHON", str(tmp_path / "none"))
    with pytest.raises(PriotError, match="or without a plan, --method priot"):
        choose(MODEL, paths, Limits(), None, {})
    assert choose(MODEL, paths, Limits(), "gain", {}).plan is None


def test_numbers_are_explained_where_the_model_has_no_names(tmp_path, capsys):
    pets = pictures(tmp_path / "f", "train", 4, NAMES)
    assert adapt(pets, "--model", MODEL, "--epochs", 1) == 0
    *_, answer, legend = capsys.readouterr().out.splitlines()
    assert ">>> net.predict(image)  " in answer
    assert legend.startswith("classes: 0=eight, 1=five, 2=four")
    report = json.loads((tmp_path / "f-adapted" / "run.json").read_text())
    assert report["names"] == sorted(NAMES)


def test_recordings_beside_pictures_are_left_out_aloud(folder, tmp_path, capsys):
    mixed = pictures(tmp_path / "m", "train", 3)
    (mixed / "3" / "x.wav").write_bytes(b"RIFF")
    assert adapt(mixed, "--model", MODEL, "--epochs", 1) == 0
    assert "warning: 1 recordings in" in capsys.readouterr().out


def test_a_lost_board_says_how_to_go_on():
    plan = _Plan({"save": "/k.scores"}, epochs=2)
    lost = _with_what_is_kept(BoardGone("PORT", "the board went away" + REPEAT), plan)
    with pytest.raises(PriotError) as caught, step("train"):
        raise lost
    assert str(caught.value) == ("train: PORT: the board went away; what was learned is kept "
                                 "there: repeat the command with --resume")


def test_the_whole_way_on_a_board(folder, tmp_path):
    """Everything is brought, learned there and kept there; a repeat copies nothing again, and
    goes on from what only the board has."""
    there = {**most_of_the_package(), "ballast": bytes(900 * 1024)}
    with running_pico(tmp_path / "pico", there, with_package=False) as pico:
        arguments = ("adapt", folder, "--model", MODEL, "--split", 10, "-o", tmp_path / "out",
                     "--port", pico.port)
        done = priot(*arguments, "--epochs", 1)
        assert done.returncode == 0, done.stderr
        assert re.search(r"deploy: /lib/priot: \d+ of \d+ files copied", done.stdout)
        assert "deploy: /tilted-train.prd: " in done.stdout
        report = json.loads((tmp_path / "out" / "run.json").read_text())
        assert report["epochs"] == 1 and report["predictions"] is not None
        scores = tmp_path / "out" / "tilted.scores"
        learned = scores.read_bytes()
        with Board(pico.port) as board:
            assert board.read("tilted.scores") == learned
            *first, answer = lines(done.stdout)
            test = Dataset.read(tmp_path / "out" / "tilted-test.prd")
            answers = [int(board.execute("\n".join(
                [*(first if i == 0 else []), f"image = {test.images[i].tobytes()!r}",
                 f"print({answer})"]))) for i in range(5)]
        assert answers == report["predictions"]["after"][:5]
        scores.unlink()
        again = priot(*arguments, "--epochs", 2, "--resume")
        assert again.returncode == 0, again.stderr
        assert "tilted.scores is the board's, of 1 epochs" in again.stdout
        assert "deploy: /lib/priot: was there" in again.stdout
        assert len(re.findall(r"deploy: /tilted-\w+.prd: [\d,]+ bytes was there",
                              again.stdout)) == 2
        assert Adapter.read(scores).epochs == 2
        with Board(pico.port) as board:
            filler = board.free_flash() - 20_000
            board.execute(f"f = open('/filler', 'wb')\nfor i in range({filler // 4096}): "
                          "f.write(bytes(4096))\nf.close()")
        full = priot(*arguments, "--name", "other")
        assert full.returncode == 1
        assert re.match(r"priot: deploy: /other-train.prd: needs \d+ bytes, the board's flash has",
                        complaint(full))
