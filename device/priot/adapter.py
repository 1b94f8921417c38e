"""What was learned, as a small file that names its backbone: saved, taken back, put in force."""

from . import fields as F
from .adapter_file import GAINS, MASK, RULES, SCORES, WEIGHTS, Reader, write
from .arena import ROW_BYTES
from .files import fail
from .layer_state import LayerState
from .memory import Carver, aligned, allocate

_CONTENT = {F.PRUNE: SCORES, F.GAIN: GAINS, F.WEIGHTS: WEIGHTS}
_CHUNK = 256  # bytes of a mask, or edges of a sparse layer, handled at a time
_ROUNDINGS = ("rhu", "psr")  # F.RHU, F.PSR


def save(trainer, path):
    """Write the state of a Trainer: see Trainer.save."""
    content = _CONTENT[trainer.method.rule]
    payloads = [_payload(layer) for layer in trainer.layers]
    write(trainer, path, content, payloads)


def export_mask(trainer, path):
    """Write one bit per edge of the trained layers: 1 where the edge is kept."""
    if trainer.method.rule != F.PRUNE:
        raise ValueError("mask: %s prunes nothing; save() writes what it learned"
                         % trainer.method.name)
    write(trainer, path, MASK, [[_mask(layer)] for layer in trainer.layers])


def _payload(layer):
    """[bitmap, padding,] learned bytes of one layer."""
    pieces = []
    if layer.selection == F.BITMAP:
        pieces = [layer.bitmap(), bytes(-len(layer.bitmap()) & 3)]
    if layer.rule != F.WEIGHTS:
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
    n_row, step = layer.stage.d[F.N_ROW], layer.stage.d[F.ROWS]
    w, weff, d = layer.stage.w, layer.stage.weff, layer.stage.d
    bits = bytearray((layer.n_edges + 7) >> 3)
    for row in range(0, d[F.N_OUT], step):
        if layer.stage.rows is not None:
            d[F.ROW] = row
            layer.net.kernels.effective_weights(layer.stage.rows)
        base = row * n_row
        for i in range(step * n_row):
            if weff[i] != 128 or w[base + i] == 128:
                bits[(base + i) >> 3] |= 1 << ((base + i) & 7)
    d[F.ROW] = 0
    return bits


def load(trainer, path):
    """Take a file written by `save` back into a Trainer: see Trainer.load."""
    with Reader(path, trainer.net) as reader:
        if reader.method is not trainer.method:
            fail(path, "method", reader.method.name, trainer.method.name)
        if reader.content != _CONTENT[trainer.method.rule]:
            raise ValueError("%s: is a mask; training goes on from what save() wrote" % path)
        if reader.n_layers != len(trainer.layers):
            fail(path, "number of layers", reader.n_layers, len(trainer.layers))
        if reader.rounding != trainer.rounding:
            fail(path, "rounding", _ROUNDINGS[reader.rounding], _ROUNDINGS[trainer.rounding])
        for layer, record in zip(trainer.layers, reader.records):
            found = (record[0], record[1], record[2], record[6])
            mine = (layer.stage.index, layer.selection, layer.tau, layer.n_params)
            if found != mine:
                raise ValueError("%s: trains %d edges of layer %d, this trainer %d of layer %d; "
                                 "give the same method, fraction, select, seed and last" % (
                                     path, found[3], found[0], mine[3], mine[0]))
            if record[4] != layer.keep:
                fail(path, "keep", record[4], layer.keep)
        try:
            _take(trainer, reader)
        except BaseException:  # half of it is the file's: nobody may use that
            trainer.net.reset()
            raise


def _take(trainer, reader):
    """Everything that a file of the same kind holds."""
    for layer, record in zip(trainer.layers, reader.records):
        trainer.threshold = layer.stage.d[F.THRESHOLD] = record[3]
        _read_layer(reader, layer, record)
    trainer.seed, trainer.gmin, trainer.halve = reader.seed, reader.gmin, reader.halve
    trainer.state[0] = reader.state
    trainer.step_size = reader.step_size
    trainer.conv_step = trainer.method.conv_step + reader.step_size - trainer.method.step
    trainer.set_epoch(reader.epoch)
    trainer.clear_counters()
    for layer in trainer.layers:
        layer.refresh()


def _read_layer(reader, layer, record):
    """Selection and learned bytes of one layer from the file into its buffers."""
    used = 0
    if layer.selection == F.BITMAP:
        used = reader.fill(layer.bitmap())
        reader.skip(-used & 3)
        used += -used & 3
    if layer.rule != F.WEIGHTS:
        used += reader.fill(layer.scores)
    elif layer.selection == F.ALL:
        used += reader.fill(layer.stage.weff)
    else:
        used += _scatter(reader, layer)
    reader.skip(record[7] - used)
    layer.count_rows()


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
    if layout not in ("kept", "small"):
        raise ValueError("layout: %r, expected kept or small" % layout)
    with Reader(path, net) as reader:
        net.reset()
        try:
            _put_in_force(net, reader, layout)
        except BaseException:  # too little memory, a file that went away, Ctrl-C
            net.reset()
            raise


def _put_in_force(net, reader, layout):
    """Buffers, effective weights and kernel calls from a file that has been checked."""
    rule = RULES[reader.content]
    layers = []
    stages = net.weight_stages()
    for record in reader.records:
        layers.append(LayerState(net, stages[record[0]], rule, record[1], record[2],
                                 record[6]))
    scored = reader.content in (SCORES, GAINS)
    small = layout == "small" and scored
    carver = Carver(allocate(_apply_bytes(layers, scored, small), reader.path))
    row_bytes = max([_rows(layer)[1] for layer in layers]) if small else 0
    row_buffer = carver.take(row_bytes)
    for layer, record in zip(layers, reader.records):
        layer.select = carver.take(layer.select_bytes())
        if scored:
            layer.scores = carver.take(layer.score_bytes())
        _put(reader, layer, record, carver, row_buffer, small)
    net.set_low_memory(layout == "small")
    net.prepare(measures=reader.method.dynamic)
    if reader.method.dynamic:
        from .dynamic import install_forward

        install_forward(net)


def _rows(layer):
    step = layer.row_step(ROW_BYTES)
    return step, step * layer.stage.d[F.N_ROW]


def _by_rows(layer, small):
    return small and layer.stage.kind == F.LINEAR


def _apply_bytes(layers, scored, small):
    total = max([aligned(_rows(layer)[1]) for layer in layers]) if small else 0
    for layer in layers:
        total += aligned(layer.select_bytes())
        if scored:
            total += aligned(layer.score_bytes())
        if not _by_rows(layer, small):
            total += aligned(layer.n_edges)
    return total


def _put(reader, layer, record, carver, row_buffer, small):
    """Effective weights of one layer from the file."""
    stage = layer.stage
    layer.describe(F.RHU, record[3])
    if _by_rows(layer, small):
        step, n_bytes = _rows(layer)
        layer.use(row_buffer[:n_bytes], step)
    else:
        layer.use(carver.take(layer.n_edges))
    if reader.content == MASK:
        _read_mask(reader, stage.weff, stage.w, record)
    else:
        if layer.rule == F.WEIGHTS and layer.selection != F.ALL:
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
