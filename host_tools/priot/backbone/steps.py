"""Update bits by how far one sample moves a network.

The update shift of a method is bits - u (device/priot/methods.py). With the u of `weights` and
`gain`, one sample with a wrong label moves every layer by 2^-c of its norm:

    weights   bits - u = log2(rms |dW| / |w|) + c
    gain      bits - u = log2(rms |dW * w| / (64 sqrt(edges))) + c

The rms is over samples, |.| the l2 norm over a layer. c is 5 where that leaves the network in
shape, and otherwise the least that changes the outputs for other samples by at most 0.7 of their
norm (the median of some samples), of `gain` in a deep network by 0.15. A residual network of ten
layers on natural images is so changed by 2^-8 and 2^-10, and beyond repair after one step of 2^-5,
in integers as in floats; `gain` learns it better by 2^-10 than by 2^-8 (METHODS.md). Four layers
that know words (device/examples/keywords) are changed by 0.7 by 2^-6 or 2^-7, and learn a new
speaker's by 2^-9 too slowly: of twenty, 78 % in the place of 87. Biases have the bits of their
largest gradient, or so many more that they, too, change the outputs by at most 0.7. By squared
error, whose gradient never ends, c is what short trainings find, 6..12 (trial.py); so are the bits
of biases.
"""

import math
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from priot.backbone.trial import largest_step
from priot.formats import Dataset, Model
from priot.methods import METHODS
from priot.network import fields as f
from priot.network.stage import Stage
from priot.oracle.adapted import logits

MOVERS = 8  # samples whose steps are tried
_WATCHERS = 48  # samples whose outputs are watched
_LEAST, _LEAST_OF_ERRORS, _MOST = 5, 6, 16  # c
_TRIED = range(12, _LEAST_OF_ERRORS - 1, -1)
_TRIED_OF_BIASES = range(6, -1, -1)  # bits more than the usual ones
_CHANGE = 0.7  # of the outputs, relative to their norm, that a network bears
_DEEP = 8  # layers with weights; measured with four and with ten
# the same in deep networks where steps have to be smaller than usual
_WANTED = {"weights": 0.7, "gain": 0.15}


@dataclass
class Gradients:
    """Of a layer with weights: mean over the samples of the sum of dW^2, and of (dW * w)^2; and
    of the first MOVERS samples dW, float64 [n][n_out][n_row], and where it has biases db,
    [n][n_out]."""

    square: float
    square_of_products: float
    first: np.ndarray
    first_of_biases: np.ndarray

    def rms(self, method: str) -> float:
        """Of the update before its shift: its norm over the layer."""
        return float(self.square if method == "weights" else self.square_of_products)**0.5


def set_update_bits(model: Model, dataset: Dataset, gradients: dict[int, Gradients]) -> None:
    """Set the update bits of the weights and scores of all layers, and what those of biases lack.

    dataset: the samples of the gradients, in their order. gradients: by number of the stage.
    """
    if model.loss != f.CROSS_ENTROPY:
        _set_by_trial(model, dataset, gradients)
        return
    watched = dataset.images[MOVERS : MOVERS + _WATCHERS].astype(np.int8)
    for method in _WANTED:
        c = _least(model, watched, _LEAST, _MOST, _wanted(method, len(gradients)),
                   partial(_moved, model, gradients, method))
        _set(model, gradients, method, c)
    if any(stage.update_bits_bias for stage in model.stages):
        _add_bits_of_biases(model, _least(model, watched, 0, _TRIED_OF_BIASES[0], _CHANGE,
                                          partial(_with_moved_biases, model, gradients)))


def _set(model: Model, gradients: dict[int, Gradients], method: str, c: int) -> None:
    for i, found in gradients.items():
        bits = _bits(model.stages[i], found, method, c)
        if method == "weights":
            model.stages[i].update_bits_weights = bits
        else:
            model.stages[i].update_bits_scores = bits


