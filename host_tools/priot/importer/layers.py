"""Nodes that become stages: convolutions, linear layers, pools, sums.

Each function gives the value that the node's output is, and what became of the node. All raise
UnfitError with a reason and what to do.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from priot.backbone.float_stage import FloatStage, Padding
from priot.errors import mismatch
from priot.importer.builder import Builder
from priot.importer.constants import axes_of
from priot.importer.nodes import MAX_VALUES, Node
from priot.importer.values import Picture, UnfitError, Value, file_places

Pair = tuple[int, int]
Outcome = tuple[Value, str]
Array = np.ndarray


def finite(values: Array, what: str) -> Array:
    """Values as float64. Raises UnfitError for NaN and infinity."""
    if values.dtype.kind not in "fiu":
        raise UnfitError(mismatch(what, values.dtype, "numbers"))
    with np.errstate(all="ignore"):
        values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise UnfitError(mismatch(what, "NaN or infinity", "finite numbers"))
    return values


def conv(builder: Builder, node: Node, value: Value, weights: Array, bias: Array | None,
         ) -> Outcome:
    """Conv of ONNX, CONV_2D and DEPTHWISE_CONV_2D of TFLite, one dimension or two."""
    attributes, rank = node.attributes, value.places.ndim
    last = bool(attributes.get("channels_last"))
    w = finite(weights, "weights")
    if w.ndim != rank or not w.size or w.size > MAX_VALUES:
        raise UnfitError(mismatch("weights", f"of shape {w.shape}", f"of {rank} dimensions"))
    picture = builder.picture(value, last)
    channels = picture.shape[0]
    layout = attributes.get("weights", "OIHW")
    if layout == "1HWO":
        w, groups = w[0].transpose(2, 0, 1)[:, None], channels
    elif layout == "OHWI":
        w = w.transpose(0, 3, 1, 2)
        groups = channels // w.shape[1]
    else:
        groups = int(attributes.get("group", 1))
        sizes = attributes.get("kernel_shape")
        if sizes is not None and list(sizes) != list(w.shape[2:]):
            raise UnfitError(mismatch("kernel", list(sizes), f"{list(w.shape[2:])} as weights"))
        if w.ndim == 3:
            w = w[:, :, None]
    if groups < 1 or w.shape[1] * groups != channels or w.shape[0] % groups:
        raise UnfitError(mismatch(
            "weights", f"for {w.shape[1]} x {groups} channels", f"{channels} channels"))
    spread = _dilated(w, _pair(attributes.get("dilations", 1)))
    stride = _pair(attributes.get("strides", 1))
    padding = _padding(attributes, picture, (spread.shape[2], spread.shape[3]), stride)
    result, text = _convolve(builder, node, value, picture, spread, bias, stride, padding, groups,
                             rank, last)
    if spread is not w:
        text += f"; dilation written out: kernel {spread.shape[2]}x{spread.shape[3]}"
    return result, text


def _convolve(builder: Builder, node: Node, value: Value, picture: Picture, w: Array,
              bias: Array | None, stride: Pair, padding: Padding, groups: int, rank: int,
              channels_last: bool) -> Outcome:
    """A stage conv2d, or linear where one position is read and one is written."""
    b = None if bias is None else finite(bias, "bias").ravel()
    if b is not None and b.size != len(w):
        raise UnfitError(mismatch("bias", f"{b.size} values", len(w)))
    if picture.swapped:
        w, stride = w.transpose(0, 1, 3, 2), (stride[1], stride[0])
        padding = (padding[2], padding[3], padding[0], padding[1])
    found = builder.settle(value)
    if found is not None:
        scale, offset = builder.per_channel(value.stage, *found)
        per_row = np.repeat(scale.reshape(groups, -1), len(w) // groups, axis=0)
        added = np.repeat(offset.reshape(groups, -1), len(w) // groups, axis=0)
        if offset.any():
            if any(padding):
                raise UnfitError(f"pads what {value.pending} has shifted; put batch norm directly "
                                 "behind a convolution or linear layer")
            shift = (w * added[:, :, None, None]).sum(axis=(1, 2, 3))
            b = shift if b is None else b + shift
        w = w * per_row[:, :, None, None]
    shape_in = builder.shape_of(value.stage)
    single = shape_in[1:] == (1, 1) and w.shape[2:] == (1, 1) and groups == 1 and not any(padding)
    if single:
        stage = FloatStage("linear", len(w), value.stage, weights=w[:, :, 0, 0], bias=b,
                           source=[node.name])
    else:
        stage = FloatStage("conv2d", len(w), value.stage, kernel=(w.shape[2], w.shape[3]),
                           stride=stride, padding=padding, groups=groups, weights=w, bias=b,
                           source=[node.name])
    shape = builder.fits(stage, shape_in)
    result = builder.add(stage, file_places(shape, rank, channels_last, picture.swapped))
    return result, f"stage {result.stage}: {stage.kind}"


def _dilated(w: Array, dilation: Pair) -> Array:
    if dilation == (1, 1):
        return w
    height, width = ((k - 1) * d + 1 for k, d in zip(w.shape[2:], dilation, strict=True))
    if w.shape[0] * w.shape[1] * height * width > MAX_VALUES:
        raise UnfitError(f"dilation: found {dilation}, too large")
    spread = np.zeros((*w.shape[:2], height, width))
    spread[:, :, :: dilation[0], :: dilation[1]] = w
    return spread


def _pair(values: int | Sequence[int]) -> Pair:
    """Down and across of an attribute, which has one number for a sequence."""
    numbers = [int(v) for v in np.ravel(values)]
    pair = (1, numbers[0]) if len(numbers) == 1 else tuple(numbers)
    if len(pair) != 2 or min(pair) < 1:
        raise UnfitError(mismatch("strides or dilations", numbers, "one or two above 0"))
    return pair[0], pair[1]


def _padding(attributes: dict, picture: Picture, kernel: Pair, stride: Pair) -> Padding:
    """Padding of a node and of a Pad before it: top, bottom, left, right."""
    mode = attributes.get("auto_pad", "NOTSET")
    before = picture.padding
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        found = []
        for size, around, k, s in zip(
                picture.shape[1:], (before[0] + before[1], before[2] + before[3]), kernel, stride,
                strict=True):
            size += around
            total = max((-(-size // s) - 1) * s + k - size, 0)
            found.append(((total + (mode == "SAME_LOWER")) // 2,
                          (total + (mode == "SAME_UPPER")) // 2))
        (top, bottom), (left, right) = found
    elif mode in ("NOTSET", "VALID", ""):
        given = () if mode == "VALID" else attributes.get("pads", ())
        pads = [int(p) for p in given] or [0] * 4
        if len(pads) == 2:
            pads = [0, pads[0], 0, pads[1]]
        if len(pads) != 4 or min(pads) < 0 or max(pads) > 4096:
            raise UnfitError(mismatch("padding", pads, "two or four numbers, not negative"))
        top, left, bottom, right = pads
    else:
        raise UnfitError(mismatch("padding", mode, "SAME or VALID"))
    return before[0] + top, before[1] + bottom, before[2] + left, before[3] + right


def linear(builder: Builder, node: Node, value: Value, weights: Array, bias: Array | None,
           ) -> Outcome:
    """Gemm, MatMul and FULLY_CONNECTED; weights [n_out][n_in] in the file's order of inputs."""
    w, places = finite(weights, "weights"), value.places
    if w.ndim != 2 or not w.size or w.size > MAX_VALUES:
        raise UnfitError(mismatch("weights", f"of shape {w.shape}", "rows and columns"))
    if node.op == "MatMul" and np.prod(places.shape[:-1]) > 1:
        picture = builder.picture(value, True)  # at every position: a convolution of 1 x 1
        if w.shape[1] != picture.shape[0]:
            raise UnfitError(mismatch("weights", f"for {w.shape[1]} inputs", picture.shape[0]))
        return _convolve(builder, node, value, picture, w[:, :, None, None], bias, (1, 1),
                         picture.padding, 1, places.ndim, True)
    if places.size != w.shape[1]:
        raise UnfitError(mismatch("weights", f"for {w.shape[1]} inputs", places.size))
    b = None if bias is None else finite(bias, "bias").ravel()
    if b is not None and b.size == 1:
        b = np.repeat(b, len(w))
    if b is not None and b.size != len(w):
        raise UnfitError(mismatch("bias", f"{b.size} values", len(w)))
    row = builder.places(value, places).ravel()
    live = row >= 0
    size = builder.size_of(value.stage)
    found = builder.settle(value)
    wide = np.zeros((len(w), size))
    wide[:, row[live]] = w[:, live]
    if found is not None:
        scale, offset = found
        shift = wide @ offset
        if shift.any():
            b = shift if b is None else b + shift
        wide = wide * scale
    stage = FloatStage("linear", len(w), value.stage, weights=wide, bias=b, source=[node.name])
    kept = node.op == "MatMul" or node.attributes.get("keep_dims")
    shape = (*places.shape[:-1], len(w)) if kept else (1, len(w))
    result = builder.add(stage, np.arange(len(w), dtype=np.int32).reshape(shape))
    turned = not np.array_equal(row, np.arange(size))
    return result, f"stage {result.stage}: linear" + ("; inputs permuted" if turned else "")


