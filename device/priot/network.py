"""A model in memory, and its forward pass."""

import gc
from array import array

from . import backend
from . import fields as F
from .calls import remembered, run
from .files import MODEL, are_values, check_crc, fail, open_file, read_prefix
from .heap import PLANNING, unload
from .memory import hold, let_go

_HEADER = 64  # of a model file, at least
# What a list is refused with, and items of several bytes.
_NO_BYTES = (TypeError, NotImplementedError, ValueError)


class Network:
    """A frozen int8 network. Made by `load`; `predict` classifies one image.

    Attributes: path, name, crc (its identity), shape (channels, height, width), n_classes, names
    (of the classes: a tuple, empty where the file has none), n_outputs (classes, and spare outputs
    for `add_class`), stages, n_weights, loss_kind (of fields.py: cross entropy, or squared error;
    then every output counts as a class), n_targets (values of a target that comes with a sample),
    sound (what its columns are made of: LogMel reads it; b"": not said);
    trainer, adapter (path of its file): what is in force, both None where it is the backbone;
    flash_bytes (of the weights that stay in flash). Its other weights lie in one block, what it
    computes with in another, which a Trainer or an adapter replaces by a larger one.
    """

    def __init__(self, path, kernels=None, flash=None):
        self.path = path
        self.kernels = kernels or backend.kernels
        self.backend = backend.name
        self.modified = False  # True once a method trains the weights in place
        self.trainer = None
        self.adapter = None
        self.release()
        with open_file(path) as f:
            try:
                self._read(f, path, flash)
            finally:
                unload("model_file", "flash_file")
        self.idle_bytes = 0
        self._prepare_idle()
        self.idle_bytes = self.work_bytes  # of the block where nothing is trained

    # ---- reading -----------------------------------------------------------------------------

    def _read(self, f, path, flash):
        from .model_file import Description

        description = Description(f, path)
        self.name = description.name
        self.crc = description.crc
        self.shape = description.shape
        self.n_outputs = description.n_outputs
        self.in_file = description.n_classes, description.names  # classes without those added
        self.input_exponent = description.input_exponent
        self.signed = description.signed
        self.sound = description.sound
        self.loss_kind = description.loss
        self.target_exponent = description.target_exponent
        self.n_targets = self.n_outputs if self.loss_kind == F.SQUARED_ERROR else 0
        self.target_bytes = self.n_targets or 1
        self.stages = description.stages
        self._weights = self._take_weights(description, f, flash)
        description.check_weights(path, self._weights)
        self.loss = array("i", [0] * F.N_FIELDS)
        self.use_classes(*self.in_file)
        for stage in self.weight_stages():
            if stage.flash is None:
                stage.w = stage.weff = self.weights_of(stage, stage.n_edges())
            if stage.d[F.BIAS]:
                stage.bias = self._bias_of(stage)
        self.n_weights = sum([s.n_edges() for s in self.stages])
        self.flash_bytes = sum([s.n_edges() for s in self.stages if s.flash])

    def _take_weights(self, description, f, flash):
        """Read the payload; with weights that stay in flash, the rest of it."""
        return description.read_weights(self, f, flash)

    def _reread(self):
        """Read the weights again, which a method that trains them has changed in place."""
        with open_file(self.path) as f:
            if read_prefix(f, self.path, MODEL, _HEADER)[1] != self.crc:
                fail(self.path, "crc32", "that of another model", "%08x" % self.crc)
            check_crc(f, self.path, self.crc)
            if self.flash_bytes:
                try:
                    from .flash_file import read

                    read(f, self, self._weights)
                finally:
                    unload("flash_file")
            else:
                f.seek(-len(self._weights), 2)
                f.readinto(self._weights)
        self.modified = False

    # ---- memory ------------------------------------------------------------------------------

    def release(self):
        """Give back what it computes with, before other blocks are taken; `prepare` ends that."""
        self.forward_calls = None
        self.work_bytes = 0
        self.record = self.x = self.target = self.logits = b""
        self.top = ()

    def _prepare_idle(self):
        """Take the memory of a network that nobody trains."""
        hold(self.idle_bytes)  # else the code comes in where its block was, and may lie in the way
        try:
            try:
                layout = self.layout_class()
            except MemoryError:
                let_go()
                unload(*PLANNING)
                layout = self.layout_class()
            self.forward_calls = self.prepare(layout(self))
        finally:
            let_go()
            unload(*PLANNING)

    def layout_class(self):
        """What plans its memory; that is imported, for the caller to forget it."""
        if self.flash_bytes:
            from .flash_layout import FlashLayout

            return FlashLayout
        from .layout import Layout

        return Layout

    def prepare(self, layout, trainer=None):
        """Take the memory of a layout; returns the calls of a forward pass. MemoryError.

        From then on the network is in the hands of `trainer`. It computes when `forward_calls` are
        set, once all that they read is there.
        """
        self.release()
        self.trainer = trainer
        self.modified = layout.changes_weights
        record = layout.take("training by " + trainer.method.name if trainer else self.path)
        self.record = record
        n = len(record) - self.target_bytes
        self.x = record[:n]  # the label or target follows the image
        self.target = record[n:] if self.n_targets else self.x
        self.logits = self.stages[-1].y
        self.top = remembered(self.kernels, (self.logits,))  # operands of classify
        self.work_bytes = layout.work.size
        self.set_exponent()
        calls = layout.forward_calls()
        if layout.dynamic:
            calls.append((Network.set_exponent, self))  # it follows from this sample's shifts
        return calls

    @property
    def weight_bytes(self):
        """Bytes of the block of weights."""
        return len(self._weights)

    def check_memory(self):
        """ValueError where memory ran out when it was reset, and nothing can be computed."""
        if self.forward_calls is None:
            raise ValueError("%s: has no memory to compute with; free some, then reset() or load "
                             "it again" % self.path)

    def portable(self):
        """The kernels that take any layer."""
        return backend.portable(self.kernels)

    def layers(self):
        """Fast kernels for more layers than the backend's own take; None: there are none."""
        return backend.layers(self.kernels)

    def gradients(self):
        """The same for training."""
        return backend.layers(self.kernels, "priot_backward")

    def kernels_of(self, plan):
        """Where the kernel lies that a PLAN_* of a layer says, or that a stage's plan names."""
        if plan >= F.BACKWARD_PLAN:
            return self.gradients()
        return self.layers() if plan >= F.LAYERS_PLAN else self.kernels

    def set_exponent(self):
        """Tell the loss the exponent of the logits: a logit z stands for z * 2^exponent."""
        exponent = self.stages[-1].exponent
        for stage in self.stages:
            exponent += stage.d[F.FORWARD_SHIFT] - stage.shifts[0]  # where scales are dynamic
        shift = self.target_exponent - exponent if self.loss_kind else exponent + 4
        self.loss[F.LOSS_SHIFT] = max(-8, min(8, shift))  # beyond +-8 nothing changes

    # ---- using it ----------------------------------------------------------------------------

    def forward(self):
        """Logits of the image in `x` into `logits`. Allocates nothing; `x` is used up, unless the
        loss wants it."""
        if self.forward_calls is None:
            self.check_memory()
        run(self.forward_calls)

    def predict(self, image, least=0):
        """Class of one image: a buffer of channels * height * width values, 0..127, or where the
        input is signed -127..127.

        None where its score (see `scores`) is below `least`, 0..1000. With squared error the
        outputs, a list of -127..127: a value v stands for v * 2^(exponent of the last stage).
        """
        if self.loss_kind:
            return self.squared().outputs(self, image)
        if not 0 <= least <= 1000:
            raise ValueError("least: %s, expected 0..1000" % least)
        self.put(image)
        self.forward()
        top = self.top_class()
        return None if least and self._scores()[top] < least else top

    def scores(self, image):
        """How sure it is of each class of one image: a list of integers that sum to 1000.

        The softmax of the logits in thousandths, by the table that training uses.
        """
        if self.loss_kind:
            raise ValueError("scores: the network has no classes; predict() gives its outputs")
        self.put(image)
        self.forward()
        return self._scores()

    def error(self, sample, target=None):
        """How far the outputs for a sample are from its target: an integer of 0 on.

        The sum over the outputs of (output - target)^2, both at the exponent of the outputs; a
        difference beyond 127 counts as 127. Of an autoencoder, whose target is the sample itself,
        the anomaly score: compare it with those that `evaluate` shows for normal samples. target:
        n_outputs values of -127..127, where it does not follow from the sample. ValueError if the
        network was not made for squared error.
        """
        if not self.loss_kind:
            raise ValueError("error: the network has classes; scores() says how sure it is")
        return self.squared().error(self, sample, target)

    def squared(self):
        """The module of that loss, None where the network has another."""
        if not self.loss_kind:
            return None
        try:
            from . import squared
        except MemoryError:
            unload("squared")
            raise
        return squared

    def _scores(self):
        """Those of the logits that are there."""
        try:
            from .scores import scores
        except MemoryError:
            unload("scores")
            raise
        return scores(self)

    def add_class(self, name):
        """Take a spare output of the model into use for a new class; returns its label.

        The backbone knows nothing of it yet: make a Trainer and train. `reset` forgets the class;
        a file that is saved afterwards keeps it. ValueError: no spare output is left, the name is
        there already or no text of 1..63 bytes, or something trained or applied is in force.
        """
        try:
            from .classes import add

            return add(self, name)
        finally:
            unload("classes")

    def evaluate(self, source, *others):
        """Classify every sample of a dataset (path, Dataset or iterable); an Evaluation.

        Of several datasets a Comparison, which shows them side by side.
        """
        from .evaluation import Evaluation

        if not others:
            return Evaluation.of(self, source)
        try:
            from .comparison import Comparison
        except MemoryError:
            unload("comparison")
            raise
        return Comparison(self, (source,) + others)

    def put(self, image):
        """Copy one image into the input. ValueError if its size or a pixel is wrong."""
        self.check_memory()
        try:
            self._put(image)
        except TypeError:  # floats, text, nothing
            _refuse(image)

    def _put(self, image):
        if len(image) != len(self.x):
            raise ValueError("image: %d bytes, expected %d" % (len(image), len(self.x)))
        if not self._put_bytes(image) or not are_values(self.kernels, (self.x,), self.signed):
            self._put_values(image)

    def _put_bytes(self, image):
        """Copy a buffer of bytes; False where it is none."""
        try:
            self.x[:] = image
            return True
        except _NO_BYTES:
            return False

    def _put_values(self, image):
        """Copy one by one; says what is wrong with them."""
        low, high = min(image), max(image)
        if self.signed:  # as such, or as the bytes of int8
            if low < -127 or high > 255 or (low < 0 and high > 127) or 128 in image:
                raise ValueError("image: values %d..%d, expected -127..127" % (low, high))
        elif low < 0 or high > 127:
            raise ValueError("image: pixel %d, expected 0..127" % (low if low < 0 else high))
        for i in range(len(image)):
            self.x[i] = image[i] & 255

    def top_class(self):
        """Index of the largest logit, the first of equals."""
        return self.kernels.classify(self.top) & 255

    def weight_stages(self):
        """The stages that have weights, first to last."""
        return [s for s in self.stages if s.index >= 0]

    def has_biases(self):
        """Whether any of them has biases."""
        return any([s.d[F.BIAS] for s in self.stages])

    def weights_of(self, stage, n):
        """The first n weights of a stage, spare outputs included: offset bytes of the backbone."""
        return self._weights[stage.offset:stage.offset + n]

    def _bias_of(self, stage):
        """The biases of the outputs that a stage computes."""
        return self._weights[stage.bias_offset:stage.bias_offset + 4 * stage.d[F.N_OUT]]

    def use_classes(self, n, names):
        """Have the first n outputs of the last stage computed, and no more.

        names: of the classes, or none. The memory that it computes with has to be taken anew.
        """
        self.n_classes = n
        self.names = names
        self.loss[F.N_CLASSES] = n
        if self.n_outputs > self.in_file[0]:
            stage = self.stages[-1]
            stage.d[F.N_OUT] = stage.d[F.GROUP_OUT] = n
            if stage.d[F.BIAS]:
                stage.bias = self._bias_of(stage)
            stage.w = self.weights_of(stage, stage.n_edges())
            stage.use(stage.w)

    def to_backbone(self):
        """Forget every adaptation and give back all memory but the weights."""
        self.release()
        self.trainer = self.adapter = None
        for stage in self.stages:
            stage.x = stage.z = stage.y = stage.argmax = b""
        for stage in self.weight_stages():
            stage.backbone()
            if stage.d[F.BIAS]:
                stage.bias = self._bias_of(stage)
        gc.collect()
        if self.modified:
            self._reread()

    def reset(self):
        """Forget every adaptation and added class: exactly the backbone of the file again."""
        self.to_backbone()
        self.use_classes(*self.in_file)
        self._prepare_idle()

    def recover(self):
        """The backbone again, with the classes there are: after what could not be done."""
        self.to_backbone()
        self._prepare_idle()

    def apply(self, path, layout="kept"):
        """Put an adaptation in force: a file written by save() or export_mask().

        The backbone stays as it is; the effective weights take a byte an edge, or with
        layout="small" are computed a few rows at a time. The classes are those of the file, added
        ones included. ValueError if the file is corrupt or belongs to another backbone: then
        nothing has changed. After any other failure, as too little memory, the network is the
        backbone, or, where the file could not even be read, what it was: `net` says which.
        """
        try:
            from .adapter_reader import apply

            apply(self, path, layout)
        finally:
            unload("adapter_reader", "names", "selection", *PLANNING)

    def export_mask(self, path):
        """Write one bit per edge of what a Trainer on this network has pruned."""
        if self.trainer is None:
            raise ValueError("mask: nothing was trained on this network")
        self.trainer.export_mask(path)

    def __repr__(self):
        try:
            from .describe import network

            return network(self)
        finally:
            unload("describe")


def _refuse(image):
    raise ValueError("image: %s of other than integers 0..127" % type(image).__name__)


def load(path, flash=None):
    """Read a model file; returns a Network.

    flash: whether its weights stay in the flash of an RP2040 or RP2350 and come to RAM some rows
    at a time, when they are wanted; None: where RAM is too short for them. Then the file must stay
    as it is: what computes says where it was replaced.
    OSError: no such file. ValueError: not a model, corrupt, beyond the limits (one line that
    names field, found and expected), or not in such a flash. MemoryError: it does not fit.
    """
    return Network(path, flash=flash)
