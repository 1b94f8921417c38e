"""The adapter file: its header and records, written and checked (priot/formats on the host)."""

import struct

from . import fields as F
from .files import ADAPTER, check_crc, fail, open_file, read_prefix, write_file
from .methods import find

_HEADER = 48
_RECORD = 16
SCORES = 1
MASK = 2
GAINS = 3
WEIGHTS = 4
RULES = {SCORES: F.PRUNE, MASK: F.PRUNE, GAINS: F.GAIN, WEIGHTS: F.WEIGHTS}


def write(trainer, path, content, payloads):
    """Write an adapter; `payloads` has the buffers of every trained layer."""
    head = bytearray(_HEADER - 16 + _RECORD * len(trainer.layers))
    struct.pack_into("<IBBHIIHbBBBH", head, 0, trainer.net.crc, content, trainer.method.number,
                     len(trainer.layers), trainer.seed, trainer.state[0],
                     trainer.epoch, trainer.step_size, trainer.rounding,
                     1 if trainer.method.normal else 0, trainer.gmin, trainer.halve)
    chunks = [head]
    at = _HEADER - 16
    for layer, pieces in zip(trainer.layers, payloads):
        n_bytes = sum([len(piece) for piece in pieces])
        padding = -n_bytes & 3
        selection, tau, n_params = layer.selection, layer.tau, layer.n_params
        if content == MASK:
            selection, tau, n_params = F.ALL, 0, layer.n_edges
        struct.pack_into("<HBBBBHII", head, at, layer.stage.index, selection, tau,
                         layer.stage.d[F.THRESHOLD] if layer.keep else trainer.threshold,
                         layer.keep, 0, n_params,
                         n_bytes + padding)
        at += _RECORD
        chunks.extend(pieces)
        chunks.append(bytes(padding))
    write_file(path, ADAPTER, _HEADER + _RECORD * len(trainer.layers), chunks)


class Reader:
    """An open adapter file, checked whole before anything is taken from it."""

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
        header_size, crc = read_prefix(f, path, ADAPTER, _HEADER)
        check_crc(f, path, crc)
        raw = f.read(_HEADER - 16)
        (backbone, self.content, number, self.n_layers, self.seed, self.state, self.epoch,
         self.step_size, self.rounding, _, self.gmin, self.halve) = struct.unpack(
             "<IBBHIIHbBBBH", raw[:24])
        if any(raw[24:]):
            fail(path, "reserved", "not zero", 0)
        if backbone != self.net.crc:
            fail(path, "backbone", "%08x" % backbone, "%08x (%s)" % (
                self.net.crc, self.net.path))
        if self.content not in RULES:
            fail(path, "content", self.content, "1..4")
        if self.rounding > 1 or self.gmin > 127:
            fail(path, "rounding, gmin", (self.rounding, self.gmin), "0..1, 0..127")
        try:
            self.method = find(number)
        except ValueError:
            fail(path, "method", number, "1..6")
        stages = self.net.weight_stages()
        if not 1 <= self.n_layers <= len(stages):
            fail(path, "number of layers", self.n_layers, "1..%d" % len(stages))
        if header_size != _HEADER + _RECORD * self.n_layers:
            fail(path, "header size", header_size, _HEADER + _RECORD * self.n_layers)
        self.records = []
        total = header_size
        for i in range(self.n_layers):
            record = struct.unpack("<HBBBBHII", f.read(_RECORD))
            self._check_record(i, record, stages)
            self.records.append(record)
            total += record[7]
        f.seek(0, 2)
        if f.tell() != total:
            fail(path, "file size", f.tell(), total)
        f.seek(header_size)

    def _check_record(self, i, record, stages):
        index, selection, tau, threshold, keep, reserved, n_params, n_bytes = record
        where = "layer record %d" % i
        previous = self.records[-1][0] if self.records else -1
        if not previous < index < len(stages):
            fail(self.path, where, "for layer %d" % index, "rising, below %d" % len(stages))
        n_edges = stages[index].n_edges()
        if selection > F.BITMAP or keep >= 97 or reserved or tau > 127:
            fail(self.path, where, "out of range", "selection 0..2, keep 0..96, tau 0..127")
        if selection == F.ALL and n_params != n_edges or n_params > n_edges:
            fail(self.path, where, "%d parameters" % n_params, "%d edges" % n_edges)
        expected = (n_params + 7) >> 3 if self.content == MASK else n_params
        if selection == F.BITMAP:
            expected += ((n_edges + 31) >> 5) << 2
        if n_bytes != (expected + 3) & ~3:
            fail(self.path, where, "%d bytes" % n_bytes, "%d" % ((expected + 3) & ~3))

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
