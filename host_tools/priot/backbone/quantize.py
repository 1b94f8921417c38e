"""Float weights to an int8 model with all static shifts.

Weights: one exponent per layer, the largest that keeps abs(w) <= 127. Shifts: from upright
pretraining images, so that 99 % of them fit, layer by layer:

    forward shift    max(0, P99 bitlen(largest accumulator) - 7)
    backward shift   max(0, P99 bitlen(largest sum of dx) - 7), from the last layer down
    update bits      P99 bitlen(max abs(dW)), and of max abs(dW * w)

The gradients belong to deliberately wrong labels, y' = (y + 1 + i mod (classes - 1)) mod classes
for image i: so large will they be in an unfamiliar place. Correct labels give shifts that are far
too small: on a network of 27,464 weights they cost 28 to 84 points (`--naive` shows it).
"""

import zlib

import numpy as np

from priot.backbone.float_network import FloatNetwork, check_weights
from priot.formats import Dataset, Model
from priot.network import fields as f
from priot.network.link import loss_shift
from priot.network.stage import Stage
from priot.network.stages import compile_layers
from priot.oracle import batch

PERCENT = 99


def quantize_weights(weights: np.ndarray) -> tuple[np.ndarray, int]:
    """int8 weights and their exponent we: a weight is w * 2^-we. Raises ValueError."""
    check_weights(weights)
    weights = weights.astype(np.float64)
    largest = float(np.abs(weights).max())
    exponent = 127
    while np.rint(largest * 2.0**exponent) > 127:
        exponent -= 1
    if exponent < -128:
        raise ValueError(f"weights: found {largest}, expected below 2^134")
    rounded = np.rint(weights * 2.0**exponent).astype(np.int8)
    if not rounded.any():
        raise ValueError(f"weights: found {largest} at most, expected 2^-128 or more")
    return rounded, exponent


