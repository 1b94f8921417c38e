"""Cross-layer equalisation: channels of a float network brought to one range, the function kept.

A layer has one exponent for all its weights, and a tensor one for all its channels, so a channel
much smaller than others loses its bits. Where a channel goes from layers to layers through nothing
but ReLUs, pooling and sums, it may be divided by s in those that write it and multiplied by s in
those that read it (Nagel et al. 2019, arXiv 1906.04721); s is chosen so that it takes the same
part of the range in all. A sum ties the channels of what it adds, as in a residual block.

A tensor has one upper clamp for all its channels, that of a ReLU6. A channel that never reaches it
may grow as far as it, and shrink as it likes; one that reaches it stays as it is.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from priot.backbone.float_graph import FloatGraph, run
from priot.backbone.float_stage import FloatStage
from priot.network.stage import IMAGE

_ROUNDS = 20
_MOST = 1e3  # of a factor, and 1 / least
_FREE = 0.99  # of the clamp: a channel that stays below it
_AT_ONCE = 16  # images


@dataclass
class _Space:
    """Tensors whose channels can only be scaled together: numbers of the stages that give them,
    and of those with weights that write and read them.

    least: of each channel what it may be divided by at least, its largest share of the clamp;
    factor: what it has been divided by. Both None where there is no clamp.
    """

    tensors: list[int] = field(default_factory=list)
    writers: list[int] = field(default_factory=list)
    readers: list[int] = field(default_factory=list)
    least: np.ndarray | None = None
    factor: np.ndarray | None = None


def equalize(graph: FloatGraph, images: np.ndarray | None = None) -> FloatGraph:
    """A copy that computes the same with channels of like ranges.

    images: float [n][channels][height][width] of the kind that the network gets, which say what
    channels reach of clamps; beyond that it may compute something else. None: what is clamped
    stays as it is.
    """
    graph = copy.copy(graph)
    graph.stages = [copy.copy(stage) for stage in graph.stages]
    spaces = _spaces(graph.stages, images is None)
    if images is not None and any(stage.clamp is not None for stage in graph.stages):
        _set_least(graph, spaces, images)
    for _ in range(_ROUNDS):
        for space in spaces:
            _balance(space, [graph.stages[i] for i in space.writers],
                     [graph.stages[i] for i in space.readers])
    return graph


def _set_least(graph: FloatGraph, spaces: Sequence[_Space], images: np.ndarray) -> None:
    """Say of every space how far its channels may grow, from what images reach of clamps."""
    reached: dict[int, np.ndarray] = {}
    for first in range(0, len(images), _AT_ONCE):
        outputs = run(graph, images[first : first + _AT_ONCE])
        for i, stage in enumerate(graph.stages):
            if stage.clamp is not None:
                share = outputs[i].max(axis=(0, 2, 3)) / stage.clamp
                reached[i] = np.maximum(reached.get(i, 0), share)
    for space in spaces:
        shares = [reached[i] for i in space.tensors if i in reached]
        if shares:
            space.least = np.max(shares, axis=0).astype(np.float64)


def _spaces(stages: Sequence[FloatStage], without_clamps: bool) -> list[_Space]:
    """Those whose channels can be scaled: all that writes and reads them has weights by channel,
    and none is the image or the logits, or where it is so wanted clamped."""
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
        if without_clamps and stage.clamp is not None:
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


def _balance(space: _Space, writers: Sequence[FloatStage], readers: Sequence[FloatStage],
             ) -> None:
    """Divide the channels of some layers, and multiply those of others to make up for it."""
    channels = writers[0].n_out
    ours, theirs = (np.max([_largest(weights) for weights in some], axis=0) for some in (
        [_rows(stage) for stage in writers], [_columns(stage, channels) for stage in readers]))
    factor = np.ones(channels)
    live = (ours > 0) & (theirs > 0)
    factor[live] = np.sqrt(ours[live] / theirs[live])
    factor = np.clip(factor, 1 / _MOST, _MOST)
    if space.least is not None:
        before = np.ones(channels) if space.factor is None else space.factor
        total = np.where(space.least < _FREE, np.maximum(before * factor, space.least), 1.0)
        factor, space.factor = total / before, total
    factor = factor.astype(np.float32)
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
