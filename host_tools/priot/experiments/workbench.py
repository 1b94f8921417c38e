"""Does one run of an experiment: makes its files, trains under MicroPython, measures."""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from priot.backbone.quantize import calibrate
from priot.data.images import Images
from priot.data.prepare import read_part, rotate, subset, to_dataset
from priot.errors import PriotError
from priot.experiments.spec import Run, backbone_path
from priot.formats import Dataset, Model
from priot.formats.container import read_crc
from priot.jobs.protocol import Event
from priot.jobs.train import TrainJob, train
from priot.network import fields as f
from priot.planning.sizes import Planner, Training, heap_for
from priot.targets.unix import UnixTarget

CALIBRATION_IMAGES = 512  # as `priot quantize --images`


# CRC32 of what a run reads, in a line of results
FILES = ("model_crc32", "train_crc32", "test_crc32")


class Stopped(Exception):
    """The run was given up because the experiment is being stopped."""


class _StoppableTarget(UnixTarget):
    """The unix port, left at the next event once `stopped` says so."""

    def __init__(self, heap_bytes: int, stopped: Callable[[], bool]) -> None:
        super().__init__(heap_bytes)
        self.stopped = stopped

    def run(self, job: dict[str, Any]) -> Iterator[Event]:
        """Run a job; yields its events. Raises Stopped, PriotError."""
        with closing(super().run(job)) as events:  # type: ignore[type-var]
            for event in events:
                if self.stopped():
                    raise Stopped
                yield event


def collapsed(before: float, after: float, classes: int) -> bool:
    """Whether training destroyed the network: it ends below where it began, or below twice chance.

    before, after: test accuracies in percent.
    """
    return after < before or after < 200 / classes


def pico_ram_bytes(model: Path, run: Run) -> dict[str, int]:
    """What training takes on a Pico beside the loaded network, in both layouts.

    The small one is that of the backend `portable`, which takes the least.
    """
    training = Training.of(run.method, **run.options)
    return {layout: Planner(UnixTarget(heap_for(model)), model, backend).training(
                training.but(layout=layout)).ram_bytes
            for layout, backend in (("small", "portable"), ("kept", "native"))}


def measure(run: Run, files: tuple[Path, Path, Path], stopped: Callable[[], bool],
            ) -> dict[str, Any]:
    """Train and test here: what a results file holds of a run behind the run and its files.

    files: model, training and test data. Raises PriotError, OSError; Stopped once `stopped` says
    so.
    """
    start = time.monotonic()
    model, train_path, test_path = files
    options = {"seed": run.seed, **run.options}
    report = train(TrainJob(model, train_path, test_path, run.method, run.epochs, options),
                   _StoppableTarget(run.heap, stopped))
    return {**_results(report, Model.read(model).classes),
            "pico_ram_bytes": pico_ram_bytes(model, run),
            "seconds": round(time.monotonic() - start, 1)}


