"""The whole set of kernel cases from one seed: every kernel, shape, shift, rule and rounding."""

import functools
from collections.abc import Iterator

import numpy as np
from priot.network import fields as f

from kernels import layers, learning
from kernels.cases import SCRATCH, Case, solved
from kernels.layers import (
    buffer,
    call,
    changed,
    conv2d_descriptor,
    in_rows,
    linear_descriptor,
    n_inputs,
    n_outputs,
    pool_descriptor,
    random_activations,
    random_argmax,
    random_biases,
    random_errors,
    random_linear,
    random_shape,
    random_weights,
    rubbish,
    words,
)
from kernels.worked import worked_cases

SEED = 20250316
SHAPES = 60  # random shapes of each kind of layer
NETWORK_A = (
    conv2d_descriptor(1, (28, 28), 8, pool=2, RELU=1, NONNEGATIVE=1, FORWARD_SHIFT=8),
    conv2d_descriptor(8, (13, 13), 16, pool=2, RELU=1, MASK_DX=128, FORWARD_SHIFT=7),
)


def _image_layer(rng, what, d) -> Iterator[Case]:
    """Every kernel of one conv2d stage."""
    x = random_activations(rng, n_inputs(d), bool(d[f.NONNEGATIVE]))
    w, bias = random_weights(rng, int(d[f.N_OUT] * d[f.N_ROW])), random_biases(rng, d)
    g, argmax = random_errors(rng, n_outputs(d)), random_argmax(rng, d)
    for at, whole_d in ((what, d), (what + " measured", changed(d, MEASURE=1))):
        yield call("conv2d_forward", at, whole_d, x=x, r=w, c=bias)
        yield call("conv2d_backward", at, whole_d, y=g, a=argmax, x=x, w=w,
                   X=random_errors(rng, n_inputs(d)))
    for rows_d, part in in_rows(d, 2):
        yield call("conv2d_forward", f"{what} row {rows_d[f.ROW]}", rows_d, x=x, r=w[part],
                   c=bias)
    for label, update_d, kept in _rules(rng, d):
        yield learning.update("conv2d_update", f"{what} {label}", rng, update_d, w, kept, y=g,
                              a=argmax, x=x)


def _linear_layer(rng, what, d) -> Iterator[Case]:
    """Every kernel of one linear stage, also a few rows at a time."""
    x = random_activations(rng, n_inputs(d), bool(d[f.NONNEGATIVE]))
    w, bias = random_weights(rng, int(d[f.N_OUT] * d[f.N_ROW])), random_biases(rng, d)
    g, before = random_errors(rng, n_outputs(d)), random_errors(rng, n_inputs(d))
    for at, whole_d in ((what, d), (what + " measured", changed(d, MEASURE=1))):
        yield call("linear_forward", at, whole_d, x=x, r=w, c=bias)
        yield call("linear_backward", at, whole_d, y=g, x=x, r=w, X=before)
    for rows_d, part in in_rows(d, 3):
        yield call("linear_forward", f"{what} row {rows_d[f.ROW]}", rows_d, x=x, r=w[part],
                   c=bias)
    for rows_d, part in in_rows(d, 3):
        case = call("linear_backward", f"{what} row {rows_d[f.ROW]}", rows_d, y=g, x=x, r=w[part],
                    X=before)
        case.continues = bool(rows_d[f.ROW])
        yield case
    for label, update_d, kept in _rules(rng, d):
        yield learning.update("linear_update", f"{what} {label}", rng, update_d, w, kept, y=g,
                              x=x)


def _rules(rng, d) -> Iterator[tuple[str, np.ndarray, bool]]:
    """A layer's descriptor under three random choices of rule, rounding and selection."""
    for _ in range(3):
        rule = int(rng.integers(f.PRUNE, f.WIDE + 1))
        rounding, selection = int(rng.integers(2)), int(rng.integers(3))
        kept, measured = bool(rng.integers(2)), int(rng.random() < 0.15)
        label = f"rule {rule} rounding {rounding} selection {selection} kept {kept}"
        yield label, changed(d, RULE=rule, ROUNDING=rounding, SELECTION=selection,
                             TAU=rng.integers(1, 128), THRESHOLD=rng.integers(0, 256),
                             MEASURE=measured,
                             UPDATE_SHIFT=rng.integers(1, 20)), kept


