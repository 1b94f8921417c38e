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
                      pool_stride=None, groups=1, **values) -> np.ndarray:
    """int32 [N_FIELDS] with sizes that follow from the arguments; `values` are field names.

    kernel, stride, pool, pool_stride: of both sides, or (height, width); padding: of all four, or
    (top, bottom, left, right). As in a network, MASK_DX is set only where NONNEGATIVE is: behind
    a ReLU, but not at the image.
    """
    d = np.zeros(f.N_FIELDS, np.int32)
    d[f.N_IN], d[f.H_IN], d[f.W_IN], d[f.N_OUT] = n_in, *size, n_out
    d[[f.KERNEL_H, f.KERNEL_W]] = kernel
    d[[f.STRIDE_H, f.STRIDE_W]] = stride
    d[[f.PAD_TOP, f.PAD_BOTTOM, f.PAD_LEFT, f.PAD_RIGHT]] = padding
    d[[f.POOL_H, f.POOL_W]] = pool
    d[[f.POOL_STRIDE_H, f.POOL_STRIDE_W]] = pool_stride or pool
    for i in range(2):
        padded = d[f.H_IN + i] + d[f.PAD_TOP + 2 * i] + d[f.PAD_BOTTOM + 2 * i]
        d[f.H_CONV + i] = (padded - d[f.KERNEL_H + i]) // d[f.STRIDE_H + i] + 1
        d[f.H_OUT + i] = (d[f.H_CONV + i] - d[f.POOL_H + i]) // d[f.POOL_STRIDE_H + i] + 1
    d[f.GROUPS], d[f.GROUP_IN], d[f.GROUP_OUT] = groups, n_in // groups, n_out // groups
    d[f.N_ROW] = d[f.GROUP_IN] * d[f.KERNEL_H] * d[f.KERNEL_W]
    d[f.ROWS] = n_out
    area = int(d[f.POOL_H] * d[f.POOL_W])
    d[f.MULTIPLIER] = (65536 + area // 2) // area
    d[f.ARGMAX_BITS] = 0 if area == 1 else 2 if area <= 4 else 4 if area <= 16 else 8
    d[f.HIGH] = 127
    d[f.FORWARD_SHIFT] = d[f.BACKWARD_SHIFT] = 7
    d[f.UPDATE_SHIFT] = 12
    d[f.THRESHOLD] = 64
    return changed(d, **{"NONNEGATIVE": int(values.get("MASK_DX", 0) > 0), **values})


def linear_descriptor(n_in: int, n_out: int, **values) -> np.ndarray:
    return conv2d_descriptor(n_in, (1, 1), n_out, kernel=1, **values)


def pool_descriptor(channels, size, pool, pool_stride=None, **values) -> np.ndarray:
    return conv2d_descriptor(channels, size, channels, kernel=1, pool=pool,
                             pool_stride=pool_stride, **values)


def global_pool_descriptor(channels, size, **values) -> np.ndarray:
    """Of a pool whose window is the image."""
    return conv2d_descriptor(channels, size, channels, kernel=1, **{
        "POOL_H": size[0], "POOL_W": size[1], "H_OUT": 1, "W_OUT": 1, **values})


def add_descriptor(channels, size, **values) -> np.ndarray:
    """Of the sum of two tensors."""
    return conv2d_descriptor(channels, size, channels, kernel=1, **values)


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
    return int(d[f.N_OUT]) * per_channel


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
        winners = rng.integers(0, d[f.POOL_H] * d[f.POOL_W], (d[f.N_OUT], d[f.H_OUT], d[f.W_OUT]))
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
    d = _random_ends(rng, linear_descriptor(int(rng.integers(1, 70)), int(rng.integers(1, 20))))
    if rng.random() < 0.5:
        return d
    return random_clamps(rng, changed(d, BIAS=rng.integers(2)))


def random_rectangle(rng) -> np.ndarray:
    """Descriptor of a conv2d stage whose sides differ, in groups, with a bias, as it may come."""
    while True:
        kernel = [int(k) for k in rng.choice([1, 1, 2, 3, 3, 4, 5, 10], 2)]
        pool = [int(p) for p in rng.choice([1, 1, 1, 2, 3], 2)]
        groups = int(rng.choice([1, 1, 2, 3]))
        d = conv2d_descriptor(
            n_in=groups * int(rng.integers(1, 4)),
            size=tuple(int(v) for v in rng.integers(2, 14, 2)),
            n_out=groups * int(rng.integers(1, 4)), kernel=kernel, groups=groups,
            stride=[int(s) for s in rng.choice([1, 1, 2, 3], 2)],
            padding=[int(rng.integers(0, kernel[i // 2])) for i in range(4)], pool=pool,
            pool_stride=[int(rng.choice([p, p, 1, 2])) for p in pool],
            BIAS=int(rng.integers(2)))
        if min(d[[f.H_CONV, f.W_CONV, f.H_OUT, f.W_OUT]]) >= 1 and (
                d[f.H_OUT] * d[f.W_OUT] * pool[0] * pool[1] * d[f.N_ROW] * d[f.N_OUT] < 12_000):
            return random_clamps(rng, _random_ends(rng, d))


def random_clamps(rng, d) -> np.ndarray:
    """ReLU6 before and behind a layer, a gradient that another stage has left; little scratch."""
    d[f.LOW_MEMORY] = rng.integers(2)
    if rng.random() < 0.5:
        d[f.HIGH] = rng.integers(1, 128)
    if d[f.MASK_DX] and rng.random() < 0.5:
        d[f.MASK_DX] = rng.integers(1, 129)
    d[f.ADD_DX] = rng.choice([0, 0, 64, 65, 70, 76, 63, 60, 49])
    return d


def _random_ends(rng, d) -> np.ndarray:
    """What lies before and behind a layer: the image, a ReLU or none; shifts."""
    d[f.RELU], has_relu, is_image = rng.integers(0, 2, 3)
    d[f.MASK_DX] = 128 * has_relu
    d[f.NONNEGATIVE] = has_relu | is_image
    d[f.FORWARD_SHIFT], d[f.BACKWARD_SHIFT] = rng.integers(4, 12, 2)
    return d


def random_biases(rng, d) -> bytes:
    """int32 [n_out] where the layer has them; some as large as sums allow."""
    if not d[f.BIAS]:
        return b""
    most = 2**31 - 1 - 127 * 127 * int(d[f.N_ROW])
    size = rng.choice([1 << 8, 1 << 12, 1 << 16, most])
    return rng.integers(-size, size, int(d[f.N_OUT]), endpoint=True).astype(np.int32).tobytes()


# ---- calls -----------------------------------------------------------------------------------


def call(kernel: str, what: str, d: np.ndarray, **given) -> Case:
    """A case of a layer's kernel. `given`: the operands that it reads, by their letters; outputs
    are full of rubbish."""
    sizes = {"Y": n_outputs(d), "A": argmax_bytes(d), "X": n_inputs(d), "Z": n_inputs(d),
             "R": int(d[f.ROWS] * d[f.N_ROW])}
    given.setdefault("c", b"")
    operands: list[Operand | int] = []
    for letter in letters(KERNELS[kernel].form):
        if letter == "C":
            operands.append(("i", given.pop(letter)))
        elif letter == "c":
            operands.append(("i", given["c"]))
        elif letter in given:
            value = given.pop(letter)
            operands.append(value if isinstance(value, int | tuple) else buffer(value))
        else:
            operands.append(words(d) if letter == "d" else rubbish(sizes[letter])
                            if letter in sizes else SCRATCH)
    del given["c"]
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
    if d[f.ARGMAX_BITS]:
        yield call("max_pool_forward", what, d, x=x)
        yield call("max_pool_backward", what, d, y=g, a=argmax, x=x,
                   X=random_errors(rng, n_inputs(d)))
    d = changed(d, ARGMAX_BITS=0)  # an average has no winners
    yield call("avg_pool_forward", what, d, x=x)
    yield call("avg_pool_backward", what, d, y=g, x=x, X=random_errors(rng, n_inputs(d)))


def global_pool_cases(rng, what, d) -> Iterator[Case]:
    """Global pooling on one image."""
    x = random_activations(rng, n_inputs(d), bool(d[f.NONNEGATIVE]))
    yield call("global_pool_forward", what, d, x=x)
    yield call("global_pool_backward", what, d, y=random_errors(rng, n_outputs(d)), x=x,
               X=random_errors(rng, n_inputs(d)))


def add_cases(rng, what, d) -> Iterator[Case]:
    """The sum of two tensors, and its gradient to both or to one of them."""
    x, z = (random_activations(rng, n_inputs(d), bool(rng.integers(2))) for _ in range(2))
    g = random_errors(rng, n_outputs(d))
    yield call("add_forward", what, d, x=x, z=z)
    before = {letter: random_errors(rng, n_inputs(d)) for letter in "XZ"}
    for unwanted in ("", "X", "Z"):
        wanted = {**before, unwanted: b""} if unwanted else before
        yield call("add_backward", f"{what} without {unwanted}", d, y=g, x=x, z=z, **wanted)
