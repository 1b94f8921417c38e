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
