"""How much scratch each backend asks for, and which kernel it chooses: `scratch_words`, `plan`.

The host's copy of what the kernels themselves say (device/priot/kernels_plain.py, native/plan.c,
native/armv6m/plan.c and what they call); tests compare it with the unix port and with the modules
for the Pico.
"""

from dataclasses import dataclass

from priot.network import fields as f
from priot.network.stages import Stage
from priot.planning import scratch_armv6m
from priot.targets import NATIVE_BACKENDS

_SUMS_WORDS = 4096  # native/scratch.h: channels of dx that are added up at once
# native/loops.h: taps of a patch at a time, bytes of one, of how many its length is a multiple
_PATCH = {"armv6m": (256, 4, 1), "x64": (1024, 2, 16)}


@dataclass(frozen=True)
class Use:
    """What is done with a stage. `training` as in device/DESIGN.md, 0, 1 or 2.

    `update`: whether the Pico's fast kernels know the rule that its scores or weights follow, None
    where it is not trained. `measures`: with MEASURE, for dynamic scales. `low_memory`: for the
    layout "small".
    """

    training: int = 0
    update: bool | None = None
    measures: bool = False
    low_memory: bool = False


def scratch_words(stage: Stage, use: Use, backend: str, target: str = "armv6m") -> int:
    """int32 words that a stage needs.

    `target`: "armv6m" or "x64", the processor that the native modules are built for.
    """
    if backend not in NATIVE_BACKENDS:
        return _python_words(stage, use.training)
    if stage.kind not in (f.CONV2D, f.LINEAR):
        return 0
    fast = target == "armv6m" and backend == "native"
    words = scratch_armv6m.fast_scratch_words(stage, use.training) if fast else 0
    if fast and not needs_portable(stage, use, backend):
        return words
    portable = _conv2d_words if stage.kind == f.CONV2D else _linear_words
    return max(words, portable(_Sizes(stage), use.training, target, use.low_memory))


def needs_portable(stage: Stage, use: Use, backend: str) -> bool:
    """Whether a Pico loads priot_portable beside priot_native for a stage."""
    return backend == "native" and (
        use.measures or not scratch_armv6m.takes_all(stage, use.training, use.update))


def kernel_name(stage: Stage, backend: str) -> str:
    """What the Pico's native modules, or another backend, run a stage's forward pass by."""
    if backend == "native":
        return scratch_armv6m.kernel_name(stage)
    return {"plain": "plain Python", "portable": "portable C"}.get(backend, backend)


def _python_words(stage: Stage, training: int) -> int:
    """Plain Python and viper need no scratch in a forward pass."""
    d = stage.d
    if not training:
        return 0
    if stage.kind == f.CONV2D:
        plane = 0 if training == 2 else int(d[f.H_IN] * d[f.W_IN])
        return max(plane, int(d[f.N_ROW]))
    return int(d[f.N_IN]) if stage.kind == f.LINEAR else 0


class _Sizes:
    """Sizes of a stage as native/scratch.h names them."""

    def __init__(self, stage: Stage) -> None:
        d = [int(value) for value in stage.d]
        self.n_in, self.n_out, self.n_row = d[f.N_IN], d[f.N_OUT], d[f.N_ROW]
        self.padded_plane = (d[f.H_IN] + 2 * d[f.PADDING]) * (d[f.W_IN] + 2 * d[f.PADDING])
        self.padded_words = words_of(self.n_in * self.padded_plane) if d[f.PADDING] else 0
        self.outputs = d[f.H_OUT] * d[f.W_OUT]


def words_of(n_bytes: int) -> int:
    """Words that hold so many bytes."""
    return -(-n_bytes // 4)


def _conv2d_words(s: _Sizes, training: int, target: str, low_memory: bool) -> int:
    """conv2d_scratch_words of native/conv2d.c."""
    length, size, step = _PATCH[target]
    taps = -(-min(s.n_row, length) // step) * step
    tail_rows = min(s.n_out, -(-(step - 1) // s.n_row))
    words = (6 * s.n_out + words_of(4 * taps * size) + words_of(tail_rows * s.n_row + step - 1)
             + s.padded_words)
    if training:  # the update: a list of errors, a row of the gradient
        words = max(words, s.outputs + 1 + s.n_row + s.padded_words)
    if training == 1:  # the gradient of the input
        most = 0 if low_memory else _SUMS_WORDS
        sums = min(s.n_in * s.padded_plane, max(s.padded_plane, most))
        words = max(words, s.outputs + 1 + sums)
    return words


def _linear_words(s: _Sizes, training: int, target: str, low_memory: bool) -> int:
    """linear_scratch_words of native/linear.c."""
    if training:
        return s.n_in
    return words_of(2 * s.n_in) if target == "x64" else 0
