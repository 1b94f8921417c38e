"""Golden inputs and outputs: made by the oracle, replayed by the device package on a target."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from priot.errors import FileError, PriotError
from priot.formats import Dataset, Model
from priot.formats.golden import Golden, golden_path
from priot.jobs.protocol import Target, absolute
from priot.network import fields as f
from priot.oracle.adapted import logits

_SHOWN = 10  # differences that are told one by one


def make(model: Model, dataset: Dataset, n: int) -> Golden:
    """Up to n samples, spread evenly over a dataset, and the logits of the oracle."""
    picked = np.linspace(0, len(dataset) - 1, min(n, len(dataset))).round().astype(int)
    inputs = dataset.images[picked]
    return Golden(model.crc, inputs, logits(model, inputs))


def replay(path: Path, target: Target, backend: str | None = None,
           flash: bool | None = None) -> dict[str, Any]:
    """Compute the golden inputs of a model file on a target; flash: as of `evaluate`.

    The report has the samples, the backend, and `differences`: sample, output, found, expected of
    every logit that is another one. Raises PriotError.
    """
    model, where = Model.read(path), golden_path(path)
    try:
        golden = Golden.read(where, model)
    except FileNotFoundError:
        raise FileError(where, "no such file; 'priot import --golden N' writes it beside the "
                        "model") from None
    found, used = _on_target(path, model, golden, target, backend, flash)
    differs = [{"sample": int(i), "output": int(j), "found": int(found[i, j]),
                "expected": int(golden.logits[i, j])}
               for i, j in np.argwhere(found != golden.logits)]
    return {"target": target.name, "backend": used, "model": str(path),
            "golden": str(where), "samples": len(golden.inputs), "outputs": model.classes,
            "differences": differs}


def _on_target(path: Path, model: Model, golden: Golden, target: Target,
               backend: str | None, flash: bool | None) -> tuple[np.ndarray, str]:
    """The logits that the target computes, and its kernels."""
    n, classes = len(golden.inputs), model.classes if model.loss == f.CROSS_ENTROPY else 1
    dataset = Dataset(golden.inputs, np.zeros(n, np.uint8), classes,
                      targets=np.zeros((n, model.n_targets), np.int8))  # nobody asks for labels
    found, used = {}, ""
    with tempfile.TemporaryDirectory(prefix="priot-golden-") as folder:
        data = Path(folder) / f"{path.stem}-golden.prd"
        dataset.write(data)
        for event in target.run({"action": "logits", "model": absolute(path),
                                 "test": absolute(data), "backend": backend, "flash": flash}):
            if event["event"] == "logits":
                found[event["sample"]] = event["values"]
            used = event.get("backend", used)
    if sorted(found) != list(range(len(dataset))):
        raise PriotError(target.name, "the run ended before it was finished")
    return np.array([found[i] for i in range(len(dataset))]), used


def lines(report: dict[str, Any]) -> list[str]:
    """The report in words."""
    differences = report["differences"]
    where = f"({report['target']}, {report['backend']} kernels)"
    n, total = report["samples"], report["samples"] * report["outputs"]
    if not differences:
        return [f"golden: all {total:,} logits of {n:,} samples are equal {where}"]
    samples = len({d["sample"] for d in differences})
    told = [f"sample {d['sample']}, output {d['output']}: {d['found']}, expected {d['expected']}"
            for d in differences[:_SHOWN]]
    rest = len(differences) - len(told)
    return [f"{len(differences):,} of {total:,} logits, of {samples:,} of {n:,} samples, differ "
            f"{where}", *told, *([f"and {rest:,} more"] if rest else [])]
