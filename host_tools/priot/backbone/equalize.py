"""Cross-layer equalisation: channels of a float network brought to one range, the function kept.

A layer has one exponent for all its weights, so a channel much smaller than others loses its bits.
Where a channel goes from one layer to the next through nothing but a ReLU and pooling, it may be
divided by s there and multiplied by s here (Nagel et al. 2019, arXiv 1906.04721); s is chosen so
that both layers use their ranges alike.
"""

import copy
from collections.abc import Sequence

import numpy as np

from priot.backbone.float_graph import FloatGraph
from priot.backbone.float_stage import FloatStage

_ROUNDS = 20
_MOST = 1e3  # of a factor, and 1 / least
_POOLS = ("max_pool", "avg_pool", "global_pool")


def equalize(graph: FloatGraph) -> FloatGraph:
    """A copy that computes the same with channels of like ranges."""
    graph = copy.copy(graph)
    graph.stages = [copy.copy(stage) for stage in graph.stages]
    pairs = _pairs(graph)
    for _ in range(_ROUNDS):
        for before, after in pairs:
            _balance(graph.stages[before], graph.stages[after])
    return graph


def _pairs(graph: FloatGraph) -> list[tuple[int, int]]:
    """Stages (i, j) with weights, where all that reads i is j, or pools that j alone reads."""
    readers: list[list[int]] = [[] for _ in graph.stages]
    for i, stage in enumerate(graph.stages):
        for n in (stage.a, stage.b):
            if n is not None and n >= 0:
                readers[n].append(i)
    found = []
    for i, stage in enumerate(graph.stages):
        if stage.weights is None or stage.clamp is not None or not _by_channel(stage):
            continue
        j = _next(graph.stages, readers, i)
        if j is not None:
            found.append((i, j))
    return found


def _next(stages: Sequence[FloatStage], readers: list[list[int]], i: int) -> int | None:
    """The stage with weights that alone reads stage i, through pools without a clamp."""
    while len(readers[i]) == 1:
        i = readers[i][0]
        if stages[i].weights is not None:
            return i if _by_channel(stages[i]) else None
        if stages[i].kind not in _POOLS or stages[i].clamp is not None:
            return None
    return None


def _by_channel(stage: FloatStage) -> bool:
    """Whether every input channel has weights of its own: one group, or depthwise."""
    assert stage.weights is not None
    return stage.groups == 1 or stage.weights.shape[1] == 1


def _balance(before: FloatStage, after: FloatStage) -> None:
    """Divide the channels of one and multiply those of the other."""
    assert before.weights is not None and after.weights is not None
    rows = _columns(after, before.n_out)
    ours = np.abs(before.weights.reshape(before.n_out, -1)).max(axis=1)
    theirs = np.abs(rows).max(axis=(0, 2))
    factor = np.ones(before.n_out, np.float64)
    live = (ours > 0) & (theirs > 0)
    factor[live] = np.sqrt(ours[live] / theirs[live].astype(np.float64))
    factor = np.clip(factor, 1 / _MOST, _MOST).astype(np.float32)
    before.weights = before.weights / factor.reshape(-1, *[1] * (before.weights.ndim - 1))
    if before.bias is not None:
        before.bias = before.bias / factor
    if after.groups > 1:  # depthwise: the filters of a channel
        times = after.n_out // after.groups
        scaled = after.weights * np.repeat(factor, times)[:, None, None, None]
    else:
        scaled = rows * factor[None, :, None]
    after.weights = scaled.reshape(after.weights.shape)


def _columns(stage: FloatStage, channels: int) -> np.ndarray:
    """Weights as [out][input channel][taps], of a depthwise stage [1][channel][all]."""
    assert stage.weights is not None
    if stage.groups > 1:
        return stage.weights.reshape(1, channels, -1)
    return stage.weights.reshape(stage.n_out, channels, -1)
