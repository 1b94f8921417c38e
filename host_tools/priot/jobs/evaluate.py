"""Measuring a model, adapted or not, by running the device package."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from priot.errors import PriotError
from priot.formats import Adapter, Dataset, Model
from priot.jobs.protocol import Event, Target, absolute, accuracy, tested


def evaluate(model: Path, test: Path, target: Target, adapter: Path | None = None,
             backend: str | None = None, also: Sequence[Path] = ()) -> dict[str, Any]:
    """Accuracy (percent), counts per class and confusion matrix. Raises PriotError.

    also: further datasets to test on; the report's `also` has the same of each.
    """
    loaded = Model.read(model)
    if adapter is not None:
        learned = Adapter.read(adapter)
        learned.check_backbone(loaded, adapter)
        loaded = loaded.with_classes(learned.names[loaded.classes :])
    for path in (test, *also):
        Dataset.read(path).check_fits(loaded, path)
    job = {"action": "evaluate", "model": absolute(model), "test": absolute(test),
           "scores": absolute(adapter), "backend": backend, "also": list(map(absolute, also))}
    events: dict[str, Event] = {}
    others = []
    for event in target.run(job):
        events[event["event"]] = event
        if event["event"] == "also":
            others.append(event)
    if "done" not in events:
        raise PriotError(target.name, "the run ended before it was finished")
    return {
        "target": target.name, "backend": events["start"]["backend"], "model": str(model),
        "adapter": str(adapter) if adapter else None, "names": list(loaded.names),
        **_result(test, events["after"]),
        "also": [_result(path, event) for path, event in zip(also, others, strict=True)],
        "heap_bytes": events["done"]["heap_bytes"],
        "peak_heap_bytes": events["done"]["peak_heap_bytes"],
    }


def _result(path: Path, event: Event) -> dict[str, Any]:
    return {"dataset": str(path), "accuracy": accuracy(event), "test_images": event["total"],
            **tested(event)}