def _shifts(rng) -> Iterator[Case]:
    """Every shift 0..30 forward, backward and in the update, on sums of every size."""
    for shift in range(31):
        d = linear_descriptor(40, 6, FORWARD_SHIFT=shift, BACKWARD_SHIFT=shift,
                              UPDATE_SHIFT=shift)
        x, g = random_activations(rng, 40, False), rng.integers(-127, 128, 6).astype(np.int8)
        w = random_weights(rng, 240)
        at = f"shift {shift}"
        yield call("linear_forward", at, d, x=x, r=w)
        yield call("linear_backward", at, d, y=g, x=x, r=w)
        for rule in (f.PRUNE, f.GAIN, f.WEIGHTS, f.WIDE):
            for rounding in (f.RHU, f.PSR):
                rule_d = changed(d, RULE=rule, ROUNDING=rounding)
                label = f"{at} rule {rule} rounding {rounding}"
                yield learning.update("linear_update", label, rng, rule_d, w, y=g, x=x)
        d = conv2d_descriptor(2, (6, 6), 2, pool=2, FORWARD_SHIFT=shift, BACKWARD_SHIFT=shift)
        x, g = random_activations(rng, 72, False), random_errors(rng, 8)
        w = random_weights(rng, 36)
        yield call("conv2d_forward", at, d, x=x, r=w)
        yield call("conv2d_backward", at, d, y=g, a=random_argmax(rng, d), x=x, w=w)


def _pools(rng) -> Iterator[Case]:
    """Pooling stages: every window 1..5 and 15, overlapping and with gaps."""
    for pool in (1, 2, 3, 4, 5, 15):
        for pool_stride in sorted({1, 2, pool, pool + 1}):
            size = (int(rng.integers(pool, pool + 9)), int(rng.integers(pool, pool + 9)))
            cut, is_image = rng.integers(0, 2, 2)
            d = pool_descriptor(int(rng.integers(1, 4)), size, pool, min(pool_stride, 15),
                                RELU=rng.integers(2), MASK_DX=128 * cut,
                                NONNEGATIVE=cut | is_image)
            yield from layers.pool_cases(rng, f"pool {pool} stride {pool_stride}", d)
    for _ in range(20):
        pool = [int(p) for p in rng.choice([1, 2, 3, 4, 25], 2)]
        size = tuple(p + int(rng.integers(0, 6)) for p in pool)
        cut = int(rng.integers(0, 2))
        d = pool_descriptor(int(rng.integers(1, 4)), size, pool,
                            [int(s) for s in rng.integers(1, 6, 2)], RELU=rng.integers(2),
                            MASK_DX=128 * cut)
        if pool[0] * pool[1] <= 225:
            yield from layers.pool_cases(rng, f"pool {pool}", layers.random_clamps(rng, d))


def _additions(rng) -> Iterator[Case]:
    """Sums of two tensors, every distance of their exponents."""
    for left in range(-15, 16):
        d = layers.add_descriptor(int(rng.integers(1, 4)), tuple(map(int, rng.integers(1, 6, 2))),
                                  Z_SHIFT=left, FORWARD_SHIFT=rng.integers(0, abs(left) + 2),
                                  RELU=rng.integers(2), MASK_DX=rng.choice([0, 1, 48, 128]),
                                  MASK_DZ=rng.choice([0, 96, 128]),
                                  ADD_DZ=rng.choice([0, 62, 64, 67]))
        yield from layers.add_cases(rng, f"shift {left}", layers.random_clamps(rng, d))


def _global_pools(rng) -> Iterator[Case]:
    """Global pooling: images of any rectangle, every shift."""
    sizes = [(1, 1), (1, 7), (25, 5), (49, 10), (3, 255), (16, 16), (2, 2)]
    for shift in range(31):
        size = sizes[shift % len(sizes)]
        d = layers.global_pool_descriptor(int(rng.integers(1, 5)), size, FORWARD_SHIFT=shift,
                                          RELU=rng.integers(2), MASK_DX=128 * rng.integers(2))
        yield from layers.global_pool_cases(rng, f"{size}, shift {shift}", d)


def _losses(rng) -> Iterator[Case]:
    for n in (1, 2, 10, 256):
        for t in range(-8, 9):
            z = rng.integers(-127, 128, n).astype(np.int8)
            d = np.zeros(f.N_FIELDS, np.int32)
            d[f.N_CLASSES], d[f.LOSS_SHIFT] = n, t
            yield Case("cross_entropy", f"{n} classes, shift {t}",
                       [rubbish(n), buffer(z), SCRATCH, words(d)], number=int(rng.integers(n)))
    for below in range(255):  # every entry of the table but the last, which is 0
        d = np.zeros(f.N_FIELDS, np.int32)
        d[f.N_CLASSES] = 100
        z = np.full(100, 127 - below, np.int8)
        z[7] = 127
        yield Case("cross_entropy", f"{below} below the top",
                   [rubbish(100), buffer(z), SCRATCH, words(d)], number=7)


