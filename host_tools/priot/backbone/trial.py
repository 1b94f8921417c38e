"""Update bits of a network of squared error, by short trainings.

The gradient of squared error never ends: a step that is too large goes on shaking the network at
every sample, one that is too small takes long, and how large it may be depends on depth, on how
much samples differ and on what rounding takes from the weights. So each method is tried: it learns
some samples, once, byte for byte as a board would, from the smallest step on, doubled until the
error of other samples is more than a quarter above the least so far. The step before that stays.
Samples are those of the calibration, unfamiliar ones (quantize.py).

A step within a quarter of the least is worth having: a training is longer than this one, and it
halves its steps.
"""

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import replace

import numpy as np

from priot.formats import Dataset, Model
from priot.oracle.adapted import errors
from priot.oracle.step import Oracle

_SAMPLES = 64  # that are learned, and that are watched
_WORSE = 1.25  # times the least error

def largest_step(model: Model, method: str, dataset: Dataset, exponents: Iterable[int],
                 set_bits: Callable[[Model, int], None]) -> int | None:
    """Of the exponents c of steps 2^-c, which fall, the last before the error grows.

    set_bits: gives a model the update bits of an exponent. The model itself stays as it is. None
    where there are fewer than two samples.
    """
    n = min(_SAMPLES, len(dataset) // 2)
    learned, watched = _part(dataset, slice(0, n)), _part(dataset, slice(n, n + _SAMPLES))
    found, least = None, 0
    for c in exponents if n else ():
        tried = replace(model, stages=[copy(stage) for stage in model.stages])
        set_bits(tried, c)
        error = int(errors(_trained(tried, method, learned), watched).sum())
        if found is not None and error > _WORSE * least:
            break
        found, least = c, error if found is None else min(error, least)
    return found


def _part(dataset: Dataset, some: slice) -> Dataset:
    return replace(dataset, images=dataset.images[some], labels=dataset.labels[some],
                   targets=dataset.targets[some])


def _trained(model: Model, method: str, dataset: Dataset) -> Model:
    """The model with the effective weights and biases that one pass over a dataset leaves."""
    oracle = Oracle(model, method)
    targets = dataset.targets if model.n_targets else dataset.labels
    for image, target in zip(dataset.images, targets, strict=True):
        oracle.step(image, target)
    for stage, state in zip(model.stages, oracle.states, strict=True):
        if stage.has_weights:
            weights = np.frombuffer(state.weff, np.uint8).astype(np.int16) - 128
            stage.weights = weights.astype(np.int8).reshape(stage.weights.shape)
        if stage.bias is not None:
            stage.bias = np.frombuffer(state.bias, "<i4").copy()
    return model
