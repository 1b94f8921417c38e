"""Adapter files: what a method learned for a backbone. Byte table: priot/formats."""

import struct
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from priot.errors import FileError, mismatch
from priot.formats.container import (
    check_header,
    from_offset,
    pack_file,
    pack_names,
    pad4,
    read_file,
    to_offset,
    unpack_file,
    unpack_names,
    unpack_table,
    write_file,
)
from priot.formats.model import Model
from priot.network import fields as f
from priot.network.fields import METHOD_COLUMNS, METHOD_ROWS
from priot.network.link import most_bias
from priot.network.stage import Stage

MAGIC = b"PRIA"
TABLE = struct.Struct("<IBBHIIHbBBBHH6s")
RECORD = struct.Struct("<H4BHII")
CONTENTS = {1: "scores", 2: "mask", 3: "gains", 4: "weights", 5: "biases",
            6: "weights16"}
_ROWS = [dict(zip(METHOD_COLUMNS, row, strict=True)) for row in METHOD_ROWS]
METHODS: dict[int, str] = {row["number"]: row["name"] for row in _ROWS}
_RULES = {"scores": f.PRUNE, "mask": f.PRUNE, "gains": f.GAIN, "weights": f.WEIGHTS,
          "biases": f.ONLY_BIAS, "weights16": f.WIDE}
_METHODS_OF = {content: [row["name"] for row in _ROWS if row["rule"] == rule]
               for content, rule in _RULES.items()}


@dataclass
class AdapterLayer:
    """What one conv2d or linear layer learned.

    `index` counts those layers from 0. `values`: int8 [n_params] scores, gains or weights;
    bool [n_params] for a mask, True where the edge is kept; int32 [n_out] biases. `bitmap`: for
    selection 2, bool [edges], True where the edge has a parameter; from a file it is longer, a
    multiple of 32. `low`: uint8 [n_params], the lower bytes of weights of 16 bits.
    """

    index: int
    values: np.ndarray = field(repr=False)
    selection: int = f.ALL
    tau: int = 0
    threshold: int = 0
    keep_percent: int = 0
    bitmap: np.ndarray | None = field(default=None, repr=False)
    low: np.ndarray | None = field(default=None, repr=False)

    def edges(self, weights: np.ndarray) -> np.ndarray:
        """bool [edges]: which of the layer's edges have a value; from its int8 weights."""
        if self.bitmap is not None:
            return self.bitmap[: weights.size]
        magnitudes = np.abs(weights.ravel().astype(np.int16))
        return magnitudes >= (self.tau if self.selection == f.LARGEST else 0)


