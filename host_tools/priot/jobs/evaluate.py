"""Measuring a model, adapted or not, by running the device package."""

from pathlib import Path
from typing import Any

from priot.errors import PriotError
from priot.formats import Adapter, Dataset, Model
from priot.jobs.protocol import Target, absolute, accuracy


def evaluate(model: Path, test: Path, target: Target, adapter: Path | None = None,
             backend: str | None = None) -> dict[str, Any]:
    """Accuracy (percent), counts per class and confusion matrix. Raises PriotError."""
    loaded = Model.read(model)
    if adapter is not None:
        learned = Adapter.read(adapter)
        learned.check_backbone(loaded, adapter)
        loaded = loaded.with_classes(learned.names[loaded.classes :])
    Dataset.read(test).check_fits(loaded, test)
    job = {"action": "evaluate", "model": absolute(model), "test": absolute(test),
           "scores": absolute(adapter), "backend": backend}
    events = {event["event"]: event for event in target.run(job)}
    if "done" not in events:
        raise PriotError(target.name, "the run ended before it was finished")
    after = events["after"]
    confusion = after["confusion"]
    return {
        "target": target.name, "backend": events["start"]["backend"], "model": str(model),
        "adapter": str(adapter) if adapter else None, "accuracy": accuracy(after),
        "test_images": after["total"],
        "per_class": [[row[i], sum(row)] for i, row in enumerate(confusion)],
        "confusion": confusion, "heap_bytes": events["done"]["heap_bytes"],
        "peak_heap_bytes": events["done"]["peak_heap_bytes"],
    }
