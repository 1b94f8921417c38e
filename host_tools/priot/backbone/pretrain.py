"""Float training of a network on a dataset file, in numpy.

The network sees what a board will give it: values of 0..127, or -127..127, times 2^-7. Its weights
stay within a few standard deviations of their layer, so that no outlier costs the others their
bits. Batch norm is there in training alone: what is learned has it in weights and biases.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import threadpoolctl

from priot.backbone.batch_norm import BatchNorm
from priot.backbone.float_backward import ends_backward, sums_backward
from priot.backbone.float_graph import run
from priot.backbone.float_kernels import ends, sums
from priot.backbone.float_loss import cross_entropy, squared_error
from priot.backbone.float_network import FloatNetwork, empty_graph, ends_of
from priot.backbone.optimizer import OPTIMIZERS, Optimizer, cosine
from priot.errors import PriotError
from priot.formats import Dataset
from priot.formats.model import INPUT_EXPONENT
from priot.network import fields as f
from priot.network.layer import Layer
from priot.network.stage import IMAGE, Shape


@dataclass(frozen=True)
class Recipe:
    """How to train. lr falls to 0 along a cosine.

    optimizer: "sgd" or "adamw", see optimizer.py.
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


# learning rate and weight decay where nothing else is asked for
_USUAL = {"sgd": (0.05, 1e-4), "adamw": (0.01, 0.05)}


def usual_recipe(layers: Sequence[Layer], **given: Any) -> Recipe:
    """The recipe of a network, with what is given: AdamW where it has batch norm, otherwise SGD.

    Raises PriotError for a value outside its range.
    """
    has_norm = any(layer.kind == "batch_norm" for layer in layers)
    optimizer = given.get("optimizer") or ("adamw" if has_norm else "sgd")
    lr, weight_decay = _USUAL.get(optimizer, _USUAL["sgd"])
    recipe = replace(Recipe(optimizer, lr=lr, weight_decay=weight_decay),
                     **{name: value for name, value in given.items() if value is not None})
    recipe.check()
    return recipe


@dataclass
class _Tape:
    """What a stage leaves for its backward pass: what it read, less what dropout left out, which
    `keep` says; its sums behind batch norm; its outputs."""

    x: np.ndarray
    keep: np.ndarray | None
    s: np.ndarray
    y: np.ndarray


