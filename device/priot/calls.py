"""Kernel calls: made from the forms of kinds.py, and run.

A call is a pair (function, operands); a list of them is the forward or the backward pass. This is
the only place that knows the order of a kernel's operands, and the only one that runs a list.

What runs at every step has few local variables: MicroPython takes a frame of more than 11 words
from the heap, and looks for a place through all of it.
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
    kernels = kernels_of(net, verb, stage.d)
    kernel = _named(kernels, stage, verb)
    if dynamic and stage.index >= 0:
        # the portable kernels alone can measure
        return _measured, (_named(net.portable(), stage, verb), kernel, operands, stage.d,
                           _SHIFTS[verb], layer)
    if stage.rows is not None and ("r" in forms[verb] or "w" in forms[verb]):
        take = stage.flash.take if stage.flash else net.kernels.effective_weights
        return _by_rows, (kernel, remembered(kernels, operands, stage), take, stage.rows, stage.d)
    return kernel, remembered(kernels, operands, stage)


def remembered(kernels, operands, stage=None):
    """Operands of a call that is made again and again, and changes only what is in them.

    Native code keeps beside them what it found out at the first call, and later checks nothing;
    not where the stage takes so long that it does not matter, but its 64 bytes do.
    """
    n_bytes = getattr(kernels, "memo_bytes", 0)
    if not n_bytes or (stage and not stage.is_quick()):
        return operands
    return operands + (bytearray(n_bytes),)


def kernel_of(net, stage, verb, d):
    """The kernel that the plan in `d` says, the stage's or one of a part of it."""
    return _named(kernels_of(net, verb, d), stage, verb)


def kernels_of(net, verb, d):
    """The module where it lies."""
    plan = d[_PLANS[verb]]
    return net.kernels_of(plan) if plan else net.portable()


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
    trainer.seen += 1
    i = _run_rest(calls, -len(calls))
    if i < 1:
        while i < 1:
            i = _run_rest(calls, i)
        raise KeyboardInterrupt


def _run_rest(calls, i):
    """Run calls[i] to calls[-1]; returns 1, or where Ctrl-C came the next i, -len(calls)..0."""
    try:
        while i:
            calls[i][0](calls[i][1])
            i += 1
        return 1
    except KeyboardInterrupt:
        return i


def run_timed(calls, add, number):
    """Run calls; `add` is told the number of each, from `number` on, and when it started."""
    for function, operands in calls:
        start = ticks_us()
        function(operands)
        add(number, ticks_diff(ticks_us(), start))
        number += 1


def _by_rows(operands):
    """A kernel, as many rows at a time as are kept: their effective weights come first.

    operands: kernel, its operands, effective_weights, its operands, descriptor.
    """
    d = operands[4]
    d[F.ROW] = 0
    while d[F.ROW] < d[F.N_OUT]:
        operands[2](operands[3])
        operands[0](operands[1])
        d[F.ROW] += d[F.ROWS]
    d[F.ROW] = 0


def _measured(operands):
    """A kernel with the shift that brings its largest value to int8, or to a layer's bits.

    It runs twice, once to measure and once to compute, which is what dynamic scales cost where
    nothing larger than a row may be stored (NITI, arXiv 2009.13108). operands: portable kernel,
    kernel, operands of both, descriptor, which of its shifts, LayerState or None.
    """
    d, layer = operands[3], operands[5]
    d[F.MEASURE] = 1
    bits = _bit_length(operands[0](operands[2]))
    d[F.MEASURE] = 0
    bits -= _TENSOR_BITS if layer is None else layer.update_bits
    d[operands[4]] = max(0, min(30, bits))
    operands[1](operands[2])


def _bit_length(m):
    """Bits needed for m >= 0."""
    n = 0
    while m:
        m >>= 1
        n += 1
    return n

