"""How much scratch each backend asks for, and which kernel it chooses: `scratch_words`, `plan`.

The host's copy of what the kernels themselves say (device/priot/kernels_plain.py, native/plan.c
and what that calls); tests compare it with the unix port and with the module for the Pico.
"""

from host_tools import fields as f
from host_tools.stages import Stage

_SUMS_WORDS = 4096  # native/scratch.h: channels of dx that are added up at once
# native/loops.h: taps of a patch at a time, bytes of one, of how many its length is a multiple
_PATCH = {"armv6m": (256, 4, 1), "x64": (1024, 2, 16)}
# native/armv6m/linear.c, update.c: errors and columns listed at once, padding of a list
_LANE_ERRORS, _CHUNK, _LIST_PADDING = 258, 512, 6
# native/armv6m/conv3x3_backward.c, conv3x3_update.c: words of an input of some channels, of a
# bucket, of a listed error, and behind a gradient
_GROUP_WORDS, _BUCKET, _ERROR, _SPARE = 4, 2, 3, 18


def scratch_words(stage: Stage, training: int, backend: str, target: str = "armv6m") -> int:
    """int32 words that a stage needs; `training` as in device/DESIGN.md, 0, 1 or 2.

    `target`: "armv6m" or "x64", the processor that the native module is built for.
    """
    if backend != "native":
        return _python_words(stage, training)
    if stage.kind not in (f.CONV2D, f.LINEAR):
        return 0
    sizes = Sizes(stage)
    portable = _conv2d_words if stage.kind == f.CONV2D else _linear_words
    words = portable(sizes, training, target)
    if target == "armv6m" and stage.kind == f.LINEAR:
        words = max(words, _fast_linear_words(sizes, training))
    if target == "armv6m" and stage.kind == f.CONV2D and (sizes.kernel, sizes.stride) == (3, 1):
        words = max(words, _fast_conv3x3_words(sizes, training))
    return words


def kernel_name(stage: Stage, backend: str) -> str:
    """What the native module on the Pico, or another backend, runs a stage by."""
    if backend != "native":
        return {"plain": "plain Python"}.get(backend, backend)
    s = Sizes(stage)
    if (stage.kind == f.CONV2D and (s.kernel, s.stride) == (3, 1) and s.n_row <= 65536
            and s.pooling in ((1, 1), (2, 2))):
        return "armv6m 3x3"
    if stage.kind == f.LINEAR and s.n_in % 4 == 0:
        return "armv6m linear"
    return "portable C"


def _python_words(stage: Stage, training: int) -> int:
    """Plain Python and viper need no scratch in a forward pass."""
    d = stage.d
    if not training:
        return 0
    if stage.kind == f.CONV2D:
        plane = 0 if training == 2 else int(d[f.H_IN] * d[f.W_IN])
        return max(plane, int(d[f.N_ROW]))
    return int(d[f.N_IN]) if stage.kind == f.LINEAR else 0


class Sizes:
    """Sizes of a stage as native/scratch.h names them."""

    def __init__(self, stage: Stage) -> None:
        d = [int(value) for value in stage.d]
        self.n_in, self.n_out, self.n_row = d[f.N_IN], d[f.N_OUT], d[f.N_ROW]
        self.kernel, self.stride, self.padding = d[f.KERNEL], d[f.STRIDE], d[f.PADDING]
        self.pooling = d[f.POOL], d[f.POOL_STRIDE]
        self.h_in, self.w_in, self.h_conv, self.w_conv = (
            d[i] for i in (f.H_IN, f.W_IN, f.H_CONV, f.W_CONV))
        self.h_out, self.w_out = d[f.H_OUT], d[f.W_OUT]
        self.padded_plane = (self.h_in + 2 * self.padding) * (self.w_in + 2 * self.padding)
        self.padded_words = words_of(self.n_in * self.padded_plane) if self.padding else 0
        self.outputs = self.h_out * self.w_out


def words_of(n_bytes: int) -> int:
    """Words that hold so many bytes."""
    return -(-n_bytes // 4)


def _conv2d_words(s: Sizes, training: int, target: str) -> int:
    """conv2d_scratch_words of native/conv2d.c."""
    length, size, step = _PATCH[target]
    taps = -(-min(s.n_row, length) // step) * step
    tail_rows = min(s.n_out, -(-(step - 1) // s.n_row))
    words = (6 * s.n_out + words_of(4 * taps * size) + words_of(tail_rows * s.n_row + step - 1)
             + s.padded_words)
    if training:  # the update: a list of errors, a row of the gradient
        words = max(words, s.outputs + 1 + s.n_row + s.padded_words)
    if training == 1:  # the gradient of the input
        sums = min(s.n_in * s.padded_plane, max(s.padded_plane, _SUMS_WORDS))
        words = max(words, s.outputs + 1 + sums)
    return words


def _linear_words(s: Sizes, training: int, target: str) -> int:
    """linear_scratch_words of native/linear.c."""
    if training:
        return s.n_in
    return words_of(2 * s.n_in) if target == "x64" else 0


def _fast_linear_words(s: Sizes, training: int) -> int:
    """linear_fast_words and update_words of native/armv6m."""
    if not training:
        return s.n_in // 2
    columns = min(_CHUNK, s.n_in)
    return max(s.n_in + 2 * _LANE_ERRORS, 2 * columns + _LIST_PADDING + words_of(columns))


def _fast_conv3x3_words(s: Sizes, training: int) -> int:
    """conv3x3_forward_words, conv3x3_backward_words, conv3x3_update_words of native/armv6m."""
    rows, columns = (s.h_out, s.w_out) if s.pooling[0] == 2 else (s.h_out // 2, s.w_out // 2)
    even_channels = s.n_in + (s.n_in & 1)
    width = 2 * columns + 2
    blocks = 2 * rows * columns if s.n_in == 1 else 0
    words = (rows * 2 * even_channels * width + width + words_of(s.w_in) + 6 * (s.n_in + 1)
             + words_of(s.outputs) + blocks)
    if training:  # the update
        words = max(words, even_channels // 2 * s.padded_plane + 2 * (s.outputs + 1)
                    + 2 * s.n_row + _SPARE + words_of(s.n_row))
    if training != 1:
        return words
    width = s.w_in + 2 * s.padding
    backward = (_BUCKET * (s.padded_plane + 2 * width + 3) + _ERROR * s.n_out * s.outputs
                + s.n_out * 9 * _GROUP_WORDS + s.h_in * s.w_in * (_GROUP_WORDS + 1))
    return max(words, backward)
