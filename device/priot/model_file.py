"""Reads a model file: what it says before its weights, checked to the byte.

The byte table is in priot/formats/__init__.py; network/link.py, on the host, refuses the same.
"""

import struct
from array import array

from . import fields as F
from .files import (MODEL, PREFIX, check_crc, check_scale, check_scales, check_text, fail,
                    open_file, read_names, read_prefix, read_sound)
from .heap import unload
from .kinds import ADD, AVG_POOL, CONV2D, GLOBAL_POOL, KINDS, LINEAR
from .memory import RESERVE, aligned, allocate, free_bytes
from .stage import Stage

_HEADER = 64
_TABLE = "<16sHHHHBBbBHHIiIHbB"  # what follows the prefix
_RECORD = 64
_NOWHERE = 0xFFFFFFFF
_MAX_PRODUCTS = 131072  # of 127 * 127: an int32 sum of so many is exact
_MAX_SIDE = 63  # of a kernel, and of a window that is not global
_MAX_AREA = 225  # of both
_MAX_STRIDE = 15
_MAX_OUTPUTS = 32767  # with squared error: the sum of so many squares of 127 is below 2^29
_MAX_ELEMENTS = 1 << 23  # of a tensor: what the kernels' checks take


def read_scales(path):
    """(scale, as the bits of a float32, and zero of all channels); those of each, or b"".

    Of a file that was checked when it was loaded.
    """
    with open_file(path) as f:
        f.seek(PREFIX)
        n_stages, n_names, scale, zero, _, n_scales = struct.unpack(
            _TABLE, f.read(_HEADER - PREFIX))[9:15]
        f.seek(_HEADER + _RECORD * n_stages + n_names)
        return (scale, zero), f.read(8 * n_scales)