class Workbench:
    """Makes the files of runs in a folder, each once, and does runs; several threads may.

    folder: for files that nobody keeps. data_path: the data source's path, before that of a run.
    """

    def __init__(self, folder: Path, data_path: Path | None = None) -> None:
        self.folder = folder
        self.data_path = data_path
        self.stop = threading.Event()
        self._making = threading.Lock()

    def do(self, run: Run) -> dict[str, Any]:
        """The run with its results: what one line of a results file holds.

        Accuracies are percent. Raises PriotError, OSError; Stopped once `stop` is set.
        """
        files = self.files(run)
        if Model.read(files[0]).loss != f.CROSS_ENTROPY:
            raise PriotError(files[0], "has no classes, and an experiment counts what is right")
        return {**asdict(run), **dict(zip(FILES, map(read_crc, files), strict=True)),
                **self.measure(run, files)}

    def measure(self, run: Run, files: tuple[Path, Path, Path]) -> dict[str, Any]:
        """See the function of that name. Raises PriotError, OSError, Stopped."""
        return measure(run, files, self.stop.is_set)

    def check(self, run: Run, result: dict[str, Any]) -> None:
        """Raise PriotError unless an earlier result is of the files that the run has now."""
        for name, path in zip(FILES, self.files(run), strict=True):
            _compare(run, name, result[name], path)

    # ---- files, each made once ------------------------------------------------------------------

    def files(self, run: Run) -> tuple[Path, Path, Path]:
        """Model, training and test data of a run. Raises PriotError, OSError."""
        with self._making:
            return self._model(run), self._train_file(run), self._test_file(run)

    def _model(self, run: Run) -> Path:
        """The backbone, or with naive calibration a copy with other shifts."""
        path = backbone_path(run.backbone)
        if run.calibration == "usual":
            return path
        made = self.folder / f"{read_crc(path)}-{run.calibration}.priot"
        if not made.exists():
            model = Model.read(path)
            calibrate(model, self._pretrain(run), naive=True)
            model.write(made)
        return made

    def _pretrain(self, run: Run) -> Dataset:
        if "source" in run.data:
            images = self._part(run, "pretrain")
            return to_dataset(images.take(slice(CALIBRATION_IMAGES)))
        whole = Dataset.read(run.data["pretrain_file"])
        return Dataset(whole.images[:CALIBRATION_IMAGES], whole.labels[:CALIBRATION_IMAGES],
                       whole.classes)

    def _train_file(self, run: Run) -> Path:
        made = self.folder / f"train-{run.angle!r}-{run.seed}.prd"
        if not made.exists():
            images = self._part(run, "train")
            if "train" in run.data:
                images = subset(images, run.data["train"], run.seed)
            self._turned(run, images).write(made)
        return made

    def _test_file(self, run: Run) -> Path:
        made = self.folder / f"test-{run.angle!r}.prd"
        if not made.exists():
            images = self._part(run, "test")
            n = run.data.get("test", len(images))
            if n > len(images):
                raise PriotError("test", f"found {n}, expected 1..{len(images)}")
            self._turned(run, images.take(slice(n))).write(made)
        return made

    @staticmethod
    def _turned(run: Run, images: Images) -> Dataset:
        pixels = rotate(images.pixels, run.angle)
        if "source" in run.data:
            return to_dataset(replace(images, pixels=pixels))
        # a dataset file's are 0..127
        return Dataset(pixels, images.labels, images.classes, images.names)

    def _part(self, run: Run, part: str) -> Images:
        """Images of a part of the source, or of one of the files."""
        if "source" not in run.data:
            dataset = Dataset.read(run.data[f"{part}_file"])
            return Images(dataset.images, dataset.labels, dataset.classes, dataset.names)
        path = self.data_path or (Path(run.data["path"]) if "path" in run.data else None)
        split = run.data.get("split")
        return _read_part(run.data["source"], path, part, tuple(split) if split else None)


@functools.lru_cache(maxsize=3)
def _read_part(source: str, path: Path | None, part: str, split: tuple[int, ...] | None) -> Images:
    return read_part(source, path, part, split)


def check_backbone(run: Run, result: dict[str, Any]) -> None:
    """Raise PriotError unless an earlier result is of the backbone that is there now."""
    if run.calibration == "usual":
        _compare(run, FILES[0], result[FILES[0]], backbone_path(run.backbone))


def _compare(run: Run, name: str, found: str, path: Path) -> None:
    if found != read_crc(path):
        raise PriotError(run, f"{name} is {found} in the results so far, now {read_crc(path)}; "
                         "--fresh forgets them, -o FOLDER keeps both")


def _nameless(warning: str) -> str:
    """A warning without the folder of the file that it begins with, another one in every run."""
    where, colon, text = warning.partition(": ")
    return Path(where).name + colon + text


def _results(report: dict[str, Any], classes: int) -> dict[str, Any]:
    before, after = report["accuracy_before"], report["accuracy_after"]
    history = report["history"]
    return {
        "before": before, "after": after, "collapsed": collapsed(before, after, classes),
        "edges": report["n_params"], "weights": report["n_weights"],
        "presentations": sum(epoch["samples"] for epoch in history),
        "backward_passes": report["backward_passes"],
        "layout": report["layout"], "training_bytes": report["training_bytes"],
        "backend": report["backend"], "warnings": [_nameless(text) for text in report["warnings"]],
        "train_permille": [epoch["train_permille"] for epoch in history],
        "saturated_permille": [epoch["saturated_permille"] for epoch in history],
    }