def _set_by_trial(model: Model, dataset: Dataset, gradients: dict[int, Gradients]) -> None:
    for method in _WANTED:
        def put(tried: Model, c: int, method: str = method) -> None:
            _set(tried, gradients, method, c)

        c = largest_step(model, method, dataset, _TRIED, put)
        put(model, _LEAST_OF_ERRORS if c is None else c)
    if any(stage.update_bits_bias for stage in model.stages):
        more = largest_step(model, "bias", dataset, _TRIED_OF_BIASES, _add_bits_of_biases)
        _add_bits_of_biases(model, more or 0)


def _add_bits_of_biases(model: Model, more: int) -> None:
    for stage in model.stages:
        if stage.update_bits_bias:
            stage.update_bits_bias = min(31, stage.update_bits_bias + more)


def _whole(stage: Stage, method: str) -> float:
    """The size of a layer with which an update is compared."""
    if method == "weights":
        return float(np.linalg.norm(stage.rows.astype(np.float64)))
    return 64 * stage.rows.size**0.5


def _bits(stage: Stage, gradients: Gradients, method: str, c: int) -> int:
    rms = gradients.rms(method)
    shift = round(math.log2(rms / _whole(stage, method))) + c if rms else 0
    return max(0, min(31, shift + METHODS[method].step))


def _wanted(method: str, layers: int) -> float:
    """The change of outputs by a step that has to be smaller than usual, of so many layers."""
    return _WANTED[method] if layers >= _DEEP else _CHANGE


def _least(model: Model, watched: np.ndarray, c: int, most: int, wanted: float,
           moved: Callable[[int], Iterator[Model]]) -> int:
    """The exponent c, or the least above it by which steps 2^-c change a network's outputs little.

    moved: the network after each of some steps 2^-c. wanted: the change, relative, where c has to
    be larger.
    """
    if not len(watched):
        return c
    before = logits(model, watched)
    norm, limit = float(np.linalg.norm(before)), _CHANGE
    while norm and c < most:
        change = float(np.median([np.linalg.norm(logits(other, watched) - before) / norm
                                  for other in moved(c)]))
        if change <= limit:
            break
        limit = wanted
        c += math.ceil(math.log2(change / limit))
    return min(c, most)


def _with_moved_biases(model: Model, gradients: dict[int, Gradients], more: int,
                       ) -> Iterator[Model]:
    """The network after a step on the biases, of so many bits more, for each of the first
    samples."""
    for sample in range(len(next(iter(gradients.values())).first)):
        stages = [copy(stage) for stage in model.stages]
        for i, found in gradients.items():
            stage = stages[i]
            if stage.bias is not None and stage.update_bits_bias:
                shift = stage.accumulator_bits_bias + more - METHODS["bias"].step
                change = found.first_of_biases[sample] * 2.0**-shift
                stage.bias = np.rint(stage.bias - change).astype(np.int32)
        yield replace(model, stages=stages)


def _moved(model: Model, gradients: dict[int, Gradients], method: str, c: int) -> Iterator[Model]:
    """The network after a step on one sample, for each of the first; weights are rounded at
    random, as pseudo-stochastic rounding does without bias."""
    random = np.random.RandomState(0)
    for sample in range(len(next(iter(gradients.values())).first)):
        stages = [copy(stage) for stage in model.stages]
        for i, found in gradients.items():
            weights = stages[i].rows.astype(np.float64)
            if rms := found.rms(method):
                update = found.first[sample] * (weights if method == "gain" else 1) / rms
                update *= 2.0**-c * _whole(stages[i], method)
                weights -= weights * update / 64 if method == "gain" else update
            rounded = np.floor(weights + random.uniform(size=weights.shape))
            stages[i].weights = np.clip(rounded, -127, 127).astype(np.int8).reshape(
                stages[i].weights.shape)
        yield replace(model, stages=stages)