class Description:
    """What a model file says before its weights.

    name, crc, shape (channels, height, width), n_classes, names (of the classes, or none),
    n_outputs (of the last stage: classes, then spare ones), loss (of fields.py), target_exponent
    (of a target, as) input_exponent (a value v of the image stands for v * 2^that), signed (the
    input is -127..127), sound (rate, frame, hop as of priot.audio, 8 bytes; b"": not said),
    stages (with all outputs), weight_bytes (of the payload, which follows in the file).
    """

    def __init__(self, f, path):
        header_size, self.crc = read_prefix(f, path, MODEL, _HEADER)
        check_crc(f, path, self.crc)
        (name, channels, height, width, outputs, loss, flags, self.input_exponent, spare,
         n_stages, n_names, scale, zero, self.weight_bytes, n_scales, self.target_exponent,
         more) = struct.unpack(_TABLE, f.read(_HEADER - PREFIX))
        _range(path, "stages", n_stages, 1, 256)
        expected = _HEADER + _RECORD * n_stages + n_names + 8 * n_scales + (flags & 2) * 4
        if header_size != expected:
            fail(path, "header size", header_size, expected)
        _range(path, "loss", loss, F.CROSS_ENTROPY, F.RECONSTRUCTION)
        if more or (self.target_exponent and loss != F.SQUARED_ERROR):
            fail(path, "reserved", "set", 0)
        _range(path, "flags", flags, 0, 3)
        self.loss = loss
        if loss == F.RECONSTRUCTION:
            self.target_exponent = self.input_exponent
        self.signed = flags & 1
        check_scale(path, scale)
        self.name = check_text(path, "name", name.rstrip(b"\0"), 16)
        self.shape = (channels, height, width)
        for n in self.shape:
            _range(path, "side of the input", n, 1, 65535)
        _range(path, "values of the input", channels * height * width, 1, _MAX_ELEMENTS)
        if loss:
            _range(path, "outputs", outputs, 1, _MAX_OUTPUTS)
            _range(path, "spare outputs", spare, 0, 0)
        else:
            _range(path, "outputs", outputs, 2, 256)
            _range(path, "classes", outputs - spare, 2, 256)
        if loss == F.RECONSTRUCTION and outputs != channels * height * width:
            fail(path, "outputs", outputs, "%d, as the input has" % (channels * height * width))
        self.n_outputs = outputs
        self.n_classes = classes = outputs - spare
        self.stages = []
        at = 0
        unread = set()
        for i in range(n_stages):
            at = self._add("%s: stage %d" % (path, i), i, f.read(_RECORD), at)
            unread.discard(self.stages[i].input)
            unread.discard(self.stages[i].second)
            unread.add(i)
        if len(unread) > 1:
            raise ValueError("%s: stage %d: no stage reads its output" % (path, min(unread)))
        if loss:
            _range(path, "bytes of the names", n_names, 0, 0)
        self.names = read_names(f, path, n_names, classes)
        check_scales(f, path, n_scales, channels, scale or zero)
        self.sound = read_sound(f, path, (flags & 2) * 4)
        if at != self.weight_bytes or f.seek(0, 2) != header_size + at:
            fail(path, "payload", self.weight_bytes, "%d bytes" % at)
        f.seek(header_size)
        last = self.stages[-1]
        if last.size_out() != outputs or last.d[F.RELU]:
            fail(path, "last stage", repr(last), "%d logits without relu" % outputs)
        if spare and last.kind != LINEAR:
            fail(path, "last stage", repr(last), "linear where outputs are spare")
        if not at:
            fail(path, "payload", "without weights", "at least one layer's")

    def _add(self, where, i, record, at):
        """Append a stage; `at`: where in the payload its weights have to begin, and end."""
        r = struct.unpack("<BBH12BHhhBbhb5B3I20s", record)
        kind, flags, n_out = r[:3]
        groups, a, b, largest, b_shift, exponent, we, fs, bs, gw, gs, gb, start, bias = r[15:29]
        if kind not in KINDS:
            fail(where, "kind", kind, "1..%d" % len(KINDS))
        if flags > 1 or any(r[30]):
            fail(where, "flags or reserved", "set", 0)
        _unable(where, "shifts by row", r[29] != _NOWHERE)
        conv = kind == CONV2D
        weighted = conv or kind == LINEAR
        whole = kind == GLOBAL_POOL
        is_sum = kind == ADD
        d = array("i", [0] * F.N_FIELDS)
        stage = Stage(kind, d)
        stage.input, stage.second = a, b
        _range(where, "input", a, -1, i - 1)
        if not (-1 <= b < i and b != a if is_sum else b == -2):
            fail(where, "second input", b, "another stage before" if is_sum else "none")
        low = self._connect(where, stage, expected_shift=b_shift)
        if kind == LINEAR:
            d[F.N_IN] *= d[F.H_IN] * d[F.W_IN]
            d[F.H_IN] = d[F.W_IN] = 1
        _range(where, "outputs", n_out, 1, 65535)
        d[F.N_OUT] = d[F.ROWS] = n_out
        d[F.RELU] = flags
        _range(where, "largest output", largest, 1 if flags else 127, 127)
        d[F.HIGH] = largest
        _range(where, "groups", groups, 1, 65535 if conv else 1)
        if d[F.N_IN] % groups or n_out % groups:
            fail(where, "groups", groups, "a divisor of inputs and outputs")
        d[F.GROUPS] = groups
        d[F.GROUP_IN] = d[F.N_IN] // groups
        d[F.GROUP_OUT] = n_out // groups
        for j in range(8):
            d[F.KERNEL_H + j] = r[3 + j]
        for j in range(4):
            d[F.POOL_H + j] = r[11 + j]
        area = d[F.POOL_H] * d[F.POOL_W]
        is_pool = not (weighted or whole or is_sum)
        for j in range(2):
            _axis(where, d, j, conv, conv or is_pool, whole)
        _range(where, "area of the kernel", d[F.KERNEL_H] * d[F.KERNEL_W], 1, _MAX_AREA)
        _range(where, "area of the window", area, 1 + is_pool, area if whole else _MAX_AREA)
        n_row = d[F.N_ROW] = d[F.GROUP_IN] * d[F.KERNEL_H] * d[F.KERNEL_W]
        if kind == AVG_POOL:
            d[F.MULTIPLIER] = (65536 + (area >> 1)) // area
        elif area > 1 and not whole:
            d[F.ARGMAX_BITS] = 2 if area <= 4 else 4 if area <= 16 else 8
        _range(where, "forward shift", fs, 0, 30 if weighted or whole or is_sum else 0)
        _range(where, "backward shift", bs, 0, 30 if weighted else 0)
        _range(where, "update bits", max(gw, gs), 0, 31 if weighted else 0)
        _range(where, "update bits of the bias", gb, 0, 0 if bias == _NOWHERE else 31)
        d[F.FORWARD_SHIFT], d[F.BACKWARD_SHIFT] = stage.shifts = fs, bs
        if whole:
            _range(where, "area of the window", area >> we if we >= 0 else 0, 1, 1)  # 2^we or more
        if exponent != low + fs - we or (we and not weighted and not whole):
            fail(where, "exponent", exponent, low + fs - we)
        stage.exponent = exponent
        stage.weight_exponent = we
        stage.bits_weights = gw
        stage.bits_scores = gs
        if weighted:
            stage.index = sum([s.index >= 0 for s in self.stages])
            stage.offset = at
            _range(where, "weights of a row", n_row, 1, _MAX_PRODUCTS)
            _range(where, "positions", d[F.H_OUT] * d[F.W_OUT], 1, _MAX_PRODUCTS)
            # overlapping windows may all send their gradient to one position
            _range(where, "products of a gradient", d[F.GROUP_OUT] * _reach(d, 0) * _reach(d, 1),
                   1, _MAX_PRODUCTS)
        elif n_out != d[F.N_IN]:
            fail(where, "outputs", n_out, d[F.N_IN])
        if start != (at if weighted else _NOWHERE):
            fail(where, "place of the weights", start, at if weighted else _NOWHERE)
        _range(where, "values", max(_padded(d), stage.size_out(), stage.n_edges()), 1,
               _MAX_ELEMENTS)
        self.stages.append(stage)
        at += aligned(stage.n_edges())
        if bias != _NOWHERE:
            if not weighted or bias != at:
                fail(where, "place of the bias", bias, at if weighted else _NOWHERE)
            d[F.BIAS] = 1
            stage.bias_offset = at
            stage.bits_bias = gb
            at += 4 * n_out
        return at

    def _connect(self, where, stage, expected_shift):
        """Write what a stage's inputs say into its descriptor; returns the finer exponent."""
        d = stage.d
        shapes, exponents = [], []
        d[F.NONNEGATIVE] = 1
        for number, mask in ((stage.input, F.MASK_DX), (stage.second, F.MASK_DZ)):
            if number >= 0:
                below = self.stages[number]
                shapes.append([below.d[j] for j in (F.N_OUT, F.H_OUT, F.W_OUT)])
                exponents.append(below.exponent)
                if below.d[F.RELU]:
                    d[mask] = below.d[F.HIGH] if below.d[F.HIGH] < 127 else 128
                elif below.index >= 0 or not below.d[F.NONNEGATIVE]:
                    d[F.NONNEGATIVE] = 0
            elif number == -1:
                shapes.append(list(self.shape))
                exponents.append(self.input_exponent)
                if self.signed:
                    d[F.NONNEGATIVE] = 0
        if shapes[0] != shapes[-1]:
            fail(where, "second input", shapes[-1], shapes[0])
        if expected_shift != exponents[-1] - exponents[0]:
            fail(where, "shift of the second input", expected_shift, exponents[-1] - exponents[0])
        _range(where, "shift of the second input", expected_shift, -15, 15)
        d[F.N_IN], d[F.H_IN], d[F.W_IN] = shapes[0]
        d[F.Z_SHIFT] = expected_shift
        return min(exponents)

    def read_weights(self, net, f, flash):
        """The payload, read to one block; where weights stay in flash, the rest of it.

        flash: as of `load`.
        """
        path = net.path
        if flash or (flash is None and _is_short_of(self.weight_bytes + self.tensor_bytes())):
            try:
                from .flash_file import place
            except MemoryError:
                unload("in_flash")
                raise
            weights = place(net, self, f, flash)
            if weights is not None:
                return weights
        weights = memoryview(allocate(self.weight_bytes, path))
        if f.readinto(weights) != len(weights):
            fail(path, "file size", "short", "%d weight bytes" % len(weights))
        return weights

    def tensor_bytes(self):
        """Bytes of what a stage reads and writes, of the largest: no pass takes less."""
        return max([s.d[F.N_IN] * s.d[F.H_IN] * s.d[F.W_IN] + s.size_out() * (
            1 if s.second == -2 else 2) for s in self.stages])

    def check_weights(self, path, payload):
        """ValueError unless the bytes of the payload are weights of -127..127, padding and biases
        that leave sums in int32."""
        for stage in [s for s in self.stages if s.index >= 0]:
            at = stage.offset
            n = 0 if stage.flash else stage.n_edges()  # those in flash were checked there
            if n and min(payload[at:at + n]) == 0:
                fail(path, "a weight", -128, "-127..127")
            for i in range(at + n, at + aligned(n)):
                if payload[i] != 128:
                    fail(path, "padding", payload[i], 128)
            most = 2147483647 - 16129 * stage.d[F.N_ROW]
            for i in range(stage.d[F.N_OUT] if stage.d[F.BIAS] else 0):
                if stage is self.stages[-1] and i == self.n_classes:
                    most = 0  # of spare outputs
                value = struct.unpack_from("<i", payload, stage.bias_offset + 4 * i)[0]
                _range(path, "bias", value, -most, most)


