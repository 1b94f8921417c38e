"""Float weights to an int8 model with all static shifts.

Weights: one exponent per layer, the largest that keeps abs(w) <= 127. Shifts: from upright
pretraining images, so that 99 % of them fit, layer by layer:

    forward shift    max(0, P99 bitlen(largest accumulator) - 7)
    backward shift   max(0, P99 bitlen(largest sum of dx) - 7), from the last layer down
    update bits      P99 bitlen(max abs(dW)), and of max abs(dW * w); of biases `_bias_bits`

The gradients belong to deliberately wrong labels, y' = (y + 1 + i mod (classes - 1)) mod classes
for image i: so large will they be in an unfamiliar place. Correct labels give shifts that are far
too small: on a network of 27,464 weights they cost 28 to 84 points (`--naive` shows it).
With squared error, images are unfamiliar whose values have all changed places, by one permutation
drawn once; of an autoencoder these are the targets, too.
"""

import math
import zlib
from dataclasses import dataclass, field, replace

import numpy as np

from priot.backbone.float_graph import FloatGraph
from priot.backbone.float_network import check_weights
from priot.backbone.float_stage import FloatStage
from priot.backbone.refine import Twin, largest_output
from priot.backbone.steps import MOVERS, Gradients, set_update_bits
from priot.formats import Dataset, Model
from priot.formats.model import INPUT_EXPONENT
from priot.network import fields as f
from priot.network.gradients import Exponents, needs_gradient
from priot.network.link import addition_shift, exponents, largest_bias, link, loss_shift
from priot.network.stage import IMAGE, NO_INPUT, Stage, global_exponent, pool_factor
from priot.oracle import batch

PERCENT = 99
_BIAS_BITS = 2  # of the largest sum of a gradient above the rms of all
_NUMBERS = {name: kind for kind, name in f.KIND_NAMES.items()}


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


@dataclass
class FloatEnds:
    """What of a float network is fixed only when shifts are: by the number of the stage.

    biases: float [n_out]. clamps: where a ReLU clamps, as 6 of ReLU6.
    """

    biases: dict[int, np.ndarray] = field(default_factory=dict)
    clamps: dict[int, float] = field(default_factory=dict)


def calibrate(model: Model, dataset: Dataset, naive: bool = False,
              ends: FloatEnds | None = None, relative: bool = False) -> None:
    """Set all shifts and bits of the model's stages from a dataset's images (all of them), and
    biases and upper clamps, which follow from the shifts.

    relative: bits of updates by how far one sample moves the network (steps.py), not from the
    largest gradient.
    """
    outcome = _calibrate_forward(model, dataset.images, naive, ends or FloatEnds())
    if _learns_from_permuted(model, naive):
        outcome = _forward(model, permuted(dataset.images))
    _calibrate_training(model, dataset, *outcome, naive, relative)


def calibrate_training(model: Model, dataset: Dataset, naive: bool = False) -> None:
    """Set what only training needs, of a model whose other shifts stand: `calibrate`, relative
    where it is not naive."""
    images = permuted(dataset.images) if _learns_from_permuted(model, naive) else dataset.images
    _calibrate_training(model, dataset, *_forward(model, images), naive, not naive)


def _calibrate_training(model: Model, dataset: Dataset, tensors: list[np.ndarray],
                        winners: list[np.ndarray], naive: bool, relative: bool) -> None:
    """tensors, winners: as `_forward` returns them, of images whose gradients count."""
    stages = model.stages
    gradients: dict[int, np.ndarray] = {
        len(stages) - 1: _loss_gradient(model, dataset, tensors, naive)}
    found: dict[int, Gradients] = {}
    needs = needs_gradient(stages, {i for i, stage in enumerate(stages) if stage.has_weights})
    gradient_exponents = Exponents(len(stages))
    for i in range(len(stages) - 1, -1, -1):
        if not needs[i]:
            continue
        stage, g = stages[i], gradients.pop(i)
        if stage.has_weights:
            found[i] = _calibrate_update(stage, g, winners[i], tensors[stage.a], naive)
        for tensor, mask in zip(stage.inputs, (stage.mask_dx, stage.mask_dz), strict=False):
            if tensor != IMAGE and needs[tensor]:
                add, before = gradient_exponents.add(stages, i, tensor), stage.backward_shift
                gradients[tensor] = _calibrate_backward(
                    stage, g, winners[i], tensors[tensor], mask, gradients.get(tensor), add,
                    naive)
                gradient_exponents.settle(before, tensor, stage.backward_shift)
    if relative:
        set_update_bits(model, replace(dataset, images=tensors[-1].view(dataset.images.dtype)),
                        found)


def _learns_from_permuted(model: Model, naive: bool) -> bool:
    """Whether gradients are those of permuted images, as labels have no part in them."""
    return model.loss != f.CROSS_ENTROPY and not naive


def permuted(images: np.ndarray) -> np.ndarray:
    """Images whose values have changed places, in all of them alike."""
    flat = images.reshape(len(images), -1)
    order = np.random.default_rng(0).permutation(flat.shape[1])
    return flat[:, order].reshape(images.shape)


