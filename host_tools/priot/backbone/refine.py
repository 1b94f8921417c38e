"""Weights, biases and shifts that lose least beside the float network they are made of.

Stage after stage, on calibration samples, with the inputs that the integer stages below give:

    weights   rounded one after the other; what the sums of a row lose by it is made up for, as far
              as the covariance of the inputs allows, by the weights that are not rounded yet
              (Hassibi and Stork 1993; Frantar et al. 2022, arXiv 2210.17323)
    biases    such that sums have the mean that they have in the float network
    shifts    of those near the one that is there, that with the least squared error of the outputs
"""

from copy import copy

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from priot.backbone.float_graph import FloatGraph
from priot.backbone.float_kernels import forward
from priot.network import fields as f
from priot.network.stage import IMAGE, Stage, pool_factor
from priot.oracle import batch

_PLACES, _PLACES_A_WEIGHT = 8192, 16  # at which the inputs of a row are looked at
_DAMPING = 0.01  # of the mean variance, added to every: a covariance of samples is not exact
_BLOCK = 1024  # weights of a row whose inputs are looked at together: memory grows by the square
_SAMPLES = 128  # on which shifts are compared
_NEAR = range(-2, 2)
_MOST = 2.0**60  # of an output; its square is a float32

Places = tuple[np.ndarray, np.ndarray, np.ndarray]  # numbers of samples, y, x


class Twin:
    """A float network beside the stages made of it, which are linked.

    images: float [n][channels][height][width], what the network gets.
    """

    def __init__(self, graph: FloatGraph, stages: list[Stage], images: np.ndarray) -> None:
        self.sources, self.stages = graph.stages, stages
        self.last_read = {n: i for i, stage in enumerate(stages) for n in stage.inputs}
        self.outputs = {IMAGE: images.astype(np.float32)}
        self.random = np.random.default_rng(0)

    def round_weights(self, i: int, x: np.ndarray, step: float) -> np.ndarray | None:
        """Set the weights of stage i, whose exponent stands; returns the bias that goes with them,
        float [n_out], or None where the stage has none.

        x: its int8 inputs; a 1 there stands for `step`.
        """
        stage, source = self.stages[i], self.sources[i]
        assert source.weights is not None
        places = self._places(i, len(x))
        seen = _seen(stage, x, places)
        means = seen.mean(axis=1, keepdims=True, dtype=np.float64)
        if source.bias is not None:
            seen -= means.astype(np.float32)
        unit = 2.0**-stage.weight_exponent
        rows = source.weights.reshape(stage.groups, -1, stage.n_row).astype(np.float64)
        rounded = _rounded(rows * (pool_factor(self.stages, stage) / unit), seen)
        stage.weights = rounded.astype(np.int8).reshape(stage.weight_shape)
        if source.bias is None:
            return None
        wanted = _seen(stage, self.outputs[stage.a], places).mean(
            axis=1, keepdims=True, dtype=np.float64)
        missing = (rows * wanted).sum(axis=2) - (rounded * means).sum(axis=2) * unit * step
        return source.bias.astype(np.float64) + missing.ravel()

    def _places(self, i: int, n: int) -> Places:
        """Where the inputs of stage i are looked at, of n samples."""
        _, *size = self.stages[i].shape_conv
        shape = n, *size
        most = max(_PLACES, _PLACES_A_WEIGHT * self.stages[i].n_row)
        total = int(np.prod(shape))
        picked = self.random.choice(total, min(total, most), replace=False)
        samples, y, x = np.unravel_index(np.sort(picked), shape)
        return samples, y, x

    def advance(self, i: int) -> None:
        """Compute stage i in floats, and forget what none behind it reads. Raises ValueError where
        the outputs are beyond all use."""
        source = self.sources[i]
        other = None if source.b is None else self.outputs[source.b]
        with np.errstate(over="ignore", invalid="ignore"):
            self.outputs[i] = forward(source, self.outputs[source.a], other)
        largest = float(np.abs(self.outputs[i]).max())
        if not largest < _MOST:
            raise ValueError(f"stage {i} ({', '.join(source.source) or source.kind}): outputs "
                             f"reach {largest:.3g}, expected finite ones below 2^60")
        for n in [n for n in self.outputs if n != i and self.last_read[n] <= i]:
            del self.outputs[n]

    def best_shift(self, i: int, acc: np.ndarray, step: float, clamp: float | None) -> int:
        """The forward shift of stage i, near the one it has, whose outputs are nearest to those
        that `advance` computed.

        acc: its accumulators, where 1 stands for `step`. clamp: see FloatEnds.
        """
        stage = copy(self.stages[i])
        some = slice(None, None, -(-len(acc) // _SAMPLES))
        wanted = self.outputs[i][some]
        if stage.kind == f.GLOBAL_POOL:
            wanted = wanted * np.float32(
                stage.window[0] * stage.window[1] / 2.0**stage.weight_exponent)
        errors = {}
        for shift in (self.stages[i].forward_shift + near for near in _NEAR):
            if shift >= 0:
                stage.forward_shift = shift
                stage.largest = largest_output(clamp, step * 2.0**shift)
                found = batch.requantise(stage, acc[some]) * np.float32(step * 2.0**shift)
                errors[shift] = float(np.square(found - wanted).mean(dtype=np.float64))
        return min(errors, key=errors.__getitem__)


def largest_output(clamp: float | None, step: float) -> int:
    """The upper clamp of outputs, where 1 stands for `step`: 127 without one of the network."""
    return 127 if clamp is None else max(1, min(127, round(clamp / step)))


def _seen(stage: Stage, x: np.ndarray, places: Places) -> np.ndarray:
    """What the weights of a row see of the inputs of a stage: float32 [groups][places][n_row]."""
    top, bottom, left, right = stage.padding
    image = np.pad(x.reshape(-1, *stage.shape_in), (
        (0, 0), (0, 0), (top, bottom), (left, right)))
    windows = sliding_window_view(image, stage.kernel, axis=(2, 3))[
        :, :, :: stage.stride[0], :: stage.stride[1]]
    samples, down, across = places
    seen = windows[samples, :, down, across].astype(np.float32)
    return np.ascontiguousarray(
        seen.reshape(len(seen), stage.groups, stage.n_row).transpose(1, 0, 2))


def _rounded(rows: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Integers -127..127 near rows [groups][rows of a group][n_row].

    seen: inputs float32 [groups][places][n_row], without their mean where a bias makes up for it.
    """
    result = np.empty_like(rows)
    for first in range(0, rows.shape[2], _BLOCK):
        some = slice(first, first + _BLOCK)
        inputs = seen[:, :, some]
        second = (inputs.transpose(0, 2, 1) @ inputs).astype(np.float64) / inputs.shape[1]
        _round_block(rows[:, :, some].copy(), second, result[:, :, some])
    return result


def _round_block(left: np.ndarray, second: np.ndarray, result: np.ndarray) -> None:
    """Round weights whose inputs have second moments [groups][n_row][n_row], into `result`."""
    size = second.shape[1]
    mean = np.trace(second, axis1=1, axis2=2) / size
    damping = np.where(mean > 0, _DAMPING * mean, 1.0)
    inverse = np.linalg.inv(second + damping[:, None, None] * np.eye(size))
    factor = np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2).transpose(0, 2, 1)
    for j in range(size):
        result[:, :, j] = np.clip(np.rint(left[:, :, j]), -127, 127)
        lost = (left[:, :, j] - result[:, :, j]) / factor[:, j, j, None]
        left[:, :, j + 1 :] -= lost[:, :, None] * factor[:, None, j, j + 1 :]
