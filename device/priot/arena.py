"""The memory of a Trainer: its layout, what lies in its arena, and the kernel calls on that."""

import gc

from . import fields as F
from .layer_state import backward_call
from .memory import Carver, aligned, allocate
from .selection import fill_selection

ROW_BYTES = 512  # of effective weights at a time with layout="small"
_RESERVE = 49152  # bytes of heap that layout="auto" leaves free


def set_up(trainer, layout):
    """Take the memory of a Trainer whose layers are chosen, fill it, and list its kernel calls.

    Its network is the backbone again where that fails.
    """
    net = trainer.net
    g_sizes = _gradient_sizes(trainer)
    fixed = sum([aligned(layer.score_bytes()) + aligned(layer.select_bytes())
                 for layer in trainer.layers]) + aligned(g_sizes[0]) + aligned(g_sizes[1])
    trainer.layout = _choose_layout(trainer, layout, fixed)
    trainer.arena = b""
    net.release_scratch()
    try:
        _build(trainer, fixed, g_sizes)
    except BaseException:  # too little memory, no kernels for a layer, Ctrl-C
        trainer.arena = b""
        net.reset()
        raise
    net.trainer = trainer


def _gradient_sizes(trainer):
    """Two areas used in turn: the gradients of every other stage's output share one."""
    sizes = [0, 0]
    stages = trainer.net.stages
    for i in range(stages.index(trainer.first), len(stages)):
        sizes[i & 1] = max(sizes[i & 1], stages[i].size_out())
    return sizes


def _choose_layout(trainer, layout, fixed):
    if layout != "auto":
        return layout
    if trainer.method.rule == F.WEIGHTS or not hasattr(gc, "mem_free"):
        return "kept"  # there are no effective weights
    gc.collect()
    kept = sum([aligned(layer.kept_bytes()) for layer in trainer.layers])
    return "kept" if gc.mem_free() - fixed - kept >= _RESERVE else "small"


def _build(trainer, fixed, g_sizes):
    net, method, layers = trainer.net, trainer.method, trainer.layers
    if method.dynamic:
        net.portable()  # before the arena takes the large block that it needs
    weff_bytes, row_bytes = _weff_bytes(trainer)
    trainer.arena = allocate(fixed + weff_bytes + row_bytes, "training by " + method.name)
    carver = Carver(trainer.arena)
    for layer in layers:
        layer.take(carver)
    gradients = (carver.take(g_sizes[0]), carver.take(g_sizes[1]))
    fill_selection(layers, trainer.state)
    _init_scores(trainer)
    row_buffer = carver.take(row_bytes)
    for layer in layers:
        _use(trainer, layer, carver, row_buffer)
    net.set_low_memory(trainer.layout == "small")
    net.prepare(trainer.first, 256 if trainer.keep else 0, method.dynamic)
    for layer in layers:
        layer.refresh()
    _list_calls(trainer, gradients)
    trainer.set_epoch(0)


def _weff_bytes(trainer):
    """Bytes of kept effective weights, and of the row buffer that all other layers share."""
    kept = rows = 0
    for layer in trainer.layers:
        if _is_kept(trainer, layer):
            kept += aligned(layer.kept_bytes())
        else:
            n_row = layer.stage.d[F.N_ROW]
            rows = max(rows, layer.row_step(ROW_BYTES) * n_row)
    return kept, aligned(rows)


def _is_kept(trainer, layer):
    return (trainer.layout == "kept" or layer.stage.kind == F.CONV2D
            or layer.rule == F.WEIGHTS)


def _init_scores(trainer):
    for layer in trainer.layers:
        if trainer.method.normal:
            trainer.net.kernels.init_scores((layer.scores, trainer.state))
        else:
            for i in range(len(layer.scores)):
                layer.scores[i] = 128


def _use(trainer, layer, carver, row_buffer):
    if layer.rule == F.WEIGHTS:
        layer.use(layer.stage.w)
    elif _is_kept(trainer, layer):
        layer.use(carver.take(layer.kept_bytes()))
    else:
        step = layer.row_step(ROW_BYTES)
        layer.use(row_buffer[:step * layer.stage.d[F.N_ROW]], step)


def _list_calls(trainer, gradients):
    """The kernel calls of the backward pass, last stage first."""
    net = trainer.net
    stages = net.stages
    by_stage = {id(layer.stage): layer for layer in trainer.layers}
    calls = []
    for i in range(len(stages) - 1, stages.index(trainer.first) - 1, -1):
        stage = stages[i]
        g = gradients[i & 1][:stage.size_out()]
        if i == len(stages) - 1:
            trainer.loss_operands = (g, net.logits, net.scratch, net.loss)
        if stage is not trainer.first:
            dx = gradients[(i - 1) & 1][:stages[i - 1].size_out()]
            calls.append(backward_call(net, stage, dx, g))
        layer = by_stage.get(id(stage))
        if layer is not None:
            calls.append(layer.update_call(g))
            if layer.keep:
                calls.append(layer.threshold_call())
    trainer.backward_calls = calls
    if trainer.method.dynamic:
        from .dynamic import install_backward, install_forward

        install_forward(net)
        trainer.backward_calls = install_backward(trainer, calls)
