"""NITI's dynamic scales: every shift computed from the largest value of the tensor at hand.

Each kernel runs twice, once to measure and once to compute, which is what dynamic scales cost
where nothing larger than a row may be stored (arXiv 2009.13108).
"""

from . import fields as F
from .network import INPUT_EXPONENT


def bit_length(m):
    """Bits needed for m >= 0."""
    n = 0
    while m:
        m >>= 1
        n += 1
    return n


def measured(operands):
    """Run a kernel with the shift that brings its largest value to `bits` bits."""
    kernel, kernel_operands, d, field, bits, layer = operands
    d[F.MEASURE] = 1
    largest = kernel(kernel_operands)
    d[F.MEASURE] = 0
    shift = bit_length(largest) - bits
    if layer is not None:
        shift += layer.halvings
    d[field] = shift if shift > 0 else 0
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
    calls = []
    for stage, (kernel, operands) in zip(net.stages, net.forward_calls):
        if stage.index >= 0:
            kernel, operands = measured, (kernel, operands, stage.d, F.FORWARD_SHIFT, 7, None)
        calls.append((kernel, operands))
    calls.append((set_loss_exponent, (net, net.weight_stages())))
    net.forward_calls = calls


def install_backward(trainer, calls):
    """The backward calls of a Trainer, each measuring its shift before it computes."""
    kernels = trainer.net.kernels
    layer_of = {id(layer.stage.d): layer for layer in trainer.layers}
    dynamic = []
    for kernel, operands in calls:
        d = operands[-1]
        if kernel in (kernels.conv2d_backward_input, kernels.linear_backward_input):
            kernel, operands = measured, (kernel, operands, d, F.BACKWARD_SHIFT, 7, None)
        elif kernel in (kernels.conv2d_update, kernels.linear_update):
            kernel, operands = measured, (
                kernel, operands, d, F.UPDATE_SHIFT, trainer.step_size, layer_of[id(d)])
        dynamic.append((kernel, operands))
    return dynamic