def _loss_gradient(model: Model, dataset: Dataset, tensors: list[np.ndarray], naive: bool,
                   ) -> np.ndarray:
    """The gradient of the outputs that will be met in an unfamiliar place, or the naive one.

    tensors: outputs of all stages and, last, the images.
    """
    if model.loss == f.CROSS_ENTROPY:
        labels = dataset.labels if naive else wrong_labels(dataset.labels, model.classes)
        return batch.loss_gradient(loss_shift(model.exponents[-1]), tensors[-2], labels)
    targets = dataset.targets if model.n_targets else tensors[-1]
    return batch.error_gradient(model.target_shift, tensors[-2], targets)


def _calibrate_forward(model: Model, images: np.ndarray, naive: bool, ends: FloatEnds,
                       twin: Twin | None = None,
                       ) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Forward shifts; returns the int8 output of every stage and, last, the images, which are
    number -1; and the winners. twin: refines weights, biases and shifts."""
    stages = model.stages
    tensors: list[np.ndarray] = [images.astype(np.int8)]
    winners = []
    for i, stage in enumerate(stages):
        found = exponents(stages[:i], model.input_exponent)
        stage.b_shift = addition_shift(stage, found, model.input_exponent)
        exponent = min(model.input_exponent if n == IMAGE else found[n] for n in stage.inputs)
        x, *z = (tensors[n] for n in stage.inputs)
        bias = ends.biases.get(i)
        if twin is not None and stage.has_weights:
            bias = twin.round_weights(i, x, 2.0**exponent)
        exponent -= stage.weight_exponent  # of the accumulators
        if bias is not None:
            stage.bias = quantize_bias(bias, exponent, stage)
        parts = [batch.forward(stage, x[some], *(other[some] for other in z))
                 for some in batch.chunks(stage, len(x))]
        acc = np.concatenate([part[0].astype(np.int32) for part in parts])
        winners.append(np.concatenate([part[1] for part in parts]))
        requantised = stage.has_weights or stage.kind in (f.GLOBAL_POOL, f.ADD)
        if requantised:
            largest = _largest(np.maximum(acc, 0) if stage.relu else acc)
            if i in ends.clamps:
                largest = np.minimum(largest, round(ends.clamps[i] * 2.0**-exponent))
            stage.forward_shift = max(0, percentile_bits(largest, naive) - 7)
        if twin is not None:
            twin.advance(i)
            # an autoencoder is asked about what is unlike its samples: no smaller shift there
            if requantised and i < len(stages) - 1 and model.loss == f.CROSS_ENTROPY:
                stage.forward_shift = twin.best_shift(i, acc, 2.0**exponent, ends.clamps.get(i))
        stage.largest = largest_output(ends.clamps.get(i), 2.0 ** (exponent + stage.forward_shift))
        tensors.insert(len(tensors) - 1, batch.requantise(stage, acc))
    # masks follow from the clamps
    link(stages, model.shape, model.classes, model.signed, model.loss)
    return tensors, winners


def quantize_bias(bias: np.ndarray, exponent: int, stage: Stage) -> np.ndarray:
    """int32 biases of a stage whose accumulators have an exponent; too large ones are clamped."""
    most = largest_bias(stage)
    return np.clip(np.rint(bias * 2.0**-exponent), -most, most).astype(np.int32)


def _calibrate_update(stage: Stage, g: np.ndarray, winner: np.ndarray, x: np.ndarray,
                      naive: bool) -> Gradients:
    """Update bits from the largest gradient; returns what a rule by size needs."""
    sums = np.zeros((0, stage.n_out))
    if stage.bias is not None:
        sums = g.reshape(len(g), stage.n_out, -1).sum(axis=2, dtype=np.float64)
        stage.update_bits_bias = _bias_bits(sums)
    weights = stage.rows.astype(np.float64)
    largest_dw, largest_product, first = [], [], []
    squares = squares_of_products = 0.0
    for some in batch.chunks(stage, len(x)):
        dw = batch.weight_gradient(stage, g[some], winner[some], x[some])
        first.append(dw[: max(0, MOVERS - some.start)].copy())
        largest_dw.append(_largest(dw))
        squares += float(np.square(dw).sum())
        largest_product.append(_largest(np.multiply(dw, weights, out=dw)))
        squares_of_products += float(np.square(dw).sum())
    stage.update_bits_weights = percentile_bits(np.concatenate(largest_dw), naive)
    stage.update_bits_scores = min(31, percentile_bits(np.concatenate(largest_product), naive))
    return Gradients(squares / len(x), squares_of_products / len(x), np.concatenate(first),
                     sums[:MOVERS])


def _bias_bits(sums: np.ndarray) -> int:
    """Update bits of the biases of a stage from the sums db [n][n_out] of its outputs' gradients,
    by which biases move.

    The bits are those of a value about as large as the largest db of a sample: four times the rms
    of them all. 0 where there is none.
    """
    rms = float(np.sqrt(np.square(sums).mean()))
    return max(1, min(31, round(math.log2(rms)) + _BIAS_BITS)) if rms else 0


def _calibrate_backward(stage: Stage, g: np.ndarray, winner: np.ndarray, x: np.ndarray, mask: int,
                        earlier: np.ndarray | None, add: int, naive: bool) -> np.ndarray:
    """The backward shift of a stage that has one; returns the gradient of its input x, to which
    another stage may have added its own."""
    acc = np.concatenate([
        batch.backward_input(stage, g[some], winner[some], x[some], mask,
                             earlier[some] if earlier is not None else None, add).astype(np.int32)
        for some in batch.chunks(stage, len(x))])
    if stage.has_weights:
        stage.backward_shift = max(0, percentile_bits(_largest(acc), naive) - 7)
    return batch.clamp_gradient(stage, acc)


def _largest(values: np.ndarray) -> np.ndarray:
    """Largest absolute value of each image, int64 [n]."""
    flat = values.reshape(len(values), -1)
    return np.maximum(flat.max(axis=1), -flat.min(axis=1)).astype(np.int64)


def outputs(model: Model, images: np.ndarray) -> list[np.ndarray]:
    """int8 output of every stage, and last the images themselves, which are number -1."""
    return _forward(model, images)[0]


def _forward(model: Model, images: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """`outputs`, and the winners of every stage."""
    tensors, winners = [images.astype(np.int8)], []
    for stage in model.stages:
        x, *z = (tensors[n] for n in stage.inputs)
        y, places = [], []
        for some in batch.chunks(stage, len(x)):
            acc, winner = batch.forward(stage, x[some], *(o[some] for o in z))
            y.append(batch.requantise(stage, acc))
            places.append(winner)
        tensors.insert(len(tensors) - 1, np.concatenate(y))
        winners.append(np.concatenate(places))
    return tensors, winners


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
        top = outputs(model, x)[-2].reshape(len(x), -1).argmax(axis=1)
        right += int((top == dataset.labels[first : first + 500]).sum())
    return 100 * right / len(dataset)


def quantize_graph(graph: FloatGraph, dataset: Dataset, name: str,
                   exponent: int = INPUT_EXPONENT, naive: bool = False, relative: bool = True,
                   target_exponent: int = 0, training: bool = True, refined: bool = False,
                   ) -> Model:
    """An int8 model of a float graph, calibrated on all images of a dataset.

    A value v of the dataset stands for the input v * 2^exponent, one of its targets for
    v * 2^target_exponent. naive, relative: see `calibrate`. training: False leaves out what
    `calibrate_training` sets. refined: weights, biases and shifts are those of refine.py. Raises
    ValueError, FileError where the graph does not fit the images or a limit.
    """
    ends = FloatEnds()
    stages = [_stage_of(stage) for stage in graph.stages]
    names = dataset.names if graph.loss == f.CROSS_ENTROPY else ()
    model = Model(name, dataset.shape, graph.classes, stages, names, exponent,
                  dataset.scale, dataset.zero, dataset.signed, graph.loss, target_exponent,
                  scales=dataset.scales, sound=dataset.sound)
    link(stages, model.shape, model.classes, model.signed, model.loss)
    for i, (stage, source) in enumerate(zip(stages, graph.stages, strict=True)):
        if source.clamp is not None:
            ends.clamps[i] = source.clamp
        if source.bias is not None:
            ends.biases[i] = source.bias.astype(np.float64)
        if source.weights is not None:
            try:
                stage.weights, stage.weight_exponent = quantize_weights(
                    source.weights * pool_factor(stages, stage))
            except ValueError as error:
                raise ValueError(f"{_named(source, i)}: {error}") from None
    _check_pools(graph, stages)
    twin = Twin(graph, stages, dataset.images * 2.0**exponent) if refined else None
    if training:
        calibrate(model, dataset, naive, ends, relative and not naive)
    else:
        _calibrate_forward(model, dataset.images, naive, ends, twin)
    model.check()
    return model


def _stage_of(stage: FloatStage) -> Stage:
    """A stage without weights and shifts."""
    made = Stage(_NUMBERS[stage.kind], stage.n_out, stage.relu, stage.kernel, stage.stride,
                 stage.padding, stage.window, stage.window_stride, stage.groups, stage.a,
                 NO_INPUT if stage.b is None else stage.b)
    if stage.kind == "global_pool":
        made.weight_exponent = global_exponent(stage.window)
    if stage.bias is not None:
        made.bias = np.zeros(stage.n_out, np.int32)
    return made


def _check_pools(graph: FloatGraph, stages: list[Stage]) -> None:
    """ValueError where a global pool is read by what has no weights to hold 2^k / area."""
    for i, stage in enumerate(stages):
        for n in stage.inputs:
            if n == IMAGE or stage.has_weights or stages[n].kind != f.GLOBAL_POOL:
                continue
            area = stages[n].window[0] * stages[n].window[1]
            if area & (area - 1):
                raise ValueError(f"{_named(graph.stages[i], i)}: reads the mean of {area} values; "
                                 "only a layer with weights can, or where their number is a power "
                                 "of two")


def _named(stage: FloatStage, i: int) -> str:
    return f"stage {i} ({', '.join(stage.source) or stage.kind})"
