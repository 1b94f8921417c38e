"""`priot train`: adapt a model by running the device package; report and plot."""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from priot.errors import PriotError
from priot.formats import Adapter, Dataset, Model, read_magic
from priot.oracle.step import METHODS as RULES
from priot.reports.json_file import add_json_option, check_folder, check_report, write_json
from priot.targets import Event, Target
from priot.targets.choose import add_target_options, choose_target
from priot.targets.unix import absolute

PLOTS = (".png", ".pdf", ".svg")
METHODS = tuple(RULES)
# keywords of device/priot/trainer.py's Trainer that the command line sets
OPTIONS = ("seed", "step", "threshold", "keep", "fraction", "select", "last", "gmin", "halve",
           "rounding", "layout")


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

    def check(self) -> None:
        """Read every file with the host's strict readers. Raises PriotError, OSError."""
        model = Model.read(self.model)
        if self.mask is not None and not self.method.startswith("priot"):
            raise PriotError("mask", f"{self.method} prunes nothing; --save has what it learned")
        inputs = (self.model, self.train, self.test)
        if self.save is not None:
            check_output(self.save, inputs)
        if self.mask is not None:
            check_output(self.mask, (*inputs, self.save, self.resume))
        for path in (self.train, self.test):
            if path is not None:
                Dataset.read(path).check_fits(model, path)
        if self.resume is not None:
            self._check_resumed(model, self.resume)
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

    def for_device(self) -> dict[str, Any]:
        """The job as device/priot/remote.py takes it."""
        return {
            "action": "train", "model": absolute(self.model), "train": absolute(self.train),
            "test": absolute(self.test), "method": self.method, "options": self.options,
            "epochs": self.epochs, "backend": self.backend, "scores": absolute(self.resume),
            "save": absolute(self.save), "mask": absolute(self.mask), "validate": self.validate,
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


def accuracy(event: Event | None) -> float | None:
    """Percent right of a "before" or "after" event."""
    return None if event is None else round(100 * event["correct"] / event["total"], 2)


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


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """The options of a method, named as the keywords of the device's Trainer."""
    parser.add_argument("--method", choices=METHODS, default="priot",
                        help="device/METHODS.md explains them (default priot)")
    parser.add_argument("--seed", type=int, help="of scores and order (default 1)")
    parser.add_argument("--step", type=int, metavar="U",
                        help="step size: one more doubles the step (default by method: "
                        + ", ".join(f"{name} {m.step}" for name, m in RULES.items()) + ")")
    parser.add_argument("--threshold", type=int, metavar="SCORE",
                        help="prune scores below it, -127..127 (default: priot -64, priot-s 0)")
    parser.add_argument("--keep", type=int, metavar="PERCENT",
                        help="keep the top scores of each layer instead of a threshold")
    parser.add_argument("--fraction", type=int, metavar="PERCENT",
                        help="of the edges that get a score (default: all; priot-s 10)")
    parser.add_argument("--select", choices=("largest", "random", "layers"),
                        help="which edges get a score: the largest weights (default), random "
                        "ones, or all but in the largest layer")
    parser.add_argument("--last", type=int, metavar="K",
                        help="train only the last K layers (default: all)")
    parser.add_argument("--gmin", type=int, metavar="G", help="no backward pass for samples "
                        "whose loss gradient is smaller, 0..127 (default 2)")
    parser.add_argument("--halve", type=int, metavar="EPOCHS",
                        help="halve the step so often, 0 for never (default 8)")
    parser.add_argument("--rounding", choices=("rhu", "psr"),
                        help="of updates: half up, or pseudo-stochastic (default by method)")
    parser.add_argument("--layout", choices=("auto", "kept", "small"),
                        help="effective weights kept for speed, or computed a few rows at a time "
                        "(default auto: kept where there is room)")


def options_from(args: argparse.Namespace) -> dict[str, Any]:
    """Keywords of the device's Trainer that were given."""
    return {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}


def add_parser(subparsers: Any) -> None:
    """Add `priot train`."""
    parser = subparsers.add_parser("train", help="adapt a model by running the device package",
                                   description=__doc__)
    parser.add_argument("model", type=Path, help="model file (.priot)")
    parser.add_argument("train", type=Path, help="dataset to learn (.prd)")
    parser.add_argument("--test", type=Path, help="dataset to test before and after")
    parser.add_argument("--validate", action="store_true", help="test after every epoch too")
    parser.add_argument("--epochs", type=int, default=30,
                        help="in all, those of a resumed file included (default 30)")
    parser.add_argument("--resume", type=Path, metavar="SCORES", help="go on from a saved file")
    parser.add_argument("--save", type=Path, metavar="SCORES",
                        help="write what was learned, after every epoch")
    parser.add_argument("--mask", type=Path, help="write which edges are kept, one bit each")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the report")
    add_training_options(parser)
    add_target_options(parser)
    add_json_option(parser)


def main(args: argparse.Namespace) -> int:
    """Run `priot train`."""
    check_report(args.plot)
    if args.plot is not None and args.plot.suffix.lower() not in PLOTS:
        raise PriotError(args.plot, f"expected a name that ends in {' or '.join(PLOTS)}")
    if args.epochs < 1:
        raise PriotError("epochs", f"found {args.epochs}, expected at least 1")
    job = TrainJob(args.model, args.train, args.test, args.method, args.epochs,
                   options_from(args), args.backend, args.resume, args.save, args.mask,
                   args.validate)
    with choose_target(args) as target:
        report = train(job, target, show_progress=True)
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    print(summary(report))
    write_json(args.json, report)
    if args.plot:
        from priot.reports.plot import plot_training

        plot_training(report, args.plot)
    return 0 if report["finished"] else 130
