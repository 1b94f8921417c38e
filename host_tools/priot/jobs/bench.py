"""Time of a training step and of an inference, kernel by kernel, for one backend at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from priot.errors import PriotError
from priot.formats import Dataset, Model
from priot.jobs.protocol import Target, absolute

# A board takes seconds for a step of a slow backend.
STEPS = {"native": 24, "portable": 8, "viper": 2}


def bench(model: Path, dataset: Path, target: Target, backend: str, steps: int,
          method: str = "priot", options: dict[str, Any] | None = None,
          cores: int = 2) -> dict[str, Any]:
    """Measure one backend on a target, on up to so many cores; cycles where the target knows its
    clock.

    The figures are means over steps that ran their backward pass; those of the flash are counted
    by an RP2040, 0 elsewhere. Raises PriotError.
    """
    Dataset.read(dataset).check_fits(Model.read(model), dataset)
    job = {"action": "bench", "model": absolute(model), "train": absolute(dataset),
           "backend": backend, "method": method, "options": options or {}, "steps": steps,
           "cores": cores}
    events = {event["event"]: event for event in target.run(job)}
    if "done" not in events:
        raise PriotError(target.name, "the run ended before it was finished")
    if not events["bench"]["steps"]:
        raise PriotError(dataset, f"no backward pass ran in {events['bench']['samples']} samples")
    return _report(events["bench"], target, method)


def _report(event: dict[str, Any], target: Target, method: str) -> dict[str, Any]:
    hz = event["clock_hz"]

    def cycles(us: int) -> int | None:
        return us * hz // 1_000_000 if hz else None

    layers: list[dict[str, Any]] = [
        {"stage": text, "kernel": kernel, "cycles": {}, "us": {}}
        for text, kernel in zip(event["stages"], event["kernels"], strict=True)]
    for stage, what, us in event["calls"]:
        layers[stage]["us"][what] = us
        layers[stage]["cycles"][what] = cycles(us)
    return {
        "target": target.name, "backend": event["backend"], "method": method,
        "clock_hz": hz, "steps": event["steps"], "cores": event["cores"],
        "cycles_per_step": cycles(event["us_step"]), "us_per_step": event["us_step"],
        "cycles_forward": cycles(event["us_forward"]), "us_forward": event["us_forward"],
        "cycles_skipped_step": cycles(event["us_skipped_step"]),
        "cycles_read": cycles(event["us_read"]), "cycles_loss": cycles(event["us_loss"]),
        "us_read": event["us_read"], "us_loss": event["us_loss"],
        "flash_accesses_per_step": event["flash_accesses"],
        "flash_hits_per_step": event["flash_hits"],
        "layers": layers, "layout": event["layout"], "heap_bytes": event["heap_bytes"],
        "free_heap_at_rest_bytes": event["free_heap_at_rest_bytes"],
        "peak_heap_bytes": event["peak_heap_bytes"], "free_heap_bytes": event["free_heap_bytes"],
    }


def digits_like_mnist(path: Path, say: Callable[[str], None]) -> Path:
    """Rotated digits that everyone has, as MNIST shows them: 20 x 20 pixels in a black border.

    The dataset file at `path` is made unless it is there; `say` takes a line on what it is made
    of.
    """
    from priot.data.prepare import prepare, summary  # here: they bring scipy and Pillow

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        inner = path.with_name(f"{path.stem}-20x20.prd")
        small = prepare("digits", part="train", size=(20, 20), degrees=30, n=64)
        small.write(inner)
        say(summary(inner, small, 30))
        images = np.pad(small.images, ((0, 0), (0, 0), (4, 4), (4, 4)))
        Dataset(images, small.labels, small.classes).write(path)
    return path
