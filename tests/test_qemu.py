"""Whole training runs in QEMU, by the boards' modules: the same bytes as on the unix port."""

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from priot import cli
from priot.errors import PriotError
from priot.jobs.train import TrainJob, train
from priot.paths import BACKBONES
from priot.targets.qemu import QemuTarget
from priot.targets.unix import UnixTarget

BACKBONE = BACKBONES / "digits-0.priot"
EPOCHS = 30  # as in `make demo`, in the long form
FEW_EPOCHS = 8
VIPER_EPOCHS = 3  # which take as long
# Machines, and kernels: the fastest, or by name. All but the first two take `make test-boards`.
TARGETS = [("qemu", None), ("qemu-m33", None), ("qemu-m33", "portable"), ("qemu-m33", "viper"),
           ("qemu-m4", None), ("qemu-m7", None), ("qemu-rv32", "portable"),
           ("qemu-rv32", "viper")]
IS_LONG = bool(os.environ.get("PRIOT_BOARDS"))
SAME = ("accuracy_before", "accuracy_after", "confusion", "n_params", "backward_passes", "layout")


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> dict[str, Path]:
    """The demo's digits, turned by 30 degrees."""
    folder = tmp_path_factory.mktemp("digits")
    for part in ("train", "test"):
        assert cli.main(["dataset", "digits", "--part", part, "--rotate", "30",
                         "-o", str(folder / f"{part}.prd")]) == 0
    return {path.stem: path for path in folder.iterdir()}


def learned(digits, folder: Path, target, epochs: int, backend: str | None = None,
            ) -> tuple[dict, list[bytes]]:
    """The demo's report, and its files of scores and mask."""
    folder.mkdir(exist_ok=True)
    report = train(TrainJob(
        BACKBONE, digits["train"], digits["test"], epochs=epochs, options={"seed": 1},
        save=folder / "a.scores", mask=folder / "a.adapter", backend=backend), target)
    return report, [path.read_bytes() for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def on_unix(digits, tmp_path_factory) -> Callable[[int], tuple[dict, list[bytes]]]:
    """What so many epochs learn under MicroPython here."""
    return functools.cache(lambda epochs: learned(
        digits, tmp_path_factory.mktemp("unix"), UnixTarget(), epochs))


@pytest.mark.parametrize("name, backend", TARGETS if IS_LONG else TARGETS[:2])
def test_the_demo_in_qemu(digits, on_unix, tmp_path, long, name, backend):
    """The demo's training on a board's processor: its scores, its mask and its accuracy."""
    epochs = VIPER_EPOCHS if backend == "viper" else EPOCHS if long or IS_LONG else FEW_EPOCHS
    unix, expected = on_unix(epochs)
    qemu, written = learned(digits, tmp_path / "learned", QemuTarget(name=name), epochs, backend)
    assert qemu["backend"] == (backend or "native")
    assert qemu["finished"] and qemu["epochs"] == epochs
    assert [qemu[key] for key in SAME] == [unix[key] for key in SAME]
    assert qemu["accuracy_after"] > qemu["accuracy_before"]
    assert len(written) == 2
    assert written == expected
    print(f"\ndemo in QEMU: {qemu['accuracy_before']} % before, {qemu['accuracy_after']} % after")


def test_unknown_processors_are_refused():
    with pytest.raises(PriotError, match="qemu-m99 is none of qemu, qemu-m0plus, qemu-m4"):
        QemuTarget(name="qemu-m99")


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
