"""What a network answers with an adapter in force, for many images at once."""

from copy import copy
from dataclasses import replace

import numpy as np

from priot.formats import Adapter, AdapterLayer, Dataset, Model
from priot.methods import METHODS
from priot.network.stage import IMAGE, Stage
from priot.oracle import batch

_IMAGES = 256  # at a time


def adapted(model: Model, adapter: Adapter) -> Model:
    """The model with an adapter's effective weights in the place of its own.

    The adapter has to belong to the model (Adapter.check_backbone).
    """
    learned = {layer.index: layer for layer in adapter.layers}
    stages = [_with_weights(stage, adapter, learned[stage.index])
              if stage.index in learned else stage for stage in model.stages]
    return replace(model, stages=stages)


def _with_weights(stage: Stage, adapter: Adapter, layer: AdapterLayer) -> Stage:
    if adapter.content == "biases":
        return replace(stage, bias=layer.values)
    weights = stage.rows.ravel().astype(np.int64)
    edges = np.flatnonzero(layer.edges(stage.rows))
    if adapter.content in ("weights", "weights16"):
        weights[edges] = layer.values
    elif adapter.content == "gains":
        gained = weights[edges] * (64 + layer.values.astype(np.int64))
        weights[edges] = np.clip((gained + 32) >> 6, -127, 127)
    else:
        weights[edges[~adapter.kept(layer)]] = 0
    changed = copy(stage)
    changed.weights = weights.astype(np.int8).reshape(stage.weight_shape)
    return changed


def logits(model: Model, images: np.ndarray, adapter: Adapter | None = None) -> np.ndarray:
    """int8 [n][classes] of images uint8 0..127 [n][channels][height][width].

    The same as on the device after Network.apply.
    """
    dynamic = adapter is not None and METHODS[adapter.method].dynamic
    if adapter is not None:
        model = adapted(model, adapter)
    return np.concatenate([_logits(model, images[i : i + _IMAGES], dynamic)
                           for i in range(0, len(images), _IMAGES)])


def predict(model: Model, images: np.ndarray, adapter: Adapter | None = None) -> np.ndarray:
    """Classes [n]: the largest logit, the first of equals."""
    return logits(model, images, adapter).argmax(axis=1)


def errors(model: Model, dataset: Dataset, adapter: Adapter | None = None) -> np.ndarray:
    """int64 [n]: the squared error of every sample, as Network.error on the device.

    adapter: not of a dynamic method.
    """
    outputs = logits(model, dataset.images, adapter)
    targets = dataset.targets if model.n_targets else dataset.images.view(np.int8)
    g = batch.error_gradient(model.target_shift, outputs, targets).astype(np.int64)
    return np.square(g).sum(axis=1)


def _logits(model: Model, x: np.ndarray, dynamic: bool) -> np.ndarray:
    """dynamic: shifts by the largest accumulator of each image."""
    tensors = {IMAGE: x.astype(np.int8)}
    for i, stage in enumerate(model.stages):
        inputs = [tensors[n] for n in stage.inputs]
        y = np.zeros((len(x), *stage.shape_out), np.int8)
        for some in batch.chunks(stage, len(x)):
            acc, _ = batch.forward(stage, *(values[some] for values in inputs))
            y[some] = (_measured(stage, acc) if dynamic and stage.has_weights
                       else batch.requantise(stage, acc))
        tensors[i] = y
    return tensors[len(model.stages) - 1].reshape(len(x), -1)


def _measured(stage: Stage, acc: np.ndarray) -> np.ndarray:
    """int8 outputs whose largest takes all of the range, image by image."""
    largest = np.maximum(acc, 0) if stage.relu else np.abs(acc)
    bits = np.frexp(largest.reshape(len(acc), -1).max(axis=1))[1]  # bit_length of an integer
    y = np.zeros(acc.shape, np.int8)
    for shift in set(np.maximum(bits - 7, 0).tolist()):
        some = np.maximum(bits - 7, 0) == shift
        shifted = copy(stage)
        shifted.forward_shift = shift
        y[some] = batch.requantise(shifted, acc[some])
    return y
