"""Operations on constants: exporters spell out shapes and scales as nodes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from priot.importer.nodes import MAX_VALUES, Node

Arrays = list[np.ndarray | None]


def argument(node: Node, inputs: Arrays, place: int, name: str, default: Any = None) -> Any:
    """What newer files hold as input `place` and older ones as attribute `name`."""
    if place < len(inputs) and inputs[place] is not None:
        return inputs[place]
    return node.attributes.get(name, default)


def axes_of(value: Any, rank: int) -> list[int]:
    """Axes as a sorted list of numbers from 0. Raises ValueError."""
    axes = sorted({int(axis) + rank * (int(axis) < 0) for axis in np.ravel(value)})
    if any(not 0 <= axis < rank for axis in axes):
        raise ValueError(f"axes: found {axes}, expected below {rank}")
    return axes


def moved(node: Node, x: np.ndarray, inputs: Arrays) -> np.ndarray | None:
    """x after an operation that only arranges values anew; None for another operation."""
    op = node.op
    if op == "Reshape":
        return _reshape(x, argument(node, inputs, 1, "shape"), node.attributes.get("allowzero", 0))
    if op == "Flatten":
        axis = int(node.attributes.get("axis", 1))
        axis += x.ndim * (axis < 0)
        return x.reshape(int(np.prod(x.shape[:axis])), -1)
    if op == "Transpose":
        perm = argument(node, inputs, 1, "perm")
        return x.transpose() if perm is None else x.transpose([int(p) for p in perm])
    if op == "Squeeze":
        axes = argument(node, inputs, 1, "axes")
        some = None if axes is None or not np.size(axes) else axes_of(axes, x.ndim)
        return x.squeeze() if some is None else x.squeeze(tuple(some))
    if op == "Unsqueeze":
        axes = np.ravel(argument(node, inputs, 1, "axes", ()))
        for axis in axes_of(axes, x.ndim + len(axes)):
            x = np.expand_dims(x, axis)
        return x
    return None


def _reshape(x: np.ndarray, shape: Any, allow_zero: int) -> np.ndarray:
    if shape is None:
        raise ValueError("shape: not a constant")
    sizes = [int(size) for size in np.ravel(shape)]
    if not allow_zero:
        sizes = [x.shape[i] if not size else size for i, size in enumerate(sizes)]
    if sizes and sizes[0] > 1 and x.shape[:1] == (1,) and -1 not in sizes and (
            np.prod(sizes) == x.size * sizes[0]):
        sizes[0] = 1  # the batch that the file was exported with
    return x.reshape(sizes)


def dequantise(q: np.ndarray, scale: np.ndarray, zero: np.ndarray | None, axis: int = 1,
               ) -> np.ndarray:
    """float32 of integers, with one scale and zero point or one for each place of an axis."""
    shape = [1] * q.ndim
    if scale.size > 1:
        shape[axis] = -1
    origin = 0 if zero is None else zero.astype(np.float64).reshape(shape if zero.size > 1 else ())
    with np.errstate(all="ignore"):  # what is not finite is refused where it becomes a weight
        return ((q.astype(np.float64) - origin) * scale.astype(np.float64).reshape(
            shape if scale.size > 1 else ())).astype(np.float32)


def _cast(node: Node, x: np.ndarray) -> np.ndarray:
    kind = node.attributes.get("dtype", np.dtype(np.float32))
    return x.astype(kind)


def _slice(node: Node, inputs: Arrays) -> np.ndarray:
    x = _one(inputs)
    starts, ends = (np.ravel(argument(node, inputs, i, name)) for i, name in (
        (1, "starts"), (2, "ends")))
    axes = np.ravel(argument(node, inputs, 3, "axes", range(len(starts))))
    steps = np.ravel(argument(node, inputs, 4, "steps", [1] * len(starts)))
    places: list[slice] = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places[int(axis)] = slice(int(start), int(end), int(step))
    return x[tuple(places)]


def _strided_slice(node: Node, inputs: Arrays) -> np.ndarray:
    """TFLite's; masks tell which limits are left out and which axes vanish."""
    x = _one(inputs)
    begins, ends, steps = (np.ravel(_at(inputs, i)) for i in (1, 2, 3))
    masks = node.attributes["masks"]
    places: list[slice | int] = []
    for i, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        bit = 1 << i
        if masks["shrink"] & bit:
            places.append(int(begin))
        else:
            places.append(slice(None if masks["begin"] & bit else int(begin),
                                None if masks["end"] & bit else int(end), int(step)))
    return x[tuple(places)]


