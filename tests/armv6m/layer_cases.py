"""Calls of the kernels of priot_layers and priot_backward: random ones, and whole layers."""

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
    random_errors,
)
from priot.network import fields as f
from priot.oracle import kernels as oracle

from armv6m.cases import (
    NOTHING,
    RUBBISH,
    Rng,
    biases,
    random_rule,
    selection,
    some_rows,
    weights,
)
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


def backward(target: LayersTarget, kernel: str, d: np.ndarray, g: np.ndarray, x: np.ndarray,
             w: np.ndarray, earlier: np.ndarray) -> int:
    """Compare a backward call of a convolution, whose dx holds `earlier`; returns its cycles."""
    target.plan(f.CONV2D, d)
    if d[f.LOW_MEMORY] and not d[f.PLAN_BACKWARD]:  # too large for that
        d[f.LOW_MEMORY] = 0
        target.plan(f.CONV2D, d)
    assert target.planned(f.CONV2D, f.PLAN_BACKWARD, d) == kernel
    words = np.zeros(target.scratch_words(f.CONV2D, 1, d), np.int32)
    return compare(target, LAYERS[kernel], (earlier, g, NOTHING, x, w, words, d))


def update(target: LayersTarget, kernel: str, d: np.ndarray, g: np.ndarray, x: np.ndarray,
           w: np.ndarray, scores: np.ndarray, select: np.ndarray, kept: bool = True) -> int:
    """Compare an update of a convolution; `kept`: with effective weights. Returns its cycles."""
    target.plan(f.CONV2D, d)
    if d[f.LOW_MEMORY] and not d[f.PLAN_UPDATE]:  # too large for that
        d[f.LOW_MEMORY] = 0
        target.plan(f.CONV2D, d)
    assert target.planned(f.CONV2D, f.PLAN_UPDATE, d) == kernel
    words = np.zeros(target.scratch_words(f.CONV2D, 2, d), np.int32)
    weff = NOTHING
    if d[f.RULE] >= f.WEIGHTS:
        scores, weff = scores if d[f.RULE] == f.WIDE else NOTHING, w
    elif kept:
        weff = np.zeros(len(w), np.uint8)
        oracle.effective_weights((weff, w, scores, select, d))
    return compare(target, LAYERS[kernel], (scores, weff, g, NOTHING, x, w, select, words, d))


def some_errors(rng: Rng, d: np.ndarray) -> np.ndarray:
    """Errors of a layer: many, few, or large ones alone."""
    g = random_errors(rng, n_outputs(d))
    return g if rng.random() < 0.7 else np.where(g == 0, 0, np.sign(g) * 127).astype(np.int8)


def random_backward(target: LayersTarget, rng: Rng, kernel: str, d: np.ndarray) -> None:
    """One random backward call of a convolution."""
    d[f.MASK_DX] = rng.choice([0, 128, rng.integers(2, 128)])
    d[f.ADD_DX] = rng.choice([0, rng.integers(64 - 15, 64 + 13)])
    d[f.LOW_MEMORY] = rng.integers(2)
    backward(target, kernel, d, some_errors(rng, d), random_activations(rng, n_inputs(d), False),
             weights(rng, d), random_activations(rng, n_inputs(d), False).view(np.uint8))


def random_gradients(target: LayersTarget, rng: Rng, kernel: str, kind: int,
                     d: np.ndarray) -> None:
    """One random backward call of a layer without weights."""
    wanted, tensors = [], []
    for mask, add in ((f.MASK_DX, f.ADD_DX), (f.MASK_DZ, f.ADD_DZ))[:1 + (kind == f.ADD)]:
        d[mask] = rng.choice([0, 128, rng.integers(1, 128)])
        d[add] = rng.choice([0, rng.integers(64 - 15, 64 + 13)])
        wanted.append(random_activations(rng, n_inputs(d), False).view(np.uint8))
        tensors.append(random_activations(rng, n_inputs(d), False))
    if kind == f.ADD and rng.random() < 0.3:
        wanted[rng.integers(2)] = NOTHING
    assert target.plan(kind, d) and target.planned(kind, f.PLAN_BACKWARD, d) == kernel
    compare(target, LAYERS[kernel], (*wanted, random_errors(rng, n_outputs(d)), *tensors, d))


def random_update(target: LayersTarget, rng: Rng, kernel: str, d: np.ndarray) -> None:
    """One random update of a convolution, by a random rule."""
    random_rule(rng, d)
    d[f.LOW_MEMORY] = rng.integers(2)
    w = weights(rng, d)
    select, n_scores = selection(rng, d, w)
    x = random_activations(rng, n_inputs(d), bool(d[f.NONNEGATIVE]))
    update(target, kernel, d, some_errors(rng, d), x, w,
           rng.integers(0, 256, n_scores).astype(np.uint8), select, bool(rng.integers(2)))


def ends(rng: Rng, d: np.ndarray, kind: int) -> np.ndarray:
    """What lies before and behind a layer: ReLU, clamps, a bias; shifts."""
    every = rng.random() < 0.3
    d[f.FORWARD_SHIFT], d[f.BACKWARD_SHIFT] = rng.integers(0, 31, 2) if every else (
        rng.integers(4, 11, 2))
    d[f.RELU], d[f.NONNEGATIVE] = rng.integers(0, 2, 2)
    if rng.random() < 0.3:
        d[f.HIGH] = rng.integers(1, 128)
    if kind == f.CONV2D:
        d[f.BIAS] = rng.integers(2)
    if d[f.BIAS]:
        d[f.FORWARD_SHIFT] = min(d[f.FORWARD_SHIFT], 22)
    return d


