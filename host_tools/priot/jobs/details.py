"""What `priot report` shows beside a training report, found on the host after the run.

The device tells no more than counts. Which image was taken for which class follows from the
dataset, the model and what was saved: the oracle gives the device's answers.
"""

import shlex
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from priot.formats import Adapter, Dataset, Model
from priot.formats.container import read_crc
from priot.jobs.train import TrainJob
from priot.network import fields as f
from priot.oracle.adapted import predict
from priot.reports.run_report import REPORT_VERSION


class Details:
    """Made before a run, as what it resumes may be overwritten by what it saves."""

    def __init__(self, job: TrainJob, command: Sequence[str]) -> None:
        self.job = job
        self.command = shlex.join(command)
        self.date = datetime.now().astimezone().isoformat(timespec="seconds")
        self.start = time.monotonic()
        self.resumed = Adapter.read(job.resume) if job.resume else None

    def add(self, report: dict[str, Any]) -> None:
        """Add to the report of the run. Raises PriotError, OSError.

        `command`, to repeat it; `date` and `seconds`; `names` of the classes, or none; `files`:
        path and CRC32; `layers`: edges, those trained and those kept, None where nothing is
        pruned; `predictions`: before and after, a class for every test image in the order of the
        file, or None where nothing was tested or saved.
        """
        job = self.job
        model = Model.read(job.model)
        test = Dataset.read(job.test) if job.test else None
        saved = job.save or job.mask
        adapter = Adapter.read(saved) if saved and saved.exists() else None
        if adapter is not None:
            model = model.with_classes(adapter.names[model.classes :])
        files = {"model": job.model, "train": job.train, "test": job.test, "saved": job.save,
                 "mask": job.mask}
        report |= {
            "report_version": REPORT_VERSION, "command": self.command, "date": self.date,
            "seconds": round(time.monotonic() - self.start, 1),
            "files": {name: {"path": str(path.absolute()), "crc32": read_crc(path)}
                      for name, path in files.items() if path and path.exists()},
            "layers": _layers(model, adapter) if adapter else None,
            "predictions": self._predictions(model, test, adapter, report),
        }
        if model.loss != f.CROSS_ENTROPY:
            report["names"] = None
            return
        report["names"] = report.get("names") or list(
            model.names or (test.names if test else ()) or Dataset.read(job.train).names)

    def _predictions(self, model: Model, test: Dataset | None, adapter: Adapter | None,
                     report: dict[str, Any]) -> dict[str, list[int]] | None:
        if test is None or adapter is None or model.loss != f.CROSS_ENTROPY:
            return None
        before = predict(model, test.images, self.resumed)
        after = predict(model, test.images, adapter)
        if confusion(test.labels_of(model), after, model.classes) != report["confusion"]:
            return None  # what was saved is not what was tested last
        return {"before": before.tolist(), "after": after.tolist()}


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[list[int]]:
    """Counts [label][predicted]."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts.tolist()


def _layers(model: Model, adapter: Adapter) -> list[dict[str, Any]]:
    stages = model.weight_stages
    prunes = adapter.content in ("scores", "mask")
    return [{"layer": layer.index, "kind": stages[layer.index].name,
             "shape": list(stages[layer.index].weight_shape),
             "edges": stages[layer.index].rows.size, "trained": len(layer.values),
             "kept": int(adapter.kept(layer).sum()) if prunes else None}
            for layer in adapter.layers]