def _at(inputs: Arrays, place: int) -> np.ndarray:
    x = inputs[place] if place < len(inputs) else None
    if x is None:
        raise ValueError(f"input {place}: missing")
    return x


def _one(inputs: Arrays) -> np.ndarray:
    return _at(inputs, 0)


def _binary(function: Callable[..., np.ndarray]) -> Callable[[Node, Arrays], np.ndarray]:
    return lambda node, inputs: function(_at(inputs, 0), _at(inputs, 1))


def _unary(function: Callable[..., np.ndarray]) -> Callable[[Node, Arrays], np.ndarray]:
    return lambda node, inputs: function(_one(inputs))


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a // b if a.dtype.kind in "iu" and b.dtype.kind in "iu" else a / b


def _filled(node: Node, inputs: Arrays) -> np.ndarray:
    shape = [int(size) for size in np.ravel(_one(inputs))]
    if min(shape, default=1) < 0 or np.prod(shape, dtype=float) > MAX_VALUES:
        raise ValueError(f"shape: found {shape}, expected at most {MAX_VALUES} values")
    value = np.ravel(node.attributes.get("value", np.zeros(1, np.float32)))
    return np.full(shape, value[0])


def _range(node: Node, inputs: Arrays) -> np.ndarray:
    start, stop, step = (np.ravel(_at(inputs, i))[0] for i in range(3))
    if not step or abs((float(stop) - float(start)) / float(step)) > MAX_VALUES:
        raise ValueError(f"range: found {start}, {stop}, {step}")
    return np.arange(start, stop, step)


_FUNCTIONS: dict[str, Callable[[Node, Arrays], np.ndarray]] = {
    "Identity": _unary(np.asarray), "Dropout": _unary(np.asarray),
    "Cast": lambda node, inputs: _cast(node, _one(inputs)),
    "Add": _binary(np.add), "Sub": _binary(np.subtract), "Mul": _binary(np.multiply),
    "Div": _binary(_divide), "Pow": _binary(np.power), "Min": _binary(np.minimum),
    "Max": _binary(np.maximum), "MatMul": _binary(np.matmul),
    "Sqrt": _unary(np.sqrt), "Neg": _unary(np.negative), "Abs": _unary(np.abs),
    "Reciprocal": _unary(np.reciprocal), "Exp": _unary(np.exp),
    "Floor": _unary(np.floor), "Ceil": _unary(np.ceil), "Rsqrt": _unary(lambda x: 1 / np.sqrt(x)),
    "Shape": lambda node, inputs: np.array(_one(inputs).shape, np.int64),
    "Size": lambda node, inputs: np.array(_one(inputs).size, np.int64),
    "Gather": lambda node, inputs: np.take(
        _one(inputs), _at(inputs, 1).astype(np.int64), int(node.attributes.get("axis", 0))),
    "Concat": lambda node, inputs: np.concatenate(
        [_at(inputs, i) for i in range(len(inputs))], int(node.attributes.get("axis", 0))),
    "Pack": lambda node, inputs: np.stack(
        [_at(inputs, i) for i in range(len(inputs))], int(node.attributes.get("axis", 0))),
    "Slice": _slice, "StridedSlice": _strided_slice, "ConstantOfShape": _filled, "Range": _range,
    "DequantizeLinear": lambda node, inputs: dequantise(
        _one(inputs), _at(inputs, 1), inputs[2] if len(inputs) > 2 else None,
        int(node.attributes.get("axis", 1))),
}


def computes(op: str) -> bool:
    """Whether an operation can be carried out on constants."""
    return op in _FUNCTIONS or op in ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze")


def evaluate(node: Node, inputs: Arrays) -> np.ndarray:
    """The output of a node all of whose inputs are constants. Raises ValueError."""
    values = [x.size for x in inputs if x is not None]
    if sum(values) > 8 * MAX_VALUES or (len(values) > 1 and np.prod(
            np.maximum(values, 1), dtype=float) > 1e9 and node.op in ("MatMul", "Gather")):
        raise ValueError("constants: too large")
    with np.errstate(all="ignore"):
        if node.op in _FUNCTIONS:
            if node.op in ("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max"):
                shape = np.broadcast_shapes(*(x.shape for x in inputs if x is not None))
                if np.prod(shape, dtype=float) > MAX_VALUES:
                    raise ValueError("constants: too large")
            return np.asarray(_FUNCTIONS[node.op](node, inputs))
        result = moved(node, _one(inputs), inputs)
    assert result is not None
    return result
