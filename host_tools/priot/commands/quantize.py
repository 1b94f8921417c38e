"""`priot quantize`: float weights to an int8 model file with all static shifts.

Weights: one exponent per layer, the largest that keeps abs(w) <= 127. Shifts: from upright
pretraining images, so that 99 % of them fit, layer by layer:

    forward shift    max(0, P99 bitlen(largest accumulator) - 7)
    backward shift   max(0, P99 bitlen(largest sum of dx) - 7), from the last layer down
    update bits      P99 bitlen(max abs(dW)), and of max abs(dW * w)

The gradients belong to deliberately wrong labels, y' = (y + 1 + i mod (classes - 1)) mod classes
for image i: so large will they be in an unfamiliar place. Correct labels give shifts that are far
too small: on a network of 27,464 weights they cost 28 to 84 points (`--naive` shows it).
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from priot.backbone.float_network import FloatNetwork
from priot.errors import PriotError
from priot.formats import Dataset, Layer, Model
from priot.formats.model import NAME_BYTES
from priot.network import fields as f
from priot.network.spec import format_network
from priot.network.stages import Stage
from priot.oracle import batch
from priot.reports.json_file import add_json_option, write_json

PERCENT = 99
SHIFTS = ("weight_exponent", "forward_shift", "backward_shift", "update_bits_weights",
          "update_bits_scores")


def quantize_weights(weights: np.ndarray) -> tuple[np.ndarray, int]:
    """int8 weights and their exponent we: a weight is w * 2^-we. Raises ValueError."""
    largest = float(np.abs(weights).max(initial=0))
    if largest == 0:
        raise ValueError("weights: all zero")
    exponent = 127
    while np.rint(largest * 2.0**exponent) > 127:
        exponent -= 1
    if exponent < -128:
        raise ValueError(f"weights: found {largest}, expected below 2^134")
    return np.rint(weights * 2.0**exponent).astype(np.int8), exponent


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
    """Set all shifts and bits of the model's layers from a dataset's images (all of them)."""
    inputs, winners = _calibrate_forward(model, dataset.images, naive)
    stages = model.stages()
    labels = dataset.labels if naive else wrong_labels(dataset.labels, model.classes)
    g = batch.loss_gradient(stages[-1].d, inputs[-1], labels)
    first = next(i for i, stage in enumerate(stages) if stage.weight_index >= 0)
    for i in range(len(stages) - 1, first - 1, -1):
        if stages[i].weight_index >= 0:
            _calibrate_update(model, stages[i], g, winners[i], inputs[i], naive)
        if i > first:
            g = _calibrate_backward(model, stages[i], g, winners[i], inputs[i], naive)


def _calibrate_forward(model: Model, images: np.ndarray, naive: bool,
                       ) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Forward shifts; returns the int8 input of every stage and, last, the logits; winners."""
    inputs, winners = [images.astype(np.int8)], []
    for stage in model.stages():
        x, weights = inputs[-1], _rows(model, stage)
        parts = [batch.forward(stage, x[some], weights) for some in batch.chunks(stage, len(x))]
        acc = np.concatenate([part[0].astype(np.int32) for part in parts])
        winners.append(np.concatenate([part[1] for part in parts]))
        if stage.weight_index >= 0:
            largest = _largest(np.maximum(acc, 0) if stage.d[f.RELU] else acc)
            shift = max(0, percentile_bits(largest, naive) - 7)
            stage.d[f.FORWARD_SHIFT] = model.layers[stage.layer].forward_shift = shift
        inputs.append(batch.requantise(stage, acc))
    return inputs, winners


def _calibrate_update(model: Model, stage: Stage, g: np.ndarray, winner: np.ndarray,
                      x: np.ndarray, naive: bool) -> None:
    weights = _rows(model, stage)
    largest_dw, largest_product = [], []
    for some in batch.chunks(stage, len(x)):
        dw = batch.weight_gradient(stage, g[some], winner[some], x[some])
        largest_dw.append(_largest(dw))
        largest_product.append(_largest(np.multiply(dw, weights, out=dw)))
    layer = model.layers[stage.layer]
    layer.update_bits_weights = percentile_bits(np.concatenate(largest_dw), naive)
    layer.update_bits_scores = percentile_bits(np.concatenate(largest_product), naive)


def _calibrate_backward(model: Model, stage: Stage, g: np.ndarray, winner: np.ndarray,
                        x: np.ndarray, naive: bool) -> np.ndarray:
    """The backward shift of a stage that has one; returns the gradient of its input."""
    weights = _rows(model, stage)
    acc = np.concatenate([
        batch.backward_input(stage, g[some], winner[some], x[some], weights).astype(np.int32)
        for some in batch.chunks(stage, len(x))])
    if stage.weight_index >= 0:
        shift = max(0, percentile_bits(_largest(acc), naive) - 7)
        stage.d[f.BACKWARD_SHIFT] = model.layers[stage.layer].backward_shift = shift
    return batch.clamp_gradient(stage, acc)


