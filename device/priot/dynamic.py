"""NITI's dynamic scales: every shift computed from the largest value of the tensor at hand.

Each kernel runs twice, once to measure and once to compute, which is what dynamic scales cost
where nothing larger than a row may be stored (arXiv 2009.13108).
"""

from . import fields as F
from .network import INPUT_EXPONENT

_TENSOR_BITS = 7  # of the largest value of an int8 tensor
_SHIFTS = {
    "conv2d_forward": F.FORWARD_SHIFT, "linear_forward": F.FORWARD_SHIFT,
    "conv2d_backward_input": F.BACKWARD_SHIFT, "linear_backward_input": F.BACKWARD_SHIFT,
    "conv2d_update": F.UPDATE_SHIFT, "linear_update": F.UPDATE_SHIFT,
}


def bit_length(m):
    """Bits needed for m >= 0."""
    n = 0
    while m:
        m >>= 1
        n += 1
    return n


def measured(operands):
    """Run a kernel with the shift that brings its largest value to int8, or to a layer's bits."""
    measure, kernel, kernel_operands, d, field, layer = operands
    d[F.MEASURE] = 1
    largest = measure(kernel_operands)
    d[F.MEASURE] = 0
    shift = bit_length(largest) - (_TENSOR_BITS if layer is None else layer.update_bits)
    d[field] = max(0, min(30, shift))
    kernel(kernel_operands)


def set_loss_exponent(operands):
    """The exponent of the logits follows from the shifts of this sample."""
    net, stages = operands
    exponent = INPUT_EXPONENT
    for stage in stages:
        exponent += stage.d[F.FORWARD_SHIFT] - stage.exponent
    net.set_exponent(exponent)


def install_forward(net):
    """Make every layer of a network measure its forward shift before it computes."""
    measuring = _measuring(net)
    calls = []
    for stage, (kernel, operands) in zip(net.stages, net.forward_calls):
        if kernel in measuring:
            twin, field = measuring[kernel]
            kernel, operands = measured, (twin, kernel, operands, stage.d, field, None)
        calls.append((kernel, operands))
    calls.append((set_loss_exponent, (net, net.weight_stages())))
    net.forward_calls = calls


def install_backward(trainer, calls):
    """The backward calls of a Trainer, each measuring its shift before it computes."""
    measuring = _measuring(trainer.net)
    layer_of = {id(layer.stage.d): layer for layer in trainer.layers}
    dynamic = []
    for kernel, operands in calls:
        if kernel in measuring:
            twin, field = measuring[kernel]
            d = operands[-1]
            layer = layer_of[id(d)] if field == F.UPDATE_SHIFT else None
            kernel, operands = measured, (twin, kernel, operands, d, field, layer)
        dynamic.append((kernel, operands))
    return dynamic


def _measuring(net):
    """{kernel: (its portable twin, the shift found)}: the portable kernels alone can measure."""
    found = {}
    for name, field in _SHIFTS.items():
        twin = getattr(net.portable(), name)
        found[twin] = found[getattr(net.kernels, name)] = (twin, field)
    return found
