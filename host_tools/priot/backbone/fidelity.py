"""How much of a float network its int8 model keeps: weights, activations, classes, errors.

Every stage of the model is compared with the float network on the same images: what became zero,
what saturates, how large the error is. verdict.py says what that means.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from priot.backbone.float_graph import FloatGraph, run
from priot.formats import Dataset, Model
from priot.network import fields as f
from priot.network.link import largest_bias
from priot.network.stage import IMAGE, Stage, pool_factor
from priot.oracle import batch

_IMAGES = 64  # compared at a time


@dataclass
class LayerFidelity:
    """A stage beside its float twin. Shares are 0..1.

    zero, float_zero: share of the weights that are zero, in int8 and in the float network; lost:
    of the float weights that are not zero, the share that became zero. saturated: share of the
    outputs at the end of the range. silent: no output is ever above or below zero, in int8;
    float_silent: in the float network either. sqnr_db: power of the float outputs over that of
    the error (signal to quantisation noise), None where one of them is zero. clamped: biases that
    are as large as a sum can bear, those of the float network may be larger.
    """

    stage: int
    kind: str
    zero: float | None = None
    float_zero: float | None = None
    lost: float | None = None
    outlier: float | None = None  # largest weight over the median of those that are not zero
    saturated: float = 0.0
    silent: bool = False
    float_silent: bool = False
    sqnr_db: float | None = None
    clamped: int = 0


@dataclass
class Fidelity:
    """An int8 model beside its float network on `images` images.

    same: images that both put in the same class; kappa: that agreement without what chance gives
    (Cohen 1960), None where the float network knows one class only. correct, float_correct:
    images classified rightly. saturated: images with a logit at +-127. largest_logit_error,
    largest_logit: in units of the float network's logits. error, float_error: mean squared error
    of the outputs beside their targets, in units of these, where that is the loss; then no image
    has a class, and none is right.
    """

    images: int
    same: int
    kappa: float | None
    correct: int
    float_correct: int
    saturated: int
    largest_logit_error: float
    largest_logit: float
    layers: list[LayerFidelity] = field(repr=False)
    error: float | None = None
    float_error: float | None = None

    def report(self) -> dict[str, Any]:
        """As JSON holds it."""
        return _rounded(asdict(self))


class _Sums:
    """What is counted of a stage over all images."""

    def __init__(self) -> None:
        self.signal = self.noise = 0.0
        self.n = self.saturated = self.live = self.float_live = 0

    def add(self, y: np.ndarray, found: np.ndarray, wanted: np.ndarray) -> None:
        """Add int8 outputs y, which stand for `found`, beside float outputs."""
        self.signal += float(np.square(wanted).sum())
        self.noise += float(np.square(wanted - found).sum())
        self.n += y.size
        self.saturated += int((np.abs(y.astype(np.int16)) == 127).sum())
        self.live += int(np.count_nonzero(y))
        self.float_live += int(np.count_nonzero(wanted))


def compare(graph: FloatGraph, model: Model, dataset: Dataset) -> Fidelity:
    """Compare a model with the float network it was made of, on all images of a dataset.

    Where the model has more outputs than the float network, the first are compared.
    """
    weights = [source.weights * pool_factor(model.stages, stage)
               for source, stage in zip(graph.stages, model.stages, strict=True)
               if source.weights is not None]
    n_classes = graph.classes
    sums = [_Sums() for _ in model.stages]
    tops: list[np.ndarray] = []
    error = largest = 0.0
    squares = np.zeros(2)  # sums of the squared errors, in int8 and in the float network
    saturated = 0
    for first in range(0, len(dataset), _IMAGES):
        images = dataset.images[first : first + _IMAGES]
        pairs = zip(sums, _integers(model, images), _floats(graph, model, images), strict=True)
        for total, (y, exponent), wanted in pairs:
            y = y[:, : wanted.shape[1]]
            found = y * 2.0**exponent
            total.add(y, found, wanted)
        logits = wanted.reshape(len(y), n_classes)
        y = y.reshape(len(y), n_classes)
        if model.loss != f.CROSS_ENTROPY:
            targets = _targets(model, dataset, first).reshape(logits.shape)
            squares += [np.square(values.reshape(logits.shape) - targets).sum()
                        for values in (found, logits)]
        error = max(error, float(np.abs(logits - found.reshape(logits.shape)).max()))
        largest = max(largest, float(np.abs(logits).max()))
        saturated += int((np.abs(y.astype(np.int16)) == 127).any(axis=1).sum())
        tops.append(np.stack([y.argmax(axis=1), logits.argmax(axis=1)]))
    ours, theirs = np.concatenate(tops, axis=1)
    layers = [_layer(i, stage, total) for i, (stage, total) in
              enumerate(zip(model.stages, sums, strict=True))]
    weighted = [layer for layer, stage in zip(layers, model.stages, strict=True)
                if stage.has_weights]
    for layer, stage, values in zip(weighted, model.weight_stages, weights, strict=True):
        _count_weights(layer, stage, values)
    if model.loss != f.CROSS_ENTROPY:
        means = squares / (len(dataset) * n_classes)
        return Fidelity(len(dataset), 0, None, 0, 0, saturated, error, largest, layers,
                        float(means[0]), float(means[1]))
    return Fidelity(len(dataset), int((ours == theirs).sum()), _kappa(ours, theirs, n_classes),
                    int((ours == dataset.labels).sum()), int((theirs == dataset.labels).sum()),
                    saturated, error, largest, layers)


def _targets(model: Model, dataset: Dataset, first: int) -> np.ndarray:
    """Targets of some images from the `first` on, as floats."""
    some = slice(first, first + _IMAGES)
    if model.n_targets:
        return dataset.targets[some] * 2.0**model.target_exponent
    return dataset.images[some] * 2.0**model.input_exponent


def _integers(model: Model, images: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """int8 outputs of every stage and their exponent."""
    tensors = {IMAGE: images.astype(np.int8)}
    for i, (stage, exponent) in enumerate(zip(model.stages, model.exponents, strict=True)):
        inputs = [tensors[n] for n in stage.inputs]
        tensors[i] = np.concatenate([
            batch.requantise(stage, batch.forward(stage, *(values[some] for values in inputs))[0])
            for some in batch.chunks(stage, len(images))])
        yield tensors[i], exponent


def _floats(graph: FloatGraph, model: Model, images: np.ndarray) -> Iterator[np.ndarray]:
    """Float outputs as the stages of the model compute them: a global pool's is sum / 2^k."""
    x = images * 2.0**model.input_exponent
    for stage, y in zip(model.stages, run(graph, x), strict=True):
        whole = stage.kind == f.GLOBAL_POOL
        area = stage.window[0] * stage.window[1]
        yield y * (area / 2.0**stage.weight_exponent) if whole else y


