"""What both readers make of a file: nodes in order, constants, one input.

Operations have ONNX's names; those of TFLite that have none keep their own. What the formats hold
differently is said by attributes of a node:

    weights         "OIHW", "OHWI" or "1HWO": axes of a Conv's weights
    channels_last   whether a Conv or pool takes [n][y][x][channel]
    range           smallest and largest value of a quantised output, and its step
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from priot.errors import PriotError

Dims = tuple[int, ...]
MAX_VALUES = 1 << 23  # of a tensor: no stage takes more


@dataclass
class Node:
    """An operation of the file. inputs, outputs: names of values, "" where one is left out."""

    op: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    shown: str = ""  # what the file calls the operation, where that is another word

    @property
    def label(self) -> str:
        """Operation and name, for people."""
        return f"{short(self.shown or self.op)} {short(self.name)!r}"


@dataclass
class NodeList:
    """A file's network. shape: of the input, with a batch of 1 in front.

    quantised: scale, zero, smallest and largest number of an integer input, or None. shapes:
    what the file knows of the values' shapes, asked only to say them in an error.
    """

    name: str
    nodes: list[Node]
    constants: dict[str, np.ndarray]
    input: str
    shape: Dims
    outputs: list[str]
    channels_last: bool
    quantised: tuple[float, int, int, int] | None = None
    shapes: Callable[[], dict[str, Dims]] = dict


def short(name: str) -> str:
    """A name without its middle, where converters have strung many together."""
    name = "".join(c if c.isprintable() else "?" for c in name)
    return name if len(name) <= 48 else f"{name[:20]}...{name[-25:]}"


def required(module: str) -> Any:
    """A module of the extra `import`. Raises PriotError with what to install."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise PriotError("import", f"the package {module.split('.')[0]} is not installed; "
                         "pip install priot[import]") from None
