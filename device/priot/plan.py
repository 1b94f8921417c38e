"""What a model and ways to train it take of memory, said without taking it: the action "plan".

A host runs this on its own MicroPython, for a board that need not be there: the sizes are those
of layout.py. Kernels of another processor are asked through priot_plan, their rules on scratch
compiled for this machine.
"""

from . import backend
from .adapter import HEADER, RECORD
from .adapter_reader import Reader, applied_layers
from .events import emit
from .fields import BITMAP
from .files import pack_names
from .flash_file import choose
from .kinds import KINDS
from .memory import RESERVE, aligned
from .methods import LAYOUTS, ONLY_BIAS, PRUNE, WIDE, find
from .network import Network
from .options import Options, is_depthwise


def run(job):
    """Emit an event "network", then one "training" or "adapter" for each that is asked for.

    Keys of the job: model; backend, kernels on the board, and arch, its processor ("" for this
    machine's own); free: bytes of heap that would be free beside the network's weights (where
    layout is "auto"); trainings: [method, options] each; adapters: [path, layout] each; flash:
    as of `load`, and free_at_load: bytes of heap that would be free then, 0: of a board without
    such a flash.
    """
    backend.use(None if job["arch"] else job["backend"])
    net = _Planned(job["model"], *_kernels_of(job),
                   flash=(job.get("flash"), job.get("free_at_load", 0)))
    emit("network", **_network(net))
    for method, options in job.get("trainings", ()):
        net.to_backbone()
        try:
            emit("training", **_training(net, method, options, job["free"]))
        except (ValueError, TypeError) as e:
            emit("training", refused=str(e))
    for path, layout in job.get("adapters", ()):
        net.to_backbone()
        emit("adapter", **_adapter(net, path, layout))
    emit("done")


class _Planned(Network):
    """A network that reads its weights, and computes nothing.

    flash: what `load` is told of that, and the bytes of heap that are free then.
    """

    def __init__(self, path, kernels, portable, layers=None, gradients=None, flash=(None, 0)):
        self._portable = portable
        self._layers = layers
        self._gradients = gradients
        self.free_at_load = flash[1]
        Network.__init__(self, path, kernels, flash[0])

    def _take_weights(self, description, f, flash):
        weights = Network._take_weights(self, description, f, False)
        free = self.free_at_load
        if flash or (flash is None and free and free - len(weights) - description.tensor_bytes()
                     < RESERVE):
            for stage in choose(description.stages, free):
                stage.flash = _InFlash(weights[stage.offset:stage.offset + stage.n_edges()])
        return weights

    def prepare(self, layout, trainer=None):
        self.layout = layout
        self.work_bytes = layout.work.size

    def portable(self):
        return self._portable

    def layers(self):
        return self._layers

    def gradients(self):
        return self._gradients


class _InFlash:
    """What stands for a FlashWeights where only sizes are asked for."""

    def __init__(self, weights):
        self.weights = weights

    def parts(self):
        return [self.weights]


class _Asked:
    """The kernels of another processor, as far as planning asks them."""

    def __init__(self, plan, plan_name, scratch_words):
        self.plan = plan
        self.plan_name = plan_name
        self.scratch_words = scratch_words
        self.count_below = backend.kernels.count_below


def _kernels_of(job):
    """What stands for the board's kernels: the backend's, portable ones, perhaps those of
    priot_layers and priot_backward."""
    if not job["arch"]:
        return backend.kernels, backend.portable(backend.kernels)
    if job["backend"] == "viper":
        from . import kernels_viper

        return kernels_viper, kernels_viper
    import priot_plan

    portable = _Asked(_no_plan, lambda number: "portable C", priot_plan.portable_scratch_words)
    if job["backend"] == "portable":
        return portable, portable
    return (_Asked(priot_plan.plan, priot_plan.plan_name, priot_plan.scratch_words), portable,
            _Asked(priot_plan.layers_plan, priot_plan.layers_plan_name,
                   priot_plan.layers_scratch_words),
            _Asked(priot_plan.backward_plan, None, priot_plan.backward_scratch_words))


def _no_plan(kind, d):
    """The portable kernels choose nothing."""
    return 0


def _network(net):
    """Sizes of the network alone."""
    layout = net.layout
    stages = [{"kind": KINDS[s.kind][0], "text": repr(s), "weights": s.n_edges(),
               "outputs": s.size_out(), "argmax": s.argmax_bytes(), "in_flash": bool(s.flash),
               "quick": s.is_quick(),
               "kernels": net.kernels_of(s.plan).plan_name(s.plan)} for s in net.stages]
    return {"stages": stages, "n_classes": net.n_classes,
            "weight_bytes": net.weight_bytes - net.flash_bytes, "flash_bytes": net.flash_bytes,
            "is_depthwise": any([is_depthwise(s) for s in net.stages]),
            "is_sensor": (bool(net.signed) and not net.loss_kind
                          and min(net.shape[1:]) == 1 < max(net.shape[1:])),
            "reserve_bytes": RESERVE, "work_bytes": layout.work.size,
            "portable": layout.needs_portable, "layers": layout.needs_layers}


def _training(net, name, options, free):
    """Sizes of a Trainer, beside those of the network."""
    method = find(name, net.has_biases())
    options = Options(method, len(net.weight_stages()), options)
    options.warn_of_network(net)
    layers, layout = options.plan(net, lambda: free)
    left = free - layout.size
    masks = _saved_bytes(layers, True) if method.rule == PRUNE else 0
    sizes = _sizes(net, layout)
    sizes.update({"warnings": options.warnings, "left_bytes": left, "saved": _saved_bytes(layers),
                  "mask": masks})
    return sizes


def _adapter(net, path, layout):
    """Sizes of an adapter that is put in force."""
    with Reader(path, net) as reader:
        layers = applied_layers(net, reader)
        layout_class = net.layout_class()
        return _sizes(net, layout_class(net, layers, None, layout == LAYOUTS[2],
                                        reader.method.dynamic))


def _sizes(net, layout):
    layers = [{"stage": net.stages.index(a.stage), "scored": a.n_params,
               "scores": a.score_bytes(), "select": a.select_bytes()} for a in layout.layers]
    return {"layout": layout.name, "layers": layers, "learned_bytes": layout.learned.size,
            "work_bytes": layout.work.size, "dynamic": layout.dynamic,
            "ram_bytes": layout.bytes_beside(net), "portable": layout.needs_portable,
            "backward": layout.needs_backward, "parts": layout.parts}


def _saved_bytes(layers, mask=False):
    """Bytes of the file that `save` or `export_mask` writes of these layers."""
    n_bytes = HEADER + RECORD * len(layers) + len(pack_names(layers[0].net.names))
    for layer in layers:
        if not mask:
            each = {ONLY_BIAS: 4, WIDE: 2}.get(layer.rule, 1)
            n_bytes += aligned(layer.n_params * each)
        if mask or layer.selection == BITMAP:
            n_bytes += aligned((layer.n_edges + 7) >> 3)
    return n_bytes
