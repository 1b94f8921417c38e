"""Whole training runs of the Pico's native module in QEMU: the same bytes as on the unix port."""

import shutil
from pathlib import Path

import pytest
from priot import cli
from priot.errors import PriotError
from priot.jobs.train import TrainJob, train
from priot.paths import BACKBONES
from priot.targets.qemu import QemuTarget
from priot.targets.unix import UnixTarget

BACKBONE = BACKBONES / "digits-0.priot"
EPOCHS = 30  # as in `make demo`
SAME = ("accuracy_before", "accuracy_after", "confusion", "n_params", "backward_passes", "layout")


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> dict[str, Path]:
    """The demo's digits, turned by 30 degrees."""
    folder = tmp_path_factory.mktemp("digits")
    for part in ("train", "test"):
        assert cli.main(["dataset", "digits", "--part", part, "--rotate", "30",
                         "-o", str(folder / f"{part}.prd")]) == 0
    return {path.stem: path for path in folder.iterdir()}


def test_the_demo_in_qemu(digits, tmp_path):
    """The demo's training, by the armv6m module: its scores, its mask and its accuracy."""
    reports, written = [], []
    for name, target in (("qemu", QemuTarget()), ("unix", UnixTarget())):
        folder = tmp_path / name
        folder.mkdir()
        reports.append(train(TrainJob(
            BACKBONE, digits["train"], digits["test"], epochs=EPOCHS, options={"seed": 1},
            save=folder / "a.scores", mask=folder / "a.adapter"), target))
        written.append([path.read_bytes() for path in sorted(folder.iterdir())])
    qemu, unix = reports
    assert qemu["backend"] == unix["backend"] == "native"
    assert qemu["finished"] and qemu["epochs"] == EPOCHS
    assert [qemu[key] for key in SAME] == [unix[key] for key in SAME]
    assert qemu["accuracy_after"] > qemu["accuracy_before"]
    assert len(written[0]) == 2
    assert written[0] == written[1]
    print(f"\ndemo in QEMU: {qemu['accuracy_before']} % before, {qemu['accuracy_after']} % after")


def test_samples_from_the_host(digits, tmp_path):
    """`--target qemu --stream`: no dataset on the board; resuming goes on from a file."""
    arguments = ["train", str(BACKBONE), str(digits["train"]), "--seed", "4"]
    first, streamed, at_once = (tmp_path / name for name in ("1.scores", "2.scores", "3.scores"))
    assert cli.main([*arguments, "--epochs", "1", "--target", "qemu", "--stream", "--save",
                     str(first)]) == 0
    assert cli.main([*arguments, "--epochs", "2", "--target", "qemu", "--resume", str(first),
                     "--save", str(streamed)]) == 0
    assert cli.main([*arguments, "--epochs", "2", "--save", str(at_once)]) == 0
    assert streamed.read_bytes() == at_once.read_bytes()


def test_without_qemu(digits, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(PriotError, match="no qemu-system-arm: run 'make qemu'"):
        train(TrainJob(BACKBONE, digits["train"], epochs=1), QemuTarget())
