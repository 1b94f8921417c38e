"""One layer of a network as a line describes it: no weights, no shifts."""

from dataclasses import dataclass

from priot.network.fields import KIND_NAMES

KINDS = (*KIND_NAMES.values(), "depthwise", "batch_norm", "relu", "relu6", "flatten", "from")


@dataclass
class Layer:
    """A layer by its kind, a word of KINDS; what a kind has not is 0.

    kernel: of conv2d, or the window of a pool; stride: both as (height, width). padding: top,
    bottom, left, right. n_out: filters or outputs; times: filters for each channel of a
    depthwise layer. bias: whether outputs have one. source: the name of the tensor that "from"
    goes on with, or that is added. name: of its output, for those.
    """

    kind: str
    kernel: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (0, 0)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    n_out: int = 0
    groups: int = 0
    times: int = 0
    bias: bool = False
    source: str = ""
    name: str = ""

    @property
    def has_weights(self) -> bool:
        """Whether it is conv2d, depthwise or linear."""
        return self.kind in ("conv2d", "depthwise", "linear")
