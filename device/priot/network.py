"""A model file in one arena, grouped into stages, and the forward pass."""

import struct
from array import array

from . import backend
from . import fields as F
from .files import MODEL, check_crc, fail, read_prefix

_HEADER = 48
_RECORD = 16
_MAX_LAYERS = 256
_MAX_PRODUCTS = 131072  # of 127 * 127: an int32 sum of so many is exact
_MAX_POSITIONS = 1048  # of 127 * 127 * 127: dW * w stays below 2^31
INPUT_EXPONENT = -7  # a pixel v stands for v * 2^-7

_KINDS = {F.CONV2D: "conv2d", F.LINEAR: "linear", F.MAX_POOL2D: "max_pool2d",
          F.AVG_POOL2D: "avg_pool2d"}


class Stage:
    """One kernel call of the forward pass: a layer with its ReLU and pooling (DESIGN.md)."""

    def __init__(self, kind, d):
        self.kind = kind
        self.d = d
        self.index = -1  # among the layers with weights
        self.exponent = 0  # we: a weight w stands for (w - 128) * 2^-we
        self.shifts = (0, 0)  # fs, bs of the file
        self.bits_weights = 0  # gb: bits of the largest dW, for UPDATE_SHIFT
        self.bits_scores = 0  # gb: bits of the largest dW * w
        self.x = self.y = self.argmax = b""
        self.w = b""  # the backbone's weights, offset bytes
        self.weff = b""  # what the forward pass uses: w, or effective weights
        self.rows = None  # operands of effective_weights, where weff holds only some rows
        self.plan = 0

    def size_out(self):
        d = self.d
        return d[F.N_OUT] * d[F.H_OUT] * d[F.W_OUT]

    def n_edges(self):
        return self.d[F.N_OUT] * self.d[F.N_ROW] if self.index >= 0 else 0

    def argmax_bytes(self):
        d = self.d
        if d[F.POOL] == 1 or self.kind == F.AVG_POOL2D:
            return 0
        return d[F.N_OUT] * ((d[F.H_OUT] * d[F.W_OUT] * d[F.ARGMAX_BITS] + 7) >> 3)

    def __repr__(self):
        d = self.d
        text = _KINDS[self.kind]
        if self.kind == F.CONV2D:
            text += " %dx%d" % (d[F.KERNEL], d[F.KERNEL])
            if d[F.STRIDE] > 1:
                text += " stride %d" % d[F.STRIDE]
            if d[F.PADDING]:
                text += " pad %d" % d[F.PADDING]
            if d[F.POOL] > 1:
                text += ", max-pool %d" % d[F.POOL]
        elif self.index < 0:
            text += " %d" % d[F.POOL]
        if d[F.RELU]:
            text += ", relu"
        return "%s: %dx%dx%d -> %dx%dx%d" % (
            text, d[F.N_IN], d[F.H_IN], d[F.W_IN], d[F.N_OUT], d[F.H_OUT], d[F.W_OUT])


