"""Random cases of layers: shapes, weights, activations and errors that tempt every kernel."""

from collections.abc import Iterator

import numpy as np
from priot.network import fields as f
from priot.oracle import buffers

from kernels.cases import SCRATCH, Case
from kernels.forms import KERNELS
from kernels.runner import letters

Operand = tuple[str, bytes]
RUBBISH = 0xAA  # what outputs hold before a call


def conv2d_descriptor(n_in=1, size=(5, 5), n_out=1, kernel=3, stride=1, padding=0, pool=1,
                      pool_stride=None, **values) -> np.ndarray:
    """int32 [N_FIELDS] with sizes that follow from the arguments; `values` are field names.

    As in a network, MASK_DX is 1 only where NONNEGATIVE is: behind a ReLU, but not at the image.
    """
    d = np.zeros(f.N_FIELDS, np.int32)
    d[f.N_IN], d[f.H_IN], d[f.W_IN], d[f.N_OUT] = n_in, *size, n_out
    d[[f.KERNEL_H, f.KERNEL_W]] = kernel
    d[[f.STRIDE_H, f.STRIDE_W]] = stride
    d[[f.PAD_TOP, f.PAD_BOTTOM, f.PAD_LEFT, f.PAD_RIGHT]] = padding
    d[[f.POOL_H, f.POOL_W]] = pool
    d[[f.POOL_STRIDE_H, f.POOL_STRIDE_W]] = pool_stride or pool
    for before, conv, after in ((f.H_IN, f.H_CONV, f.H_OUT), (f.W_IN, f.W_CONV, f.W_OUT)):
        d[conv] = (d[before] + 2 * padding - kernel) // stride + 1
        d[after] = (d[conv] - pool) // d[f.POOL_STRIDE_H] + 1
    d[f.GROUPS] = 1
    d[f.N_ROW] = n_in * kernel * kernel
    d[f.ROWS] = n_out
    d[f.MULTIPLIER] = (65536 + pool * pool // 2) // (pool * pool)
    d[f.ARGMAX_BITS] = 0 if pool == 1 else 2 if pool == 2 else 4 if pool <= 4 else 8
    d[f.FORWARD_SHIFT] = d[f.BACKWARD_SHIFT] = 7
    d[f.UPDATE_SHIFT] = 12
    d[f.THRESHOLD] = 64
    return changed(d, **{"NONNEGATIVE": values.get("MASK_DX", 0), **values})


def linear_descriptor(n_in: int, n_out: int, **values) -> np.ndarray:
    return conv2d_descriptor(n_in, (1, 1), n_out, kernel=1, **values)


def pool_descriptor(channels, size, pool, pool_stride=None, **values) -> np.ndarray:
    return conv2d_descriptor(channels, size, channels, kernel=1, pool=pool,
                             pool_stride=pool_stride, **values)


def global_pool_descriptor(channels, size, **values) -> np.ndarray:
    """Of a pool whose window is the image."""
    return conv2d_descriptor(channels, size, channels, kernel=1, **{
        "POOL_H": size[0], "POOL_W": size[1], "H_OUT": 1, "W_OUT": 1, **values})


def changed(d: np.ndarray, **values) -> np.ndarray:
    """A copy of d with other values in the named fields."""
    d = d.copy()
    for name, value in values.items():
        d[getattr(f, name)] = value
    return d


def buffer(values: np.ndarray | bytes) -> Operand:
    return "B", bytes(values) if isinstance(values, bytes) else values.tobytes()


def words(d: np.ndarray) -> Operand:
    return "i", d.astype(np.int32).tobytes()


def rubbish(n: int) -> Operand:
    return "B", bytes([RUBBISH]) * n


def n_inputs(d) -> int:
    return int(d[f.N_IN] * d[f.H_IN] * d[f.W_IN])


def n_outputs(d) -> int:
    return int(d[f.N_OUT] * d[f.H_OUT] * d[f.W_OUT])


def argmax_bytes(d) -> int:
    per_channel = int(d[f.H_OUT] * d[f.W_OUT] * d[f.ARGMAX_BITS] + 7) // 8
    return int(d[f.N_OUT]) * per_channel if d[f.POOL_H] > 1 else 0


def random_weights(rng, n: int) -> np.ndarray:
    """Offset bytes 1..255 of one of several characters."""
    kind = rng.integers(5)
    if kind == 0:
        return rng.choice(np.array([1, 255], np.uint8), n)
    if kind == 1:
        return np.full(n, rng.choice([1, 255]), np.uint8)
    if kind == 2:
        w = rng.integers(1, 256, n).astype(np.uint8)
        return np.where(rng.random(n) < 0.4, np.uint8(128), w)  # pruned
    if kind == 3:
        return np.clip(np.rint(rng.normal(128, 30, n)), 1, 255).astype(np.uint8)
    return rng.integers(1, 256, n).astype(np.uint8)


def random_activations(rng, n: int, nonnegative: bool) -> np.ndarray:
    """int8 0..127, or -127..127, with zeros; sometimes all at a limit."""
    kind = rng.integers(5)
    if kind == 0:
        return np.full(n, 127 if nonnegative else rng.choice([-127, 127]), np.int8)
    low = 0 if nonnegative else -127
    if kind == 1:
        return rng.choice(np.array([low, 0, 127], np.int8), n)
    x = rng.integers(low, 128, n)
    return np.where(rng.random(n) < 0.4, 0, x).astype(np.int8)


def random_errors(rng, n: int) -> np.ndarray:
    """int8 -127..127, from all 0 through sparse to all at a limit."""
    kind = rng.integers(6)
    if kind == 0:
        return np.full(n, rng.choice([-127, 127]), np.int8)
    share = (0.0, 0.05, 0.3, 1.0, 0.5)[kind - 1]
    return np.where(rng.random(n) < share, rng.integers(-127, 128, n), 0).astype(np.int8)


def random_argmax(rng, d) -> np.ndarray:
    """Packed winners, each within its window."""
    packed = np.zeros(argmax_bytes(d), np.uint8)
    if packed.size:
        winners = rng.integers(0, d[f.POOL_H] ** 2, (d[f.N_OUT], d[f.H_OUT], d[f.W_OUT]))
        buffers.pack_argmax(packed, winners, 0, d)
    return packed


def random_shape(rng) -> np.ndarray:
    """Descriptor of a conv2d stage with a few thousand products, of any kind."""
    while True:
        kernel = int(rng.choice([1, 2, 3, 3, 3, 4, 5, 7]))
        pool = int(rng.choice([1, 1, 2, 2, 2, 3, 4, 5]))
        d = conv2d_descriptor(
            n_in=int(rng.integers(1, 6)), size=tuple(int(v) for v in rng.integers(3, 13, 2)),
            n_out=int(rng.integers(1, 6)), kernel=kernel, stride=int(rng.choice([1, 1, 1, 2, 3])),
            padding=int(rng.integers(0, kernel)), pool=pool,
            pool_stride=int(rng.choice([pool, pool, 1, 2, 3])))
        if min(d[[f.H_CONV, f.W_CONV, f.H_OUT, f.W_OUT]]) >= 1 and (
                d[f.H_OUT] * d[f.W_OUT] * pool**2 * d[f.N_ROW] * d[f.N_OUT] < 15_000):
            return _random_ends(rng, d)


def random_linear(rng) -> np.ndarray:
    return _random_ends(rng, linear_descriptor(int(rng.integers(1, 70)), int(rng.integers(1, 20))))


def _random_ends(rng, d) -> np.ndarray:
    """What lies before and behind a layer: the image, a ReLU or none; shifts."""
    d[f.RELU], d[f.MASK_DX], is_image = rng.integers(0, 2, 3)
    d[f.NONNEGATIVE] = d[f.MASK_DX] | is_image
    d[f.FORWARD_SHIFT], d[f.BACKWARD_SHIFT] = rng.integers(4, 12, 2)
    return d


# ---- calls -----------------------------------------------------------------------------------


def call(kernel: str, what: str, d: np.ndarray, **given) -> Case:
    """A case of a layer's kernel. `given`: the operands that it reads, by their letters; outputs
    are full of rubbish."""
    sizes = {"Y": n_outputs(d), "A": argmax_bytes(d), "X": n_inputs(d),
             "R": int(d[f.ROWS] * d[f.N_ROW])}
    operands: list[Operand | int] = []
    for letter in letters(KERNELS[kernel].form):
        if letter in given:
            value = given.pop(letter)
            operands.append(value if isinstance(value, int | tuple) else buffer(value))
        else:
            operands.append(words(d) if letter == "d" else rubbish(sizes[letter])
                            if letter in sizes else SCRATCH)
    assert not given, f"{kernel} has no {', '.join(given)}"
    return Case(kernel, what, operands)


def in_rows(d, size: int) -> Iterator[tuple[np.ndarray, slice]]:
    """Descriptors of calls on `size` rows each, and the part of w that they take."""
    n_row = int(d[f.N_ROW])
    for row in range(0, int(d[f.N_OUT]), size):
        rows = min(size, int(d[f.N_OUT]) - row)
        yield changed(d, ROW=row, ROWS=rows), slice(row * n_row, (row + rows) * n_row)


def pool_cases(rng, what, d) -> Iterator[Case]:
    """Every pooling kernel on one shape."""
    x = random_activations(rng, n_inputs(d), bool(d[f.NONNEGATIVE]))
    g, argmax = random_errors(rng, n_outputs(d)), random_argmax(rng, d)
    if d[f.POOL_H] > 1:
        yield call("max_pool_forward", what, d, x=x)
        yield call("max_pool_backward", what, d, y=g, a=argmax, x=x)
    d = changed(d, ARGMAX_BITS=0)  # an average has no winners
    yield call("avg_pool_forward", what, d, x=x)
    yield call("avg_pool_backward", what, d, y=g, x=x)


def global_pool_cases(rng, what, d) -> Iterator[Case]:
    """Global pooling on one image."""
    x = random_activations(rng, n_inputs(d), bool(d[f.NONNEGATIVE]))
    yield call("global_pool_forward", what, d, x=x)
    yield call("global_pool_backward", what, d, y=random_errors(rng, n_outputs(d)), x=x)
