"""Adapter files taken back: checked to the last byte, then given to a Trainer or a Network."""

import struct

from . import fields as F
from . import methods as M
from .adapter import (BIASES, CONTENT, GAINS, HEADER, MASK, RECORD, SCORES, WEIGHTS, WIDE,
                      selected_edges)
from .files import (ADAPTER, check_crc, fail, names_text, open_file, read_names,
                    read_prefix)
from .layer_state import LayerState
from .selection import count_largest, count_rows

BYTES = {BIASES: 4, WIDE: 2}  # of a parameter, where it is not one
_CHUNK = 256  # bytes of a mask, or edges of a sparse layer, handled at a time
# of what is put in force; a Trainer has that of its method
RULES = {SCORES: M.PRUNE, MASK: M.PRUNE, GAINS: M.GAIN, WEIGHTS: M.WEIGHTS, BIASES: M.ONLY_BIAS,
         WIDE: M.WEIGHTS}


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
            fail(path, "backbone", "%08x, another model's" % backbone, "%08x (%s)" % (
                self.net.crc, self.net.path))
        if self.content not in RULES:
            fail(path, "content", self.content, "1..6")
        if self.rounding > 1 or init > 1 or self.gmin > 127:
            fail(path, "rounding, start, gmin", (self.rounding, init, self.gmin),
                 "0..1, 0..1, 0..127")
        self.method = _method(path, number)
        if CONTENT[self.method.rule] != (SCORES if self.content == MASK else self.content):
            fail(path, "content", self.content, "one of %s" % self.method.name)
        stages = self.net.weight_stages()
        if not 1 <= self.n_layers <= len(stages):
            fail(path, "number of layers", self.n_layers, "1..%d" % len(stages))
        at = HEADER + RECORD * self.n_layers + n_names
        if header_size != at:
            fail(path, "header size", header_size, at)
        f.seek(HEADER + RECORD * self.n_layers)
        self._check_names(read_names(f, path, n_names, self.net.in_file[0], self.net.n_outputs))
        f.seek(HEADER)
        self.records = []
        for i in range(self.n_layers):
            record = struct.unpack("<HBBBBHII", f.read(RECORD))
            self._check_record(i, record, stages)
            self.records.append(record)
            at += record[7]
        if f.seek(0, 2) != at:
            fail(path, "file size", f.tell(), at)
        f.seek(header_size)
        for i, record in enumerate(self.records):
            where = "%s: layer record %d" % (path, i)
            if self.content == BIASES:
                self._check_biases(where, stages[record[0]], record[6])
                continue
            self._check_payload(where, record, self.edges(stages[record[0]]))
        f.seek(header_size)

    def _check_names(self, names):
        """Take the classes of the file: those of the model, then added ones."""
        n, known = self.net.in_file
        if names and known and names[:n] != known:
            fail(self.path, "names of the classes", names_text(names[:n]), names_text(known))
        if len(names) > n and len(set(names)) < len(names):
            fail(self.path, "names of the classes", names_text(names), "names that differ")
        self.n_classes = max(n, len(names))
        self.names = names if len(names) > n else known

    def edges(self, stage):
        """Weights of a stage, or its biases where those were learned; as many outputs as the file
        has classes."""
        n_out = self.n_classes if stage is self.net.stages[-1] else stage.d[F.N_OUT]
        return n_out * (1 if self.content == BIASES else stage.d[F.N_ROW])

    def _check_record(self, i, record, stages):
        index, selection, tau, threshold, keep, reserved, n_params, n_bytes = record
        where = "%s: layer record %d" % (self.path, i)
        previous = self.records[-1][0] if self.records else -1
        if not previous < index < len(stages):
            fail(where, "layer", index, "rising, below %d" % len(stages))
        n_edges = self.edges(stages[index])
        if self.content == BIASES and not stages[index].d[F.BIAS]:
            fail(where, "layer", index, "one with biases")
        if selection > F.BITMAP or (selection and self.content in (MASK, BIASES)):
            fail(where, "selection", selection, "0..2, 0 of a mask and of biases")
        if tau > (127 if selection else 0) or (selection == F.LARGEST and not tau):
            fail(where, "tau", tau, "1..127, 0 of all edges")
        if keep > (96 if RULES[self.content] == M.PRUNE else 0) or reserved:
            fail(where, "keep, reserved", (keep, reserved), "0..96, 0 where nothing is pruned; 0")
        expected = n_edges
        if selection == F.BITMAP:
            expected = min(max(n_params, 1), n_edges)
        elif selection == F.LARGEST and not self.net.modified:
            stage = stages[index]
            parts = stage.parts() if stage.flash else (self.net.weights_of(stage, n_edges),)
            expected = max(1, count_largest(self.net.kernels, parts, tau))
        elif selection == F.LARGEST:  # recheck counts them, once the backbone's weights are back
            expected = min(max(n_params, 1), n_edges)
        if n_params != expected:
            fail(where, "parameters", n_params, "%d of %d edges" % (expected, n_edges))
        n = (n_params + 7) >> 3 if self.content == MASK else n_params * BYTES.get(self.content, 1)
        expected = ((n + 3) & ~3) + (((n_edges + 31) >> 5) << 2 if selection == F.BITMAP else 0)
        if n_bytes != expected:
            fail(where, "bytes", n_bytes, expected)

    def recheck(self):
        """The records once more, by the weights of the backbone."""
        records, self.records = self.records, []
        for i, record in enumerate(records):
            self._check_record(i, record, self.net.weight_stages())
            self.records.append(record)

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
        left = n_params * BYTES.get(self.content, 1)
        weights = n_params if self.content in (WEIGHTS, WIDE) else 0
        for part in self._parts(n_bytes):
            n = min(left, len(part))
            if weights and min(part[:min(weights, n)]) == 0:
                fail(where, "a weight", -128, "-127..127")
            weights -= min(weights, n)
            if any(part[n:]):
                fail(where, "padding", "not zero", 0)
            left -= n

    def _check_biases(self, where, stage, n):
        """Whether they leave the sums of a stage in int32."""
        most = 2147483647 - 16129 * stage.d[F.N_ROW]
        for part in self._parts(4 * n):
            for at in range(0, len(part), 4):
                value = struct.unpack_from("<i", part, at)[0]
                if not -most <= value <= most:
                    fail(where, "bias", value, "%d..%d" % (-most, most))

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
        n, names = reader.n_classes, reader.names
        net = trainer.net
        if n > net.n_classes:
            raise ValueError("%s: knows %s too; net.reset(), net.add_class(%r), then a new Trainer"
                             % (path, names_text(names[net.n_classes:]), names[net.n_classes]))
        if n > net.in_file[0] and names != net.names[:n]:
            fail(path, "names of the classes", names_text(names), names_text(net.names))
        if reader.rounding != trainer.rounding:
            fail(path, "rounding", *[M.ROUNDINGS[1 + n] for n in (
                reader.rounding, trainer.rounding)])
        for layer, record in zip(trainer.layers, reader.records):
            index, selection, tau, _, keep, _, n_params, _ = record
            expected = layer.n_params
            if n < net.n_classes and layer.selection == F.ALL:
                expected = reader.edges(layer.stage)  # of the classes of the file
            if (index, selection, tau, n_params) != (
                    layer.stage.index, layer.selection, layer.tau, expected):
                raise ValueError("%s: trains %d edges of layer %d, this trainer %d of layer %d; "
                                 "give the same method, fraction, select, seed and last" % (
                                     path, n_params, index, expected, layer.stage.index))
            if keep != layer.keep:
                fail(path, "keep", keep, layer.keep)
        calls = net.forward_calls
        net.forward_calls = None  # half of it will be the file's: nobody may use that
        try:
            for layer, record in zip(trainer.layers, reader.records):
                _read_layer(reader, layer, record)
            trainer.resume(reader.seed, reader.state, reader.epoch, reader.step_size,
                           reader.records[0][3], reader.gmin, reader.halve)
            net.forward_calls = calls
        except BaseException:
            net.recover()
            raise


