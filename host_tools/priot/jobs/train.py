"""Training: what to train, where, and the report of what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from priot.errors import PriotError
from priot.formats import Adapter, Dataset, Model, read_magic
from priot.jobs.protocol import Event, Target, absolute, accuracy
from priot.methods import METHODS
from priot.network import fields as f
from priot.reports.json_file import check_folder


@dataclass
class TrainJob:
    """What to train: files on the host, the method, and keywords of the device's Trainer."""

    model: Path
    train: Path
    test: Path | None = None
    method: str = "priot"
    epochs: int = 30
    options: dict[str, Any] = field(default_factory=dict)
    backend: str | None = None
    resume: Path | None = None
    save: Path | None = None
    mask: Path | None = None
    validate: bool = False
    add: list[str] = field(default_factory=list)  # names of classes, for spare outputs

    def check(self) -> None:
        """Read every file with the host's strict readers. Raises PriotError, OSError."""
        model = Model.read(self.model)
        if self.resume is not None:
            self._check_resumed(model, self.resume)
        model = model.with_classes(self._added(model))
        if self.mask is not None and METHODS[self.method].rule != f.PRUNE:
            raise PriotError("mask", f"{self.method} prunes nothing; --save has what it learned")
        inputs = (self.model, self.train, self.test)
        if self.save is not None:
            check_output(self.save, inputs)
        if self.mask is not None:
            check_output(self.mask, (*inputs, self.save, self.resume))
        for path in (self.train, self.test):
            if path is not None:
                Dataset.read(path).check_fits(model, path)
        if self.validate and self.test is None:
            raise PriotError("validate", "needs a test dataset")

    def _check_resumed(self, model: Model, path: Path) -> None:
        """What the file brings may be said again, but not otherwise."""
        adapter = Adapter.read(path)
        adapter.check_backbone(model, path)
        for name, value in (("seed", adapter.seed), ("step", adapter.step),
                            ("threshold", adapter.layers[0].threshold - 128),
                            ("gmin", adapter.gmin), ("halve", adapter.halve)):
            if self.options.get(name, value) != value:
                raise PriotError(f"--{name}", f"{self.options[name]}, the resumed file has "
                                 f"{value}; leave it out")

    def _added(self, model: Model) -> list[str]:
        """Classes that the model lacks: those of the resumed file, then those to add."""
        resumed = [] if self.resume is None else Adapter.read(self.resume).names[model.classes :]
        return [*resumed, *(name for name in self.add if name not in resumed)]

    def for_device(self) -> dict[str, Any]:
        """The job as device/priot/remote.py takes it."""
        return {
            "action": "train", "model": absolute(self.model), "train": absolute(self.train),
            "test": absolute(self.test), "method": self.method, "options": self.options,
            "epochs": self.epochs, "backend": self.backend, "scores": absolute(self.resume),
            "save": absolute(self.save), "mask": absolute(self.mask), "validate": self.validate,
            "add": self._added(Model.read(self.model)),
        }


def check_output(path: Path, inputs: Iterable[Path | None]) -> None:
    """Raise PriotError where writing `path` would lose an input, or any file but an adapter."""
    check_folder(path)
    if any(given is not None and given.absolute() == path.absolute() for given in inputs):
        raise PriotError(path, "is also used for something else; give it a name of its own")
    if path.exists() and read_magic(path) != b"PRIA":
        raise PriotError(path, "exists and is no adapter; not overwritten")


def train(job: TrainJob, target: Target, show_progress: bool = False) -> dict[str, Any]:
    """Run a training job on a target; returns the report. Raises PriotError.

    The report's accuracies are percent. `history` has one entry an epoch.
    """
    job.check()
    events: dict[str, Event] = {}
    history: list[Event] = []
    off = None if show_progress else True  # None: shown on a terminal only
    bar = tqdm(total=job.epochs, unit="epoch", disable=off)
    with bar:
        for event in target.run(job.for_device()):
            kind = event.pop("event")
            if kind == "epoch":
                history.append(event)
                bar.update(event["epoch"] - (not event["complete"]) - bar.n)
                bar.set_postfix_str(_postfix(event))
            else:
                events[kind] = event
    if "done" not in events:
        raise PriotError(target.name, "the run ended before it was finished")
    return _report(job, target, events, history)


def _postfix(event: Event) -> str:
    text = f"train {event['train_permille'] / 10:.1f} %"
    if "validate_permille" in event:
        text += f", test {event['validate_permille'] / 10:.1f} %"
    return text + f", skipped {event['skipped_permille'] / 10:.0f} %"


def _report(job: TrainJob, target: Target, events: dict[str, Event],
            history: list[Event]) -> dict[str, Any]:
    start, done = events["start"], events["done"]
    before, after = events.get("before"), events.get("after")
    return {
        "saved": str(job.save) if job.save else None,
        "method": job.method, "options": job.options, "target": target.name,
        "backend": start["backend"], "model": str(job.model),
        "accuracy_before": accuracy(before), "accuracy_after": accuracy(after),
        "epochs": done["epochs"], "finished": done["finished"],
        "train_images": len(Dataset.read(job.train).labels),
        "test_images": after["total"] if after else 0,
        "n_weights": start["n_weights"], "n_params": start["n_params"],
        "training_bytes": start["training_bytes"], "layout": start["layout"],
        "heap_bytes": done["heap_bytes"], "peak_heap_bytes": done["peak_heap_bytes"],
        "free_heap_bytes": done["free_heap_bytes"], "warnings": start["warnings"],
        "backward_passes": sum(e["samples"] - e["skipped"] for e in history),
        "confusion": after["confusion"] if after else None, "history": history,
    }


def summary(report: dict[str, Any]) -> str:
    """One line on a training report."""
    text = f"{report['method']} on {report['target']} ({report['backend']} kernels)"
    if report["accuracy_after"] is not None:
        text += (f": {report['accuracy_before']:.1f} % before, "
                 f"{report['accuracy_after']:.1f} % after")
    epochs = report["epochs"]
    text += f", {epochs} epoch{'' if epochs == 1 else 's'} on {report['train_images']} images"
    if not report["history"]:
        text += " (nothing left to train: the file is that far already)"
    if not report["finished"]:
        text += " (stopped early; " + ("what was learned is saved)" if report["saved"]
                                       else "nothing was saved, there was no --save)")
    return text
