"""Kernel calls: made from the forms of kinds.py, and run.

A call is a pair (function, operands); a list of them is the forward or the backward pass. This is
the only place that knows the order of a kernel's operands, and the only one that runs a list.
"""

from . import fields as F
from .clock import ticks_diff, ticks_us
from .kinds import KINDS

_VERBS = ("forward", "backward", "update")
_PLANS = (F.PLAN_FORWARD, F.PLAN_BACKWARD, F.PLAN_UPDATE)
_SHIFTS = (F.FORWARD_SHIFT, F.BACKWARD_SHIFT, F.UPDATE_SHIFT)
FORWARD = 0
BACKWARD = 1
UPDATE = 2
EMPTY = bytearray(0)  # kernels want a buffer they may write to, even where it has no bytes
_TENSOR_BITS = 7  # of the largest value of an int8 tensor


def stage_call(net, stage, verb, scratch, dynamic=False, g=b"", dx=EMPTY, dz=EMPTY, layer=None):
    """The call of FORWARD, BACKWARD or UPDATE of a stage.

    dynamic: it measures its shift before it computes. g: gradient of its output; dx, dz: of its
    inputs, to be written; layer: its LayerState, to update.
    """
    _, *forms = KINDS[stage.kind]
    places = {"Y": stage.y, "X": dx, "Z": dz, "y": g, "x": stage.x, "z": stage.z,
              "A": stage.argmax, "a": stage.argmax, "c": stage.bias, "r": stage.weff,
              "w": stage.weff, "W": stage.w, "0": scratch, "1": scratch, "2": scratch,
              "d": stage.d}
    if layer is not None:
        places["S"], places["b"] = layer.scores, layer.select
        places["E"] = stage.weff if stage.rows is None else EMPTY
    operands = tuple([places[letter] for letter in forms[verb]])
    kernel = kernel_of(net, stage, verb, stage.d)
    if dynamic and stage.index >= 0:
        # the portable kernels alone can measure
        return _measured, (_named(net.portable(), stage, verb), kernel, operands, stage.d,
                           _SHIFTS[verb], layer)
    if stage.rows is not None and ("r" in forms[verb] or "w" in forms[verb]):
        take = stage.flash.take if stage.flash else net.kernels.effective_weights
        return _by_rows, (kernel, operands, take, stage.rows, stage.d)
    return kernel, operands


def kernel_of(net, stage, verb, d):
    """The kernel that the plan in `d` says, the stage's or one of a part of it."""
    plan = d[_PLANS[verb]]
    return _named(net.kernels_of(plan) if plan else net.portable(), stage, verb)


def _named(kernels, stage, verb):
    return getattr(kernels, "%s_%s" % (KINDS[stage.kind][0], _VERBS[verb]))


def bias_call(net, stage, g):
    """The call that trains a stage's biases; g: gradient of its output."""
    return net.portable().bias_update, (stage.bias, g, stage.d)


def run(calls):
    """Run calls in their order."""
    for function, operands in calls:
        function(operands)


def run_whole(calls, trainer):
    """Count a sample that `trainer` has seen, then run all calls; Ctrl-C waits until the last.

    MicroPython raises it at jumps only, so a kernel that returned is never run again, and the
    calls that are loops in Python may be.
    """
    n = len(calls)
    i = -1
    interrupted = False
    while i < n:
        try:
            if i < 0:
                trainer.seen += 1
                i = 0
            while i < n:
                function, operands = calls[i]
                function(operands)
                i += 1
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt


def run_timed(calls, add, number):
    """Run calls; `add` is told the number of each, from `number` on, and when it started."""
    for function, operands in calls:
        start = ticks_us()
        function(operands)
        add(number, ticks_diff(ticks_us(), start))
        number += 1


def _by_rows(operands):
    """A kernel, as many rows at a time as are kept: their effective weights come first."""
    kernel, kernel_operands, effective_weights, rows, d = operands
    n, step = d[F.N_OUT], d[F.ROWS]
    row = 0
    while row < n:  # a range would be an object
        d[F.ROW] = row
        effective_weights(rows)
        kernel(kernel_operands)
        row += step
    d[F.ROW] = 0


def _measured(operands):
    """A kernel with the shift that brings its largest value to int8, or to a layer's bits.

    It runs twice, once to measure and once to compute, which is what dynamic scales cost where
    nothing larger than a row may be stored (NITI, arXiv 2009.13108).
    """
    measure, kernel, kernel_operands, d, shift, layer = operands
    d[F.MEASURE] = 1
    largest = measure(kernel_operands)
    d[F.MEASURE] = 0
    bits = _bit_length(largest) - (_TENSOR_BITS if layer is None else layer.update_bits)
    d[shift] = max(0, min(30, bits))
    kernel(kernel_operands)


def _bit_length(m):
    """Bits needed for m >= 0."""
    n = 0
    while m:
        m >>= 1
        n += 1
    return n

