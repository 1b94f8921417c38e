"""Which layers the Pico's fast kernels take, and their scratch: the host's copy of native/armv6m.

Names and limits are those of native/armv6m/plan.c, which says why; a test compares the two.
"""

from priot.network import fields as f
from priot.network.stages import Stage

FAST_3X3 = "armv6m 3x3"
FAST_LINEAR = "armv6m linear"

_MOST_WORDS = 16384
_MOST_TERMS = 65536
_MOST_POSITIONS = 786
_LANE_ERRORS = 258  # linear.c
_CHUNK = 512  # update.c: columns that are listed at once
_LIST_PADDING, _SELECTED = 6, 1024  # update.h
_SPARE, _TAPS = 6, 3  # conv3x3_update.c
_WORDS, _BUCKET, _ERROR = 4, 2, 3  # conv3x3_backward.c


def kernel_name(stage: Stage) -> str:
    """What native/armv6m/plan.c calls the kernels that it chooses for a stage."""
    d = _fields(stage)
    if stage.kind == f.LINEAR:
        if d[f.N_IN] % 4:
            return "portable C: inputs not a multiple of 4"
        return (FAST_LINEAR if max(d[f.N_IN], d[f.N_OUT]) <= _MOST_TERMS else
                "portable C: too large")
    if stage.kind != f.CONV2D:
        return "portable C"
    if d[f.KERNEL] != 3 or d[f.STRIDE] != 1:
        return "portable C: not 3x3 with stride 1"
    if d[f.POOL] > 2 or d[f.POOL_STRIDE] != d[f.POOL]:
        return "portable C: not pooled by 2x2"
    return FAST_3X3 if _forward_words(d) else "portable C: too large"


def takes_all(stage: Stage, training: int, update: bool | None) -> bool:
    """Whether the fast kernels do all that training wants of a stage (fast_plan in plan.c).

    `training` as in device/DESIGN.md; `update`: whether they know the rule of its update, see
    can_update; None where it is not trained.
    """
    d, name = _fields(stage), kernel_name(stage)
    if name not in (FAST_3X3, FAST_LINEAR) or update is False:
        return False
    if name == FAST_LINEAR:
        return True
    return (update is None or _update_words(d) > 0) and (training != 1 or _backward_words(d) > 0)


def can_update(rule: int, rounding: int, selection: int, n_row: int) -> bool:
    """update_is_supported of native/armv6m/update.c."""
    if selection != f.ALL and n_row > _SELECTED:
        return False
    return rule == f.PRUNE or rounding == f.PSR


def fast_scratch_words(stage: Stage, training: int) -> int:
    """Words that the fast kernels of a stage need; `training` as in device/DESIGN.md."""
    d, name = _fields(stage), kernel_name(stage)
    words = 0
    if stage.kind == f.LINEAR:
        if name == FAST_LINEAR:
            words = _columns_words(d) if training else d[f.N_IN] // 2
        return max(words, _linear_update_words(d)) if training else words
    if name == FAST_3X3:
        words = _forward_words(d)
        if training == 1:
            words = max(words, _backward_words(d))
        if training:
            words = max(words, _update_words(d))
    return words


def _fields(stage: Stage) -> list[int]:
    return [int(value) for value in stage.d]


def _words_of(n_bytes: int) -> int:
    return -(-n_bytes // 4)


def _if_few(words: int) -> int:
    return words if words <= _MOST_WORDS else 0


def _padded_width(d: list[int]) -> int:
    return d[f.W_IN] + 2 * d[f.PADDING]


def _padded_plane(d: list[int]) -> int:
    return (d[f.H_IN] + 2 * d[f.PADDING]) * _padded_width(d)


def _forward_words(d: list[int]) -> int:
    """Packed inputs, packed weights, winners, and for one channel a list (conv3x3.c)."""
    if d[f.N_ROW] > _MOST_TERMS:
        return 0
    is_pooled = d[f.POOL] == 2
    rows, columns = (n if is_pooled else (n + 1) // 2 for n in (d[f.H_OUT], d[f.W_OUT]))
    outputs = rows * columns * (1 if is_pooled else 4)
    channels = d[f.N_IN] + d[f.N_IN] % 2
    width = 2 * columns + 2
    inputs = rows * 2 * channels * width + width + _words_of(d[f.W_IN])
    blocks = 2 * rows * columns if d[f.N_IN] == 1 else 0
    return _if_few(inputs + 6 * (d[f.N_IN] + 1) + _words_of(outputs) + blocks)


def _backward_words(d: list[int]) -> int:
    """Chains of errors, packed weights, and what does not fit a lane (conv3x3_backward.c)."""
    if not d[f.X_RELU] or 9 * d[f.N_OUT] > _MOST_TERMS:
        return 0
    table = _BUCKET * (_padded_plane(d) + 2 * _padded_width(d) + 3)
    errors = _errors_words(_ERROR * d[f.N_OUT] * d[f.H_OUT] * d[f.W_OUT], d)
    return _if_few(table + errors + d[f.N_OUT] * 9 * _WORDS + d[f.H_IN] * d[f.W_IN])


def _update_words(d: list[int]) -> int:
    """Packed inputs, rows of taps, a list of errors, a gradient's list (conv3x3_update.c)."""
    outputs = d[f.H_OUT] * d[f.W_OUT]
    if outputs > _MOST_POSITIONS:
        return 0
    n_row, pairs = d[f.N_ROW], (d[f.N_IN] + 1) // 2
    taps = _TAPS * (3 * pairs + 1) + 1
    return _if_few(pairs * _padded_plane(d) + taps + _errors_words(2 * (outputs + 1), d)
                   + 2 * n_row + _LIST_PADDING + _SPARE + _words_of(n_row)
                   + _selection_words(min(n_row, _SELECTED)))


def _errors_words(words: int, d: list[int]) -> int:
    """Positions of a filter's outputs, and a list of so many words (conv3x3_errors.c)."""
    return (d[f.H_OUT] * d[f.W_OUT] + 1) // 2 + words


def _columns_words(d: list[int]) -> int:
    """Sums, those quads of inputs that live, a list of rows (linear.c)."""
    return d[f.N_IN] + 4 + (d[f.N_IN] // 8 + 1) + 2 * _LANE_ERRORS


def _linear_update_words(d: list[int]) -> int:
    """A list of inputs, or of the edges of a row that have a score (update.c)."""
    words = 2 * min(_CHUNK, d[f.N_IN]) + _LIST_PADDING
    if d[f.N_ROW] <= _SELECTED:
        words = max(words, _selection_words(d[f.N_ROW]))
    return words + _words_of(d[f.N_ROW])


def _selection_words(n: int) -> int:
    """Of a row of n edges where only some have a score (select.c)."""
    return 2 * n + _LIST_PADDING + n + _words_of(n)