def random_tiles(rng: Rng) -> np.ndarray:
    """A convolution of any kernel, stride and padding, but not depthwise."""
    while True:
        kernel = [int(k) for k in rng.choice([1, 1, 1, 3, 3, 2, 5, 10], 2)]
        if rng.random() < 0.5:
            kernel[1] = kernel[0]
        channels = int(rng.choice([1, 2, 3, 8, 16, 40])) if max(kernel) < 4 else 2
        d = conv2d_descriptor(
            channels, tuple(int(n) for n in rng.integers(1, 12, 2)), int(rng.integers(1, 6)),
            kernel, [int(s) for s in rng.integers(1, 4, 2)],
            [int(rng.integers(0, kernel[i // 2])) for i in range(4)])
        if min(d[[f.H_CONV, f.W_CONV]]) >= 1 and channels * d[f.N_OUT] > 1:
            return d


def random_depthwise(rng: Rng) -> np.ndarray:
    """A depthwise convolution 3x3 of stride 1 or 2 and any padding."""
    while True:
        channels = int(rng.integers(2, 5))
        d = conv2d_descriptor(
            channels, tuple(int(n) for n in rng.integers(1, 14, 2)), channels, 3,
            int(rng.integers(1, 3)), [int(n) for n in rng.integers(0, 3, 4)], groups=channels)
        if min(d[[f.H_CONV, f.W_CONV]]) >= 1:
            return d


def random_gathered(rng: Rng) -> np.ndarray:
    """A convolution of any kernel and padding, of stride 1 or 2."""
    while True:
        d = random_tiles(rng)
        if d[f.STRIDE_H] == d[f.STRIDE_W] <= 2:
            return d


def random_linear(rng: Rng) -> np.ndarray:
    """A linear layer with biases."""
    return linear_descriptor(int(rng.integers(1, 70)), int(rng.integers(1, 12)), BIAS=1)


def random_average(rng: Rng) -> np.ndarray:
    """An average pool."""
    pool = [int(n) for n in rng.integers(1, 5, 2)]
    return pool_descriptor(int(rng.integers(1, 4)), [int(rng.integers(p, 12)) for p in pool], pool,
                           [int(n) for n in rng.integers(1, 4, 2)], ARGMAX_BITS=0)


def random_mean(rng: Rng) -> np.ndarray:
    """A global pool."""
    return global_pool_descriptor(int(rng.integers(1, 5)),
                                  [int(n) for n in rng.integers(1, 12, 2)], ARGMAX_BITS=0)


def random_sum(rng: Rng) -> np.ndarray:
    """A sum of two tensors."""
    return add_descriptor(int(rng.integers(1, 4)), [int(n) for n in rng.integers(1, 12, 2)],
                          Z_SHIFT=rng.integers(-15, 16))


# kernel -> kind of layer, layers that it takes
SHAPES: dict[str, tuple[int, Callable[[Rng], np.ndarray]]] = {
    "depthwise3x3_forward": (f.CONV2D, random_depthwise),
    "tiles_forward": (f.CONV2D, random_tiles),
    "depthwise3x3_backward": (f.CONV2D, random_depthwise),
    "depthwise3x3_update": (f.CONV2D, random_depthwise),
    "gather_backward": (f.CONV2D, random_gathered),
    "gather_update": (f.CONV2D, random_tiles),
    "biased_linear_forward": (f.LINEAR, random_linear),
    "average_forward": (f.AVG_POOL, random_average),
    "mean_forward": (f.GLOBAL_POOL, random_mean),
    "sum_forward": (f.ADD, random_sum),
    "mean_backward": (f.GLOBAL_POOL, random_mean),
    "sum_backward": (f.ADD, random_sum),
}


def random_layer(rng: Rng, kernel: str) -> tuple[int, np.ndarray]:
    """A layer that the kernel takes: its kind and its descriptor."""
    kind, shape = SHAPES[kernel]
    return kind, ends(rng, shape(rng), kind)


def random_call(target: LayersTarget, rng: Rng, kernel: str) -> None:
    """One random call of a kernel."""
    kind, d = random_layer(rng, kernel)
    if kind in (f.GLOBAL_POOL, f.ADD) and kernel.endswith("backward"):
        random_gradients(target, rng, kernel, kind, d)
        return
    if kind == f.CONV2D and not kernel.endswith("forward"):
        (random_backward if kernel.endswith("backward") else random_update)(target, rng, kernel, d)
        return
    if kind in (f.CONV2D, f.LINEAR):
        some_rows(rng, d)
        forward(target, kernel, d, random_activations(rng, n_inputs(d), bool(d[f.NONNEGATIVE])),
                weights(rng, d), biases(rng, d))
        return
    assert target.plan(kind, d) and target.planned(kind, f.PLAN_FORWARD, d) == kernel
    inputs = [random_activations(rng, n_inputs(d), False) for _ in range(1 + (kind == f.ADD))]
    compare(target, LAYERS[kernel], (np.full(n_outputs(d), RUBBISH, np.uint8), *inputs, d))
