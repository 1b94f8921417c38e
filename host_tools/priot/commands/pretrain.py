"""`priot pretrain`: float training of a network on a dataset file."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from priot.backbone import verdict
from priot.backbone.equalize import equalize
from priot.backbone.fidelity import weights_lost
from priot.backbone.float_network import FloatNetwork, check_floats, outputs_for
from priot.backbone.nearest import is_plain_chain, looked_at
from priot.backbone.pretrain import Pretraining, Recipe, usual_recipe
from priot.backbone.quantize import quantize_weights
from priot.commands.options import LOSSES, add_json_option
from priot.errors import PriotError
from priot.formats import Dataset
from priot.network.named import NETWORKS, network_line
from priot.network.spec import format_network, parse_network
from priot.reports.json_file import check_report, write_json

_BY_NETWORK = {"optimizer": "adamw where the network has bn, otherwise sgd",
               "lr": "0.01 of adamw, 0.05 of sgd", "weight_decay": "0.05 of adamw, 1e-4 of sgd"}


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add `pretrain` to the subcommands."""
    parser = subparsers.add_parser(
        "pretrain", help="train a float network",
        description="Train a float network on a dataset file.")
    parser.add_argument("dataset", type=Path, help="images to train on (.prd)")
    parser.add_argument("--network", required=True, metavar="NETWORK",
                        help=f"{', '.join(NETWORKS)}, vgg11, vgg11-bn, or a line such as "
                        "'conv 8 3, relu, maxpool 2, flatten, linear 10'")
    parser.add_argument("--width", type=float, default=1, metavar="FACTOR",
                        help="of vgg11, vgg11-bn: factor of every number of filters (default 1)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE",
                        help="float network to write (.npz), for priot quantize")
    parser.add_argument("--loss", choices=LOSSES, default=LOSSES[0], help="squared: the outputs "
                        "are to be the images themselves (an autoencoder), or the targets that "
                        "the dataset has; labels are ignored (default: classes)")
    parser.add_argument("--test", type=Path, metavar="DATASET",
                        help="measure the network's accuracy on this dataset")
    usual = Recipe()
    for name, text in {
            "optimizer": "sgd or adamw", "epochs": "passes over the images",
            "lr": "learning rate at the start", "batch": "images in a step",
            "weight_decay": "share of a weight that a step takes, times the learning rate",
            "clip": "limit of weights in standard deviations of their layer, 0 for none",
            "dropout": "share of a linear layer's inputs left out in training",
            "shift": "pixels that images are moved by at most, at random",
            "seed": "of first weights, order, dropout and shift"}.items():
        value = getattr(usual, name)
        default = _BY_NETWORK.get(name, str(value))
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value),
                            metavar="NAME" if isinstance(value, str) else "N",
                            help=f"{text} (default {default})")
    add_json_option(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Run `priot pretrain`."""
    check_report(args.output)
    dataset = Dataset.read(args.dataset)
    test = Dataset.read(args.test) if args.test else None
    if test and (test.shape, test.classes) != (dataset.shape, dataset.classes):
        raise PriotError(args.test, f"shape, classes: found {test.shape}, {test.classes}, "
                         f"expected {dataset.shape}, {dataset.classes}")
    layers = parse_network(network_line(args.network, dataset.classes, args.width))
    recipe = usual_recipe(layers, **{name: getattr(args, name) for name in asdict(Recipe())})
    try:
        outputs, kind = outputs_for(dataset, args.loss == LOSSES[1])
        training = Pretraining(layers, dataset.shape, outputs, recipe, kind)
    except ValueError as error:
        raise PriotError("--network", str(error)) from None
    print(f"{format_network(layers)}: {training.graph.parameters} weights and biases")
    for epoch, loss in enumerate(training.run(dataset), 1):
        print(f"epoch {epoch}/{recipe.epochs}: loss {loss:.4f}", flush=True)
    network = training.network()
    lost = weights_lost_to_int8(network, dataset)
    network.write(args.output)
    report = {"float_network": str(args.output), "network": format_network(layers),
              "input": list(dataset.shape), "classes": dataset.classes, "loss": args.loss,
              **asdict(recipe), "numpy": np.__version__, "images": len(dataset)}
    for part, path, images in (("train", args.dataset, dataset), ("test", args.test, test)):
        if images and args.loss == LOSSES[1]:
            report[f"error_{part}"] = float(f"{training.error(images):.6g}")
            print(f"mean squared error on {path}: {report[f'error_{part}']:.4g}")
        elif images:
            report[f"accuracy_{part}"] = round(training.accuracy(images), 2)
            print(f"accuracy on {path}: {report[f'accuracy_{part}']:.2f} %")
    report["weights_lost_to_int8"] = [round(share, 4) for share, _ in lost]
    for i, (share, outlier) in enumerate(lost):
        if share >= verdict.MUCH_LOST:
            print(f"warning: {args.output}: layer {i}: as int8, "
                  f"{verdict.lost_text(share, outlier)}", file=sys.stderr)
    write_json(args.json, report)
    return 0


def weights_lost_to_int8(network: FloatNetwork, dataset: Dataset) -> list[tuple[float, float]]:
    """Of each layer, as fidelity.weights_lost says, of the weights that priot quantize will round.

    Raises PriotError for what is no number.
    """
    graph = network.graph_for(dataset)
    if not is_plain_chain(graph, dataset):
        graph = equalize(graph, looked_at(dataset))
    found = []
    for i, stage in enumerate(stage for stage in graph.stages if stage.weights is not None):
        assert stage.weights is not None
        try:
            if stage.bias is not None:
                check_floats(stage.bias, "biases")
            found.append(weights_lost(stage.weights, quantize_weights(stage.weights)[0]))
        except ValueError as error:
            raise PriotError("pretrain", f"layer {i}: {error}") from None
    return found
