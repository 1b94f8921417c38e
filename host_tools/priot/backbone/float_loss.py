"""Losses of float training: the mean over a batch, and its gradient at the outputs."""

import numpy as np


def cross_entropy(outputs: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Of logits [n][classes] and labels [n]; the gradient is [n][classes]."""
    z = outputs - outputs.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = float((np.log(total[:, 0]) - z[rows, labels]).mean())
    g = e / total
    g[rows, labels] -= 1
    g /= len(labels)
    return loss, g


def squared_error(outputs: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """Of outputs and targets [n][outputs], the mean of both; the gradient is [n][outputs]."""
    g = outputs - targets
    return float(np.square(g).mean()), g * g.dtype.type(2 / g.size)
