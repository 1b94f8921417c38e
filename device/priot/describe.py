"""What a network and a trainer say of themselves at the prompt."""

from . import fields as F
from . import methods as M
from .cores import available
from .evaluation import percent_text, permille
from .files import names_text
from .progress import counted

_OUTPUTS = ("classes", "outputs, squared error", "outputs, squared error to its input")


def network(net):
    """A Network: its classes, what is in force, a line for each stage."""
    lines = ["<Network %s: %dx%dx%d, %d %s, %d weights, %s" % (
        (net.name or net.path,) + net.shape + (
            net.n_classes, _OUTPUTS[net.loss_kind], net.n_weights, _backend(net)))]
    if net.names:
        lines.append("  classes: " + names_text(net.names))
    if net.flash_bytes:
        lines.append("  %d weights stay in flash" % net.flash_bytes)
    if net.n_outputs > net.n_classes:
        lines.append("  %d more can be added" % (net.n_outputs - net.n_classes))
    if net.forward_calls is None:
        lines.append("  has no memory to compute with")
    elif net.trainer or net.adapter:
        lines.append("  in force: " + (
            net.adapter or "what a trainer learns by " + net.trainer.method.name))
    for stage in net.stages:
        plan = ""
        if stage.index >= 0:
            plan = "  [%s]" % net.kernels_of(stage.plan).plan_name(stage.plan)
        lines.append("  %r%s" % (stage, plan))
    return "\n".join(lines) + ">"


def trainer(t):
    """A Trainer: how far it is, a line for each layer that it trains."""
    lines = ["<Trainer %s: %s done, seed %d, step size u = %d, %d bytes (%s), %s" % (
        t.method.name, counted(t.epoch, "epoch"), t.seed, t.step_size, t.ram_bytes, t.layout,
        _backend(t.net))]
    for layer in t.layers:
        text = "  layer %d: %d biases trained" % (layer.stage.index, layer.n_params)
        if layer.rule != M.ONLY_BIAS:
            text = "  layer %d: %d of %d edges trained" % (
                layer.stage.index, layer.n_params, layer.n_edges)
        if layer.rule == M.PRUNE:
            text += ", %s pruned" % percent_text(permille(layer.n_pruned(), layer.n_params))
            text += (", top %d %%" % layer.keep) if layer.keep else (
                ", threshold %d" % (layer.stage.d[F.THRESHOLD] - 128))
        plan = layer.stage.plan
        text += "  [%s]" % t.net.kernels_of(plan).plan_name(plan)
        lines.append(text)
    return "\n".join(lines) + ">"


def _backend(net):
    """Which kernels run, and on both cores if they can."""
    return "%s backend%s" % (net.backend, ", 2 cores" if available(net.kernels) > 1 else "")