class Pretraining:
    """A network of float weights in training.

    layers: without weights; shape: of an image; classes: of the labels; loss: of
    device/priot/fields.py, of squared error classes is the number of outputs. Raises ValueError
    where the layers do not fit, PriotError for a value of the recipe.
    """

    def __init__(self, layers: list[Layer], shape: Shape, classes: int, recipe: Recipe,
                 loss: int = f.CROSS_ENTROPY) -> None:
        recipe.check()
        self.graph = empty_graph(layers, shape, classes, loss)
        self.layers, self.recipe = layers, recipe
        self.rng = np.random.default_rng(recipe.seed)
        self.norms: dict[int, BatchNorm] = {}  # of stages
        weighted = [i for i, stage in enumerate(self.graph.stages) if stage.weights is not None]
        for i, (bias, norm) in zip(weighted, ends_of(layers), strict=True):
            stage = self.graph.stages[i]
            assert stage.weights is not None
            stage.weights = self._initial(stage.weights.shape)
            if norm:
                self.norms[i] = BatchNorm(stage.n_out)
            if not bias:
                stage.bias = None

    def _initial(self, shape: tuple[int, ...]) -> np.ndarray:
        """Normal weights that keep the size of activations (He et al. 2015)."""
        deviation = np.float32(math.sqrt(2 / math.prod(shape[1:])))
        return self.rng.standard_normal(shape, np.float32) * deviation

    @property
    def parameters(self) -> list[np.ndarray]:
        """What is trained: of each stage weights, bias, and gamma and beta of its batch norm."""
        found: list[np.ndarray | None] = []
        for i, stage in enumerate(self.graph.stages):
            norm = self.norms.get(i)
            found += [stage.weights, stage.bias, *([norm.gamma, norm.beta] if norm else [])]
        return [values for values in found if values is not None]

    # -- a step --

    def forward(self, x: np.ndarray) -> list[_Tape]:
        """Of a batch [n][channels][height][width], in training."""
        tapes: list[_Tape] = []
        for i, stage in enumerate(self.graph.stages):
            read, keep = x if stage.a == IMAGE else tapes[stage.a].y, None
            other = None if stage.b is None else x if stage.b == IMAGE else tapes[stage.b].y
            if stage.kind == "linear" and self.recipe.dropout:
                most = 1 - self.recipe.dropout
                keep = (self.rng.random(read.shape, np.float32) < most) / x.dtype.type(most)
                read = read * keep
            s = sums(stage, read, other)
            if i in self.norms:
                s = self.norms[i].forward(s)
            tapes.append(_Tape(read, keep, s, ends(stage, s)))
        return tapes

    def backward(self, tapes: list[_Tape], g: np.ndarray) -> list[np.ndarray]:
        """Gradients of `parameters`, in their order, of that at the last stage's outputs."""
        gradients = {len(tapes) - 1: g.reshape(tapes[-1].y.shape)}
        found: list[np.ndarray | None] = []
        for i in range(len(tapes) - 1, -1, -1):
            stage, tape = self.graph.stages[i], tapes[i]
            ds = ends_backward(stage, gradients.pop(i), tape.s, tape.y)
            of_norm: list[np.ndarray] = []
            if i in self.norms:
                ds, *of_norm = self.norms[i].backward(ds)
            dx, dw, db = sums_backward(stage, ds, tape.x, stage.a != IMAGE)
            found = [dw, db, *of_norm, *found]
            for n in (stage.a, stage.b):
                if n is None or n == IMAGE or dx is None:
                    continue
                dx = dx if tape.keep is None else dx * tape.keep
                gradients[n] = gradients[n] + dx if n in gradients else dx
        return [values for values in found if values is not None]

    def run(self, dataset: Dataset) -> Iterator[float]:
        """Train; yields the mean loss after every epoch. Raises PriotError where it diverges."""
        recipe, parameters = self.recipe, self.parameters
        decayed = [any(values is stage.weights for stage in self.graph.stages)
                   for values in parameters]
        optimizer = Optimizer(recipe.optimizer, parameters, decayed, recipe.weight_decay)
        batches = -(-len(dataset) // recipe.batch)
        steps = recipe.epochs * batches
        for epoch in range(recipe.epochs):
            # batches of nearly one size: batch norm knows little of a short last one
            order = np.array_split(self.rng.permutation(len(dataset)), batches)
            total = 0.0
            # one thread: sums, and with them the weights, do not depend on cores
            with threadpoolctl.threadpool_limits(1), np.errstate(all="ignore"):
                for i, some in enumerate(order):
                    lr = cosine(recipe.lr, epoch * batches + i, steps)
                    total += self._step(dataset, some, optimizer, lr) * len(some)
            if not math.isfinite(total):
                raise PriotError("pretrain", f"diverged: the loss is {total}; lower --lr")
            yield total / len(dataset)

    def _step(self, dataset: Dataset, some: np.ndarray, optimizer: Optimizer, lr: float) -> float:
        """Train on some images; their loss before it."""
        x = self._moved(_inputs(dataset.images[some]))
        tapes = self.forward(x)
        outputs = tapes[-1].y.reshape(len(some), -1)
        if self.graph.loss == f.CROSS_ENTROPY:
            loss, g = cross_entropy(outputs, dataset.labels[some])
        else:
            targets = _inputs(dataset.targets[some]) if dataset.n_targets else x
            loss, g = squared_error(outputs, targets.reshape(outputs.shape))
        optimizer.step(self.backward(tapes, g), lr)
        self._clip()
        return loss

    def _moved(self, x: np.ndarray) -> np.ndarray:
        """Images moved by `shift` pixels at most, all the same way; zeros come in. An axis of one
        pixel stays."""
        most = [self.recipe.shift if size > 1 else 0 for size in x.shape[2:]]
        if not any(most):
            return x
        down, right = (int(self.rng.integers(0, 2 * n + 1)) for n in most)
        height, width = x.shape[2:]
        wide = np.pad(x, ((0, 0), (0, 0), (most[0],) * 2, (most[1],) * 2))
        return wide[:, :, down : down + height, right : right + width]

    def _clip(self) -> None:
        for stage in self.graph.stages:
            if self.recipe.clip and stage.weights is not None:
                limit = self.recipe.clip * stage.weights.std()
                np.clip(stage.weights, -limit, limit, out=stage.weights)

    # -- what it has become --

    def network(self) -> FloatNetwork:
        """What has been learned, batch norm in weights and biases."""
        weights, biases = [], []
        for i, stage in enumerate(self.graph.stages):
            if stage.weights is None:
                continue
            w, bias = stage.weights, stage.bias
            if i in self.norms:
                w, bias = self.norms[i].folded(w, bias)
            weights.append(w.copy())
            biases.append(None if bias is None else bias.copy())
        return FloatNetwork(self.layers, weights, biases, self.graph.loss != f.CROSS_ENTROPY)

    def accuracy(self, dataset: Dataset) -> float:
        """Percent of a dataset's images that the network classifies rightly."""
        right = 0
        for some, _, logits in self._answers(dataset):
            right += int((logits.argmax(axis=1) == dataset.labels[some]).sum())
        return 100 * right / len(dataset)

    def error(self, dataset: Dataset) -> float:
        """Mean squared error of the outputs on a dataset's samples."""
        total = 0.0
        for some, x, y in self._answers(dataset):
            targets = _inputs(dataset.targets[some]) if dataset.n_targets else x
            total += squared_error(y, targets.reshape(y.shape))[0] * len(x)
        return total / len(dataset)

    def _answers(self, dataset: Dataset) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Of some samples at a time: which they are, their inputs, the outputs [n][outputs]."""
        graph = self.network().graph_for(dataset)
        for first in range(0, len(dataset), 500):
            some = slice(first, first + 500)
            x = _inputs(dataset.images[some])
            yield some, x, run(graph, x)[-1].reshape(len(x), -1)


def _inputs(images: np.ndarray) -> np.ndarray:
    """Images, or targets, as a model will take them: values times 2^-7."""
    return images.astype(np.float32) * np.float32(2.0**INPUT_EXPONENT)
