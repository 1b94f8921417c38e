"""Training: what to train, where, and the report of what came of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from priot.errors import PriotError
from priot.formats import Adapter, Dataset, Model, read_magic
from priot.jobs.protocol import Event, Target, absolute, accuracy, mean_error, tested
from priot.methods import METHODS
from priot.network import fields as f
from priot.reports.json_file import check_folder


@dataclass
class TrainJob:
    """What to train: files on the host, the method, and keywords of the device's Trainer.

    balance, replay, share, patience: as of the device's Trainer.fit; keep_best: `save` is written
    for the epoch with the best validation alone. Validated is after every epoch, with `validate`
    on `test`, or on the dataset `validate_on`. also: datasets to test before and after, beside
    `test`. flash: whether a Pico's weights stay in flash, None: where RAM is short.
    """

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
    validate_on: Path | None = None
    also: Sequence[Path] = ()
    balance: bool = False
    replay: Path | None = None
    share: int | None = None
    keep_best: bool = False
    patience: int = 0
    flash: bool | None = None

    @property
    def datasets(self) -> list[Path]:
        """The datasets that are read, each once."""
        named = (self.train, self.test, self.validate_on, self.replay, *self.also)
        return list(dict.fromkeys(path for path in named if path is not None))

    def check(self) -> None:
        """Read every file with the host's strict readers. Raises PriotError, OSError."""
        model = Model.read(self.model)
        if self.resume is not None:
            self._check_resumed(model, self.resume)
        model = model.with_classes(self._added(model))
        if self.mask is not None and METHODS[self.method].rule != f.PRUNE:
            raise PriotError("mask", f"{self.method} prunes nothing; --save has what it learned")
        inputs = (self.model, *self.datasets)
        if self.save is not None:
            check_output(self.save, inputs)
        if self.mask is not None:
            check_output(self.mask, (*inputs, self.save, self.resume))
        for path in self.datasets:
            Dataset.read(path).check_fits(model, path)
        self._check_epochs()

    def _check_epochs(self) -> None:
        """What says which samples an epoch takes, and which epoch is kept."""
        if self.validate and self.test is None:
            raise PriotError("validate", "needs a test dataset")
        if self.share is not None and self.replay is None:
            raise PriotError("share", "needs --replay")
        if self.share is not None and not 1 <= self.share <= 90:
            raise PriotError("share", f"found {self.share}, expected 1..90 percent")
        if self.patience < 0:
            raise PriotError("patience", f"found {self.patience}, expected epochs, 0: without end")
        if (self.keep_best or self.patience) and not (self.validate or self.validate_on):
            raise PriotError("keep-best" if self.keep_best else "patience",
                             "needs --validate-on FILE, or --test and --validate")
        if self.keep_best and self.save is None:
            raise PriotError("keep-best", "needs --save, the file for the best epoch")

    def doubts(self) -> list[str]:
        """Warnings on images that are learned, or chose the best epoch, and are tested on too."""
        learned = (self.train, self.replay)
        squared = Model.read(self.model).loss != f.CROSS_ENTROPY
        result, others = ("error", "samples") if squared else ("accuracy", "images")
        doubts = [f"{path}: is learned too, its {result} says little of other {others}"
                  for path in dict.fromkeys((self.test, *self.also))
                  if path is not None and path in learned]
        if self.keep_best and self.validate_on in (None, self.test):
            doubts.append(f"{self.test}: chooses the best epoch too, its {result} flatters; "
                          f"--validate-on takes other {others}")
        return doubts

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
            "validate_on": absolute(self.validate_on), "also": list(map(absolute, self.also)),
            "balance": self.balance, "replay": absolute(self.replay), "share": self.share,
            "keep_best": self.keep_best, "patience": self.patience, "flash": self.flash,
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

    The report's accuracies are percent. `history` has one entry an epoch. With show_progress the
    samples by class and all warnings are printed before the training starts.
    """
    job.check()
    events: dict[str, Event] = {}
    history: list[Event] = []
    notes: list[str] = []
    also: list[Event] = []
    off = None if show_progress else True  # None: shown on a terminal only
    bar = tqdm(total=job.epochs, unit="epoch", disable=off)
    with bar:
        for event in target.run(job.for_device()):
            kind = event.pop("event")
            if kind == "note":
                if show_progress:
                    bar.write(f"note: {event['text']}")
                notes.append(event["text"])
            elif kind == "epoch":
                history.append(event)
                bar.update(event["epoch"] - (not event["complete"]) - bar.n)
                bar.set_postfix_str(_postfix(event))
            elif kind == "also":
                also.append(event)
            else:
                events[kind] = event
                if show_progress:
                    _say(bar, kind, event, job)
    if "done" not in events:
        raise PriotError(target.name, "the run ended before it was finished")
    return {**_report(job, target, events, history, also), "notes": notes}


def _say(bar: tqdm, kind: str, event: Event, job: TrainJob) -> None:
    """What is worth reading before the training."""
    warnings = event["warnings"] if kind in ("start", "data") else []
    if kind == "data":
        bar.write(event["text"])
        warnings = warnings + job.doubts()
    for text in warnings:
        bar.write(f"warning: {text}")


def _postfix(event: Event) -> str:
    if "train_error" in event:
        text = f"train error {event['train_error']}"
        if "validate_error" in event:
            text += f", test error {event['validate_error']}"
    else:
        text = f"train {event['train_permille'] / 10:.1f} %"
        if "validate_permille" in event:
            text += f", test {event['validate_permille'] / 10:.1f} %"
    return text + f", skipped {event['skipped_permille'] / 10:.0f} %"


def _report(job: TrainJob, target: Target, events: dict[str, Event],
            history: list[Event], also: list[Event]) -> dict[str, Any]:
    start, data, done = events["start"], events["data"], events["done"]
    before, after = events.get("before"), events.get("after")
    return {
        "saved": str(job.save) if job.save else None,
        "method": job.method, "options": job.options, "target": target.name,
        "backend": start["backend"], "model": str(job.model),
        "accuracy_before": accuracy(before), "accuracy_after": accuracy(after),
        "error_before": mean_error(before), "error_after": mean_error(after),
        "epochs": done["epochs"], "finished": done["finished"],
        "train_images": len(Dataset.read(job.train).labels),
        "test_images": after["total"] if after else 0,
        "n_weights": start["n_weights"], "n_params": start["n_params"],
        "training_bytes": start["training_bytes"], "layout": start["layout"],
        "heap_bytes": done["heap_bytes"], "peak_heap_bytes": done["peak_heap_bytes"],
        "free_heap_bytes": done["free_heap_bytes"],
        "warnings": start["warnings"] + data["warnings"] + job.doubts(),
        "backward_passes": sum(e["samples"] - e["skipped"] for e in history),
        "names": data["names"],
        "train": str(job.train), "test": str(job.test) if job.test else None,
        "train_per_class": data["counts"], "replay_per_class": data["replayed"],
        "balance": job.balance, "replay": str(job.replay) if job.replay else None,
        "share": (job.share or 50) if job.replay else None,
        "best": done["best"],
        "per_class_before": tested(before)["per_class"] if before else None,
        "per_class": tested(after)["per_class"] if after else None,
        "confusion_before": tested(before)["confusion"] if before else None,
        "confusion": tested(after)["confusion"] if after else None,
        "also": [_also(path, i, also) for i, path in enumerate(job.also)],
        "history": history,
    }


def _also(path: Path, number: int, events: list[Event]) -> dict[str, Any]:
    """What a report says of a dataset tested beside the test images."""
    before, after = (next(e for e in events if (e["number"], e["when"]) == (number, when))
                     for when in ("before", "after"))
    return {"dataset": str(path), "test_images": after["total"],
            "accuracy_before": accuracy(before), "accuracy_after": accuracy(after),
            "error_before": mean_error(before), "error_after": mean_error(after),
            "per_class_before": tested(before)["per_class"], **tested(after),
            "confusion_before": tested(before)["confusion"]}


def summary(report: dict[str, Any]) -> str:
    """One line on a training report."""
    text = f"{report['method']} on {report['target']} ({report['backend']} kernels)"
    images = "images"
    if report["error_after"] is not None or any("train_error" in e for e in report["history"]):
        images = "samples"
    if report["error_after"] is not None:
        text += (f": mean error {report['error_before']:.0f} before, "
                 f"{report['error_after']:.0f} after")
    elif report["accuracy_after"] is not None:
        text += (f": {report['accuracy_before']:.1f} % before, "
                 f"{report['accuracy_after']:.1f} % after")
    elif report["history"] and "train_error" in report["history"][-1]:
        text += f": mean error {report['history'][-1]['train_error']} in the last epoch"
    elif report["history"]:
        text += (f": {report['history'][-1]['train_permille'] / 10:.1f} % of the training images "
                 "right in the last epoch")
    best = report["best"]
    epochs = max([report["epochs"], *(event["epoch"] for event in report["history"])])
    text += f", {epochs} epoch{'' if epochs == 1 else 's'} on {report['train_images']} {images}"
    if not report["history"]:
        text += " (nothing left to train: the file is that far already)"
    if best and report["saved"]:
        text += f", the best after {best['epoch']}"
    if not report["finished"]:
        text += " (stopped early; " + ("what was learned is saved)" if report["saved"]
                                       else "nothing was saved, there was no --save)")
    return text
