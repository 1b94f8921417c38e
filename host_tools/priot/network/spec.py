"""A network as one readable line: `conv 8 3, relu, maxpool 2, flatten, linear 10`.

Layers are separated by commas:

    conv FILTERS KERNEL [stride S] [pad P]      square kernel, no bias; stride 1, pad 0
    linear OUTPUTS                              no bias
    relu
    maxpool WINDOW [stride S]                   stride WINDOW
    avgpool WINDOW [stride S]
    globalpool                                  the mean of each channel
    flatten
"""

from collections.abc import Sequence

from priot.errors import PriotError
from priot.network.layer import Layer

_ARGUMENTS = {
    "conv": ("conv2d", ("n_out", "kernel"), ("stride", "pad")),
    "linear": ("linear", ("n_out",), ()),
    "relu": ("relu", (), ()),
    "maxpool": ("max_pool", ("kernel",), ("stride",)),
    "avgpool": ("avg_pool", ("kernel",), ("stride",)),
    "globalpool": ("global_pool", (), ()),
    "flatten": ("flatten", (), ()),
}
_NAMES = {kind: name for name, (kind, _, _) in _ARGUMENTS.items()}


def parse_network(text: str) -> list[Layer]:
    """Layers (without weights) of a line. Raises PriotError that names the layer."""
    return [_parse_layer(i, part.split()) for i, part in enumerate(text.split(","))]


def _parse_layer(index: int, words: list[str]) -> Layer:
    where = f"network: layer {index} ({' '.join(words)})"
    if not words or words[0] not in _ARGUMENTS:
        raise PriotError(where, f"expected one of {', '.join(_ARGUMENTS)}")
    kind, positional, optional = _ARGUMENTS[words[0]]
    rest = words[1 + len(positional) :]
    if len(words) < 1 + len(positional) or len(rest) % 2:
        usage = " ".join([words[0], *(name.upper() for name in positional),
                          *(f"[{name} N]" for name in optional)])
        raise PriotError(where, f"expected {usage}")
    layer = Layer(kind)
    for name, word in zip(positional, words[1:], strict=False):
        setattr(layer, name, _number(where, name, word))
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    for name in rest[::2]:
        if name not in optional or rest[::2].count(name) > 1:
            raise PriotError(where, f"option {name} is unknown or given twice")
    if "stride" in optional:
        default = "1" if kind == "conv2d" else str(layer.kernel)
        layer.stride = _number(where, "stride", options.get("stride", default))
    if "pad" in optional:
        layer.padding = _number(where, "pad", options.get("pad", "0"))
    return layer


def _number(where: str, name: str, word: str) -> int:
    if not word.isdecimal():
        raise PriotError(where, f"{name}: found {word}, expected a number")
    return int(word)


def format_network(layers: Sequence[Layer]) -> str:
    """The line that `parse_network` reads."""
    return ", ".join(_format_layer(layer) for layer in layers)


def _format_layer(layer: Layer) -> str:
    words = [_NAMES[layer.kind]]
    words += [str(getattr(layer, name)) for name in _ARGUMENTS[words[0]][1]]
    if layer.stride and layer.stride != (1 if layer.kind == "conv2d" else layer.kernel):
        words += ["stride", str(layer.stride)]
    if layer.padding:
        words += ["pad", str(layer.padding)]
    return " ".join(words)
