"""Model files: layers, shapes, shifts, weights. Byte table: priot/formats."""

import math
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from priot.errors import FileError, mismatch
from priot.formats.container import (
    PREFIX,
    from_offset,
    pack_file,
    pad4,
    read_file,
    to_offset,
    unpack_file,
    write_file,
)
from priot.network.fields import CONV2D, LINEAR
from priot.network.stages import Stage, compile_stages

MAGIC = b"PRIM"
TABLE = struct.Struct("<16s4HHHI")
RECORD = struct.Struct("<4BHH5b3x")
NAME_BYTES = 16
MAX_LAYERS = 256


@dataclass
class Layer:
    """One layer of a model file.

    `weights` int8 -127..127: [n_out][n_in][ky][kx] of a conv2d, [n_out][n_in] of a linear layer,
    empty elsewhere. The shifts and bits are those of the byte table.
    """

    kind: int
    kernel: int = 0
    stride: int = 0
    padding: int = 0
    n_out: int = 0
    weight_exponent: int = 0
    forward_shift: int = 0
    backward_shift: int = 0
    update_bits_weights: int = 0
    update_bits_scores: int = 0
    weights: np.ndarray = field(
        default_factory=lambda: np.zeros(0, np.int8), repr=False, compare=False)


@dataclass
class Model:
    """A backbone: `layers` on an input of `shape` = (channels, height, width)."""

    name: str
    shape: tuple[int, int, int]
    classes: int
    layers: list[Layer]

    @property
    def crc(self) -> int:
        """CRC32 of the file: the identity that adapters name."""
        return zlib.crc32(self.to_bytes()[PREFIX.size :])

    @property
    def weight_layers(self) -> list[Layer]:
        """The conv2d and linear layers in order."""
        return [layer for layer in self.layers if layer.kind in (CONV2D, LINEAR)]

    def stages(self) -> list[Stage]:
        """The layers grouped into stages with their descriptors, freshly made."""
        return compile_stages(self.layers, self.shape, self.classes)

    def check(self, where: object = "model") -> None:
        """Raise FileError unless names, shapes and every value are inside the format's limits."""
        raw = self.name.encode()
        if not 1 <= len(raw) <= NAME_BYTES or not self.name.isprintable():
            raise FileError(where, mismatch("name", repr(self.name), "1..16 bytes of text"))
        for text, value in zip(("channels", "height", "width"), self.shape, strict=True):
            if not 1 <= value <= 0xFFFF:
                raise FileError(where, mismatch(text, value, "1..65535"))
        if len(self.layers) > MAX_LAYERS:
            raise FileError(where, mismatch("layers", len(self.layers), f"at most {MAX_LAYERS}"))
        try:
            stages = self.stages()
        except ValueError as error:
            raise FileError(where, str(error)) from None
        for stage in stages:
            if stage.weight_index >= 0:
                _check_weights(self.layers[stage.layer].weights, stage, where)

    def to_bytes(self) -> bytes:
        """The bytes of the file. Raises FileError."""
        self.check()
        blocks = []
        for layer in self.weight_layers:
            offset = to_offset(layer.weights).tobytes()
            blocks.append(offset + b"\x80" * (pad4(len(offset)) - len(offset)))
        payload = b"".join(blocks)
        table = TABLE.pack(self.name.encode(), *self.shape, self.classes, len(self.layers), 0,
                           len(payload))
        records = b"".join(
            RECORD.pack(a.kind, a.kernel, a.stride, a.padding, a.n_out, 0, a.weight_exponent,
                        a.forward_shift, a.backward_shift, a.update_bits_weights,
                        a.update_bits_scores)
            for a in self.layers)
        return pack_file(MAGIC, table + records, payload)

    def write(self, path: Path | str) -> None:
        """Write the file, atomically. Raises FileError, OSError."""
        write_file(path, self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes, where: object = "model") -> "Model":
        """The model in the bytes of a file. Raises FileError."""
        return cls._parse(*unpack_file(data, MAGIC, where)[:2], where)

    @classmethod
    def read(cls, path: Path | str) -> "Model":
        """The model in a file. Raises FileError, OSError."""
        return cls._parse(*read_file(path, MAGIC)[:2], path)

    @classmethod
    def _parse(cls, tables: bytes, payload: bytes, where: object) -> "Model":
        if len(tables) < TABLE.size:
            raise FileError(where, mismatch(
                "header size", PREFIX.size + len(tables), f"at least {PREFIX.size + TABLE.size}"))
        raw, *shape, classes, n_layers, reserved, n_weight_bytes = TABLE.unpack_from(tables)
        expected = TABLE.size + n_layers * RECORD.size
        if len(tables) != expected:
            raise FileError(where, mismatch(
                "header size", PREFIX.size + len(tables), PREFIX.size + expected))
        if reserved:
            raise FileError(where, mismatch("reserved", reserved, 0))
        if n_weight_bytes != len(payload):
            raise FileError(where, mismatch("bytes of weights", len(payload), n_weight_bytes))
        layers = [_unpack_layer(tables[at : at + RECORD.size], where)
                  for at in range(TABLE.size, expected, RECORD.size)]
        model = cls(_unpack_name(raw, where), (shape[0], shape[1], shape[2]), classes, layers)
        _unpack_weights(model, payload, where)
        model.check(where)
        return model


def _unpack_name(raw: bytes, where: object) -> str:
    text = raw.rstrip(b"\0")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise FileError(where, mismatch("name", repr(text), "utf-8")) from None


def _unpack_layer(record: bytes, where: object) -> Layer:
    kind, kernel, stride, padding, n_out, reserved, *shifts = RECORD.unpack(record)
    if reserved or record[13:] != b"\0\0\0":
        raise FileError(where, mismatch("reserved of a layer", record.hex(), "zeros"))
    return Layer(kind, kernel, stride, padding, n_out, *shifts)


def _unpack_weights(model: Model, payload: bytes, where: object) -> None:
    """Give every conv2d and linear layer its weights from the payload."""
    try:
        stages = [stage for stage in model.stages() if stage.weight_index >= 0]
    except ValueError as error:
        raise FileError(where, str(error)) from None
    sizes = [math.prod(stage.weight_shape) for stage in stages]
    if len(payload) != sum(map(pad4, sizes)):
        raise FileError(where, mismatch("bytes of weights", len(payload), sum(map(pad4, sizes))))
    data = np.frombuffer(payload, np.uint8)
    at = 0
    for stage, n in zip(stages, sizes, strict=True):
        block = data[at : at + n]
        if not block.all():
            raise FileError(where, f"layer {stage.layer}: "
                            + mismatch("weight byte", 0, "1..255"))
        if (data[at + n : at + pad4(n)] != 128).any():
            raise FileError(where, mismatch("padding of weights", "other bytes", 128))
        weights = from_offset(block)
        model.layers[stage.layer].weights = weights.reshape(stage.weight_shape)
        at += pad4(n)


def _check_weights(weights: np.ndarray, stage: Stage, where: object) -> None:
    field_name = f"layer {stage.layer}: weights"
    if weights.dtype != np.int8 or weights.shape != stage.weight_shape:
        raise FileError(where, mismatch(
            field_name, f"{weights.dtype} {weights.shape}", f"int8 {stage.weight_shape}"))
    if int(weights.min()) < -127:
        raise FileError(where, mismatch(field_name, int(weights.min()), "-127..127"))
