"""Model files: compiled stages and their weights. Byte table: priot/formats."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from priot.errors import FileError, mismatch
from priot.formats import version1
from priot.formats.container import (
    PREFIX,
    SOUND,
    Sound,
    check_header,
    check_scale,
    from_offset,
    is_text,
    pack_file,
    pack_names,
    pack_scales,
    pack_sound,
    pad4,
    read_file,
    to_offset,
    unpack_file,
    unpack_names,
    unpack_scales,
    unpack_sound,
    unpack_table,
    unpack_text,
    write_file,
)
from priot.network import fields as f
from priot.network.layer import Layer
from priot.network.link import addition_shift, exponents, link, most_bias, target_shift
from priot.network.stage import Shape, Stage
from priot.network.stages import layers_of

MAGIC = b"PRIM"
TABLE = struct.Struct("<16s4HBBbBHHfiIHbB")
RECORD = struct.Struct("<BBH12BHhhBbhb5B3I20s")
NAME_BYTES = 16
MAX_STAGES = 256
INPUT_EXPONENT = -7  # a pixel v of 0..127 stands for v * 2^-7
_NOWHERE = 0xFFFFFFFF
_RELU = 1
_SIGNED = 1
_OF_SOUND = 2


@dataclass
class Model:
    """A backbone: `stages` on an input of `shape` = (channels, height, width).

    classes: its outputs. names: of the classes, or none. A value v of the input stands for
    v * 2^input_exponent; v = round(x / scale) + zero of what a sensor gives, scale 0: not known.
    loss: what the outputs are compared with, a number of device/priot/fields.py; with squared
    error classes is the number of outputs. target_exponent: of a target that comes with a sample.
    scales: scale and zero of every channel, where they differ; then scale and zero are 0.
    signed: values of the input are -127..127, otherwise 0..127.
    sound: what the input's log-mel columns are made of; None where it is not said, or no sound.
    spare: int8 [outputs][n_row], weights of outputs of the last layer that no class has yet: in
    the file they follow the others, here the last stage is without them. Their biases are 0.
    """

    name: str
    shape: Shape
    classes: int
    stages: list[Stage]
    names: tuple[str, ...] = ()
    input_exponent: int = INPUT_EXPONENT
    scale: float = 0.0
    zero: int = 0
    signed: bool = False
    loss: int = f.CROSS_ENTROPY
    target_exponent: int = 0
    spare: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int8),
                              repr=False, compare=False)
    scales: tuple[tuple[float, int], ...] = ()
    sound: Sound | None = None

    @property
    def crc(self) -> int:
        """CRC32 of the file: the identity that adapters name."""
        return zlib.crc32(self.to_bytes()[PREFIX.size :])

    @property
    def n_targets(self) -> int:
        """Values of a target that comes with a sample, 0: it is a label, or there is none."""
        return self.classes if self.loss == f.SQUARED_ERROR else 0

    @property
    def target_shift(self) -> int:
        """What brings a target to the exponent of the outputs (squared error)."""
        target = self.input_exponent if self.loss == f.RECONSTRUCTION else self.target_exponent
        return target_shift(self.exponents[-1], target)

    @property
    def weight_stages(self) -> list[Stage]:
        """The conv2d and linear stages in order."""
        return [stage for stage in self.stages if stage.has_weights]

    @property
    def has_biases(self) -> bool:
        """Whether any layer has a bias."""
        return any(stage.bias is not None for stage in self.stages)

    @property
    def layers(self) -> list[Layer]:
        """The network as layers, for people to read."""
        return layers_of(self.stages, self.shape)

    @property
    def exponents(self) -> list[int]:
        """The exponent of every stage's output: a value v stands for v * 2^exponent."""
        return exponents(self.stages, self.input_exponent)

    def with_classes(self, added: Sequence[str]) -> "Model":
        """The model with spare outputs in use for new classes, as after add_class on the device.

        Raises FileError where there are fewer, or a name is there already.
        """
        n = len(added)
        if n == 0:
            return self
        if self.loss != f.CROSS_ENTROPY:
            raise FileError(self.name, f"has no classes to add {', '.join(added)} to")
        if n > len(self.spare):
            raise FileError(self.name, mismatch("spare outputs", len(self.spare), (
                f"{n}, for {', '.join(added)}")))
        names = self.names or tuple(map(str, range(self.classes)))
        if len({*names, *added}) < len(names) + n:
            raise FileError(self.name, f"has one of the classes {', '.join(added)} already")
        return replace(self, classes=self.classes + n, names=(*names, *added),
                       stages=[*self.stages[:-1], self._last(n)], spare=self.spare[n:])

    def _last(self, n: int) -> Stage:
        """The last stage with n of the spare outputs."""
        last = self.stages[-1]
        rows = np.concatenate([last.rows, self.spare[:n].reshape(n, last.n_row)])
        bias = last.bias
        if bias is not None:
            bias = np.concatenate([bias, np.zeros(n, np.int32)])
        return replace(last, n_out=last.n_out + n, weights=rows, bias=bias)

    def check(self, where: object = "model") -> None:
        """Link the stages; raise FileError unless all is inside the format's limits."""
        if not is_text(self.name) or len(self.name.encode()) > NAME_BYTES:
            raise FileError(where, mismatch("name", repr(self.name),
                                            f"1..{NAME_BYTES} bytes of text"))
        if not 1 <= len(self.stages) <= MAX_STAGES:
            raise FileError(where, mismatch("stages", len(self.stages), f"1..{MAX_STAGES}"))
        try:
            link(self.stages, self.shape, self.classes, self.signed, self.loss)
        except ValueError as error:
            raise FileError(where, str(error)) from None
        if self.loss != f.CROSS_ENTROPY and (self.names or len(self.spare)):
            raise FileError(where, "has names of classes or spare outputs, and no classes")
        if self.target_exponent and self.loss != f.SQUARED_ERROR:
            raise FileError(where, mismatch("exponent of a target", self.target_exponent, 0))
        if len(self.spare):
            self._check_spare(where)
        for i, (stage, exponent) in enumerate(zip(self.stages, self.exponents, strict=True)):
            shift = addition_shift(stage, self.exponents, self.input_exponent)
            if stage.b_shift != shift:
                raise FileError(f"{where}: stage {i}", mismatch("shift of the second input",
                                                                stage.b_shift, shift))
            if not -0x8000 <= exponent <= 0x7FFF:
                raise FileError(f"{where}: stage {i}", mismatch("exponent", exponent,
                                                                "-32768..32767"))
            if stage.has_weights:
                _check_weights(stage, f"{where}: stage {i}")

    def _check_spare(self, where: object) -> None:
        last, n = self.stages[-1], len(self.spare)
        if last.kind != f.LINEAR:
            raise FileError(where, f"last stage: is {last.name}; outputs are spare of linear only")
        if self.spare.dtype != np.int8 or self.spare.shape != (n, last.n_row):
            raise FileError(where, mismatch("spare", f"{self.spare.dtype} {self.spare.shape}",
                                            f"int8 {(n, last.n_row)}"))
        last = self._last(n)
        try:
            link([*self.stages[:-1], last], self.shape, last.n_out, self.signed)
        except ValueError as error:
            raise FileError(where, str(error)) from None
        _check_weights(last, f"{where}: spare")

    def to_bytes(self) -> bytes:
        """The bytes of the file. Raises FileError."""
        self.check()
        names = pack_names(self.names, "model")
        n_spare = len(self.spare)
        stages = [*self.stages[:-1], self._last(n_spare)] if n_spare else self.stages
        payload = b"".join(_pack_block(stage) for stage in stages if stage.has_weights)
        table = TABLE.pack(self.name.encode(), *self.shape, self.classes + n_spare, self.loss,
                           _SIGNED * self.signed | _OF_SOUND * (self.sound is not None),
                           self.input_exponent, n_spare, len(stages),
                           len(names), self.scale,
                           self.zero, len(payload), len(self.scales), self.target_exponent, 0)
        records, at = [], 0
        for stage, exponent in zip(stages, self.exponents, strict=True):
            records.append(_pack_record(stage, exponent, at))
            at += len(_pack_block(stage)) if stage.has_weights else 0
        ends = [names, pack_scales(self.scales), pack_sound(self.sound)]
        data = pack_file(MAGIC, b"".join([table, *records, *ends]), payload)
        Model.from_bytes(data)  # what cannot be read back is not written
        return data

    def write(self, path: Path | str) -> None:
        """Write the file, atomically. Raises FileError, OSError."""
        write_file(path, self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes, where: object = "model") -> "Model":
        """The model in the bytes of a file, of version 1 or 2. Raises FileError."""
        contents = unpack_file(data, MAGIC, where)
        if contents.version == 1:
            model = cls(*version1.read_model(contents, where))
        else:
            model = _parse(contents.tables, contents.payload, where)
        model.check(where)
        return model

    @classmethod
    def read(cls, path: Path | str) -> "Model":
        """The model in a file. Raises FileError, OSError."""
        return cls.from_bytes(read_file(path, MAGIC), path)