class Network:
    """A frozen int8 network. Made by `load`; `predict` classifies one image.

    Attributes: path, name, crc (its identity), shape (channels, height, width), n_classes,
    stages, n_weights. The arena holds weights, activations and the winners of max-pooling.
    """

    def __init__(self, path):
        self.path = path
        self.kernels = backend.kernels
        self.backend = backend.name
        with open(path, "rb") as f:
            self._read(f, path)
        self.modified = False  # True once a method trains the weights in place
        self.trainer = None
        self.scratch = b""
        self._scratch_shift = 0 if self.backend == "plain" else 2
        self.prepare()

    # ---- reading -----------------------------------------------------------------------------

    def _read(self, f, path):
        header_size, self.crc = read_prefix(f, path, MODEL, _HEADER)
        check_crc(f, path, self.crc)
        raw = f.read(_HEADER - 16)
        name, channels, height, width, classes, n_layers, reserved, n_weights = struct.unpack(
            "<16sHHHHHHI", raw)
        if not 1 <= n_layers <= _MAX_LAYERS:
            fail(path, "number of layers", n_layers, "1..%d" % _MAX_LAYERS)
        if header_size != _HEADER + _RECORD * n_layers:
            fail(path, "header size", header_size, _HEADER + _RECORD * n_layers)
        if reserved:
            fail(path, "reserved", reserved, 0)
        if not (channels and height and width and 2 <= classes <= 256):
            fail(path, "input or classes", "%dx%dx%d, %d" % (channels, height, width, classes),
                 "1x1x1 or more, 2..256")
        f.seek(0, 2)
        if f.tell() != header_size + n_weights:
            fail(path, "weights", f.tell() - header_size, "%d bytes" % n_weights)
        f.seek(_HEADER)
        self.name = str(name.rstrip(b"\0"), "utf-8")
        self.shape = (channels, height, width)
        self.n_classes = classes
        builder = _Builder(path, self.shape)
        for i in range(n_layers):
            builder.add(i, f.read(_RECORD))
        builder.check()
        self.stages = builder.stages
        self.n_weights = sum([s.n_edges() for s in self.stages])
        last = self.stages[-1]
        if last.size_out() != classes:
            fail(path, "outputs", last.size_out(), "%d classes" % classes)
        if builder.weight_bytes != n_weights:
            fail(path, "weights", n_weights, "%d bytes" % builder.weight_bytes)
        self._fill(f, n_weights)

    def _fill(self, f, n_weights):
        """One arena: weights, the input record, then outputs and argmax of every stage."""
        channels, height, width = self.shape
        sizes = [channels * height * width + 1]
        for stage in self.stages:
            sizes.append(stage.size_out())
            sizes.append(stage.argmax_bytes())
        self.arena = arena = allocate(n_weights + sum([_aligned(n) for n in sizes]), self.path)
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

    def prepare(self, first=None, own_words=0):
        """Get scratch (grown for training), let the backend plan, list the calls of a forward.

        `first` is the first trained stage, None for inference alone.
        """
        training = 0
        words = max(own_words, self.n_classes, len(self.scratch) >> self._scratch_shift)
        for stage in self.stages:
            stage.plan = self.kernels.plan(stage.kind, stage.w, stage.d)
            training = 2 if stage is first else 1 if training else 0
            words = max(words, self.kernels.scratch_words(stage.kind, training, stage.d))
        if len(self.scratch) >> self._scratch_shift < words:
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

    def set_exponent(self, exponent):
        """Tell cross_entropy the exponent of the logits: a logit z stands for z * 2^exponent."""
        self.loss[F.LOSS_SHIFT] = max(-8, min(8, exponent + 4))  # beyond +-8 nothing changes

    def forward_call(self, stage):
        """(kernel, operands) that computes stage.y from stage.x."""
        k, d = self.kernels, stage.d
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
        return by_rows, (k.linear_forward, operands, k.effective_weights, stage.rows, d)

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

    def put(self, image):
        """Copy one image into the input. ValueError if its size or a pixel is wrong."""
        if len(image) != len(self.x):
            raise ValueError("image: %d bytes, expected %d" % (len(image), len(self.x)))
        if max(image) > 127 or min(image) < 0:
            raise ValueError("image: pixel %d, expected 0..127" % max(image))
        self.x[:] = image

    def top_class(self):
        """Index of the largest logit, the first of equals."""
        return self.kernels.classify(self.top) & 255

    def weight_stages(self):
        """The stages that have weights, first to last."""
        return [s for s in self.stages if s.index >= 0]

    def reset(self):
        """Forget every adaptation: exactly the backbone of the file again."""
        if self.modified:
            self._reread()
        self.trainer = None
        for stage in self.weight_stages():
            stage.weff = stage.w
            stage.rows = None
            d = stage.d
            d[F.RULE] = d[F.SELECTION] = d[F.ROW] = d[F.MEASURE] = 0
            d[F.ROWS] = d[F.N_OUT]
            d[F.FORWARD_SHIFT], d[F.BACKWARD_SHIFT] = stage.shifts
        self.prepare()

    def _reread(self):
        """Read the weights again, which a method that trains them has changed in place."""
        with open(self.path, "rb") as f:
            if read_prefix(f, self.path, MODEL, _HEADER)[1] != self.crc:
                fail(self.path, "crc32", "that of another model", "%08x" % self.crc)
            check_crc(f, self.path, self.crc)
            f.seek(-self._weight_bytes, 2)
            f.readinto(memoryview(self.arena)[:self._weight_bytes])
        self.modified = False

    def apply(self, path, layout="kept"):
        """Put an adaptation in force: a file written by save() or export_mask().

        The backbone stays as it is; the effective weights take a byte an edge, or with
        layout="small" are computed a few rows at a time. ValueError if the file is corrupt or
        belongs to another backbone: then nothing has changed.
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


class _Builder:
    """Groups the layers of a file into stages, checking every size."""

    def __init__(self, path, shape):
        self.path = path
        self.shape = shape
        self.stages = []
        self.weight_bytes = 0
        self._relu = 1  # the input is 0..127, but its gradient is never wanted
        self._joinable = False  # relu or max-pool may still join the last stage
        self._n_weighted = 0

    def add(self, i, record):
        (kind, kernel, stride, padding, n_out, reserved, exponent, fs, bs, gb_weights,
         gb_scores, r1, r2, r3) = struct.unpack("<BBBBHHbbbbbBBB", record)
        where = "layer %d" % i
        if reserved or r1 or r2 or r3:
            fail(self.path, where, "not zero in its reserved bytes", 0)
        if kind == F.FLATTEN:
            self.shape = (self.shape[0] * self.shape[1] * self.shape[2], 1, 1)
            self._joinable = False
        elif kind == F.RELU_LAYER:
            if not self._joinable or self.stages[-1].d[F.RELU]:
                fail(self.path, where, "a misplaced relu", "one after conv2d, linear or pool")
            self.stages[-1].d[F.RELU] = 1
            self._relu = 1
        elif kind == F.CONV2D or kind == F.LINEAR:
            if kind == F.LINEAR:
                if self.shape[1] * self.shape[2] != 1:
                    fail(self.path, where, "linear on an image", "flatten before it")
                kernel, stride, padding = 1, 1, 0
            stage = self._stage(where, kind, kernel, stride, padding, n_out, 1, 1)
            stage.exponent = exponent
            stage.bits_weights = gb_weights
            stage.bits_scores = gb_scores
            self._weights(where, stage, fs, bs)
        elif kind == F.MAX_POOL2D or kind == F.AVG_POOL2D:
            self._pool(where, kind, kernel, stride)
        else:
            fail(self.path, where, "of kind %d" % kind, "1..6")

    def _stage(self, where, kind, kernel, stride, padding, n_out, pool, pool_stride):
        channels, height, width = self.shape
        if not (1 <= kernel <= 15 and 1 <= stride <= 15 and padding < kernel
                and 1 <= pool <= 15 and 1 <= pool_stride <= 15 and n_out >= 1):
            fail(self.path, where, "kernel %d, stride %d, padding %d, pool %d, %d outputs" % (
                kernel, stride, padding, pool, n_out), "1..15, 1..15, < kernel, 1..15, >= 1")
        d = array("i", [0] * F.N_FIELDS)
        d[F.N_IN], d[F.H_IN], d[F.W_IN], d[F.N_OUT] = channels, height, width, n_out
        d[F.KERNEL], d[F.STRIDE], d[F.PADDING] = kernel, stride, padding
        d[F.H_CONV] = (height + 2 * padding - kernel) // stride + 1
        d[F.W_CONV] = (width + 2 * padding - kernel) // stride + 1
        d[F.ROWS] = n_out
        d[F.X_RELU] = self._relu
        d[F.THRESHOLD] = 64
        d[F.N_ROW] = channels * kernel * kernel
        stage = Stage(kind, d)
        self._pooled(where, stage, pool, pool_stride)
        self.stages.append(stage)
        self._relu = 0
        self._joinable = True
        return stage

    def _pooled(self, where, stage, pool, pool_stride):
        d = stage.d
        d[F.POOL], d[F.POOL_STRIDE] = pool, pool_stride
        d[F.ARGMAX_BITS] = 2 if pool <= 2 else 4 if pool <= 4 else 8
        d[F.MULTIPLIER] = (65536 + pool * pool // 2) // (pool * pool)
        d[F.H_OUT] = (d[F.H_CONV] - pool) // pool_stride + 1
        d[F.W_OUT] = (d[F.W_CONV] - pool) // pool_stride + 1
        if min(d[F.H_CONV], d[F.W_CONV], d[F.H_OUT], d[F.W_OUT]) < 1:
            fail(self.path, where, "larger than its input", "at most %dx%d" % self.shape[1:])
        self.shape = (d[F.N_OUT], d[F.H_OUT], d[F.W_OUT])

    def _weights(self, where, stage, fs, bs):
        d = stage.d
        if not (0 <= fs <= 30 and 0 <= bs <= 30):
            fail(self.path, where, "shifted by %d and %d" % (fs, bs), "0..30")
        if d[F.N_ROW] > _MAX_PRODUCTS:
            fail(self.path, where, "summing %d products" % d[F.N_ROW],
                 "at most %d" % _MAX_PRODUCTS)
        d[F.FORWARD_SHIFT] = fs
        d[F.BACKWARD_SHIFT] = bs
        stage.shifts = (fs, bs)
        stage.index = self._n_weighted
        self._n_weighted += 1
        self.weight_bytes += _aligned(stage.n_edges())

    def _pool(self, where, kind, kernel, stride):
        if kernel < 2:
            fail(self.path, where, "a pool of %d" % kernel, "2..15")
        last = self.stages[-1] if self.stages else None
        if (kind == F.MAX_POOL2D and self._joinable and last.kind == F.CONV2D
                and last.d[F.POOL] == 1):
            if not (kernel <= 15 and 1 <= stride <= 15):
                fail(self.path, where, "pool %d, stride %d" % (kernel, stride), "1..15")
            self._pooled(where, last, kernel, stride)
        else:
            self._stage(where, kind, 1, 1, 0, self.shape[0], kernel, stride)

    def check(self):
        """What only the whole sequence shows."""
        if self._n_weighted == 0:
            fail(self.path, "layers", "without weights", "at least one conv2d or linear")
        if self._relu:
            fail(self.path, "last layer", "a relu", "logits of either sign")
        for i, stage in enumerate(self.stages):
            d = stage.d
            positions = d[F.H_OUT] * d[F.W_OUT]
            if stage.index >= 0 and positions > _MAX_POSITIONS:
                fail(self.path, "stage %d" % i, "%d positions" % positions,
                     "at most %d after pooling" % _MAX_POSITIONS)
            # overlapping windows may all send their gradient to one position
            overlap = (d[F.POOL] + d[F.POOL_STRIDE] - 1) // d[F.POOL_STRIDE]
            terms = d[F.N_OUT] * (d[F.KERNEL] * overlap) ** 2
            if stage.kind == F.CONV2D and terms > _MAX_PRODUCTS:
                fail(self.path, "stage %d" % i, "summing %d products" % terms,
                     "at most %d" % _MAX_PRODUCTS)


class Carver:
    """Hands out word-aligned pieces of one block."""

    def __init__(self, block):
        self._view = memoryview(block)
        self._at = 0

    def take(self, n):
        piece = self._view[self._at:self._at + n]
        self._at += _aligned(n)
        return piece


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


def allocate(n, where):
    """A zeroed block; MemoryError says how much was needed and how much there is."""
    try:
        return bytearray(n)
    except MemoryError:
        pass
    import gc

    gc.collect()
    try:
        return bytearray(n)
    except MemoryError:
        raise MemoryError("%s: needs a block of %d bytes, the heap has %d free" % (
            where, n, gc.mem_free() if hasattr(gc, "mem_free") else 0))


def _aligned(n):
    return (n + 3) & ~3


def load(path):
    """Read a model file; returns a Network.

    OSError: no such file. ValueError: not a model, corrupt, or beyond the limits (one line that
    names field, found and expected). MemoryError: it does not fit.
    """
    return Network(path)
