"""Float training of a network on a dataset file, by PyTorch.

The network sees what a board will give it: pixels of 0..127 times 2^-7, no biases. Its weights
stay within a few standard deviations of their layer, so that no outlier costs the others their
bits.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from priot.backbone.float_network import FloatNetwork
from priot.errors import PriotError
from priot.formats import Dataset
from priot.network.layer import Layer
from priot.network.stages import compile_layers

OPTIMIZERS = ("sgd", "adamw")


@dataclass(frozen=True)
class Recipe:
    """How to train. lr falls to 0 along a cosine.

    optimizer: "sgd", with momentum 0.9 and weight decay as an L2 penalty, or "adamw", with weight
    decay apart from the gradient (Loshchilov and Hutter 2019).
    clip: weights stay within so many standard deviations of their layer, 0 for no limit.
    dropout: share of a linear layer's inputs left out of a training step.
    shift: pixels by which the images of a training step are moved at most, up, down and sideways.
    """

    optimizer: str = "sgd"
    epochs: int = 8
    lr: float = 0.05
    batch: int = 64
    weight_decay: float = 1e-4
    clip: float = 2.5
    dropout: float = 0.0
    shift: int = 0
    seed: int = 0

    def check(self) -> None:
        """Raise PriotError for a value outside its range."""
        if self.optimizer not in OPTIMIZERS:
            raise PriotError("--optimizer", f"found {self.optimizer}, "
                             f"expected {' or '.join(OPTIMIZERS)}")
        ranges = {"epochs": (1, 100000), "lr": (1e-9, 100), "batch": (1, 1 << 20),
                  "weight_decay": (0, 1), "clip": (0, 1000), "dropout": (0, 0.95),
                  "shift": (0, 15), "seed": (0, 0xFFFFFFFF)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise PriotError(f"--{name.replace('_', '-')}",
                                 f"found {value:g}, expected {low:g}..{high:g}")


def import_torch() -> Any:
    """The module torch. Raises PriotError where it is not installed."""
    try:
        import torch
    except ImportError:
        raise PriotError("pretrain", "needs PyTorch, an optional extra; run "
                         "'.venv/bin/pip install -e .[pretrain]'") from None
    torch.set_num_threads(1)  # so that sums, and with them the weights, do not depend on cores
    return torch


class Pretraining:
    """A network of float weights in training.

    layers: without weights; shape: of an image; classes: of the labels. Raises ValueError where
    the layers do not fit, PriotError without torch or for a value of the recipe.
    """

    def __init__(self, layers: list[Layer], shape: tuple[int, int, int], classes: int,
                 recipe: Recipe) -> None:
        recipe.check()
        stages = compile_layers(layers, shape, classes)
        self.torch = torch = import_torch()
        self.layers, self.recipe = layers, recipe
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.weights = [self._initial(stage.weight_shape) for stage in stages
                        if stage.has_weights]

    def _initial(self, shape: tuple[int, ...]) -> Any:
        """Normal weights that keep the size of activations (He et al. 2015)."""
        deviation = math.sqrt(2 / math.prod(shape[1:]))
        weights = self.torch.randn(shape, generator=self.generator) * deviation
        return weights.requires_grad_()

    def forward(self, x: Any, training: bool = False) -> Any:
        """Logits [n][classes] of images float [n][channels][height][width]."""
        functions = self.torch.nn.functional
        weights = iter(self.weights)
        for layer in self.layers:
            if layer.kind == "conv2d":
                x = functions.conv2d(x, next(weights), stride=layer.stride, padding=layer.padding)
            elif layer.kind == "linear":
                x = functions.linear(self._drop(x) if training else x, next(weights))
            elif layer.kind == "relu":
                x = functions.relu(x)
            elif layer.kind == "max_pool":
                x = functions.max_pool2d(x, layer.kernel, layer.stride)
            elif layer.kind == "global_pool":
                x = x.mean(dim=(2, 3), keepdim=True)
            elif layer.kind == "avg_pool":
                x = functions.avg_pool2d(x, layer.kernel, layer.stride)
            else:
                x = x.flatten(1)
        return x.flatten(1)

    def _drop(self, x: Any) -> Any:
        keep = 1 - self.recipe.dropout
        return x * (self.torch.rand(x.shape, generator=self.generator) < keep) / keep

    def run(self, dataset: Dataset) -> Iterator[float]:
        """Train; yields the mean loss after every epoch. Raises PriotError where it diverges."""
        torch, recipe = self.torch, self.recipe
        x, labels = self._tensors(dataset)
        optimizer = self._optimizer()
        steps = recipe.epochs * -(-len(x) // recipe.batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(recipe.epochs):
            order = torch.randperm(len(x), generator=self.generator)
            total = 0.0
            for some in order.split(recipe.batch):
                loss = torch.nn.functional.cross_entropy(
                    self.forward(self._moved(x[some]), training=True), labels[some])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                self._clip()
                total += float(loss.detach()) * len(some)
            if not math.isfinite(total):
                raise PriotError("pretrain", f"diverged: the loss is {total}; lower --lr")
            yield total / len(x)

    def _moved(self, x: Any) -> Any:
        """Images moved by `shift` pixels at most, all the same way; black comes in."""
        most = self.recipe.shift
        if not most:
            return x
        down, right = self.torch.randint(0, 2 * most + 1, (2,), generator=self.generator).tolist()
        height, width = x.shape[2:]
        wide = self.torch.nn.functional.pad(x, (most,) * 4)
        return wide[:, :, down : down + height, right : right + width]

    def _optimizer(self) -> Any:
        recipe, optim = self.recipe, self.torch.optim
        if recipe.optimizer == "adamw":
            return optim.AdamW(self.weights, recipe.lr, weight_decay=recipe.weight_decay)
        return optim.SGD(self.weights, recipe.lr, 0.9, weight_decay=recipe.weight_decay)

    def _clip(self) -> None:
        if self.recipe.clip:
            with self.torch.no_grad():
                for weights in self.weights:
                    limit = self.recipe.clip * weights.std(correction=0)
                    weights.clamp_(-limit, limit)

    def _tensors(self, dataset: Dataset) -> tuple[Any, Any]:
        """Images as float, 0..127 times 2^-7, and labels as the loss wants them."""
        torch = self.torch
        return (torch.from_numpy(dataset.images.astype(np.float32) / 128),
                torch.from_numpy(dataset.labels.astype(np.int64)))

    def accuracy(self, dataset: Dataset) -> float:
        """Percent of a dataset's images classified rightly."""
        x, labels = self._tensors(dataset)
        with self.torch.no_grad():
            right = sum(int((self.forward(images).argmax(1) == some).sum())
                        for images, some in zip(x.split(500), labels.split(500), strict=True))
        return 100 * right / len(x)

    def network(self) -> FloatNetwork:
        """What has been learned."""
        return FloatNetwork(self.layers, [weights.detach().numpy().copy()
                                          for weights in self.weights])
