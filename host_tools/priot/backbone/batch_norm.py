"""Batch norm (Ioffe and Szegedy 2015) of a network in training; later it is weights and a bias."""

import numpy as np

EPSILON = 1e-5
_SHARE = 0.1  # of a batch in the running mean and variance, once there were ten
_AXES = (0, 2, 3)


class BatchNorm:
    """gamma * (s - mean) / sqrt(variance + EPSILON) + beta of each of n channels.

    gamma, beta [n] are trained; mean, variance [n] run along with those of the batches.
    """

    def __init__(self, n: int, dtype: type = np.float32) -> None:
        self.gamma: np.ndarray = np.ones(n, dtype)
        self.beta: np.ndarray = np.zeros(n, dtype)
        self.mean: np.ndarray = np.zeros(n, dtype)
        self.variance: np.ndarray = np.ones(n, dtype)
        self._batches = 0
        self._centred: np.ndarray = np.zeros(0, dtype)  # of the last batch, for backward
        self._inverse: np.ndarray = np.zeros(0, dtype)

    def forward(self, s: np.ndarray) -> np.ndarray:
        """Outputs of a batch [n][channels][y][x], by its own mean and variance."""
        mean = s.mean(axis=_AXES)
        centred = s - mean[:, None, None]
        variance = np.square(centred).mean(axis=_AXES)
        self._batches += 1
        share = max(_SHARE, 1 / self._batches)
        self.mean += share * (mean - self.mean)
        self.variance += share * (variance - self.variance)
        self._inverse = 1 / np.sqrt(variance + EPSILON)
        self._centred = centred
        return centred * (self.gamma * self._inverse)[:, None, None] + self.beta[:, None, None]

    def backward(self, g: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gradients of the last batch, of gamma and of beta."""
        count = g.size // g.shape[1]
        dbeta = g.sum(axis=_AXES)
        dot = (g * self._centred).sum(axis=_AXES)
        slope = dot * np.square(self._inverse) / count
        ds = g - (dbeta / count)[:, None, None] - self._centred * slope[:, None, None]
        ds *= (self.gamma * self._inverse)[:, None, None]
        return ds, dot * self._inverse, dbeta

    def folded(self, weights: np.ndarray, bias: np.ndarray | None,
               ) -> tuple[np.ndarray, np.ndarray]:
        """Weights and bias of a layer that computes what layer and batch norm compute."""
        factor = self.gamma / np.sqrt(self.variance + EPSILON)
        shift = -self.mean if bias is None else bias - self.mean
        return weights * factor.reshape(-1, *[1] * (weights.ndim - 1)), shift * factor + self.beta