def _parse(tables: bytes, payload: bytes, where: object) -> Model:
    (raw, channels, height, width, outputs, loss, flags, input_exponent, n_spare, n_stages,
     n_names, scale, zero, n_bytes, n_scales, target_exponent, reserved) = unpack_table(
         TABLE, tables, where)
    if not 1 <= n_stages <= MAX_STAGES:
        raise FileError(where, mismatch("stages", n_stages, f"1..{MAX_STAGES}"))
    end = TABLE.size + n_stages * RECORD.size
    for name, value, most in (("loss", loss, f.RECONSTRUCTION), ("flags", flags, 3),
                              ("reserved", reserved, 0)):
        if value > most:
            raise FileError(where, mismatch(name, value, f"0..{most}"))
    end_scales = end + n_names + 8 * n_scales
    check_header(tables, end_scales + SOUND.size * bool(flags & _OF_SOUND), where)
    check_scale(struct.unpack_from("<I", tables, 32)[0], where)
    if n_bytes != len(payload):
        raise FileError(where, mismatch("bytes of the payload", len(payload), n_bytes))
    name = unpack_text(raw.rstrip(b"\0"), "name", NAME_BYTES, where)
    found = [_unpack_record(tables[at : at + RECORD.size], f"{where}: stage {i}")
             for i, at in enumerate(range(TABLE.size, end, RECORD.size))]
    stages = [stage for stage, *_ in found]
    classes = outputs - n_spare
    if loss == f.CROSS_ENTROPY and not 2 <= classes <= 256:
        raise FileError(where, mismatch("classes", classes, "2..256"))
    if loss != f.CROSS_ENTROPY and (n_spare or n_names):
        raise FileError(where, "has names of classes or spare outputs, and no classes")
    names = unpack_names(tables[end : end + n_names], classes, where)
    scales = unpack_scales(tables[end + n_names : end_scales], channels, scale, zero, where)
    model = Model(name, (channels, height, width), classes, stages, names, input_exponent, scale,
                  zero, bool(flags & _SIGNED), loss, target_exponent, scales=scales,
                  sound=unpack_sound(tables[end_scales:], where))
    try:
        link(stages, model.shape, outputs, model.signed, loss)
    except ValueError as error:
        raise FileError(where, str(error)) from None
    for i, ((_, exponent, *_), computed) in enumerate(zip(found, model.exponents, strict=True)):
        if exponent != computed:
            raise FileError(f"{where}: stage {i}", mismatch("exponent", exponent, computed))
    _unpack_payload(stages, [places for _, _, *places in found], payload, where)
    if n_spare:
        last = stages[-1]
        if last.kind != f.LINEAR:
            raise FileError(where, f"last stage: is {last.name}; outputs are spare of linear only")
        bias = last.bias
        if bias is not None and bias[classes:].any():
            raise FileError(where, mismatch("bias of a spare output", bias[classes:].tolist(), 0))
        model.spare = last.weights[classes:]
        stages[-1] = replace(last, n_out=classes, weights=last.weights[:classes],
                             bias=None if bias is None else bias[:classes])
    return model


