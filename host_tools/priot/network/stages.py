"""Compiles layers to stages: each a call of a kernel, with all that joins it."""

from collections.abc import Sequence

from priot.errors import mismatch
from priot.network import fields as f
from priot.network.layer import KINDS, Layer
from priot.network.link import check_image, link, link_stage
from priot.network.stage import IMAGE, Shape, Stage, global_exponent

_NUMBERS = {name: kind for kind, name in f.KIND_NAMES.items()}


def compile_layers(layers: Sequence[Layer], shape: Shape, classes: int) -> list[Stage]:
    """Stages of a sequence of layers on an input of (channels, height, width).

    A ReLU joins the stage before it, a max-pool a conv2d that has none, flatten is no operation.
    Raises ValueError, "layer i (kind): field: found .., expected ..", where a value is outside
    its range or a sum could leave int32.
    """
    check_image(shape)
    stages: list[Stage] = []
    wheres: list[str] = []
    ended = True  # nothing can join the last stage
    flat = False  # what follows must be linear
    for index, layer in enumerate(layers):
        where = f"layer {index} ({layer.kind})"
        _check_layer(layer, where)
        if layer.kind == "flatten":
            ended = flat = True
        elif layer.kind == "relu":
            if ended or stages[-1].relu:
                raise ValueError(f"{where}: must follow a conv2d, linear or pool layer")
            stages[-1].relu = True
        elif (layer.kind == "max_pool" and not ended and stages[-1].kind == f.CONV2D
              and stages[-1].window == (1, 1)):
            stages[-1].window = (layer.kernel, layer.kernel)
            stages[-1].window_stride = (layer.stride, layer.stride)
            link_stage(stages, len(stages) - 1, shape, where)
        else:
            below = stages[-1].shape_out if stages else shape
            stages.append(_new_stage(layer, below, len(stages) - 1, flat, where))
            wheres.append(where)
            link_stage(stages, len(stages) - 1, shape, where)
            ended = flat = False
    for i, where in enumerate(wheres):
        link_stage(stages, i, shape, where)
    link(stages, shape, classes)
    return stages


def _new_stage(layer: Layer, below: Shape, a: int, flat: bool, where: str) -> Stage:
    """A stage of a layer that begins one, on an input of the shape `below`."""
    if layer.kind == "linear":
        if below[1:] != (1, 1) and not flat:
            raise ValueError(f"{where}: needs flatten before it, its input is {below}")
        return Stage(f.LINEAR, layer.n_out, a=a)
    if flat and below[1:] != (1, 1):
        raise ValueError(f"{where}: must not follow flatten")
    if layer.kind == "global_pool":
        return Stage(f.GLOBAL_POOL, below[0], window=below[1:], a=a,
                     weight_exponent=global_exponent(below[1:]))
    size, stride = (layer.kernel, layer.kernel), (layer.stride, layer.stride)
    if layer.kind == "conv2d":
        p = layer.padding
        return Stage(f.CONV2D, layer.n_out, kernel=size, stride=stride, padding=(p, p, p, p), a=a)
    return Stage(_NUMBERS[layer.kind], below[0], window=size, window_stride=stride, a=a)


def _check_layer(layer: Layer, where: str) -> None:
    """Raise ValueError for a field that the kind of layer has not."""
    if layer.kind not in KINDS:
        raise ValueError(f"{where}: " + mismatch("kind", layer.kind, ", ".join(KINDS)))
    conv, pool = layer.kind == "conv2d", layer.kind in ("max_pool", "avg_pool")
    for name, value, has in (("kernel", layer.kernel, conv or pool),
                             ("stride", layer.stride, conv or pool),
                             ("padding", layer.padding, conv),
                             ("n_out", layer.n_out, layer.has_weights)):
        if value and not has:
            raise ValueError(f"{where}: " + mismatch(name, value, 0))


def layers_of(stages: Sequence[Stage], shape: Shape) -> list[Layer]:
    """Layers that compile to these stages on an input of a shape: for people to read."""
    layers: list[Layer] = []
    for stage in stages:
        below = shape if stage.a == IMAGE else stages[stage.a].shape_out
        if stage.kind == f.LINEAR:
            if below[1:] != (1, 1):
                layers.append(Layer("flatten"))
            layers.append(Layer("linear", n_out=stage.n_out))
        elif stage.kind == f.CONV2D:
            layers.append(Layer("conv2d", stage.kernel[0], stage.stride[0], stage.padding[0],
                                stage.n_out))
        if stage.relu and stage.has_weights:
            layers.append(Layer("relu"))
        if stage.kind == f.GLOBAL_POOL:
            layers.append(Layer("global_pool"))
        elif stage.window != (1, 1):
            name = "max_pool" if stage.kind == f.CONV2D else stage.name
            layers.append(Layer(name, stage.window[0], stage.window_stride[0]))
        if stage.relu and not stage.has_weights:
            layers.append(Layer("relu"))
    return layers