def _effective(rng) -> Iterator[Case]:
    for rule in (f.FROZEN, f.WEIGHTS, *[f.PRUNE, f.GAIN] * 6):
        for selection in (f.ALL, f.LARGEST, f.BITMAP):
            d = linear_descriptor(int(rng.integers(1, 40)), 7, RULE=rule, SELECTION=selection,
                                  TAU=rng.integers(1, 128), THRESHOLD=rng.integers(0, 256))
            w = random_weights(rng, int(7 * d[f.N_ROW]))
            for rows_d, _part in (*in_rows(d, 7), *in_rows(d, 2)):
                what = f"rule {rule} selection {selection} row {rows_d[f.ROW]}"
                yield learning.effective_weights(what, rng, rows_d, w)


def _orders(rng) -> Iterator[Case]:
    """Top-k, counts, largest magnitudes, first scores and sample orders."""
    for n in (1, 2, 5, 100, 1000):
        scores = learning.random_scores(rng, n)
        for keep in sorted({1, (n + 1) // 2, n}):
            yield Case("kth_largest", f"{keep} of {n}", [buffer(scores), SCRATCH], number=keep)
            below = int(rng.integers(0, 257))
            yield Case("count_below", f"{below} of {n}", [buffer(scores)], number=below)
        if n <= 100:
            logits = np.clip(rng.normal(0, 90, n), -127, 127).astype(np.int8)
            yield Case("classify", f"{n}", [buffer(logits)])
        for seed in (0, 1, 0xFFFFFFFF, int(rng.integers(2**32))):
            state = ("I", np.array([seed], np.uint32).tobytes())
            order = ("H", np.arange(n, dtype=np.uint16).tobytes())
            yield Case("init_scores", f"{n} from {seed}", [rubbish(n), state])
            if n == 1 and seed == 0:
                continue  # no draw: whether the state becomes 1 now or with the first is free
            yield Case("shuffle", f"{n} from {seed}", [order, state])


def _large(rng) -> Iterator[Case]:
    """Network A's convolutions, and the largest sums that fit int32."""
    for i, d in enumerate(NETWORK_A):
        for case in _image_layer(rng, f"network a conv {i + 1}", d):
            case.heavy = True
            yield case
    for case in _in_parts(rng):
        case.heavy = True
        yield case
    yield from _largest_sums(rng)
    order = ("H", np.arange(65536, dtype=np.uint16).tobytes())
    state = ("I", np.array([7], np.uint32).tobytes())
    yield Case("shuffle", "65536", [order, state], heavy=True)


def _in_parts(rng) -> Iterator[Case]:
    """Layers that a backend with little scratch does a few channels at a time."""
    d = conv2d_descriptor(130, (5, 4), 3, MASK_DX=128, FORWARD_SHIFT=12)
    x, w = rng.integers(0, 128, 2600).astype(np.int8), rng.integers(1, 256, 3510).astype(np.uint8)
    yield call("conv2d_forward", "130 channels", d, x=x, r=w)
    d = conv2d_descriptor(7, (28, 30), 2, pool=2, BACKWARD_SHIFT=6)
    x, w = rng.integers(-9, 10, 5880).astype(np.int8), rng.integers(1, 256, 126).astype(np.uint8)
    g = np.where(rng.random(n_outputs(d)) < 0.1, 55, 0).astype(np.int8)
    yield call("conv2d_backward", "7 large channels", d, y=g, a=random_argmax(rng, d), x=x, w=w)
    for groups, low_memory in ((1, 0), (1, 1), (2, 0), (2, 1)):
        # 16 columns and borders: more bytes than are copied at once
        d = conv2d_descriptor(40 * groups, (14, 16), 2 * groups, kernel=(4, 3), pool=(3, 1),
                              padding=(1, 2, 0, 1), groups=groups, LOW_MEMORY=low_memory)
        yield from _image_layer(rng, f"40 padded channels, {groups} groups", d)


def _largest_sums(rng) -> Iterator[Case]:
    n = 131072
    for sign in (-1, 1):
        x, w = np.full(n, 127, np.int8), np.full(n, 128 + 127 * sign, np.uint8)
        for shift in (0, 1, 24, 30):
            d = linear_descriptor(n, 1, FORWARD_SHIFT=shift)
            yield call("linear_forward", f"{n} products, shift {shift}", d, x=x, r=w)
        d = conv2d_descriptor(582, (15, 15), 1, kernel=15, FORWARD_SHIFT=24)
        yield call("conv2d_forward", "582 channels of 15x15", d, x=x[:130950], r=w[:130950])
        d = linear_descriptor(1, n, BACKWARD_SHIFT=24)
        yield call("linear_backward", f"{n} errors", d, y=x, x=x[:1], r=w)
        d = conv2d_descriptor(1, (32, 32), 1, kernel=1, RULE=f.PRUNE, UPDATE_SHIFT=30)
        yield learning.update("conv2d_update", "1024 positions at the limit", rng, d, w[:1],
                              y=x[:1024], a=b"", x=x[:1024])
        d = conv2d_descriptor(1, (8, 8), 128, kernel=15, padding=14, BACKWARD_SHIFT=20)
        case = call("conv2d_backward", "every tap of 128 filters of 15x15", d,
                    y=x[:n_outputs(d)], a=b"", x=x[:64], w=w[:128 * 225])
        case.heavy = True
        yield case


def _biases(rng) -> Iterator[Case]:
    """Updates of biases: every shift, sums and biases of every size."""
    for shift in range(-30, 31):
        for size in ((1, 1), (3, 7), (1, 3000 if shift % 10 == 0 else 50)):
            d = conv2d_descriptor(int(rng.integers(1, 4)), size, 3, kernel=1, BIAS=1,
                                  UPDATE_SHIFT=shift)
            case = call("bias_update", f"shift {shift} of {size}", d, C=random_biases(rng, d),
                        y=random_errors(rng, n_outputs(d)))
            yield case
    n = 131072
    d = linear_descriptor(n, 4, BIAS=1, UPDATE_SHIFT=-30)
    most = 2**31 - 1 - 127 * 127 * n
    ends = np.array([most, most, -most, -most], np.int32).tobytes()
    yield call("bias_update", "both ends", d, C=ends, y=np.array([-127, 127] * 2, np.int8))


def _many_positions(rng) -> Iterator[Case]:
    """Layers with more positions than products dW * w fit int32: at the limits, and anything."""
    most = f.MAX_POSITIONS
    for n in (most, most + 1, 2 * most, 2 * most + 1, 4 * most + 1, 8192):
        for rule in (f.PRUNE, f.GAIN, f.WEIGHTS, f.WIDE):
            for rounding in (f.RHU, f.PSR):
                for sign, shift in ((-1, 30), (1, 24), (0, 21), (0, 1)):
                    d = conv2d_descriptor(1, (1, n), 2, kernel=1, RULE=rule, ROUNDING=rounding,
                                          UPDATE_SHIFT=shift, MEASURE=rng.random() < 0.1)
                    x = np.full(n, 127, np.int8) if sign else random_activations(rng, n, False)
                    g = np.full(2 * n, 127 * sign, np.int8) if sign else random_errors(rng, 2 * n)
                    case = learning.update("conv2d_update", f"{n} positions, shift {shift}", rng,
                                           d, random_weights(rng, 2), y=g, a=b"", x=x)
                    case.heavy = n > 2 * most + 1
                    yield case
    d = conv2d_descriptor(2, (48, 48), 2, kernel=3, padding=1, stride=1, RULE=f.GAIN,
                          ROUNDING=f.PSR, UPDATE_SHIFT=15, SELECTION=f.LARGEST, TAU=60)
    case = learning.update("conv2d_update", "48 x 48 positions", rng, d, random_weights(rng, 36),
                           False, y=random_errors(rng, n_outputs(d)), a=b"",
                           x=random_activations(rng, n_inputs(d), True))
    case.heavy = True
    yield case


@functools.cache
def all_cases() -> list[Case]:
    """Every case, solved by the oracle; the hand-worked ones bring their own answers."""
    return worked_cases() + solved(generated_cases())


def generated_cases() -> Iterator[Case]:
    """All but the hand-worked, without the oracle's answers, which take half a minute."""
    return _generated(np.random.default_rng(SEED))


def _generated(rng) -> Iterator[Case]:
    for i in range(SHAPES):
        yield from _image_layer(rng, f"shape {i}", random_shape(rng))
        yield from _linear_layer(rng, f"shape {i}", random_linear(rng))
        yield from _image_layer(rng, f"rectangle {i}", layers.random_rectangle(rng))
    yield from _shifts(rng)
    yield from _pools(rng)
    yield from _global_pools(rng)
    yield from _additions(rng)
    yield from _losses(rng)
    yield from _effective(rng)
    yield from _orders(rng)
    yield from _large(rng)
    yield from _many_positions(rng)
    yield from _biases(rng)