def percentile_bits(largest: np.ndarray, naive: bool = False) -> int:
    """Bits that hold the largest values of 99 % of the images (naive: the most frequent count).

    largest: int64 [n], one value per image; images where it is zero are left out.
    """
    bits = np.array(sorted(int(v).bit_length() for v in largest if v))
    if not bits.size:
        return 0
    if naive:
        return int(np.bincount(bits).argmax())
    return int(bits[-(-PERCENT * bits.size // 100) - 1])


def wrong_labels(labels: np.ndarray, classes: int) -> np.ndarray:
    """A wrong label for every image, spread evenly over the other classes."""
    shift = 1 + np.arange(len(labels)) % (classes - 1)
    return (labels.astype(np.int64) + shift) % classes


def calibrate(model: Model, dataset: Dataset, naive: bool = False) -> None:
    """Set all shifts and bits of the model's stages from a dataset's images (all of them)."""
    stages = model.stages
    inputs, winners = _calibrate_forward(stages, dataset.images, naive)
    labels = dataset.labels if naive else wrong_labels(dataset.labels, model.classes)
    g = batch.loss_gradient(loss_shift(model.exponents[-1]), inputs[-1], labels)
    first = next(i for i, stage in enumerate(stages) if stage.has_weights)
    for i in range(len(stages) - 1, first - 1, -1):
        if stages[i].has_weights:
            _calibrate_update(stages[i], g, winners[i], inputs[i], naive)
        if i > first:
            g = _calibrate_backward(stages[i], g, winners[i], inputs[i], naive)


def _calibrate_forward(stages: list[Stage], images: np.ndarray, naive: bool,
                       ) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Forward shifts; returns the int8 input of every stage and, last, the logits; winners."""
    inputs, winners = [images.astype(np.int8)], []
    for stage in stages:
        x = inputs[-1]
        parts = [batch.forward(stage, x[some]) for some in batch.chunks(stage, len(x))]
        acc = np.concatenate([part[0].astype(np.int32) for part in parts])
        winners.append(np.concatenate([part[1] for part in parts]))
        if stage.has_weights or stage.kind == f.GLOBAL_POOL:
            largest = _largest(np.maximum(acc, 0) if stage.relu else acc)
            stage.forward_shift = max(0, percentile_bits(largest, naive) - 7)
        inputs.append(batch.requantise(stage, acc))
    return inputs, winners


def _calibrate_update(stage: Stage, g: np.ndarray, winner: np.ndarray, x: np.ndarray,
                      naive: bool) -> None:
    weights = stage.rows.astype(np.float64)
    largest_dw, largest_product = [], []
    for some in batch.chunks(stage, len(x)):
        dw = batch.weight_gradient(stage, g[some], winner[some], x[some])
        largest_dw.append(_largest(dw))
        largest_product.append(_largest(np.multiply(dw, weights, out=dw)))
    stage.update_bits_weights = percentile_bits(np.concatenate(largest_dw), naive)
    stage.update_bits_scores = percentile_bits(np.concatenate(largest_product), naive)


def _calibrate_backward(stage: Stage, g: np.ndarray, winner: np.ndarray, x: np.ndarray,
                        naive: bool) -> np.ndarray:
    """The backward shift of a stage that has one; returns the gradient of its input."""
    acc = np.concatenate([
        batch.backward_input(stage, g[some], winner[some], x[some]).astype(np.int32)
        for some in batch.chunks(stage, len(x))])
    if stage.has_weights:
        stage.backward_shift = max(0, percentile_bits(_largest(acc), naive) - 7)
    return batch.clamp_gradient(stage, acc)


def _largest(values: np.ndarray) -> np.ndarray:
    """Largest absolute value of each image, int64 [n]."""
    flat = values.reshape(len(values), -1)
    return np.maximum(flat.max(axis=1), -flat.min(axis=1)).astype(np.int64)


def add_spare(model: Model, n: int) -> None:
    """Give the last layer n outputs for classes to add later. Raises ValueError, FileError.

    Their weights have the sizes of those of the layer, drawn at random, and random signs: a method
    that prunes finds something to choose from, and every shift stays right. The bytes follow from
    the model's.
    """
    last = model.stages[-1]
    if last.kind != f.LINEAR:
        raise ValueError(f"last stage: is {last.name}; outputs are spare of linear only")
    rng = np.random.default_rng(zlib.crc32(last.weights.tobytes()))
    sizes = rng.choice(np.abs(last.weights.ravel()), (n, last.n_row))
    model.spare = np.where(rng.random(sizes.shape) < 0.5, -sizes, sizes).astype(np.int8)
    model.check()


def accuracy(model: Model, dataset: Dataset) -> float:
    """Percent of a dataset's images that the model classifies rightly, bit for bit as a board."""
    right = 0
    for first in range(0, len(dataset), 500):
        x = dataset.images[first : first + 500].astype(np.int8)
        for stage in model.stages:
            x = np.concatenate([
                batch.requantise(stage, batch.forward(stage, x[some])[0])
                for some in batch.chunks(stage, len(x))])
        top = x.reshape(len(x), -1).argmax(axis=1)
        right += int((top == dataset.labels[first : first + 500]).sum())
    return 100 * right / len(dataset)


def quantize(network: FloatNetwork, dataset: Dataset, name: str, naive: bool = False) -> Model:
    """An int8 model from float weights, calibrated on all images of a dataset.

    Names of the classes, scale and zero are the dataset's. Raises ValueError, FileError where the
    network does not fit the images or a limit.
    """
    stages = compile_layers(network.layers, dataset.shape, dataset.classes)
    model = Model(name, dataset.shape, dataset.classes, stages, dataset.names,
                  scale=dataset.scale, zero=dataset.zero)
    for stage, values in zip(model.weight_stages, network.weights_for(stages), strict=True):
        try:
            stage.weights, stage.weight_exponent = quantize_weights(values)
        except ValueError as error:
            raise ValueError(f"layer{stage.index}.weight: {error}") from None
    model.check()
    calibrate(model, dataset, naive)
    return model