def _pack_block(stage: Stage) -> bytes:
    """Weights and bias of a stage as they lie in the payload."""
    weights = to_offset(stage.rows).tobytes()
    bias = b"" if stage.bias is None else stage.bias.astype("<i4").tobytes()
    return weights + b"\x80" * (pad4(len(weights)) - len(weights)) + bias


def _pack_record(stage: Stage, exponent: int, at: int) -> bytes:
    """The record of a stage whose weights, if it has any, begin at `at` in the payload."""
    bias_at = _NOWHERE if stage.bias is None else at + pad4(stage.weights.size)
    return RECORD.pack(
        stage.kind, _RELU * stage.relu, stage.n_out, *stage.kernel, *stage.stride,
        *stage.padding, *stage.window, *stage.window_stride, stage.groups, stage.a, stage.b,
        stage.largest, stage.b_shift, exponent, stage.weight_exponent, stage.forward_shift,
        stage.backward_shift, stage.update_bits_weights, stage.update_bits_scores,
        stage.update_bits_bias, at if stage.has_weights else _NOWHERE, bias_at, _NOWHERE, b"")


def _unpack_record(record: bytes, where: str) -> tuple[Stage, int, int, int]:
    """A stage without weights, the exponent of its output, and where weights and bias begin."""
    (kind, flags, n_out, *sizes, groups, a, b, largest, b_shift, exponent, weight_exponent,
     fs, bs, bits_weights, bits_scores, bits_bias, weights, bias, by_row,
     reserved) = RECORD.unpack(record)
    if flags > _RELU:
        raise FileError(where, mismatch("flags", flags, "0..1"))
    if any(reserved):
        raise FileError(where, mismatch("reserved", reserved.hex(), "zeros"))
    if by_row != _NOWHERE:
        raise FileError(where, "has shifts by row, which this version cannot compute")
    ky, kx, down, across, top, bottom, left, right, wy, wx, w_down, w_across = sizes
    stage = Stage(kind, n_out, flags == _RELU, (ky, kx), (down, across),
                  (top, bottom, left, right), (wy, wx), (w_down, w_across), groups, a, b,
                  largest, b_shift, weight_exponent, fs, bs, bits_weights, bits_scores,
                  bits_bias)
    if bias != _NOWHERE:
        stage.bias = np.zeros(n_out, np.int32)  # so that linking it sees one
    return stage, exponent, weights, bias


