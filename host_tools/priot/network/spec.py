"""A network as one readable line: `conv 8 3, relu, maxpool 2, flatten, linear 10`.

Layers are separated by commas:

    conv FILTERS KERNEL [stride S] [pad P] [groups G] [bias]      stride 1, pad 0, groups 1
    dw KERNEL [stride S] [pad P] [times M] [bias]     a filter, or M, for each channel
    linear OUTPUTS [bias]
    bn                                          batch norm: in pretraining; it becomes a bias
    relu, relu6
    maxpool WINDOW [stride S]                   stride WINDOW
    avgpool WINDOW [stride S]
    globalpool                                  the mean of each channel
    flatten
    add NAME                                    the sum with another tensor
    from NAME                                   what follows reads another tensor

KERNEL, WINDOW and S are a number, or two, as 3x5 (height, width); P is one, two (down, across) or
four (top, bottom, left, right). `as NAME` behind a layer names its output for `add` and `from`;
the input is called `input`. A residual block:

    conv 8 3 pad 1 bias, relu as x, conv 8 3 pad 1 bias, relu, conv 8 3 pad 1 bias, add x, relu
"""

from collections.abc import Sequence

from priot.errors import PriotError
from priot.network.layer import Layer

# kind, what has to be given, options that take a value, options that do not
_WORDS = {
    "conv": ("conv2d", ("n_out", "kernel"), ("stride", "pad", "groups"), ("bias",)),
    "dw": ("depthwise", ("kernel",), ("stride", "pad", "times"), ("bias",)),
    "linear": ("linear", ("n_out",), (), ("bias",)),
    "bn": ("batch_norm", (), (), ()),
    "relu": ("relu", (), (), ()),
    "relu6": ("relu6", (), (), ()),
    "maxpool": ("max_pool", ("kernel",), ("stride",), ()),
    "avgpool": ("avg_pool", ("kernel",), ("stride",), ()),
    "globalpool": ("global_pool", (), (), ()),
    "flatten": ("flatten", (), (), ()),
    "add": ("add", ("source",), (), ()),
    "from": ("from", ("source",), (), ()),
}
_NAMES = {kind: name for name, (kind, *_) in _WORDS.items()}
_PLURAL = {"kernel": (1, 2), "stride": (1, 2), "pad": (1, 2, 4)}  # how many numbers
INPUT_NAME = "input"


def parse_network(text: str) -> list[Layer]:
    """Layers (without weights) of a line. Raises PriotError that names the layer."""
    return [_parse_layer(i, part.split()) for i, part in enumerate(text.split(","))]


def _parse_layer(index: int, words: list[str]) -> Layer:
    where = f"network: layer {index} ({' '.join(words)})"
    if not words or words[0] not in _WORDS:
        raise PriotError(where, f"expected one of {', '.join(_WORDS)}")
    kind, positional, optional, flags = _WORDS[words[0]]
    layer = Layer(kind)
    if len(words) > 2 and words[-2] == "as":
        layer.name = _name(where, words[-1])
        words = words[:-2]
    given = {}
    rest = iter(words[1 + len(positional) :])
    for word in rest:
        value = next(rest, None) if word in optional else ""
        if word in given or word not in (*optional, *flags):
            raise PriotError(where, f"option {word} is unknown or given twice")
        given[word] = value
    if len(words) < 1 + len(positional) or None in given.values():
        usage = " ".join([words[0], *(name.upper() for name in positional),
                          *(f"[{name} N]" for name in optional), *(f"[{f}]" for f in flags)])
        raise PriotError(where, f"expected {usage}")
    for name, word in zip(positional, words[1:], strict=False):
        setattr(layer, name, _name(where, word) if name == "source" else
                _value(where, name, word))
    if "stride" in optional:
        default = "x".join(map(str, layer.kernel)) if kind.endswith("pool") else "1"
        layer.stride = _value(where, "stride", given.get("stride") or default)
    layer.padding = _padding(_value(where, "pad", given.get("pad") or "0"))
    if "groups" in optional:
        layer.groups = _value(where, "groups", given.get("groups") or "1")
    if "times" in optional:
        layer.times = _value(where, "times", given.get("times") or "1")
    layer.bias = "bias" in given
    return layer


def _value(where: str, name: str, word: str):
    """A number, or as many as stand for that name: a pair, or four of a padding."""
    numbers = word.split("x")
    if not all(part.isdecimal() for part in numbers):
        raise PriotError(where, f"{name}: found {word}, expected a number")
    if len(numbers) not in _PLURAL.get(name, (1,)):
        raise PriotError(where, f"{name}: found {word}, expected fewer numbers")
    values = tuple(map(int, numbers))
    if name == "pad":
        return values
    if name in _PLURAL:
        return values * 2 if len(values) == 1 else values
    return values[0]


def _padding(values: tuple[int, ...]) -> tuple[int, int, int, int]:
    """top, bottom, left, right of one, two or four numbers."""
    if len(values) == 4:
        return values[0], values[1], values[2], values[3]
    down, across = values[0], values[-1]
    return down, down, across, across


def _name(where: str, word: str) -> str:
    if not word.isidentifier():
        raise PriotError(where, f"name: found {word}, expected letters and digits")
    return word


def format_network(layers: Sequence[Layer]) -> str:
    """The line that `parse_network` reads."""
    return ", ".join(_format_layer(layer) for layer in layers)


def _format_layer(layer: Layer) -> str:
    words = [_NAMES[layer.kind]]
    for name in _WORDS[words[0]][1]:
        value = getattr(layer, name)
        words.append(_text(value) if name == "kernel" else str(value))
    if any(layer.stride) and layer.stride != (
            layer.kernel if layer.kind.endswith("pool") else (1, 1)):
        words += ["stride", _text(layer.stride)]
    if any(layer.padding):
        top, bottom, left, right = layer.padding
        even = (top, left) == (bottom, right)
        words += ["pad", _text((top, left)) if even else "x".join(map(str, layer.padding))]
    words += ["groups", str(layer.groups)] * (layer.groups > 1)
    words += ["times", str(layer.times)] * (layer.times > 1)
    words += ["bias"] * layer.bias
    words += ["as", layer.name] * bool(layer.name)
    return " ".join(words)


def _text(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"
