"""What was learned, saved as a small file that names its backbone: priot/formats on the host."""

import struct

from . import fields as F
from . import methods as M
from .files import ADAPTER, pack_names, write_file

HEADER = 48
RECORD = 16
SCORES = 1
MASK = 2
GAINS = 3
WEIGHTS = 4
BIASES = 5
WIDE = 6  # weights, then as many lower bytes
CONTENT = {M.PRUNE: SCORES, M.GAIN: GAINS, M.WEIGHTS: WEIGHTS, M.WIDE: WIDE,
           M.ONLY_BIAS: BIASES}


def save(trainer, path):
    """Write the state of a Trainer: see Trainer.save."""
    content = CONTENT[trainer.method.rule]
    payloads = [_payload(layer) for layer in trainer.layers]
    _write(trainer, path, content, payloads)


def export_mask(trainer, path):
    """Write one bit per edge of the trained layers: 1 where the edge is kept."""
    if trainer.method.rule != M.PRUNE:
        raise ValueError("mask: %s prunes nothing; save() writes what it learned"
                         % trainer.method.name)
    _write(trainer, path, MASK, [[_mask(layer)] for layer in trainer.layers])


def _payload(layer):
    """[bitmap, padding,] learned bytes of one layer."""
    pieces = []
    if layer.selection == F.BITMAP:
        pieces = [layer.bitmap(), bytes(-len(layer.bitmap()) & 3)]
    if layer.rule == M.ONLY_BIAS:
        pieces.append(layer.stage.bias)
    elif layer.rule < M.WEIGHTS:
        pieces.append(layer.scores)
    elif layer.selection == F.ALL:
        pieces.append(layer.stage.w)
    else:
        packed = bytearray(layer.n_params)
        n = 0
        for edge in selected_edges(layer):
            packed[n] = layer.stage.w[edge]
            n += 1
        pieces.append(packed)
    if layer.rule == M.WIDE:
        pieces.append(layer.scores)
    return pieces


def selected_edges(layer):
    """Numbers of the edges whose bit is set."""
    bits = layer.bitmap()
    for i in range(len(bits)):
        byte = bits[i]
        edge = i << 3
        while byte:
            if byte & 1:
                yield edge
            byte >>= 1
            edge += 1


def _mask(layer):
    """One bit per edge from the effective weights: pruned is 128 where the backbone is not."""
    stage = layer.stage
    n_row, step = stage.d[F.N_ROW], stage.d[F.ROWS]
    w, weff, d = stage.w, stage.weff, stage.d
    take = stage.flash.take if stage.flash else layer.net.kernels.effective_weights
    bits = bytearray((layer.n_edges + 7) >> 3)
    for row in range(0, d[F.N_OUT], step):
        if stage.rows is not None:
            d[F.ROW] = row
            take(stage.rows)
        base = at = row * n_row  # of these rows in the layer, and in w
        for i in range(step * n_row):
            if stage.flash and i % n_row == 0:
                w, at = stage.flash.copy(base + i, base + i + n_row), -i
            if weff[i] != 128 or w[at + i] == 128:
                bits[(base + i) >> 3] |= 1 << ((base + i) & 7)
    d[F.ROW] = 0
    return bits


def _write(trainer, path, content, payloads):
    """Write an adapter; `payloads` has the buffers of every trained layer."""
    names = pack_names(trainer.names)
    head = bytearray(HEADER - 16 + RECORD * len(trainer.layers))
    struct.pack_into("<IBBHIIHbBBBHH", head, 0, trainer.net.crc, content, trainer.method.number,
                     len(trainer.layers), trainer.seed, trainer.state[0],
                     trainer.epoch, trainer.step_size, trainer.rounding,
                     1 if trainer.method.normal else 0, trainer.gmin, trainer.halve, len(names))
    chunks = [head, names]
    at = HEADER - 16
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
        at += RECORD
        chunks.extend(pieces)
        chunks.append(bytes(padding))
    write_file(path, ADAPTER, 16 + len(head) + len(names), chunks)
