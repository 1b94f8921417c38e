"""Cross-layer equalisation: channels of a float network brought to one range, the function kept.

A layer has one exponent for all its weights, and a tensor one for all its channels, so a channel
much smaller than others loses its bits. Where a channel goes from layers to layers through nothing
but ReLUs, pooling and sums, it may be divided by s in those that write it and multiplied by s in
those that read it (Nagel et al. 2019, arXiv 1906.04721); s is chosen so that it takes the same
part of the range in all. A sum ties the channels of what it adds, as in a residual block.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from priot.backbone.float_graph import FloatGraph
from priot.backbone.float_stage import FloatStage
from priot.network.stage import IMAGE

_ROUNDS = 20
_MOST = 1e3  # of a factor, and 1 / least


@dataclass
class _Space:
    """Tensors whose channels can only be scaled together: numbers of the stages that give them,
    and of those with weights that write and read them."""

    tensors: list[int] = field(default_factory=list)
    writers: list[int] = field(default_factory=list)
    readers: list[int] = field(default_factory=list)


def equalize(graph: FloatGraph) -> FloatGraph:
    """A copy that computes the same with channels of like ranges."""
    graph = copy.copy(graph)
    graph.stages = [copy.copy(stage) for stage in graph.stages]
    spaces = _spaces(graph.stages)
    for _ in range(_ROUNDS):
        for space in spaces:
            _balance([graph.stages[i] for i in space.writers],
                     [graph.stages[i] for i in space.readers])
    return graph


def _spaces(stages: Sequence[FloatStage]) -> list[_Space]:
    """Those whose channels can be scaled: all that writes and reads them has weights by channel,
    and none is clamped, the image or the logits."""
    tied = list(range(len(stages)))  # a tensor to the first of its space
    fixed = {len(stages) - 1}
    for i, stage in enumerate(stages):
        for n in (stage.a, stage.b) if stage.weights is None else ():
            if n == IMAGE:
                fixed.add(i)
            elif n is not None:
                old, new = tied[i], tied[n]
                tied = [new if first == old else first for first in tied]
    found = {first: _Space() for first in tied}
    for i, stage in enumerate(stages):
        found[tied[i]].tensors.append(i)
        if stage.clamp is not None:
            fixed.add(i)
        if stage.weights is not None:
            found[tied[i]].writers.append(i)
            if stage.a != IMAGE:
                found[tied[stage.a]].readers.append(i)
    return [space for space in found.values() if not fixed.intersection(space.tensors)
            and all(_by_channel(stages[i]) for i in space.writers + space.readers)]


def _by_channel(stage: FloatStage) -> bool:
    """Whether every input channel has weights of its own: one group, or depthwise."""
    assert stage.weights is not None
    return stage.groups == 1 or stage.weights.shape[1] == 1


def _balance(writers: Sequence[FloatStage], readers: Sequence[FloatStage]) -> None:
    """Divide the channels of some layers, and multiply those of others to make up for it."""
    channels = writers[0].n_out
    ours, theirs = (np.max([_largest(weights) for weights in some], axis=0) for some in (
        [_rows(stage) for stage in writers], [_columns(stage, channels) for stage in readers]))
    factor = np.ones(channels)
    live = (ours > 0) & (theirs > 0)
    factor[live] = np.sqrt(ours[live] / theirs[live])
    factor = np.clip(factor, 1 / _MOST, _MOST).astype(np.float32)
    for stage in writers:
        stage.weights = _scaled(stage, _rows(stage), 1 / factor)
        if stage.bias is not None:
            stage.bias = stage.bias / factor
    for stage in readers:
        stage.weights = _scaled(stage, _columns(stage, channels), factor)


def _largest(weights: np.ndarray) -> np.ndarray:
    """Of each channel of [out][channel][taps], as a part of the largest of all."""
    sizes = np.abs(weights).max(axis=(0, 2)).astype(np.float64)
    return sizes / (sizes.max() or 1.0)


def _scaled(stage: FloatStage, weights: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """The weights of a stage, times a factor for each channel of [out][channel][taps]."""
    assert stage.weights is not None
    return (weights * factor[None, :, None]).reshape(stage.weights.shape)


def _rows(stage: FloatStage) -> np.ndarray:
    """Weights as [1][output channel][all]."""
    assert stage.weights is not None
    return stage.weights.reshape(1, stage.n_out, -1)


def _columns(stage: FloatStage, channels: int) -> np.ndarray:
    """Weights as [out][input channel][taps], of a depthwise stage [1][channel][all]."""
    assert stage.weights is not None
    if stage.groups > 1:
        return stage.weights.reshape(1, channels, -1)
    return stage.weights.reshape(stage.n_out, channels, -1)
