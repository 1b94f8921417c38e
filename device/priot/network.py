"""A model in memory, and its forward pass."""

import gc
from array import array

from . import backend
from . import fields as F
from .calls import run
from .files import MODEL, check_crc, fail, open_file, read_prefix
from .heap import unload
from .memory import allocate

_HEADER = 64  # of a model file, at least


class Network:
    """A frozen int8 network. Made by `load`; `predict` classifies one image.

    Attributes: path, name, crc (its identity), shape (channels, height, width), n_classes, names
    (of the classes), stages, n_weights. Its weights lie in one block, what it computes with in
    another, which a Trainer or an adapter replaces by a larger one.
    """

    def __init__(self, path, kernels=None):
        self.path = path
        self.kernels = kernels or backend.kernels
        self.backend = backend.name
        self.modified = False  # True once a method trains the weights in place
        self.trainer = None
        self.release()
        with open_file(path) as f:
            try:
                self._read(f, path)
            finally:
                unload("model_file")
        self.loss = array("i", [0] * F.N_FIELDS)
        self.loss[F.N_CLASSES] = self.n_classes
        self._prepare_idle()
        self.idle_bytes = self.work_bytes  # of the block where nothing is trained

    # ---- reading -----------------------------------------------------------------------------

    def _read(self, f, path):
        from .model_file import Description

        description = Description(f, path)
        self.name = description.name
        self.crc = description.crc
        self.shape = description.shape
        self.n_classes = description.n_classes
        self.names = description.names
        self.input_exponent = description.input_exponent
        self.stages = description.stages
        self.n_weights = sum([s.n_edges() for s in self.stages])
        self._weights = weights = memoryview(allocate(description.weight_bytes, path))
        if f.readinto(weights) != len(weights):
            fail(path, "file size", "short", "%d weight bytes" % len(weights))
        description.check_weights(path, weights)
        for stage in self.weight_stages():
            stage.w = stage.weff = weights[stage.offset:stage.offset + stage.n_edges()]

    def _reread(self):
        """Read the weights again, which a method that trains them has changed in place."""
        with open_file(self.path) as f:
            if read_prefix(f, self.path, MODEL, _HEADER)[1] != self.crc:
                fail(self.path, "crc32", "that of another model", "%08x" % self.crc)
            check_crc(f, self.path, self.crc)
            f.seek(-len(self._weights), 2)
            f.readinto(self._weights)
        self.modified = False

    # ---- memory ------------------------------------------------------------------------------

    def release(self):
        """Give back what it computes with, before other blocks are taken; `prepare` ends that."""
        self.forward_calls = None
        self.work_bytes = 0
        self.record = self.x = self.logits = b""
        self.top = ()

    def _prepare_idle(self):
        """Take the memory of a network that nobody trains."""
        from .layout import Layout

        try:
            self.prepare(Layout(self))
        finally:
            unload("layout", "blocks")

    def prepare(self, layout, trainer=None):
        """Take the memory of a layout, and list the calls of a forward pass. MemoryError.

        From then on the network is in the hands of `trainer`.
        """
        self.release()
        self.trainer = trainer
        self.modified = layout.changes_weights
        record = layout.take("training by " + trainer.method.name if trainer else self.path)
        self.record = record
        self.x = record[:-1]  # the label follows the image
        self.logits = self.stages[-1].y
        self.top = (self.logits,)  # operands of classify
        self.work_bytes = layout.work.size
        self.set_exponent()
        calls = layout.forward_calls()
        if layout.dynamic:
            calls.append((Network.set_exponent, self))  # it follows from this sample's shifts
        self.forward_calls = calls

    @property
    def weight_bytes(self):
        """Bytes of the block of weights."""
        return len(self._weights)

    def check_memory(self):
        """ValueError where memory ran out when it was reset, and nothing can be computed."""
        if self.forward_calls is None:
            raise ValueError("%s: has no memory to compute with; load it again" % self.path)

    def portable(self):
        """The kernels that take any layer."""
        return backend.portable(self.kernels)

    def set_exponent(self):
        """Tell cross_entropy the exponent of the logits: a logit z stands for z * 2^exponent."""
        exponent = self.input_exponent
        for stage in self.stages:
            exponent += stage.d[F.FORWARD_SHIFT] - stage.weight_exponent
        self.loss[F.LOSS_SHIFT] = max(-8, min(8, exponent + 4))  # beyond +-8 nothing changes

    # ---- using it ----------------------------------------------------------------------------

    def forward(self):
        """Logits of the image in `x` into `logits`. Allocates nothing; `x` is used up."""
        if self.forward_calls is None:
            self.check_memory()
        run(self.forward_calls)

    def predict(self, image):
        """Class of one image: a buffer of channels * height * width bytes, 0..127."""
        self.put(image)
        self.forward()
        return self.top_class()

    def evaluate(self, source, *others):
        """Classify every sample of a dataset (path, Dataset or iterable); an Evaluation.

        Of several datasets a Comparison, which shows them side by side.
        """
        from .evaluation import Evaluation

        if not others:
            return Evaluation.of(self, source)
        from .comparison import Comparison

        return Comparison(self, (source,) + others)

    def put(self, image):
        """Copy one image into the input. ValueError if its size or a pixel is wrong."""
        self.check_memory()
        if len(image) != len(self.x):
            raise ValueError("image: %d bytes, expected %d" % (len(image), len(self.x)))
        low, high = min(image), max(image)
        if low < 0 or high > 127:
            raise ValueError("image: pixel %d, expected 0..127" % (low if low < 0 else high))
        try:
            self.x[:] = image
        except (TypeError, NotImplementedError):  # a list
            for i in range(len(image)):
                self.x[i] = image[i]

    def top_class(self):
        """Index of the largest logit, the first of equals."""
        return self.kernels.classify(self.top) & 255

    def weight_stages(self):
        """The stages that have weights, first to last."""
        return [s for s in self.stages if s.index >= 0]

    def to_backbone(self):
        """Forget every adaptation and give back all memory but the weights."""
        self.release()
        self.trainer = None
        for stage in self.stages:
            stage.x = stage.y = stage.argmax = b""
        for stage in self.weight_stages():
            stage.backbone()
        gc.collect()
        if self.modified:
            self._reread()

    def reset(self):
        """Forget every adaptation: exactly the backbone of the file again."""
        self.to_backbone()
        self._prepare_idle()

    def apply(self, path, layout="kept"):
        """Put an adaptation in force: a file written by save() or export_mask().

        The backbone stays as it is; the effective weights take a byte an edge, or with
        layout="small" are computed a few rows at a time. ValueError if the file is corrupt or
        belongs to another backbone: then nothing has changed. After any other failure, as too
        little memory, the network is the backbone.
        """
        from .adapter_reader import apply

        try:
            apply(self, path, layout)
        finally:
            unload("adapter_reader", "names", "selection", "layout", "blocks")

    def export_mask(self, path):
        """Write one bit per edge of what a Trainer on this network has pruned."""
        if self.trainer is None:
            raise ValueError("mask: nothing was trained on this network")
        self.trainer.export_mask(path)

    def __repr__(self):
        lines = ["<Network %s: %dx%dx%d, %d classes, %d weights, %s backend" % (
            (self.name or self.path,) + self.shape + (self.n_classes, self.n_weights,
                                                      self.backend))]
        for stage in self.stages:
            plan = ""
            if stage.index >= 0:
                plan = "  [%s]" % self.kernels.plan_name(stage.plan)
            lines.append("  %r%s" % (stage, plan))
        return "\n".join(lines) + ">"


def load(path):
    """Read a model file; returns a Network.

    OSError: no such file. ValueError: not a model, corrupt, or beyond the limits (one line that
    names field, found and expected). MemoryError: it does not fit.
    """
    return Network(path)