def pool(builder: Builder, node: Node, value: Value) -> Outcome:
    """MaxPool, AveragePool and their global kinds."""
    attributes, last = node.attributes, bool(node.attributes.get("channels_last"))
    picture = builder.picture(value, last)
    size: Pair = picture.shape[1:]
    average = node.op in ("AveragePool", "GlobalAveragePool")
    window, stride = size, (1, 1)
    if any(picture.padding):
        raise UnfitError("a pool of a padded value; leave the padding out")
    if not node.op.startswith("Global"):
        if attributes.get("kernel_shape") is None:
            raise UnfitError("without a size of the window")
        window, stride = _pair(attributes["kernel_shape"]), _pair(attributes.get("strides", 1))
        _check_window(attributes, picture, window, stride)
    text = "dropped: a window of one place"
    if window == (1, 1) and (stride == (1, 1) or size == (1, 1)):
        return value, text
    if window == size:
        stride = (1, 1)
    if window == (1, 1):
        raise UnfitError("a window of 1x1 with strides; give the strides to the layer before")
    rank = value.places.ndim
    if picture.swapped:
        window, stride = (window[1], window[0]), (stride[1], stride[0])
    shape_in = builder.shape_of(value.stage)
    kind = "max_pool" if not average else "global_pool" if window == shape_in[1:] else "avg_pool"
    stage = FloatStage(kind, shape_in[0], value.stage, window=window, window_stride=stride,
                       source=[node.name])
    shape = builder.fits(stage, shape_in)
    places = file_places(shape, rank, last, picture.swapped)
    if average:
        scale, offset = builder.carried(value, shape[1] * shape[2])
    else:
        scale, offset = _through_maximum(builder, value, shape[1] * shape[2])
        below = builder.stages[value.stage] if value.stage >= 0 else None
        if below is not None and below.kind == "conv2d" and below.window == (1, 1) and value.alone:
            below.window, below.window_stride = window, stride
            below.source.append(node.name)
            builder.outputs[value.stage] = shape
            return (replace(value, places=places, scale=scale, offset=offset),
                    f"joined to stage {value.stage}")
    result = builder.add(stage, places)
    return (replace(result, scale=scale, offset=offset, pending=value.pending),
            f"stage {result.stage}: {kind}")


