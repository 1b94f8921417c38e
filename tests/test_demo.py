"""The main job, end to end: data, backbone, files, training under MicroPython, adapted model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from priot.formats import Adapter, Model
from priot.jobs.protocol import PICO_HEAP_BYTES
from priot.paths import BACKBONES, BUILD, ROOT
from support import HANG_S

MNIST = ROOT.parent / "shared" / "data" / "mnist"
KEYS = {"method", "target", "backend", "accuracy_before", "accuracy_after", "epochs",
        "train_images", "test_images", "heap_bytes", "peak_heap_bytes"}


def priot(*arguments: object) -> str:
    """Output of the command; a failure is an AssertionError."""
    result = subprocess.run([sys.executable, "-m", "priot.cli", *map(str, arguments)],
                            cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_demo():
    """Rotated digits: about 42 % before, at least 94 % after, in the heap of a Pico."""
    out = priot("demo")
    report = json.loads((BUILD / "demo" / "report.json").read_text())
    assert KEYS <= set(report)
    assert report["target"] == "unix" and report["backend"] == "native"
    assert report["method"] == "priot" and report["epochs"] == 30
    assert report["train_images"] == 448 and report["test_images"] == 449
    assert report["accuracy_before"] < 60
    assert report["accuracy_after"] >= 94
    assert report["heap_bytes"] <= PICO_HEAP_BYTES
    assert report["peak_heap_bytes"] <= report["heap_bytes"]
    assert f"accuracy after:  {report['accuracy_after']:.1f} %" in out
    assert "build/demo/report.html" in out
    page = (BUILD / "demo" / "report.html").read_text()
    assert f"{report['accuracy_after']:.1f} %</span>" in page
    assert (BUILD / "demo" / "learning.png").read_bytes().startswith(b"\x89PNG")
    model = Model.read(BACKBONES / "digits-0.priot")
    Adapter.read(BUILD / "demo" / "digits.scores").check_backbone(model)


def test_demo_is_reproduced_by_its_scores(tmp_path):
    """What the demo saved gives the accuracy that it printed, from scores and from the mask."""
    folder = BUILD / "demo"
    if not (folder / "report.json").exists():
        priot("demo")
    after = json.loads((folder / "report.json").read_text())["accuracy_after"]
    for name in ("digits.scores", "digits.adapter"):
        priot("evaluate", BACKBONES / "digits-0.priot", folder / "test.prd", "--adapter",
              folder / name, "--json", tmp_path / "out.json")
        assert json.loads((tmp_path / "out.json").read_text())["accuracy"] == after


def test_peak_heap_of_network_a(tmp_path):
    """Training network A by priot stays below 210 kB of heap on the unix port."""
    priot("dataset", "digits", "--part", "train", "--rotate", 30, "--resize", "28x28", "--subset",
          100, "-o", tmp_path / "train.prd")
    priot("train", BACKBONES / "mnist-a-0.priot", tmp_path / "train.prd", "--epochs", 2,
          "--json", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["peak_heap_bytes"] < 210_000


@pytest.mark.skipif(not MNIST.exists(), reason="MNIST is not on this machine")
@pytest.mark.parametrize("degrees, least", [(30, 95.5), (60, 93.5)])
def test_network_a_on_mnist(degrees, least, tmp_path):
    """1,024 rotated digits, 30 epochs, all 10,000 test digits, one backbone and seed."""
    for part, subset in (("train", ["--subset", 1024]), ("test", [])):
        priot("dataset", "mnist", MNIST, "--part", part, "--rotate", degrees, *subset, "-o",
              tmp_path / f"{part}.prd")
    priot("train", BACKBONES / "mnist-a-0.priot", tmp_path / "train.prd", "--test",
          tmp_path / "test.prd", "--json", tmp_path / "out.json")
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["accuracy_before"] < 90
    assert report["accuracy_after"] >= least


def test_before_is_what_is_resumed(tmp_path):
    """`--resume` begins at what the file had reached; where nothing is left, it ends there too."""
    for part in ("train", "test"):
        priot("dataset", "digits", "--part", part, "--rotate", 30, "-o", tmp_path / f"{part}.prd")
    command = ["train", BACKBONES / "digits-0.priot", tmp_path / "train.prd", "--test",
               tmp_path / "test.prd", "--epochs", 2, "--json", tmp_path / "out.json"]
    reports = []
    for more in (["--save", tmp_path / "a.scores"], ["--resume", tmp_path / "a.scores"]):
        priot(*command, *more)
        reports.append(json.loads((tmp_path / "out.json").read_text()))
    for name, given, found in (("seed", 7, 1), ("step", 8, 9), ("threshold", 0, -64),
                               ("gmin", 5, 2), ("halve", 0, 8)):
        with pytest.raises(AssertionError, match=f"{name}: {given}, the resumed file has {found}"):
            priot(*command, "--resume", tmp_path / "a.scores", f"--{name}", given)
    assert reports[0]["accuracy_before"] < reports[0]["accuracy_after"]
    assert reports[1]["accuracy_before"] == reports[1]["accuracy_after"] == reports[0][
        "accuracy_after"]


def test_a_line_for_every_mistake(tmp_path):
    """Whatever is wrong ends in one line on stderr and status 1."""
    model, nowhere = BACKBONES / "digits-0.priot", tmp_path / "nowhere.prd"
    broken = tmp_path / "broken.priot"
    broken.write_bytes(model.read_bytes()[:100])
    precious = tmp_path / "notes.txt"
    precious.write_text("not ours to overwrite")
    priot("dataset", "digits", "--part", "train", "--subset", 20, "-o", tmp_path / "train.prd")
    train = ["train", model, tmp_path / "train.prd"]
    scores = tmp_path / "a.scores"
    for arguments, reason in (
            (["train", model, nowhere], "nowhere.prd: no such file"),
            (["train", broken, nowhere], "broken.priot: file size: found 100"),
            (["evaluate", model, Path(__file__)], "expected dataset"),
            ([*train, "--keep", "98"], "keep: 98 %, expected 1..96"),
            ([*train, "--epochs", "0"], "epochs: found 0, expected at least 1"),
            ([*train, "--heap", "70000"], "unix: "),
            ([*train, "--heap", "700000", "--target", "emulator"], "--heap: is for the unix port"),
            ([*train, "--stream"], "--stream: is for a board"),
            ([*train, "--save", model], "digits-0.priot: is also used for something else"),
            ([*train, "--save", scores, "--mask", scores], "a.scores: is also used for something"),
            ([*train, "--save", precious], "notes.txt: exists and is no adapter"),
            ([*train, "--mask", tmp_path / "m", "--method", "gain"], "mask: gain prunes nothing"),
            ([*train, "--plot", tmp_path / "plot.txt"], "plot.txt: expected a name that ends in"),
            ([*train, "--json", model], "digits-0.priot: is a model; not overwritten"),
            ([*train, "--json", nowhere / "j"], "j: its folder does not exist"),
            ([*train, "--seed", "-1"], "seed: -1, expected 0..4294967295"),
            (["bench", "--steps", "0"], "--steps: found 0, expected at least 1"),
            (["bench", model, tmp_path / "train.prd", "--target", "unix", "--backends", "native",
              "--gmin", "127"], "no backward pass ran in "),
            (["bench", "--into", precious], "notes.txt: has no <!-- priot bench -->")):
        result = subprocess.run([sys.executable, "-m", "priot.cli", *map(str, arguments)],
                                cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)
        assert result.returncode == 1, arguments
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert result.stderr.startswith("priot: ") and reason in result.stderr, result.stderr
    assert Model.read(model) and precious.read_text() == "not ours to overwrite"