def _rows(model: Model, stage: Stage) -> np.ndarray:
    """A stage's weights float64 [n_out][n_row]; empty for a pool."""
    weights = model.layers[stage.layer].weights
    return weights.reshape(-1, max(1, int(stage.d[f.N_ROW]))).astype(np.float64)


def _largest(values: np.ndarray) -> np.ndarray:
    """Largest absolute value of each image, int64 [n]."""
    flat = values.reshape(len(values), -1)
    return np.maximum(flat.max(axis=1), -flat.min(axis=1)).astype(np.int64)


def accuracy(model: Model, dataset: Dataset) -> float:
    """Percent of a dataset's images that the model classifies rightly, bit for bit as a board."""
    stages = model.stages()
    right = 0
    for first in range(0, len(dataset), 500):
        x = dataset.images[first : first + 500].astype(np.int8)
        for stage in stages:
            weights = _rows(model, stage)
            x = np.concatenate([
                batch.requantise(stage, batch.forward(stage, x[some], weights)[0])
                for some in batch.chunks(stage, len(x))])
        top = x.reshape(len(x), -1).argmax(axis=1)
        right += int((top == dataset.labels[first : first + 500]).sum())
    return 100 * right / len(dataset)


def quantize(network: FloatNetwork, dataset: Dataset, name: str, naive: bool = False) -> Model:
    """An int8 model from float weights, calibrated on all images of a dataset.

    Raises ValueError, FileError where the network does not fit the images or a limit.
    """
    layers = [Layer(a.kind, a.kernel, a.stride, a.padding, a.n_out) for a in network.layers]
    model = Model(name, dataset.shape, dataset.classes, layers)
    weights = iter(network.weights)
    for stage in model.stages():
        if stage.weight_index >= 0:
            values = next(weights)
            where = f"layer{stage.weight_index}.weight"
            if values.shape != stage.weight_shape:
                raise PriotError(where, f"shape: found {values.shape}, "
                                 f"expected {stage.weight_shape}")
            layer = layers[stage.layer]
            layer.weights, layer.weight_exponent = quantize_weights(values)
    model.check()
    calibrate(model, dataset, naive)
    return model


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add `quantize` to the subcommands."""
    parser = subparsers.add_parser(
        "quantize", help="turn a float network into an int8 model file",
        description="Quantise a float network and calibrate all shifts on pretraining images.")
    parser.add_argument("float", type=Path, help="float network (.npz) of priot pretrain")
    parser.add_argument("--calibrate", type=Path, required=True, metavar="DATASET",
                        help="upright images the network was pretrained on (.prd)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL",
                        help="model file to write (.priot)")
    parser.add_argument("--images", type=int, default=512, metavar="N",
                        help="use the first N images (default 512)")
    parser.add_argument("--test", type=Path, metavar="DATASET",
                        help="measure the model's accuracy on this dataset")
    parser.add_argument("--name", help="name in the file (default: the output's name)")
    parser.add_argument("--naive", action="store_true",
                        help="most frequent shifts on right labels: the baseline that fails")
    add_json_option(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Run `priot quantize`."""
    if args.images < 1:
        raise PriotError("--images", f"found {args.images}, expected at least 1")
    network = FloatNetwork.read(args.float)
    dataset = Dataset.read(args.calibrate)
    some = Dataset(dataset.images[: args.images], dataset.labels[: args.images], dataset.classes)
    name = args.name or args.output.stem.encode()[:NAME_BYTES].decode(errors="ignore")
    try:
        model = quantize(network, some, name, args.naive)
    except ValueError as error:
        raise PriotError(args.float, str(error)) from None
    test = Dataset.read(args.test) if args.test else None
    if test is not None:
        test.check_fits(model, args.test)
    model.write(args.output)
    report = {"model": str(args.output), "crc32": f"{model.crc:08x}",
              "network": format_network(model.layers), "images": len(some),
              "naive": args.naive,
              "layers": [{key: getattr(layer, key) for key in SHIFTS}
                         for layer in model.weight_layers]}
    print(f"{args.output}: {report['network']}")
    print_shifts(model.weight_layers)
    if test is not None:
        report["accuracy"] = round(accuracy(model, test), 2)
        print(f"accuracy on {args.test}: {report['accuracy']:.2f} %")
    write_json(args.json, report)
    return 0


def print_shifts(layers: Iterable[Layer]) -> None:
    """A table of the static shifts, one line per conv2d and linear layer."""
    print("layer     weight exp.  forward  backward  update bits: weights, scores")
    for i, layer in enumerate(layers):
        print(f"{i} {f.KIND_NAMES[layer.kind]:8}{layer.weight_exponent:10}{layer.forward_shift:9}"
              f"{layer.backward_shift:10}{layer.update_bits_weights:22}"
              f"{layer.update_bits_scores:8}")
