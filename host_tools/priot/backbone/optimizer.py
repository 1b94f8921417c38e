"""Steps of float training: SGD with momentum, AdamW, and a learning rate that falls to 0."""

import math
from collections.abc import Sequence

import numpy as np

MOMENTUM = 0.9
BETAS = 0.9, 0.999
_EPSILON = 1e-8
OPTIMIZERS = ("sgd", "adamw")


def cosine(lr: float, step: int, steps: int) -> float:
    """The learning rate of a step, lr at the first of them and nearly 0 at the last."""
    return lr * (1 + math.cos(math.pi * step / steps)) / 2


class Optimizer:
    """Changes parameters in place along their gradients.

    name: "sgd", with momentum 0.9 and weight decay as an L2 penalty, or "adamw", with weight decay
    apart from the gradient (Loshchilov and Hutter 2019). decayed: which parameters decay.
    """

    def __init__(self, name: str, parameters: Sequence[np.ndarray], decayed: Sequence[bool],
                 weight_decay: float) -> None:
        self.name, self.parameters = name, parameters
        self.decays = [weight_decay * on for on in decayed]
        self.first = [np.zeros_like(values) for values in parameters]
        self.second = [np.zeros_like(values) for values in parameters] if name == "adamw" else []
        self.steps = 0

    def step(self, gradients: Sequence[np.ndarray], lr: float) -> None:
        """One step with a learning rate."""
        self.steps += 1
        for i, gradient in enumerate(gradients):
            (self._adamw if self.second else self._sgd)(i, gradient, lr)

    def _sgd(self, i: int, gradient: np.ndarray, lr: float) -> None:
        velocity, values = self.first[i], self.parameters[i]
        velocity *= MOMENTUM
        velocity += gradient + self.decays[i] * values
        values -= lr * velocity

    def _adamw(self, i: int, gradient: np.ndarray, lr: float) -> None:
        values, first, second = self.parameters[i], self.first[i], self.second[i]
        values *= 1 - lr * self.decays[i]
        first += (1 - BETAS[0]) * (gradient - first)
        second += (1 - BETAS[1]) * (np.square(gradient) - second)
        size = np.sqrt(second / (1 - BETAS[1]**self.steps)) + _EPSILON
        values -= lr / (1 - BETAS[0]**self.steps) * first / size
