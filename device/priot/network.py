"""A model in one arena, and its forward pass."""

from array import array

from . import backend
from . import fields as F
from .files import MODEL, check_crc, fail, open_file, read_prefix
from .memory import Carver, aligned, allocate
from .model_file import HEADER, Description

INPUT_EXPONENT = -7  # a pixel v stands for v * 2^-7


class Network:
    """A frozen int8 network. Made by `load`; `predict` classifies one image.

    Attributes: path, name, crc (its identity), shape (channels, height, width), n_classes,
    stages, n_weights. The arena holds weights, activations and the winners of max-pooling.
    """

    def __init__(self, path):
        self.path = path
        self.kernels = backend.kernels
        self.backend = backend.name
        with open_file(path) as f:
            self._read(f, path)
        self.modified = False  # True once a method trains the weights in place
        self.trainer = None
        self.scratch = b""
        self._scratch_shift = 0 if self.backend == "plain" else 2
        self.prepare()

    # ---- reading -----------------------------------------------------------------------------

    def _read(self, f, path):
        description = Description(f, path)
        self.name = description.name
        self.crc = description.crc
        self.shape = description.shape
        self.n_classes = description.n_classes
        self.stages = description.stages
        self.n_weights = sum([s.n_edges() for s in self.stages])
        self._fill(f, description.weight_bytes)

    def _fill(self, f, n_weights):
        """One arena: weights, the input record, then outputs and argmax of every stage."""
        channels, height, width = self.shape
        sizes = [channels * height * width + 1]
        for stage in self.stages:
            sizes.append(stage.size_out())
            sizes.append(stage.argmax_bytes())
        self.arena = arena = allocate(n_weights + sum([aligned(n) for n in sizes]), self.path)
        self._weight_bytes = n_weights
        if f.readinto(memoryview(arena)[:n_weights]) != n_weights:
            fail(self.path, "file size", "short", "%d weight bytes" % n_weights)
        carve = Carver(arena)
        for stage in self.stages:
            if stage.index >= 0:
                stage.w = stage.weff = carve.take(stage.n_edges())
                if min(stage.w) == 0:
                    fail(self.path, "a weight", -128, "-127..127")
        self.record = carve.take(sizes[0])
        self.x = x = self.record[:sizes[0] - 1]
        for stage in self.stages:
            stage.x = x
            stage.y = x = carve.take(stage.size_out())
            stage.argmax = carve.take(stage.argmax_bytes())
        self.logits = x
        self.top = (x,)  # operands of classify

    # ---- preparing kernel calls --------------------------------------------------------------

    def prepare(self, first=None, own_words=0, measures=False):
        """Get scratch (grown for training), let the backend plan, list the calls of a forward.

        `first` is the first trained stage, None for inference alone; `measures`: with MEASURE.
        """
        training = 0
        words = max(own_words, self.n_classes)
        for stage in self.stages:
            stage.plan = self.kernels.plan(stage.kind, stage.d)
            training = 2 if stage is first else 1 if training else 0
            words = max(words, self._scratch_words(stage, training, measures))
        have = len(self.scratch) >> self._scratch_shift
        if have < words or (have > words and self.stages[0].d[F.LOW_MEMORY]):
            self.scratch = b""
            self.scratch = allocate(4 * words, self.path)
            if self.backend == "plain":  # the others take any aligned bytes as int32
                self.scratch = array("i", self.scratch)
        self.forward_calls = [self.forward_call(stage) for stage in self.stages]
        exponent = INPUT_EXPONENT
        for stage in self.stages:
            if stage.index >= 0:
                exponent += stage.d[F.FORWARD_SHIFT] - stage.exponent
        self.loss = array("i", [0] * F.N_FIELDS)
        self.loss[F.N_CLASSES] = self.n_classes
        self.set_exponent(exponent)

    def _scratch_words(self, stage, training, measures):
        """What the kernels of a stage need, of the backend's own and of the portable ones."""
        kind, d = stage.kind, stage.d
        words = self.kernels.scratch_words(kind, training, d)
        if (measures or not d[F.PLAN_FORWARD] or (training == 1 and not d[F.PLAN_BACKWARD])
                or (training and d[F.RULE] and not d[F.PLAN_UPDATE])):
            words = max(words, self.portable().scratch_words(kind, training, d))
        return words

    def portable(self):
        """The kernels that take any layer."""
        return backend.portable(self.kernels)

    def kernels_for(self, stage, slot):
        """Whose kernel does this part of a stage's work: F.PLAN_FORWARD, _BACKWARD, _UPDATE."""
        return self.kernels if stage.d[slot] else self.portable()

    def release_scratch(self):
        """Give scratch back before larger blocks are taken; `prepare` gets it again."""
        self.scratch = b""
        self.forward_calls = []

    def set_exponent(self, exponent):
        """Tell cross_entropy the exponent of the logits: a logit z stands for z * 2^exponent."""
        self.loss[F.LOSS_SHIFT] = max(-8, min(8, exponent + 4))  # beyond +-8 nothing changes

    def forward_call(self, stage):
        """(kernel, operands) that computes stage.y from stage.x."""
        k, d = self.kernels_for(stage, F.PLAN_FORWARD), stage.d
        if stage.kind == F.MAX_POOL2D:
            return k.max_pool_forward, (stage.y, stage.argmax, stage.x, d)
        if stage.kind == F.AVG_POOL2D:
            return k.avg_pool_forward, (stage.y, stage.x, d)
        if stage.kind == F.CONV2D:
            return k.conv2d_forward, (
                stage.y, stage.argmax, stage.x, stage.weff, self.scratch, d)
        operands = (stage.y, stage.x, stage.weff, self.scratch, d)
        if stage.rows is None:
            return k.linear_forward, operands
        return by_rows, (k.linear_forward, operands, self.kernels.effective_weights, stage.rows, d)

    def forward(self):
        """Logits of the image in `x` into `logits`. Allocates nothing."""
        for kernel, operands in self.forward_calls:
            kernel(operands)

    # ---- using it ----------------------------------------------------------------------------

    def predict(self, image):
        """Class of one image: a buffer of channels * height * width bytes, 0..127."""
        self.put(image)
        self.forward()
        return self.top_class()

    def evaluate(self, source):
        """Classify every sample of a dataset (path, Dataset or iterable); an Evaluation."""
        from .evaluation import Evaluation

        return Evaluation.of(self, source)

    def put(self, image):
        """Copy one image into the input. ValueError if its size or a pixel is wrong."""
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

    def set_low_memory(self, low):
        """Choose the kernels with the least scratch, or the fastest; takes effect by prepare."""
        for stage in self.stages:
            stage.d[F.LOW_MEMORY] = 1 if low else 0

    def weight_stages(self):
        """The stages that have weights, first to last."""
        return [s for s in self.stages if s.index >= 0]

    def reset(self):
        """Forget every adaptation: exactly the backbone of the file again."""
        if self.modified:
            self._reread()
        self.trainer = None
        self.set_low_memory(False)
        for stage in self.weight_stages():
            stage.weff = stage.w
            stage.rows = None
            d = stage.d
            d[F.RULE] = d[F.SELECTION] = d[F.ROW] = d[F.MEASURE] = 0
            d[F.ROWS] = d[F.N_OUT]
            d[F.FORWARD_SHIFT], d[F.BACKWARD_SHIFT] = stage.shifts
            d[F.UPDATE_SHIFT] = 0
        self.prepare()

    def _reread(self):
        """Read the weights again, which a method that trains them has changed in place."""
        with open_file(self.path) as f:
            if read_prefix(f, self.path, MODEL, HEADER)[1] != self.crc:
                fail(self.path, "crc32", "that of another model", "%08x" % self.crc)
            check_crc(f, self.path, self.crc)
            f.seek(-self._weight_bytes, 2)
            f.readinto(memoryview(self.arena)[:self._weight_bytes])
        self.modified = False

    def apply(self, path, layout="kept"):
        """Put an adaptation in force: a file written by save() or export_mask().

        The backbone stays as it is; the effective weights take a byte an edge, or with
        layout="small" are computed a few rows at a time. ValueError if the file is corrupt or
        belongs to another backbone: then nothing has changed. After any other failure, as too
        little memory, the network is the backbone.
        """
        from .adapter import apply

        apply(self, path, layout)

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


def by_rows(operands):
    """Run a linear kernel a few rows at a time, computing their effective weights first."""
    kernel, kernel_operands, effective_weights, rows, d = operands
    step = d[F.ROWS]
    n = d[F.N_OUT]
    result = 0
    row = 0
    while row < n:
        d[F.ROW] = row
        effective_weights(rows)
        result = max(result, kernel(kernel_operands))
        row += step
    d[F.ROW] = 0
    return result


def load(path):
    """Read a model file; returns a Network.

    OSError: no such file. ValueError: not a model, corrupt, or beyond the limits (one line that
    names field, found and expected). MemoryError: it does not fit.
    """
    return Network(path)