@dataclass
class Adapter:
    """What `method` learned for the backbone whose CRC32 is `backbone_crc`.

    names: of the classes, or none.
    """

    backbone_crc: int
    content: str
    method: str
    layers: list[AdapterLayer]
    seed: int = 0
    rng_state: int = 0
    epochs: int = 0
    step: int = 0
    rounding: int = 0
    init: int = 0
    gmin: int = 0
    halve: int = 0
    names: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """The bytes of the file. Raises FileError."""
        names = pack_names(self.names, "adapter")
        payloads = [self._layer_payload(layer) for layer in self.layers]
        codes = {name: code for code, name in CONTENTS.items()}
        methods = {name: code for code, name in METHODS.items()}
        table = TABLE.pack(
            self.backbone_crc, codes[self.content], methods[self.method], len(self.layers),
            self.seed, self.rng_state, self.epochs, self.step, self.rounding, self.init,
            self.gmin, self.halve, len(names), b"")
        records = b"".join(
            RECORD.pack(a.index, a.selection, a.tau, a.threshold, a.keep_percent, 0,
                        len(a.values), len(payload))
            for a, payload in zip(self.layers, payloads, strict=True))
        data = pack_file(MAGIC, table + records + names, b"".join(payloads))
        Adapter.from_bytes(data)  # what cannot be read back is not written
        return data

    def _layer_payload(self, layer: AdapterLayer) -> bytes:
        bitmap = b"" if layer.bitmap is None else _pack_bits(layer.bitmap)
        if self.content == "mask":
            return bitmap + _pack_bits(layer.values)
        if self.content == "biases":
            return layer.values.astype("<i4").tobytes()
        data = to_offset(layer.values).tobytes()
        if layer.low is not None:
            data += layer.low.tobytes()
        return bitmap + data + bytes(pad4(len(data)) - len(data))

    def write(self, path: Path | str) -> None:
        """Write the file, atomically. Raises FileError, OSError."""
        write_file(path, self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes, where: object = "adapter") -> "Adapter":
        """The adapter in the bytes of a file, of version 1 or 2. Raises FileError."""
        contents = unpack_file(data, MAGIC, where)
        return cls._parse(contents.tables, contents.payload, contents.version, where)

    @classmethod
    def read(cls, path: Path | str) -> "Adapter":
        """The adapter in a file. Raises FileError, OSError."""
        return cls.from_bytes(read_file(path, MAGIC), path)

    @classmethod
    def _parse(cls, tables: bytes, payload: bytes, version: int, where: object) -> "Adapter":
        (crc, content, method, n_layers, seed, state, epochs, step, rounding, init, gmin, halve,
         n_names, reserved) = unpack_table(TABLE, tables, where)
        end = TABLE.size + n_layers * RECORD.size
        check_header(tables, end + n_names, where)
        if any(reserved) or (version == 1 and n_names):
            raise FileError(where, mismatch("reserved", "other bytes", "zeros"))
        for name, value, allowed in (("content", content, CONTENTS), ("method", method, METHODS),
                                     ("layers", n_layers, range(1, 0x10000)),
                                     ("rounding", rounding, range(2)), ("init", init, range(2)),
                                     ("gmin", gmin, range(128))):
            if value not in allowed:
                raise FileError(where, mismatch(name, value, f"{min(allowed)}..{max(allowed)}"))
        adapter = cls(crc, CONTENTS[content], METHODS[method], [], seed, state, epochs, step,
                      rounding, init, gmin, halve, unpack_names(tables[end:], None, where))
        if adapter.method not in _METHODS_OF[adapter.content]:
            raise FileError(where, mismatch(
                "method", adapter.method, " or ".join(_METHODS_OF[adapter.content])))
        adapter._unpack_layers(tables[TABLE.size : end], payload, where)
        return adapter

    def _unpack_layers(self, records: bytes, payload: bytes, where: object) -> None:
        at = 0
        previous = -1
        for record in RECORD.iter_unpack(records):
            index, *_, n_bytes = record
            here = f"{where}: layer {index}"
            if index <= previous:
                raise FileError(where, mismatch("layer", index, f"above {previous}"))
            if at + n_bytes > len(payload):
                raise FileError(here, mismatch("bytes", len(payload) - at, n_bytes))
            self.layers.append(_unpack_layer(
                record, payload[at : at + n_bytes], self.content, here))
            previous = index
            at += n_bytes
        if at != len(payload):
            raise FileError(where, mismatch("bytes of layers", len(payload), at))

    def kept(self, layer: AdapterLayer) -> np.ndarray:
        """bool [n_params] of one of the layers of scores or a mask: the edges not pruned."""
        if self.content == "mask":
            return layer.values
        return layer.values.astype(np.int64) + 128 >= layer.threshold

    def check_backbone(self, model: Model, where: object = "adapter") -> None:
        """Raise FileError unless the adapter belongs to `model` and fits it, edge by edge."""
        if self.backbone_crc != model.crc:
            raise FileError(where, mismatch(
                "backbone", f"{self.backbone_crc:08x}", f"{model.crc:08x}, the model's")
                + "; it was learned on another model")
        most = model.classes + len(model.spare)
        if self.names and not model.classes <= len(self.names) <= most:
            raise FileError(where, mismatch("names", len(self.names), "0 or " + (
                f"{model.classes}..{most}" if most > model.classes else f"{most}")))
        if self.names and model.names and self.names[: model.classes] != model.names:
            raise FileError(where, mismatch(
                "names of the classes", ", ".join(self.names[: model.classes]),
                f"{', '.join(model.names)}, the model's"))
        if len(self.names) > model.classes and len(set(self.names)) < len(self.names):
            raise FileError(where, mismatch("names", "one twice", "names that differ"))
        named = replace(model, names=self.names[: model.classes])
        backbone = named.with_classes(self.names[model.classes :]).weight_stages
        for layer in self.layers:
            here = f"{where}: layer {layer.index}"
            if layer.index >= len(backbone):
                raise FileError(where, mismatch("layer", layer.index, f"below {len(backbone)}"))
            if self.content == "biases":
                _check_biases(layer.values, backbone[layer.index], here)
                continue
            weights = backbone[layer.index].rows
            expected = weights.size
            if layer.selection == f.LARGEST:
                expected = int((np.abs(weights.astype(np.int16)) >= layer.tau).sum())
            if layer.bitmap is not None:
                expected = int(layer.bitmap.sum())
                n_bits = -(-len(layer.bitmap) // 32) * 32
                if n_bits != -(-weights.size // 32) * 32 or layer.bitmap[weights.size :].any():
                    raise FileError(here, mismatch("bitmap", n_bits, f"{weights.size} edges"))
            if len(layer.values) != expected:
                raise FileError(here, mismatch("parameters", len(layer.values), expected))


def _check_biases(values: np.ndarray, stage: Stage, where: str) -> None:
    if stage.bias is None:
        raise FileError(where, "has biases, the model's layer has none")
    if len(values) != stage.n_out:
        raise FileError(where, mismatch("parameters", len(values), stage.n_out))
    most, largest = most_bias(stage), int(np.abs(values.astype(np.int64)).max())
    if largest > most:
        raise FileError(where, mismatch("bias", largest, f"-{most}..{most}"))


def _pack_bits(bits: np.ndarray) -> bytes:
    """A bit per entry, lowest first, padded with zeros to a multiple of 4 bytes."""
    packed = np.packbits(bits, bitorder="little").tobytes()
    return packed + bytes(pad4(len(packed)) - len(packed))


def _unpack_bits(data: bytes) -> np.ndarray:
    return np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").astype(bool)


def _unpack_layer(record: tuple[int, ...], payload: bytes, content: str,
                  where: str) -> AdapterLayer:
    """One layer from its record and payload. Raises FileError."""
    index, selection, tau, threshold, keep_percent, reserved, n_params, n_bytes = record
    last_selection = f.ALL if content in ("mask", "biases") else f.BITMAP
    low_tau, high_tau = {f.ALL: (0, 0), f.LARGEST: (1, 127)}.get(selection, (0, 127))
    for name, value, low, high in (
            ("selection", selection, f.ALL, last_selection), ("tau", tau, low_tau, high_tau),
            ("keep", keep_percent, 0, 96 if content in ("scores", "mask") else 0),
            ("parameters", n_params, 1, 0xFFFFFFFF), ("reserved", reserved, 0, 0)):
        if not low <= value <= high:
            raise FileError(where, mismatch(name, value, f"{low}..{high}"))
    data_bytes = pad4({"mask": (n_params + 7) // 8, "biases": 4 * n_params,
                       "weights16": 2 * n_params}.get(content, n_params))
    bitmap_bytes = n_bytes - data_bytes
    if bitmap_bytes < 0 or bitmap_bytes % 4 or (bitmap_bytes and selection != f.BITMAP):
        raise FileError(where, mismatch("bytes", n_bytes, f"{data_bytes} for {n_params} values"))
    layer = AdapterLayer(index, np.zeros(0, np.int8), selection, tau, threshold, keep_percent)
    if selection == f.BITMAP:
        layer.bitmap = _unpack_bits(payload[:bitmap_bytes])
        if int(layer.bitmap.sum()) != n_params:
            raise FileError(where, mismatch("bits of bitmap", int(layer.bitmap.sum()), n_params))
    data = payload[bitmap_bytes:]
    if content == "weights16":
        layer.low = np.frombuffer(data, np.uint8)[n_params : 2 * n_params]
        data = data[:n_params] + data[2 * n_params :]
    layer.values = _unpack_values(data, n_params, content, where)
    return layer


def _unpack_values(data: bytes, n_params: int, content: str, where: str) -> np.ndarray:
    if content == "mask":
        bits = _unpack_bits(data)
        values, rest = bits[:n_params], bits[n_params:]
    elif content == "biases":
        return np.frombuffer(data, "<i4").astype(np.int32)
    else:
        raw = np.frombuffer(data, np.uint8)
        values, rest = from_offset(raw[:n_params]), raw[n_params:]
        if content.startswith("weights") and n_params and int(values.min()) < -127:
            raise FileError(where, mismatch("weight byte", 0, "1..255"))
    if rest.any():
        raise FileError(where, mismatch("padding", "other bits", "zeros"))
    return values