def _through_maximum(builder: Builder, value: Value, size: int,
                     ) -> tuple[Array | None, Array | None]:
    scale, offset = builder.carried(value, size)
    if scale is not None and (scale <= 0).any():
        raise UnfitError(f"the maximum of what {value.pending} turns round; "
                         "put batch norm behind the pool")
    return scale, offset


def _check_window(attributes: dict, picture: Picture, window: Pair, stride: Pair) -> None:
    size: Pair = picture.shape[1:]
    if window[0] > size[0] or window[1] > size[1]:
        raise UnfitError(mismatch("window", f"{window[0]}x{window[1]}",
                                  f"within {size[0]}x{size[1]}"))
    if any(int(d) != 1 for d in np.ravel(attributes.get("dilations", 1))):
        raise UnfitError("a window with dilation; use one without")
    pads = _padding(attributes, picture, window, stride)
    if any(pads):
        raise UnfitError(f"pads by {pads[0]}, {pads[1]}, {pads[2]}, {pads[3]} (top, bottom, left, "
                         "right); pools have no padding here: choose sizes that need none, or a "
                         "convolution with strides")
    if attributes.get("ceil_mode", 0) and any(
            (n - k) % s for n, k, s in zip(size, window, stride, strict=True)):
        raise UnfitError("rounds its size up; export with ceil_mode=False")


