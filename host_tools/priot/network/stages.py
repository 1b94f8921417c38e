"""Compiles layers to stages: each a call of a kernel, with all that joins it."""

from collections.abc import Sequence

import numpy as np

from priot.errors import mismatch
from priot.network import fields as f
from priot.network.layer import KINDS, Layer
from priot.network.link import check_image, link, link_stage
from priot.network.spec import INPUT_NAME
from priot.network.stage import IMAGE, Shape, Stage, global_exponent

_NUMBERS = {name: kind for kind, name in f.KIND_NAMES.items()}
_RELU6 = 96  # until it is calibrated: 6 at an exponent of -4
_WEIGHTED = ("conv2d", "depthwise", "linear")
_POOLS = ("max_pool", "avg_pool")


class _Compiler:
    """Stages so far, and the tensor that the next layer reads."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.stages: list[Stage] = []
        self.wheres: list[str] = []
        self.names = {INPUT_NAME: IMAGE}
        self.current = IMAGE
        self.normalised: set[int] = set()  # stages with a batch norm
        self.ended = True  # nothing can join the stage of the current tensor
        self.flat = False  # what follows must be linear

    def add(self, layer: Layer, where: str) -> None:
        """Compile one layer more. Raises ValueError."""
        if layer.kind == "from":
            self.current = self._tensor(layer.source, where)
            self.ended, self.flat = True, False
        elif layer.kind == "flatten":
            self.ended = self.flat = True
        elif layer.kind in ("relu", "relu6"):
            if self.ended or self.stages[-1].relu:
                raise ValueError(f"{where}: must follow a conv2d, linear, add or pool layer")
            self.stages[-1].relu = True
            if layer.kind == "relu6":
                self.stages[-1].largest = _RELU6
        elif layer.kind == "batch_norm":
            stage = self.stages[-1] if self.stages else None
            if self.ended or stage is None or not stage.has_weights or stage.relu or (
                    stage.window != (1, 1)):
                raise ValueError(f"{where}: must follow a conv2d or linear layer at once")
            if self.current in self.normalised:
                raise ValueError(f"{where}: follows another batch_norm, which does the same")
            self.normalised.add(self.current)
            stage.bias = np.zeros(stage.n_out, np.int32)
        elif layer.kind == "max_pool" and self._can_pool():
            self.stages[-1].window, self.stages[-1].window_stride = layer.kernel, layer.stride
            link_stage(self.stages, len(self.stages) - 1, self.shape, where)
        else:
            self._begin(layer, where)
        if layer.name:
            if layer.name in self.names:
                raise ValueError(f"{where}: " + mismatch("name", layer.name, "one of its own"))
            self.names[layer.name] = self.current
            self.ended = True

    def _can_pool(self) -> bool:
        """Whether a max-pool joins the last stage."""
        return (not self.ended and self.stages[-1].kind == f.CONV2D
                and self.stages[-1].window == (1, 1))

    def _tensor(self, name: str, where: str) -> int:
        if name not in self.names:
            raise ValueError(f"{where}: " + mismatch("name", name, ", ".join(self.names)))
        return self.names[name]

    def _begin(self, layer: Layer, where: str) -> None:
        """A new stage."""
        a = self.current
        below = self.shape if a == IMAGE else self.stages[a].shape_out
        self.current = len(self.stages)
        self.stages.append(self._stage(layer, below, a, where))
        self.wheres.append(where)
        link_stage(self.stages, self.current, self.shape, where)
        self.ended = self.flat = False

    def _stage(self, layer: Layer, below: Shape, a: int, where: str) -> Stage:
        """A stage of a layer that begins one, on an input of the shape `below`."""
        bias = np.zeros(layer.n_out, np.int32) if layer.bias else None
        if layer.kind == "linear":
            if below[1:] != (1, 1) and not self.flat:
                raise ValueError(f"{where}: needs flatten before it, its input is {below}")
            return Stage(f.LINEAR, layer.n_out, a=a, bias=bias)
        if self.flat and below[1:] != (1, 1):
            raise ValueError(f"{where}: must not follow flatten")
        if layer.kind == "global_pool":
            return Stage(f.GLOBAL_POOL, below[0], window=below[1:], a=a,
                         weight_exponent=global_exponent(below[1:]))
        if layer.kind == "add":
            return Stage(f.ADD, below[0], a=a, b=self._tensor(layer.source, where))
        if layer.kind in _POOLS:
            return Stage(_NUMBERS[layer.kind], below[0], window=layer.kernel,
                         window_stride=layer.stride, a=a)
        n_out, groups = layer.n_out, layer.groups
        if layer.kind == "depthwise":
            n_out, groups = below[0] * layer.times, below[0]
            bias = np.zeros(n_out, np.int32) if layer.bias else None
        return Stage(f.CONV2D, n_out, kernel=layer.kernel, stride=layer.stride,
                     padding=layer.padding, groups=groups or 1, a=a, bias=bias)


def compile_layers(layers: Sequence[Layer], shape: Shape, classes: int,
                   loss: int = f.CROSS_ENTROPY) -> list[Stage]:
    """Stages of a sequence of layers on an input of (channels, height, width).

    A ReLU joins the stage before it, a max-pool a conv2d that has none, flatten is no operation.
    Those with a bias have one of zeros. classes, loss: as of `link`. Raises ValueError, "layer i
    (kind): field: found .., expected ..", where a value is outside its range or a sum could leave
    int32.
    """
    check_image(shape)
    compiler = _Compiler(shape)
    for index, layer in enumerate(layers):
        where = f"layer {index} ({layer.kind})"
        _check_layer(layer, where)
        compiler.add(layer, where)
    for i, where in enumerate(compiler.wheres):
        link_stage(compiler.stages, i, shape, where)
    link(compiler.stages, shape, classes, loss=loss)
    return compiler.stages


def _check_layer(layer: Layer, where: str) -> None:
    """Raise ValueError for a field that the kind of layer has not."""
    if layer.kind not in KINDS:
        raise ValueError(f"{where}: " + mismatch("kind", layer.kind, ", ".join(KINDS)))
    conv, pool = layer.kind in ("conv2d", "depthwise"), layer.kind in _POOLS
    for name, value, has in (("kernel", any(layer.kernel), conv or pool),
                             ("stride", any(layer.stride), conv or pool),
                             ("padding", any(layer.padding), conv),
                             ("n_out", layer.n_out, layer.kind in ("conv2d", "linear")),
                             ("groups", layer.groups, layer.kind == "conv2d"),
                             ("times", layer.times, layer.kind == "depthwise"),
                             ("bias", layer.bias, layer.kind in _WEIGHTED)):
        if value and not has:
            raise ValueError(f"{where}: " + mismatch(name, value, 0))


def layers_of(stages: Sequence[Stage], shape: Shape) -> list[Layer]:
    """Layers that compile to these stages on an input of a shape: for people to read."""
    layers: list[Layer] = []
    last: dict[int, Layer] = {}  # of each stage
    current = IMAGE

    def name(tensor: int) -> str:
        if tensor == IMAGE:
            return INPUT_NAME
        last[tensor].name = f"t{tensor}"
        return last[tensor].name

    for i, stage in enumerate(stages):
        if stage.a != current:
            layers.append(Layer("from", source=name(stage.a)))
        current = i
        below = shape if stage.a == IMAGE else stages[stage.a].shape_out
        if stage.kind == f.ADD:
            layers.append(Layer("add", source=name(stage.b)))
        else:
            layers += _layers_of_stage(stage, below)
        if stage.relu:
            layers.append(Layer("relu" if stage.largest == 127 else "relu6"))
        if stage.kind == f.CONV2D and stage.window != (1, 1):
            layers.append(Layer("max_pool", stage.window, stage.window_stride))
        last[i] = layers[-1]
    return layers


def _layers_of_stage(stage: Stage, below: Shape) -> list[Layer]:
    """Of one stage, without its ReLU and the max-pool of a conv2d."""
    bias = stage.bias is not None
    if stage.kind == f.LINEAR:
        flatten = [Layer("flatten")] if below[1:] != (1, 1) else []
        return [*flatten, Layer("linear", n_out=stage.n_out, bias=bias)]
    if stage.kind == f.GLOBAL_POOL:
        return [Layer("global_pool")]
    if stage.kind != f.CONV2D:
        return [Layer(stage.name, stage.window, stage.window_stride)]
    if 1 < stage.groups == below[0]:
        return [Layer("depthwise", stage.kernel, stage.stride, stage.padding,
                      times=stage.n_out // stage.groups, bias=bias)]
    return [Layer("conv2d", stage.kernel, stage.stride, stage.padding, stage.n_out,
                  stage.groups, bias=bias)]