def _layer(i: int, stage: Stage, total: _Sums) -> LayerFidelity:
    sqnr = None
    if total.signal > 0 and total.noise > 0:
        sqnr = 10 * math.log10(total.signal / total.noise)
    return LayerFidelity(i, stage.name, saturated=total.saturated / total.n,
                         silent=not total.live, float_silent=not total.float_live, sqnr_db=sqnr)


def _count_weights(layer: LayerFidelity, stage: Stage, values: np.ndarray) -> None:
    found = stage.weights[: len(values)]
    layer.zero = float((found == 0).mean())
    layer.float_zero = float((values == 0).mean())
    layer.lost, layer.outlier = weights_lost(values, found)
    if stage.bias is not None:
        layer.clamped = int((np.abs(stage.bias.astype(np.int64)) >= largest_bias(stage)).sum())


def weights_lost(values: np.ndarray, rounded: np.ndarray) -> tuple[float, float]:
    """Share of the weights that are not zero and became zero; the largest over their median."""
    sizes = np.abs(values[values != 0])
    return float((rounded[values != 0] == 0).mean()), float(sizes.max() / np.median(sizes))


def _kappa(ours: np.ndarray, theirs: np.ndarray, classes: int) -> float | None:
    """Cohen's kappa: (p - chance) / (1 - chance) of the agreement p."""
    counts = [np.bincount(top, minlength=classes) / len(top) for top in (ours, theirs)]
    chance = float(counts[0] @ counts[1])
    if np.count_nonzero(counts[1]) < 2:
        return None
    return (float((ours == theirs).mean()) - chance) / (1 - chance) if chance < 1 else 0.0


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return round(value, 6) if isinstance(value, float) else value
