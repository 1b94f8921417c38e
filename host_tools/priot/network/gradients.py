"""Which stages have a gradient in training, and how several of one tensor are added up.

device/priot/layout.py does the same. The gradient of a tensor has an exponent, as the tensor has:
a value v stands for v * 2^-x, that of the logits with x = 0. Where several stages read a tensor,
the last one of them, which goes first, writes the gradient; the others add theirs to it.
"""

from collections.abc import Collection, Sequence

from priot.network import fields as f
from priot.network.stage import IMAGE, Stage

_NO_SHIFT = 64  # ADD_DX that adds without a shift
_MOST_RIGHT, _MOST_LEFT = 15, 12


def needs_gradient(stages: Sequence[Stage], trained: Collection[int]) -> list[bool]:
    """Of every stage whether it, or one that it depends on, is among the trained ones."""
    needs: list[bool] = []
    for i, stage in enumerate(stages):
        needs.append(i in trained or any(needs[n] for n in stage.inputs if n != IMAGE))
    return needs


class Exponents:
    """Exponents of the gradients, while a backward pass goes from the last stage to the first."""

    def __init__(self, n_stages: int) -> None:
        self._found: list[int | None] = [None] * n_stages
        self._found[-1] = 0

    def add(self, stages: Sequence[Stage], i: int, tensor: int) -> int:
        """ADD_DX of stage i for the gradient of a tensor that it reads: 0 where it is the first
        to write it."""
        found = self._found[i]
        assert found is not None, "a stage whose output nobody reads"
        exponent = found + gradient_gain(stages[i])
        earlier = self._found[tensor]
        self._found[tensor] = exponent - stages[i].backward_shift
        if earlier is None:
            return 0
        return _NO_SHIFT + max(-_MOST_RIGHT, min(_MOST_LEFT, exponent - earlier))

    def settle(self, assumed: int, tensor: int, shift: int) -> None:
        """The backward shift of the stage that was added last is `shift`, not as assumed."""
        found = self._found[tensor]
        assert found is not None
        self._found[tensor] = found + assumed - shift


def gradient_gain(stage: Stage) -> int:
    """What a stage adds to the exponent of a gradient, before its backward shift."""
    if stage.kind == f.AVG_POOL:
        return (stage.window[0] * stage.window[1]).bit_length() - 1
    return stage.weight_exponent  # of a global pool: what lies in the weights behind it
