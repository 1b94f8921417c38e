"""Adapter files taken back: checked to the last byte, then given to a Trainer or a Network."""

import struct

from . import fields as F
from . import methods as M
from .adapter import CONTENT, GAINS, HEADER, MASK, RECORD, SCORES, WEIGHTS, selected_edges
from .files import ADAPTER, check_crc, fail, open_file, read_names, read_prefix
from .layer_state import LayerState
from .names import check_names
from .selection import count_largest, count_rows

_CHUNK = 256  # bytes of a mask, or edges of a sparse layer, handled at a time
RULES = {SCORES: M.PRUNE, MASK: M.PRUNE, GAINS: M.GAIN, WEIGHTS: M.WEIGHTS}


class Reader:
    """An open adapter file, checked whole, to the last byte, before anything is taken from it."""

    def __init__(self, path, net):
        self.path = path
        self.net = net
        self.file = f = open_file(path)
        try:
            self._check(f, path)
        except BaseException:
            f.close()
            raise

    def _check(self, f, path):
        header_size, crc = read_prefix(f, path, ADAPTER, HEADER)
        check_crc(f, path, crc)
        (backbone, self.content, number, self.n_layers, self.seed, self.state, self.epoch,
         self.step_size, self.rounding, init, self.gmin, self.halve, n_names,
         reserved) = struct.unpack("<IBBHIIHbBBBHH6s", f.read(HEADER - 16))
        if any(reserved):
            fail(path, "reserved", "not zero", 0)
        if backbone != self.net.crc:
            fail(path, "backbone", "%08x" % backbone, "%08x (%s)" % (
                self.net.crc, self.net.path))
        if self.content not in RULES:
            fail(path, "content", self.content, "1..4")
        if self.rounding > 1 or init > 1 or self.gmin > 127:
            fail(path, "rounding, start, gmin", (self.rounding, init, self.gmin),
                 "0..1, 0..1, 0..127")
        self.method = _method(path, number)
        if self.method.rule != RULES[self.content]:
            fail(path, "content", self.content, "one of %s" % self.method.name)
        stages = self.net.weight_stages()
        if not 1 <= self.n_layers <= len(stages):
            fail(path, "number of layers", self.n_layers, "1..%d" % len(stages))
        at = HEADER + RECORD * self.n_layers + n_names
        if header_size != at:
            fail(path, "header size", header_size, at)
        self.records = []
        for i in range(self.n_layers):
            record = struct.unpack("<HBBBBHII", f.read(RECORD))
            self._check_record(i, record, stages)
            self.records.append(record)
            at += record[7]
        check_names(path, read_names(f, path, n_names, self.net.n_classes), self.net)
        if f.seek(0, 2) != at:
            fail(path, "file size", f.tell(), at)
        f.seek(header_size)
        for i, record in enumerate(self.records):
            self._check_payload("%s: layer record %d" % (path, i), record,
                                stages[record[0]].n_edges())
        f.seek(header_size)

    def _check_record(self, i, record, stages):
        index, selection, tau, threshold, keep, reserved, n_params, n_bytes = record
        where = "%s: layer record %d" % (self.path, i)
        previous = self.records[-1][0] if self.records else -1
        if not previous < index < len(stages):
            fail(where, "layer", index, "rising, below %d" % len(stages))
        n_edges = stages[index].n_edges()
        if selection > F.BITMAP or (selection and self.content == MASK):
            fail(where, "selection", selection, "0..2, 0 of a mask")
        if tau > (127 if selection else 0) or (selection == F.LARGEST and not tau):
            fail(where, "tau", tau, "1..127, 0 of all edges")
        if keep > (96 if RULES[self.content] == M.PRUNE else 0) or reserved:
            fail(where, "keep, reserved", (keep, reserved), "0..96, 0 where nothing is pruned; 0")
        expected = n_edges
        if selection == F.BITMAP:
            expected = min(max(n_params, 1), n_edges)
        elif selection == F.LARGEST and not self.net.modified:
            expected = max(1, count_largest(self.net.kernels, stages[index].w, tau))
        if n_params != expected:
            fail(where, "parameters", n_params, "%d of %d edges" % (expected, n_edges))
        n = (n_params + 7) >> 3 if self.content == MASK else n_params
        expected = ((n + 3) & ~3) + (((n_edges + 31) >> 5) << 2 if selection == F.BITMAP else 0)
        if n_bytes != expected:
            fail(where, "bytes", n_bytes, expected)

    def _check_payload(self, where, record, n_edges):
        """What its bytes say of themselves: bits that are not used, padding, weights of -128."""
        n_params = record[6]
        n_bytes = record[7]
        if record[1] == F.BITMAP:
            found = self._count_bits(where, n_edges)
            if found != n_params:
                fail(where, "bits of the bitmap", found, n_params)
            n_bytes -= ((n_edges + 31) >> 5) << 2
        if self.content == MASK:
            self._count_bits(where, n_params)
            return
        left = n_params
        for part in self._parts(n_bytes):
            n = min(left, len(part))
            if self.content == WEIGHTS and n and min(part[:n]) == 0:
                fail(where, "a weight", -128, "-127..127")
            if any(part[n:]):
                fail(where, "padding", "not zero", 0)
            left -= n

    def _count_bits(self, where, n):
        """How many of the next n bits are set; the rest of their last words has to be zero."""
        total = at = 0
        for part in self._parts(((n + 31) >> 5) << 2):
            for byte in part:
                for bit in range(at, at + 8 if byte else at):
                    if byte & 1:
                        total += 1
                        if bit >= n:
                            fail(where, "an unused bit", 1, 0)
                    byte >>= 1
                at += 8
        return total

    def _parts(self, n_bytes):
        """The next bytes, in pieces that share one buffer."""
        buf = memoryview(bytearray(min(n_bytes, _CHUNK)))
        while n_bytes:
            part = buf[:min(n_bytes, _CHUNK)]
            n_bytes -= self.fill(part)
            yield part

    def fill(self, buf):
        if self.file.readinto(buf) != len(buf):
            raise OSError(5, "%s: cannot be read" % self.path)
        return len(buf)

    def skip(self, n):
        self.file.seek(n, 1)

    def close(self):
        self.file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _method(path, number):
    """The method with a number; ValueError where there is none."""
    try:
        return M.find(number)
    except ValueError:
        fail(path, "method", number, "1..%d" % len(M.METHODS))