def _unpack_payload(stages: list[Stage], places: list[list[int]], payload: bytes,
                    where: object) -> None:
    """Give every stage its weights and bias from the payload, in order and without gaps."""
    data = np.frombuffer(payload, np.uint8)
    at = 0
    for i, (stage, (offset, bias_at)) in enumerate(zip(stages, places, strict=True)):
        here = f"{where}: stage {i}"
        expected = at if stage.has_weights else _NOWHERE
        if offset != expected:
            raise FileError(here, mismatch("place of the weights", offset, expected))
        if not stage.has_weights:
            continue
        n = stage.n_out * stage.n_row
        n_bias = 4 * stage.n_out if stage.bias is not None else 0
        if at + pad4(n) + n_bias > len(data):
            raise FileError(where, mismatch("bytes of the payload", len(data),
                                            at + pad4(n) + n_bias))
        if n_bias and bias_at != at + pad4(n):
            raise FileError(here, mismatch("place of the bias", bias_at, at + pad4(n)))
        block = data[at : at + n]
        if not block.all():
            raise FileError(here, mismatch("weight byte", 0, "1..255"))
        if (data[at + n : at + pad4(n)] != 128).any():
            raise FileError(here, mismatch("padding of weights", "other bytes", 128))
        stage.weights = from_offset(block).reshape(stage.weight_shape)
        at += pad4(n)
        if n_bias:
            stage.bias = data[at : at + n_bias].view("<i4").astype(np.int32)
        at += n_bias
    if at != len(data):
        raise FileError(where, mismatch("bytes of the payload", len(data), at))


def _check_weights(stage: Stage, where: str) -> None:
    weights = stage.weights
    if weights.dtype != np.int8 or weights.shape != stage.weight_shape:
        raise FileError(where, mismatch("weights", f"{weights.dtype} {weights.shape}",
                                        f"int8 {stage.weight_shape}"))
    if int(weights.min()) < -127:
        raise FileError(where, mismatch("weights", int(weights.min()), "-127..127"))
    if stage.bias is None:
        return
    if stage.bias.dtype != np.int32 or stage.bias.shape != (stage.n_out,):
        raise FileError(where, mismatch("bias", f"{stage.bias.dtype} {stage.bias.shape}",
                                        f"int32 ({stage.n_out},)"))
    largest = int(np.abs(stage.bias.astype(np.int64)).max())
    if largest > most_bias(stage):
        raise FileError(where, mismatch("bias", largest, f"at most {most_bias(stage)}"))
