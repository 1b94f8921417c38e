"""One layer of a network as a line describes it: no weights, no shifts."""

from dataclasses import dataclass

from priot.network.fields import KIND_NAMES

KINDS = (*KIND_NAMES.values(), "relu", "flatten")


@dataclass
class Layer:
    """A layer by its kind, a word of KINDS; what a kind has not is 0.

    kernel: of conv2d, or the window of a pool; both are square. n_out: filters or outputs.
    """

    kind: str
    kernel: int = 0
    stride: int = 0
    padding: int = 0
    n_out: int = 0

    @property
    def has_weights(self) -> bool:
        """Whether it is conv2d or linear."""
        return self.kind in ("conv2d", "linear")