def reduce(builder: Builder, node: Node, value: Value, axes: Array | None) -> Outcome:
    """ReduceMean and ReduceMax over all positions of each channel."""
    rank = value.places.ndim
    some = list(range(rank)) if axes is None or not np.size(axes) else axes_of(axes, rank)
    shape_in = builder.shape_of(value.stage)
    places = builder.places(value, value.places)
    rows = np.moveaxis(places, some, range(rank - len(some), rank))
    kept_shape = rows.shape[: rank - len(some)]
    rows = np.sort(rows.reshape(int(np.prod(kept_shape)), -1), axis=1)
    area = shape_in[1] * shape_in[2]
    if rows.shape[1] != area or (rows - rows[:, :1] != np.arange(area)).any() or (
            rows[:, 0] % area).any() or len(rows) != shape_in[0]:
        raise UnfitError(f"reduces axes {some}; only all positions of a channel (height and "
                         "width) can be reduced")
    result = (rows[:, 0] // area).astype(np.int32).reshape(kept_shape)
    if node.attributes.get("keepdims", 1):
        for axis in some:
            result = np.expand_dims(result, axis)
    if area == 1:
        return replace(value, places=value.places.reshape(result.shape)), (
            "dropped: one position")
    mean = node.op == "ReduceMean"
    kind = "global_pool" if mean else "max_pool"
    scale, offset = (builder.carried if mean else lambda v, n: _through_maximum(builder, v, n))(
        value, 1)
    stage = FloatStage(kind, shape_in[0], value.stage, window=shape_in[1:], source=[node.name])
    made = builder.add(stage, result)
    return (replace(made, scale=scale, offset=offset, pending=value.pending),
            f"stage {made.stage}: {kind}")


def add(builder: Builder, node: Node, a: Value, b: Value) -> Outcome:
    """The sum of two values that lie alike."""
    for value in (a, b):
        builder.refuse_pending(value, "a sum of two layers")
    places = [builder.places(value, value.places) for value in (a, b)]
    shapes = [builder.shape_of(value.stage) for value in (a, b)]
    if shapes[0] != shapes[1] or places[0].shape != places[1].shape or (
            places[0] != places[1]).any() or (places[0] < 0).any() or (
            places[0].size != builder.size_of(a.stage)):
        sizes = ["x".join(map(str, shape)) for shape in shapes]
        raise UnfitError(f"adds {sizes[0]} and {sizes[1]} (channels, height, width); "
                         "both must be of one size and order")
    stage = FloatStage("add", shapes[0][0], a.stage, b.stage, source=[node.name])
    result = builder.add(stage, places[0])
    return result, f"stage {result.stage}: add of stages {a.stage} and {b.stage}"
