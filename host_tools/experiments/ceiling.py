"""What float training reaches on an experiment's images: SGD at batch 1, weights and biases.

    ceiling.py SPEC NETWORK [--lr LR ...] [--epochs N]

NETWORK: the float network (.npz) of `priot pretrain` that the experiment's backbone was made of.
Its batch norm is in weights and biases, as on a board. A line for every learning rate, which falls
to 0 along a cosine: accuracy on the test images, mean and deviation over seeds, angle by angle.
"""

import argparse
import copy
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from priot.backbone.float_network import FloatNetwork
from priot.backbone.optimizer import MOMENTUM
from priot.backbone.pretrain import Pretraining, Recipe
from priot.errors import PriotError
from priot.experiments.spec import Spec
from priot.experiments.table import spread
from priot.experiments.workbench import Workbench
from priot.formats import Dataset

LRS = (0.0003, 0.001, 0.003)  # of plain SGD; with momentum a step is 1 / (1 - MOMENTUM) as long


def pretrained(network: FloatNetwork, data: Dataset, recipe: Recipe) -> Pretraining:
    """Training that begins with a network's weights and biases, without batch norm."""
    layers = [replace(layer) for layer in network.layers if layer.kind != "batch_norm"]
    weighted = [layer for layer in layers if layer.has_weights]
    for layer, bias in zip(weighted, network.biases, strict=True):
        layer.bias = bias is not None
    training = Pretraining(layers, data.shape, data.classes, recipe)
    for stage, source in zip(training.graph.stages, network.graph_for(data).stages, strict=True):
        stage.weights, stage.bias = copy.copy(source.weights), copy.copy(source.bias)
    return training


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("spec", type=Path, metavar="SPEC")
    parser.add_argument("network", type=Path, metavar="NETWORK")
    parser.add_argument("--lr", type=float, nargs="+", default=LRS)
    parser.add_argument("--epochs", type=int, help="instead of those of SPEC")
    options = parser.parse_args()
    spec, network = Spec.read(options.spec), FloatNetwork.read(options.network)
    runs = [run for run in spec.runs() if run.name == spec.methods[0]["name"]]
    with tempfile.TemporaryDirectory(prefix="priot-") as folder:
        bench = Workbench(Path(folder))
        for lr in options.lr:
            reached: dict[float, list[float]] = {angle: [] for angle in spec.angles}
            for run in runs:
                train, test = map(Dataset.read, bench.files(run)[1:])
                recipe = Recipe("sgd", options.epochs or spec.epochs, lr * (1 - MOMENTUM),
                                batch=1, weight_decay=0, clip=0, seed=run.seed)
                training = pretrained(network, train, recipe)
                try:
                    for _ in training.run(train):
                        pass
                    reached[run.angle].append(training.accuracy(test))
                except PriotError as error:
                    print(f"{run}: {error}", file=sys.stderr)
            print(f"lr {lr:g}: " + ", ".join(f"{angle:g} degrees {spread(found)}"
                                             for angle, found in reached.items()), flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (PriotError, OSError) as error:
        sys.exit(f"ceiling.py: {error}")
