"""Calls of single kernels for tests/test_armv6m.py: random ones, and ones at the lanes' bounds."""

from collections.abc import Callable

import numpy as np
from kernels.layers import (
    argmax_bytes,
    conv2d_descriptor,
    linear_descriptor,
    n_inputs,
    n_outputs,
    random_activations,
    random_argmax,
    random_errors,
    random_weights,
)
from priot.network import fields as f
from priot.oracle import kernels as oracle

from armv6m.target import Target, compare

NOTHING = np.zeros(0, np.uint8)
RUBBISH = 0xAA
Rng = np.random.Generator
# thresholds: the methods' own, the ends, and one that no larger power of two divides
THRESHOLDS = (0, 64, 128, 255, 101)


def weights(rng: Rng, d: np.ndarray) -> np.ndarray:
    """Weight bytes of the rows of one call; often as small as a trained layer's are."""
    n = int(d[f.ROWS] * d[f.N_ROW])
    if rng.random() < 0.6:
        values = np.rint(rng.normal(0, rng.choice([4, 20, 40]), n))
        return (np.clip(values, -127, 127) + 128).astype(np.uint8)
    return random_weights(rng, n)


def scratch(target: Target, kind: int, training: int, d: np.ndarray) -> np.ndarray:
    """Exactly the words that the kernels ask for; a word more used is a fault."""
    return np.zeros(target.scratch_words(kind, training, d), np.int32)


def biases(rng: Rng, d: np.ndarray) -> np.ndarray:
    """Biases of a layer, some as large as they may be; none where it has none."""
    if not d[f.BIAS]:
        return np.zeros(0, np.int32)
    most = 2**31 - 1 - 127 * 127 * int(d[f.N_ROW])
    n = int(d[f.N_OUT])
    small = rng.integers(-20_000, 20_000, n)
    return np.where(rng.random(n) < 0.8, small, rng.choice([-most, most], n)).astype(np.int32)


def forward(target: Target, kind: int, d: np.ndarray, x: np.ndarray, w: np.ndarray,
            bias: np.ndarray = NOTHING) -> int:
    """Compare a forward call; returns its cycles."""
    assert target.plan(kind, d) and d[f.PLAN_FORWARD], "not a layer for the fast kernel"
    words = scratch(target, kind, 0, d)
    y = np.full(n_outputs(d), RUBBISH, np.uint8)
    if kind == f.LINEAR:
        return compare(target, "linear_forward", (y, x, w, NOTHING, words, d))
    argmax = np.full(argmax_bytes(d), RUBBISH, np.uint8)
    return compare(target, "conv2d_forward", (y, argmax, x, w, bias, words, d))


def backward(target: Target, kind: int, d: np.ndarray, g: np.ndarray, argmax: np.ndarray,
             x: np.ndarray, w: np.ndarray) -> int:
    """Compare a backward call of all rows; returns its cycles."""
    assert target.plan(kind, d) and d[f.PLAN_BACKWARD], "not a layer for the fast kernel"
    words = scratch(target, kind, 1, d)
    dx = np.full(n_inputs(d), RUBBISH, np.uint8)
    if kind == f.LINEAR:
        return compare(target, "linear_backward", (dx, g, x, w, words, d))
    return compare(target, "conv2d_backward", (dx, g, argmax, x, w, words, d))


def update(target: Target, kind: int, d: np.ndarray, g: np.ndarray, argmax: np.ndarray,
           x: np.ndarray, w: np.ndarray, scores: np.ndarray, select: np.ndarray,
           kept: bool = True) -> int:
    """Compare an update; `kept`: with effective weights. Returns its cycles."""
    target.plan(kind, d)
    assert d[f.PLAN_UPDATE], "not a layer for the fast kernel"
    words = scratch(target, kind, 2, d)
    weff = NOTHING
    if d[f.RULE] >= f.WEIGHTS:
        scores, weff = scores if d[f.RULE] == f.WIDE else NOTHING, w
    elif kept:
        weff = np.zeros(len(w), np.uint8)
        oracle.effective_weights((weff, w, scores, select, d))
    if kind == f.LINEAR:
        return compare(target, "linear_update", (scores, weff, g, x, w, select, words, d))
    return compare(target, "conv2d_update", (scores, weff, g, argmax, x, w, select, words, d))


def selection(rng: Rng, d: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, int]:
    """`select` of the layer's SELECTION, and the number of its scores."""
    if d[f.SELECTION] == f.ALL:
        return NOTHING, len(w)
    chosen = np.abs(w.astype(int) - 128) >= d[f.TAU]
    bits = NOTHING
    if d[f.SELECTION] == f.BITMAP:
        chosen = rng.random(len(w)) < rng.choice([0, 0.1, 0.5, 1])
        bits = np.packbits(chosen, bitorder="little")
        bits = np.append(bits, np.zeros(-len(bits) % 4, np.uint8))
    rows = chosen.reshape(int(d[f.N_OUT]), -1).sum(axis=1)
    before = np.append(0, rows.cumsum()[:-1]).astype(np.uint32)
    return np.append(before.view(np.uint8), bits), int(rows.sum())