def _read_layer(reader, layer, record):
    """Selection and learned bytes of one layer from the file into its buffers."""
    used, n = 0, record[6]
    if layer.selection == F.BITMAP:
        used = reader.fill(layer.bitmap())
        reader.skip(-used & 3)
        used += -used & 3
    if layer.rule == M.ONLY_BIAS:
        used += reader.fill(layer.stage.bias[:4 * n])
    elif layer.rule < M.WEIGHTS:
        used += reader.fill(layer.scores[:n])
    elif layer.selection == F.ALL:
        used += reader.fill(layer.stage.weff[:n])
    else:
        used += _scatter(reader, layer)
    if layer.rule == M.WIDE:
        used += reader.fill(layer.scores[:n])
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
    layout_class = net.layout_class()
    with Reader(path, net) as reader:
        before = net.n_classes, net.names
        t = net.trainer
        if t is not None and t.has_learned and t.is_in_network and not t.is_saved:
            print("warning: what the trainer before has learned is lost, it was not saved")
        net.to_backbone()
        try:
            reader.recheck()
            layers = applied_layers(net, reader)
            calls = net.prepare(layout_class(net, layers, None, layout == "small",
                                             reader.method.dynamic))
            for layer, record in zip(layers, reader.records):
                _put(reader, layer, record)
            net.adapter = path
            net.forward_calls = calls
        except BaseException:  # too little memory, a file that went away, Ctrl-C
            net.release()
            net.use_classes(*before)
            net.recover()
            raise


def applied_layers(net, reader):
    """The layers that an adapter changes, described but without memory yet.

    The network has the classes of the file from then on.
    """
    net.use_classes(reader.n_classes, reader.names)
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
        _copy_weights(stage)
        _read_mask(reader, stage.weff, record)
        return
    if layer.rule == M.WEIGHTS and layer.selection != F.ALL:
        _copy_weights(stage)
    _read_layer(reader, layer, record)
    layer.refresh()


def _copy_weights(stage):
    """The backbone's weights in the place of effective ones."""
    at = 0
    for part in stage.parts():
        stage.weff[at:at + len(part)] = part
        at += len(part)


def _read_mask(reader, weff, record):
    n = record[6]
    buf = bytearray(_CHUNK)
    view = memoryview(buf)
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