def load(trainer, path):
    """Take a file written by `save` back into a Trainer: see Trainer.load."""
    with Reader(path, trainer.net) as reader:
        if reader.method.name != trainer.method.name:
            fail(path, "method", reader.method.name, trainer.method.name)
        if reader.content != CONTENT[trainer.method.rule]:
            raise ValueError("%s: is a mask; training goes on from what save() wrote" % path)
        if reader.n_layers != len(trainer.layers):
            fail(path, "number of layers", reader.n_layers, len(trainer.layers))
        if reader.rounding != trainer.rounding:
            fail(path, "rounding", *[M.ROUNDINGS[1 + n] for n in (
                reader.rounding, trainer.rounding)])
        for layer, record in zip(trainer.layers, reader.records):
            index, selection, tau, _, keep, _, n_params, _ = record
            if (index, selection, tau, n_params) != (
                    layer.stage.index, layer.selection, layer.tau, layer.n_params):
                raise ValueError("%s: trains %d edges of layer %d, this trainer %d of layer %d; "
                                 "give the same method, fraction, select, seed and last" % (
                                     path, n_params, index, layer.n_params, layer.stage.index))
            if keep != layer.keep:
                fail(path, "keep", keep, layer.keep)
        try:
            for layer, record in zip(trainer.layers, reader.records):
                _read_layer(reader, layer, record)
            trainer.resume(reader.seed, reader.state, reader.epoch, reader.step_size,
                           reader.records[0][3], reader.gmin, reader.halve)
        except BaseException:  # half of it is the file's: nobody may use that
            trainer.net.reset()
            raise


def _read_layer(reader, layer, record):
    """Selection and learned bytes of one layer from the file into its buffers."""
    used = 0
    if layer.selection == F.BITMAP:
        used = reader.fill(layer.bitmap())
        reader.skip(-used & 3)
        used += -used & 3
    if layer.rule != M.WEIGHTS:
        used += reader.fill(layer.scores)
    elif layer.selection == F.ALL:
        used += reader.fill(layer.stage.weff)
    else:
        used += _scatter(reader, layer)
    reader.skip(record[7] - used)
    count_rows(layer)


def _scatter(reader, layer):
    """Packed weights of a sparse layer to their places."""
    buf = bytearray(_CHUNK)
    view = memoryview(buf)
    weff = layer.stage.weff
    left = layer.n_params
    at = _CHUNK
    for edge in selected_edges(layer):
        if at == _CHUNK:
            reader.fill(view[:min(left, _CHUNK)])
            at = 0
        weff[edge] = buf[at]
        at += 1
        left -= 1
    return layer.n_params


def apply(net, path, layout="kept"):
    """Put an adaptation in force on a Network: see Network.apply."""
    if layout not in M.LAYOUTS[1:]:
        raise ValueError("layout: %r, expected kept or small" % layout)
    from .layout import Layout

    with Reader(path, net) as reader:
        net.to_backbone()
        try:
            layers = applied_layers(net, reader)
            net.prepare(Layout(net, layers, None, layout == "small", reader.method.dynamic))
            for layer, record in zip(layers, reader.records):
                _put(reader, layer, record)
        except BaseException:  # too little memory, a file that went away, Ctrl-C
            net.reset()
            raise


def applied_layers(net, reader):
    """The layers that an adapter changes, described but without memory yet."""
    layers = []
    stages = net.weight_stages()
    for index, selection, tau, threshold, _, _, n_params, _ in reader.records:
        layer = LayerState(net, stages[index], RULES[reader.content], selection, tau, n_params,
                           reader.content == MASK)
        layer.describe(M.RHU, threshold)
        layers.append(layer)
    return layers


def _put(reader, layer, record):
    """Effective weights of one layer from the file."""
    stage = layer.stage
    if layer.is_mask:
        _read_mask(reader, stage.weff, stage.w, record)
        return
    if layer.rule == M.WEIGHTS and layer.selection != F.ALL:
        stage.weff[:] = stage.w
    _read_layer(reader, layer, record)
    layer.refresh()


def _read_mask(reader, weff, w, record):
    n = record[6]
    buf = bytearray(_CHUNK)
    view = memoryview(buf)
    weff[:] = w
    n_bytes = (n + 7) >> 3
    for base in range(0, n_bytes, _CHUNK):
        part = view[:min(_CHUNK, n_bytes - base)]
        reader.fill(part)
        for i in range(len(part)):
            byte = part[i]
            if byte == 255:
                continue
            edge = (base + i) << 3
            for bit in range(min(8, n - edge)):
                if not (byte >> bit) & 1:
                    weff[edge + bit] = 128
    reader.skip(record[7] - n_bytes)