def _is_short_of(n_bytes):
    """Whether so many bytes of heap would leave little, on a board that can do without."""
    try:
        import rp2  # noqa: F401
    except ImportError:
        return False
    return free_bytes() - n_bytes < RESERVE


def _axis(where, d, j, is_conv, has_window, is_whole):
    """Check the sizes of one axis, 0 down or 1 across, and derive those of the output."""
    kernel = d[F.KERNEL_H + j]
    stride = d[F.STRIDE_H + j]
    window = d[F.POOL_H + j]
    step = d[F.POOL_STRIDE_H + j]
    before, after = d[F.PAD_TOP + 2 * j], d[F.PAD_BOTTOM + 2 * j]
    _range(where, "kernel", kernel, 1, _MAX_SIDE if is_conv else 1)
    _range(where, "stride", stride, 1, _MAX_STRIDE if is_conv else 1)
    _range(where, "padding", max(before, after), 0, kernel - 1)
    if is_whole:
        _range(where, "window", window, d[F.H_IN + j], d[F.H_IN + j])
    else:
        _range(where, "window", window, 1, _MAX_SIDE if has_window else 1)
    pools = d[F.POOL_H] > 1 or d[F.POOL_W] > 1
    _range(where, "stride of the window", step, 1, _MAX_STRIDE if pools and not is_whole else 1)
    size = d[F.H_IN + j] + before + after
    _range(where, "kernel", kernel, 1, size)
    size = d[F.H_CONV + j] = (size - kernel) // stride + 1
    _range(where, "window", window, 1, size)
    d[F.H_OUT + j] = (size - window) // step + 1


def _reach(d, j):
    return d[F.KERNEL_H + j] * -(-d[F.POOL_H + j] // d[F.POOL_STRIDE_H + j])


def _padded(d):
    return d[F.N_IN] * (d[F.H_IN] + d[F.PAD_TOP] + d[F.PAD_BOTTOM]) * (
        d[F.W_IN] + d[F.PAD_LEFT] + d[F.PAD_RIGHT])


def _range(where, field, value, low, high):
    if not low <= value <= high:
        fail(where, field, value, "%d..%d" % (low, high))


def _unable(where, what, is_there):
    if is_there:
        raise ValueError("%s: has %s, which this version cannot compute" % (where, what))
