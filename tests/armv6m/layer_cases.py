"""Calls of the kernels of priot_layers for tests/test_layers.py: random ones, and whole layers."""

from collections.abc import Callable

import numpy as np
from kernels.layers import (
    add_descriptor,
    conv2d_descriptor,
    global_pool_descriptor,
    linear_descriptor,
    n_inputs,
    n_outputs,
    pool_descriptor,
    random_activations,
)
from priot.network import fields as f

from armv6m.cases import NOTHING, RUBBISH, Rng, biases, some_rows, weights
from armv6m.target import LAYERS, LayersTarget, compare


def forward(target: LayersTarget, kernel: str, d: np.ndarray, x: np.ndarray, w: np.ndarray,
            bias: np.ndarray = NOTHING) -> int:
    """Compare a forward call of a layer with weights; returns its cycles."""
    kind = f.LINEAR if LAYERS[kernel] == "linear_forward" else f.CONV2D
    assert target.plan(kind, d)
    assert target.planned(kind, f.PLAN_FORWARD, d) == kernel
    words = np.zeros(target.scratch_words(kind, 0, d), np.int32)
    y = np.full(n_outputs(d), RUBBISH, np.uint8)
    operands = (y, x, w, bias, words, d) if kind == f.LINEAR else (
        y, NOTHING, x, w, bias, words, d)
    return compare(target, LAYERS[kernel], operands)


def ends(rng: Rng, d: np.ndarray) -> np.ndarray:
    """What lies before and behind a layer: ReLU, clamps, a bias; shifts."""
    every = rng.random() < 0.3
    d[f.FORWARD_SHIFT], d[f.BACKWARD_SHIFT] = rng.integers(0, 31, 2) if every else (
        rng.integers(4, 11, 2))
    d[f.RELU], d[f.BIAS], d[f.NONNEGATIVE] = rng.integers(0, 2, 3)
    if rng.random() < 0.3:
        d[f.HIGH] = rng.integers(1, 128)
    if d[f.BIAS]:
        d[f.FORWARD_SHIFT] = min(d[f.FORWARD_SHIFT], 22)
    return d


def random_tiles(rng: Rng) -> np.ndarray:
    """A convolution of any kernel, stride and padding."""
    while True:
        kernel = [int(k) for k in rng.choice([1, 1, 1, 3, 3, 2, 5, 10], 2)]
        if rng.random() < 0.5:
            kernel[1] = kernel[0]
        channels = int(rng.choice([1, 2, 3, 8, 16, 40])) if max(kernel) < 4 else 2
        d = conv2d_descriptor(
            channels, tuple(int(n) for n in rng.integers(1, 12, 2)), int(rng.integers(1, 6)),
            kernel, [int(s) for s in rng.integers(1, 4, 2)],
            [int(rng.integers(0, kernel[i // 2])) for i in range(4)])
        if min(d[[f.H_CONV, f.W_CONV]]) >= 1:
            return ends(rng, d)


def random_tiles_forward(target: LayersTarget, rng: Rng) -> None:
    """One random forward call."""
    d = random_tiles(rng)
    some_rows(rng, d)
    forward(target, "tiles_forward", d,
            random_activations(rng, n_inputs(d), bool(d[f.NONNEGATIVE])), weights(rng, d),
            biases(rng, d))


def random_depthwise_forward(target: LayersTarget, rng: Rng) -> None:
    """One random forward call of a depthwise layer."""
    while True:
        channels = int(rng.integers(1, 5))
        d = conv2d_descriptor(
            channels, tuple(int(n) for n in rng.integers(1, 14, 2)), channels, 3,
            int(rng.integers(1, 3)), [int(n) for n in rng.integers(0, 3, 4)], groups=channels)
        if min(d[[f.H_CONV, f.W_CONV]]) >= 1 and d[f.GROUP_IN] == 1:
            break
    ends(rng, d)
    some_rows(rng, d)
    forward(target, "depthwise3x3_forward", d,
            random_activations(rng, n_inputs(d), bool(d[f.NONNEGATIVE])), weights(rng, d),
            biases(rng, d))


def random_biased_linear_forward(target: LayersTarget, rng: Rng) -> None:
    """One random forward call of a linear layer."""
    d = ends(rng, linear_descriptor(int(rng.integers(1, 70)), int(rng.integers(1, 12))))
    d[f.BIAS], d[f.FORWARD_SHIFT] = 1, min(d[f.FORWARD_SHIFT], 22)
    some_rows(rng, d)
    forward(target, "biased_linear_forward", d,
            random_activations(rng, n_inputs(d), bool(d[f.NONNEGATIVE])), weights(rng, d),
            biases(rng, d))


def _without_weights(target: LayersTarget, rng: Rng, kernel: str, d: np.ndarray) -> None:
    kind = next(n for n, (name, *_) in f.KINDS.items() if LAYERS[kernel] == f"{name}_forward")
    ends(rng, d)
    d[f.BIAS] = 0
    assert target.plan(kind, d) and target.planned(kind, f.PLAN_FORWARD, d) == kernel
    inputs = [random_activations(rng, n_inputs(d), False) for _ in range(1 + (kind == f.ADD))]
    compare(target, LAYERS[kernel], (np.full(n_outputs(d), RUBBISH, np.uint8), *inputs, d))


def random_average_forward(target: LayersTarget, rng: Rng) -> None:
    """One random average pool."""
    pool = [int(n) for n in rng.integers(1, 5, 2)]
    size = [int(rng.integers(p, 12)) for p in pool]
    d = pool_descriptor(int(rng.integers(1, 4)), size, pool, [int(n) for n in rng.integers(1, 4, 2)])
    d[f.ARGMAX_BITS] = 0
    _without_weights(target, rng, "average_forward", d)


def random_mean_forward(target: LayersTarget, rng: Rng) -> None:
    """One random global pool."""
    size = [int(n) for n in rng.integers(1, 12, 2)]
    d = global_pool_descriptor(int(rng.integers(1, 5)), size)
    d[f.ARGMAX_BITS] = 0
    _without_weights(target, rng, "mean_forward", d)


def random_sum_forward(target: LayersTarget, rng: Rng) -> None:
    """One random sum of two tensors."""
    d = add_descriptor(int(rng.integers(1, 4)), [int(n) for n in rng.integers(1, 12, 2)],
                       Z_SHIFT=rng.integers(-15, 16))
    _without_weights(target, rng, "sum_forward", d)


RANDOM: dict[str, Callable[[LayersTarget, Rng], None]] = {
    "depthwise3x3_forward": random_depthwise_forward,
    "tiles_forward": random_tiles_forward,
    "biased_linear_forward": random_biased_linear_forward,
    "average_forward": random_average_forward,
    "mean_forward": random_mean_forward,
    "sum_forward": random_sum_forward,
}
