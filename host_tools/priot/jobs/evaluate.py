"""Measuring a model, adapted or not, by running the device package."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from priot.errors import PriotError, mismatch
from priot.formats import Adapter, Dataset, Model
from priot.jobs.protocol import Event, Target, absolute, accuracy, mean_error, tested
from priot.network import fields as f
from priot.oracle.adapted import errors

NORMAL = "normal"  # class of the samples that an autoencoder is to know


def evaluate(model: Path, test: Path, target: Target, adapter: Path | None = None,
             backend: str | None = None, also: Sequence[Path] = (), normal: str | None = None,
             flash: bool | None = None) -> dict[str, Any]:
    """Accuracy (percent), counts per class and confusion matrix. Raises PriotError.

    also: further datasets to test on; the report's `also` has the same of each. By squared error
    instead the mean error of a sample, errors by label, and where some samples are of the class
    `normal` (its name or number, by default "normal"), how well the error tells the others from
    them: `auc`, else None. flash: whether weights stay in flash, None: where RAM is short.
    """
    loaded = Model.read(model)
    learned = None
    if adapter is not None:
        learned = Adapter.read(adapter)
        learned.check_backbone(loaded, adapter)
        loaded = loaded.with_classes(learned.names[loaded.classes :])
    if normal is not None and loaded.loss == f.CROSS_ENTROPY:
        raise PriotError("--normal", f"{model} has classes, and no error")
    for path in (test, *also):
        Dataset.read(path).check_fits(loaded, path)
    job = {"action": "evaluate", "model": absolute(model), "test": absolute(test),
           "scores": absolute(adapter), "backend": backend, "also": list(map(absolute, also)),
           "flash": flash}
    events: dict[str, Event] = {}
    others = []
    for event in target.run(job):
        events[event["event"]] = event
        if event["event"] == "also":
            others.append(event)
    if "done" not in events:
        raise PriotError(target.name, "the run ended before it was finished")
    results = [_result(path, event) for path, event in
               zip((test, *also), (events["after"], *others), strict=True)]
    if loaded.loss != f.CROSS_ENTROPY:
        for result in results:
            result |= _anomalies(loaded, learned, Path(result["dataset"]), result, normal)
    return {
        "target": target.name, "backend": events["start"]["backend"], "model": str(model),
        "adapter": str(adapter) if adapter else None, "names": list(loaded.names),
        **results[0], "also": results[1:],
        "heap_bytes": events["done"]["heap_bytes"],
        "peak_heap_bytes": events["done"]["peak_heap_bytes"],
    }


def _result(path: Path, event: Event) -> dict[str, Any]:
    return {"dataset": str(path), "accuracy": accuracy(event), "error": mean_error(event),
            "test_images": event["total"], **tested(event)}


def _anomalies(model: Model, adapter: Adapter | None, path: Path, result: dict[str, Any],
               normal: str | None) -> dict[str, Any]:
    """What is said of the errors of a dataset beside those that the target has told.

    labels: names of the labels, or their numbers; mean_squared_error: of an output, in units of
    the network's own values; auc: see `separation`. The errors of single samples are the oracle's,
    which are those of the target, or PriotError.
    """
    dataset = Dataset.read(path)
    found = errors(model, dataset, adapter)
    if round(float(found.mean()), 2) != result["error"]:
        raise PriotError(path, mismatch("mean error", result["error"],
                                        f"{found.mean():.2f}, as computed here"))
    labels = list(dataset.names) or [str(i) for i in range(dataset.classes)]
    known = normal if normal is not None else NORMAL
    if normal is not None and normal not in labels:
        raise PriotError("--normal", mismatch("class", normal, ", ".join(labels)))
    is_normal = dataset.labels == labels.index(known) if known in labels else None
    unit = 4.0 ** model.exponents[-1] / model.classes
    return {"labels": labels, "mean_squared_error": float(f"{found.mean() * unit:.6g}"),
            "auc": None if is_normal is None else separation(found[is_normal],
                                                             found[~is_normal])}


def separation(normal: np.ndarray, other: np.ndarray) -> float | None:
    """How well an error tells others from normal samples: the area under the curve of true over
    false alarms (AUC), in percent.

    I.e. how often a sample drawn from the others has a larger error than one drawn from the normal
    ones, ties counting half; None unless there are samples of both.
    """
    if not len(normal) or not len(other):
        return None
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, other, "left") + np.searchsorted(ordered, other, "right")
    return round(100 * float(below.sum()) / (2 * len(normal) * len(other)), 2)
