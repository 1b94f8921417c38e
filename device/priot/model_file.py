"""Reads a model file: its header and layers, grouped into checked stages.

The byte table is in priot/formats/__init__.py, the grouping in device/DESIGN.md.
"""

import struct
from array import array

from . import fields as F
from .files import MODEL, check_crc, fail, read_prefix
from .memory import aligned
from .stage import Stage

HEADER = 48
_RECORD = 16
_MAX_LAYERS = 256
_MAX_PRODUCTS = 131072  # of 127 * 127: an int32 sum of so many is exact
_MAX_POSITIONS = 1048  # of 127 * 127 * 127: dW * w stays below 2^31


class Description:
    """What a model file says before its weights.

    name, crc, shape (channels, height, width), n_classes, stages, weight_bytes (padding included).
    """

    def __init__(self, f, path):
        header_size, self.crc = read_prefix(f, path, MODEL, HEADER)
        check_crc(f, path, self.crc)
        raw = f.read(HEADER - 16)
        name, channels, height, width, classes, n_layers, reserved, weight_bytes = struct.unpack(
            "<16sHHHHHHI", raw)
        if not 1 <= n_layers <= _MAX_LAYERS:
            fail(path, "number of layers", n_layers, "1..%d" % _MAX_LAYERS)
        if header_size != HEADER + _RECORD * n_layers:
            fail(path, "header size", header_size, HEADER + _RECORD * n_layers)
        if reserved:
            fail(path, "reserved", reserved, 0)
        if not (channels and height and width and 2 <= classes <= 256):
            fail(path, "input or classes", "%dx%dx%d, %d" % (channels, height, width, classes),
                 "1x1x1 or more, 2..256")
        f.seek(0, 2)
        if f.tell() != header_size + weight_bytes:
            fail(path, "weights", f.tell() - header_size, "%d bytes" % weight_bytes)
        f.seek(HEADER)
        self.name = str(name.rstrip(b"\0"), "utf-8")
        self.shape = (channels, height, width)
        self.n_classes = classes
        builder = _Builder(path, self.shape)
        for i in range(n_layers):
            builder.add(i, f.read(_RECORD))
        builder.check()
        self.stages = builder.stages
        self.weight_bytes = weight_bytes
        outputs = self.stages[-1].size_out()
        if outputs != classes:
            fail(path, "outputs", outputs, "%d classes" % classes)
        if builder.weight_bytes != weight_bytes:
            fail(path, "weights", weight_bytes, "%d bytes" % builder.weight_bytes)


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
        self.weight_bytes += aligned(stage.n_edges())

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