def random_rule(rng: Rng, d: np.ndarray) -> None:
    """A rule, its rounding, shift and threshold, and which edges have a score."""
    d[f.RULE] = rng.choice([f.PRUNE, f.PRUNE, f.GAIN, f.WEIGHTS, f.WIDE])
    d[f.ROUNDING] = rng.integers(2) if d[f.RULE] == f.PRUNE else f.PSR
    d[f.UPDATE_SHIFT] = rng.integers(0, 31) if rng.random() < 0.4 else rng.integers(6, 16)
    d[f.THRESHOLD] = rng.choice(THRESHOLDS) if rng.random() < 0.8 else rng.integers(256)
    d[f.SELECTION] = rng.choice([f.ALL, f.ALL, f.LARGEST, f.BITMAP])
    if d[f.N_ROW] > 1024:  # native/armv6m/update.h, SELECTED
        d[f.SELECTION] = f.ALL
    d[f.TAU] = rng.integers(1, 128)


def random_conv2d(rng: Rng) -> np.ndarray:
    """A 3x3 layer that the fast kernels take."""
    pool = int(rng.choice([1, 2]))
    padding = int(rng.integers(3))
    size = tuple(int(n) for n in rng.integers(max(3, pool + 2), 12, 2))
    d = conv2d_descriptor(int(rng.choice([1, 1, 2, 3, 4, 5, 8, 11])), size,
                          int(rng.integers(1, 5)), 3, 1, padding, pool)
    _shifts(rng, d)
    return d


def banded_conv2d(rng: Rng) -> np.ndarray:
    """A 3x3 layer whose inputs are packed in several bands; some of the last are shorter."""
    low, pool = int(rng.integers(2)), int(rng.choice([1, 2]))
    channels = int(rng.integers(16, 24) if low else rng.integers(40, 60))
    size = tuple(int(n) for n in rng.integers(12, 17, 2))
    d = conv2d_descriptor(channels, size, int(rng.integers(1, 4)), 3, 1, int(rng.integers(3)),
                          pool, LOW_MEMORY=low)
    _shifts(rng, d)
    return d


def random_linear(rng: Rng) -> np.ndarray:
    """A linear layer that the fast kernels take, sometimes of more columns than a list holds."""
    n_in = 4 * int(rng.integers(1, 30)) if rng.random() < 0.97 else 4 * int(rng.integers(128, 300))
    d = linear_descriptor(n_in, int(rng.integers(1, 12)))
    _shifts(rng, d)
    return d


def _shifts(rng: Rng, d: np.ndarray) -> None:
    every = rng.random() < 0.3
    d[f.FORWARD_SHIFT], d[f.BACKWARD_SHIFT] = rng.integers(0, 31, 2) if every else (
        rng.integers(4, 11, 2))
    d[f.RELU], d[f.MASK_DX], d[f.NONNEGATIVE] = rng.integers(0, 2, 3) * (1, 128, 1)


def some_rows(rng: Rng, d: np.ndarray) -> None:
    """Let the call be of some rows only."""
    d[f.ROW] = rng.integers(0, d[f.N_OUT])
    d[f.ROWS] = rng.integers(1, d[f.N_OUT] - d[f.ROW] + 1)


def random_forward(target: Target, rng: Rng, kind: int) -> None:
    """One random forward call."""
    is_large = kind == f.CONV2D and rng.random() < 0.1
    d = banded_conv2d(rng) if is_large else (
        random_conv2d(rng) if kind == f.CONV2D else random_linear(rng))
    some_rows(rng, d)
    if kind == f.CONV2D and rng.random() < 0.4:
        d[f.BIAS], d[f.FORWARD_SHIFT] = 1, min(d[f.FORWARD_SHIFT], 22)
    forward(target, kind, d, random_activations(rng, n_inputs(d), bool(d[f.NONNEGATIVE])),
            weights(rng, d), biases(rng, d))


def random_backward(target: Target, rng: Rng, kind: int) -> None:
    """One random backward call; now and then of filters that are not all listed at once."""
    d = random_conv2d(rng) if kind == f.CONV2D else random_linear(rng)
    if kind == f.CONV2D:
        if rng.random() < 0.06:
            d = conv2d_descriptor(int(rng.integers(1, 11)), (11, 10), int(rng.integers(14, 24)), 3,
                                  1, int(rng.integers(3)), int(rng.choice([1, 1, 2])))
            _shifts(rng, d)
        d[f.MASK_DX] = 128
    backward(target, kind, d, random_errors(rng, n_outputs(d)), random_argmax(rng, d),
             random_activations(rng, n_inputs(d), bool(d[f.NONNEGATIVE])), weights(rng, d))


def random_update(target: Target, rng: Rng, kind: int) -> None:
    """One random update of a random rule."""
    d = random_conv2d(rng) if kind == f.CONV2D else random_linear(rng)
    random_rule(rng, d)
    w = weights(rng, d)
    select, n_scores = selection(rng, d, w)
    middle = rng.random() < 0.5
    scores = rng.normal(128, 32, n_scores) if middle else rng.integers(0, 256, n_scores)
    update(target, kind, d, random_errors(rng, n_outputs(d)), random_argmax(rng, d),
           random_activations(rng, n_inputs(d), bool(d[f.NONNEGATIVE])), w,
           np.clip(scores, 0, 255).astype(np.uint8), select, bool(rng.integers(2)))


RANDOM: dict[str, Callable[[Target, Rng, int], None]] = {
    "forward": random_forward, "backward": random_backward, "update": random_update}
