"""Removes filters whose output never changes, with the weights that read them: same outputs.

A filter of weights that are zero gives its bias, behind its ReLU, at every place. A layer that
reads it without padding adds a constant, which goes to its bias; one with padding sees the
constant only where there is no padding, so there the filter goes only if it gives 0. Weight decay
leaves 1e-30 for zero: what no float32 sum of the layer can show counts as zero.
"""

from collections.abc import Iterable

import numpy as np

from priot.backbone.float_graph import FloatGraph
from priot.backbone.float_stage import FloatStage
from priot.network.stage import IMAGE

_VARIES = np.nan
_ZERO = 2.0**-60  # of a layer's largest weight


def remove_dead(graph: FloatGraph) -> int:
    """Take filters that give a constant out of a graph, in place; how many went."""
    _clear(graph)
    constants = _constants(graph)
    spaces = _spaces(graph)
    removed = 0
    for space in sorted(set(spaces)):
        members = [i for i, other in enumerate(spaces) if other == space]
        dead = _removable(graph, members, constants)
        if dead.any():
            _remove(graph, members, constants, dead)
            for i in members:
                constants[i] = constants[i][~dead]
            removed += int(dead.sum()) * sum(
                graph.stages[i].weights is not None for i in members)
    return removed


def _clear(graph: FloatGraph) -> None:
    """Make filters whose largest weight is as good as zero exactly zero."""
    for stage in graph.stages:
        if stage.weights is not None:
            largest = np.abs(stage.weights.reshape(stage.n_out, -1)).max(axis=1)
            stage.weights[largest <= _ZERO * largest.max()] = 0


def _single(stage: FloatStage) -> bool:
    """Whether each output channel belongs to one input channel: depthwise without multiplier."""
    return stage.kind == "conv2d" and stage.groups == stage.n_out > 1


def _constants(graph: FloatGraph) -> list[np.ndarray]:
    """float64 [n_out] of every stage: what a channel always gives, or NaN where it varies."""
    found: list[np.ndarray] = []
    shapes = graph.shapes()
    for stage in graph.stages:
        below = np.full(graph.shape[0], _VARIES) if stage.a == IMAGE else found[stage.a]
        if stage.kind == "add":
            assert stage.b is not None
            other = np.full(graph.shape[0], _VARIES) if stage.b == IMAGE else found[stage.b]
            y = below + other
        elif stage.weights is None:
            y = below
        else:
            area = int(np.prod(graph.shape_in(stage, shapes)[1:]))
            y = _of_weights(stage, np.repeat(below, area) if stage.kind == "linear" else below)
        if stage.relu:
            y = np.where(np.isnan(y), y, np.maximum(y, 0))
        if stage.clamp is not None:
            y = np.where(np.isnan(y), y, np.minimum(y, stage.clamp))
        found.append(y)
    return found


def _of_weights(stage: FloatStage, below: np.ndarray) -> np.ndarray:
    """What a layer with weights always gives; below: of its input channels or features."""
    assert stage.weights is not None
    rows = stage.weights.astype(np.float64).reshape(stage.n_out, stage.weights.shape[1], -1)
    per_group = stage.n_out // stage.groups
    inputs = np.repeat(below.reshape(stage.groups, -1), per_group, axis=0)  # [n_out][n_in]
    if any(stage.padding):
        inputs = np.where(inputs == 0, 0, _VARIES)  # others vary at the edge
    sums = rows.sum(axis=2)
    live = (rows != 0).any(axis=2)
    y = np.where(live, sums * inputs, 0).sum(axis=1)
    return y if stage.bias is None else y + stage.bias


def _spaces(graph: FloatGraph) -> list[int]:
    """For every stage the number of the space of channels that its output lies in.

    Stages of one space have the same channels and can only lose them together.
    """
    parent = list(range(len(graph.stages) + 1))  # the last is the image's

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for i, stage in enumerate(graph.stages):
        if stage.weights is not None and not _single(stage):
            continue
        for below in (stage.a, stage.b):
            if below is not None:
                parent[root(i)] = root(below % len(parent))
    return [root(i) for i in range(len(graph.stages))]


def _readers(graph: FloatGraph, members: Iterable[int]) -> list[FloatStage]:
    """Stages with weights for every channel of a space, also such that give the same space."""
    some = set(members)
    return [stage for stage in graph.stages
            if stage.weights is not None and not _single(stage) and stage.a in some]


def _removable(graph: FloatGraph, members: list[int], constants: list[np.ndarray]) -> np.ndarray:
    """bool [channels]: which channels of a space can go."""
    last = len(graph.stages) - 1
    channels = graph.stages[members[0]].n_out
    tied_to_image = any(
        (stage.weights is None or _single(stage)) and IMAGE in (stage.a, stage.b)
        for stage in (graph.stages[i] for i in members))
    many = any(1 < graph.stages[i].groups < graph.stages[i].n_out for i in members)
    if last in members or tied_to_image or many or any(
            stage.groups > 1 for stage in _readers(graph, members)):
        return np.zeros(channels, bool)
    dead = np.all([~np.isnan(constants[i]) for i in members], axis=0)
    for stage in _readers(graph, members):
        if any(stage.padding):
            dead &= constants[stage.a] == 0
    if dead.all():
        dead[0] = False  # a layer has at least one
    return dead


def _remove(graph: FloatGraph, members: list[int], constants: list[np.ndarray],
            dead: np.ndarray) -> None:
    kept = ~dead
    for stage in _readers(graph, members):
        assert stage.weights is not None
        rows = stage.weights.reshape(stage.n_out, len(dead), -1)
        added = (rows.astype(np.float64).sum(axis=2)[:, dead] * constants[stage.a][dead]).sum(1)
        if added.any():
            bias = added if stage.bias is None else stage.bias + added
            stage.bias = bias.astype(np.float32)
        shape = stage.weights.shape
        width = kept.sum() * rows.shape[2] if len(shape) == 2 else kept.sum()
        stage.weights = np.ascontiguousarray(
            rows[:, kept].reshape(stage.n_out, int(width), *shape[2:]))
    for i in members:
        stage = graph.stages[i]
        single = _single(stage)
        stage.n_out = int(kept.sum())
        if single:
            stage.groups = stage.n_out
        if stage.weights is not None:
            stage.weights = np.ascontiguousarray(stage.weights[kept])
        if stage.bias is not None:
            stage.bias = np.ascontiguousarray(stage.bias[kept])
