"""Files of version 1, which are read and never written; `convert` makes those of today of them.

A model was a sequence of layers of 16 bytes after 32 of header:

    0   u8   kind: 1 conv2d, 2 linear, 3 relu, 4 max_pool, 5 avg_pool, 6 flatten
    1   u8   kernel or window, stride, padding
    4   u16  filters, outputs; 2 reserved
    8   i8   weight exponent, forward and backward shift, update bits of weights and of scores
    13       3 reserved

An adapter was what it is, without names; a dataset had a shorter table.
"""

import struct

import numpy as np

from priot.errors import FileError, mismatch
from priot.formats.container import (
    Contents,
    check_header,
    from_offset,
    pad4,
    unpack_table,
    unpack_text,
)
from priot.network.layer import Layer
from priot.network.stage import Shape, Stage
from priot.network.stages import compile_layers

_MODEL = struct.Struct("<16s4HHHI")
_LAYER = struct.Struct("<4BHH5b3s")
_DATASET = struct.Struct("<IHHHHI")
_NAME_BYTES = 16

# by their numbers, from 1
_KINDS = ("conv2d", "linear", "relu", "max_pool", "avg_pool", "flatten")


def read_model(contents: Contents, where: object) -> tuple[str, Shape, int, list[Stage]]:
    """Name, input, classes and stages of a model file. Raises FileError."""
    tables, payload = contents.tables, contents.payload
    raw, channels, height, width, classes, n_layers, reserved, n_bytes = unpack_table(
        _MODEL, tables, where)
    check_header(tables, _MODEL.size + n_layers * _LAYER.size, where)
    if reserved:
        raise FileError(where, mismatch("reserved", reserved, 0))
    if n_bytes != len(payload):
        raise FileError(where, mismatch("bytes of weights", len(payload), n_bytes))
    name = unpack_text(raw.rstrip(b"\0"), "name", _NAME_BYTES, where)
    shape = (channels, height, width)
    found = [_unpack_layer(record, f"{where}: layer {i}")
             for i, record in enumerate(_LAYER.iter_unpack(tables[_MODEL.size :]))]
    try:
        stages = compile_layers([layer for layer, _ in found], shape, classes)
    except ValueError as error:
        raise FileError(where, str(error)) from None
    weighted = [stage for stage in stages if stage.has_weights]
    numbers = [shifts for layer, shifts in found if layer.has_weights]
    for stage, shifts in zip(weighted, numbers, strict=True):
        (stage.weight_exponent, stage.forward_shift, stage.backward_shift,
         stage.update_bits_weights, stage.update_bits_scores) = shifts
    _unpack_weights(weighted, payload, where)
    return name, shape, classes, stages


def _unpack_layer(record: tuple, where: str) -> tuple[Layer, tuple[int, ...]]:
    kind, kernel, stride, padding, n_out, reserved, *shifts, more = record
    if reserved or any(more):
        raise FileError(where, mismatch("reserved", "other bytes", "zeros"))
    if not 1 <= kind <= len(_KINDS):
        raise FileError(where, mismatch("kind", kind, f"1..{len(_KINDS)}"))
    layer = Layer(_KINDS[kind - 1], (kernel, kernel), (stride, stride), (padding,) * 4, n_out)
    if any(shifts) and not layer.has_weights:
        raise FileError(where, mismatch("shifts", shifts, "zeros"))
    return layer, tuple(shifts)


def _unpack_weights(stages: list[Stage], payload: bytes, where: object) -> None:
    """Give every stage its weights; they are checked with the model."""
    sizes = [stage.n_out * stage.n_row for stage in stages]
    if len(payload) != sum(map(pad4, sizes)):
        raise FileError(where, mismatch("bytes of weights", len(payload), sum(map(pad4, sizes))))
    data = np.frombuffer(payload, np.uint8)
    at = 0
    for stage, n in zip(stages, sizes, strict=True):
        if (data[at + n : at + pad4(n)] != 128).any():
            raise FileError(where, mismatch("padding of weights", "other bytes", 128))
        stage.weights = from_offset(data[at : at + n]).reshape(stage.weight_shape)
        at += pad4(n)


def read_dataset_table(contents: Contents, where: object) -> tuple[int, Shape, int]:
    """Samples, shape and classes of a dataset file, whose samples lie as today."""
    check_header(contents.tables, _DATASET.size, where)
    n, channels, height, width, classes, reserved = _DATASET.unpack(contents.tables)
    if reserved:
        raise FileError(where, mismatch("reserved", reserved, 0))
    return n, (channels, height, width), classes
