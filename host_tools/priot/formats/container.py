"""What all files share: the prefix, names of classes; atomic writing."""

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from priot.errors import FileError, mismatch
from priot.formats.sniff import START_BYTES, what_is

_SCALE = struct.Struct("<fi")  # of a channel, and its zero
SOUND = struct.Struct("<4H")  # rate, frame, hop; reserved
RATES = (4000, 48000)  # the least and the most samples a second
FRAMES = (128, 256, 512)
PREFIX = struct.Struct("<4sHHII")
VERSION = 2
KINDS = {b"PRIM": "model", b"PRID": "dataset", b"PRIA": "adapter"}
_MAKES = {b"PRID": "; 'priot dataset' makes one of pictures and arrays"}
NAME_BYTES = 63  # of the name of a class


class Contents(NamedTuple):
    """A file whose prefix is right: what lies between it and the payload, and the payload."""

    version: int
    tables: bytes
    payload: bytes
    crc: int


class Sound(NamedTuple):
    """Of what log-mel columns were made (device/AUDIO.md).

    rate: samples a second. frame: samples that a column sees. hop: samples from one column to the
    next.
    """

    rate: int
    frame: int
    hop: int

    def __str__(self) -> str:
        return (f"{self.rate} samples a second, a column of {self.frame} of them every "
                f"{self.hop}")


def pad4(n: int) -> int:
    """n rounded up to a multiple of 4."""
    return (n + 3) & ~3


def to_offset(values: np.ndarray) -> np.ndarray:
    """int8 values as offset bytes, value + 128; uint8."""
    return np.ascontiguousarray(values).view(np.uint8) ^ np.uint8(128)


def from_offset(data: np.ndarray) -> np.ndarray:
    """Offset bytes (uint8) as int8 values, byte - 128."""
    return (data ^ np.uint8(128)).view(np.int8)


def pack_file(magic: bytes, tables: bytes, payload: bytes) -> bytes:
    """The bytes of a whole file. Raises FileError where a size does not fit its field."""
    header_size = PREFIX.size + len(tables)
    size = header_size + len(payload)
    if header_size > 0xFFFF:
        raise FileError(KINDS[magic], mismatch("header size", header_size, "at most 65535"))
    if size > 0xFFFFFFFF:
        raise FileError(KINDS[magic], mismatch("file size", size, "at most 4294967295"))
    crc = zlib.crc32(payload, zlib.crc32(tables))
    return PREFIX.pack(magic, VERSION, header_size, size, crc) + tables + payload


def unpack_file(data: bytes, magic: bytes, where: object) -> Contents:
    """The parts of a file's bytes, of version 1 or 2. Raises FileError that names a bad field."""
    if data[:4] != magic:
        raise FileError(where, mismatch("kind", what_is(data[:START_BYTES]), KINDS[magic])
                        + _MAKES.get(magic, ""))
    if len(data) < PREFIX.size:
        raise FileError(where, mismatch("file size", len(data), f"at least {PREFIX.size}"))
    _, version, header_size, size, crc = PREFIX.unpack_from(data)
    if not 1 <= version <= VERSION:
        newer = "; a newer priot wrote it" if version > VERSION else ""
        raise FileError(where, mismatch("version", version, f"1..{VERSION}") + newer)
    if size != len(data):
        what = "cut off" if len(data) < size else "something follows it"
        raise FileError(where, mismatch(
            "file size", len(data), f"{size} as its header says") + f"; {what}")
    if not PREFIX.size <= header_size <= size:
        raise FileError(where, mismatch("header size", header_size, f"{PREFIX.size}..{size}"))
    computed = zlib.crc32(memoryview(data)[PREFIX.size :])
    if computed != crc:
        raise FileError(where, mismatch("crc32", f"{computed:08x}", f"{crc:08x}; damaged"))
    return Contents(version, data[PREFIX.size : header_size], data[header_size:], crc)


def read_file(path: Path | str, magic: bytes) -> bytes:
    """The bytes of a file; of one that is something else only the first. Raises OSError."""
    with open(path, "rb") as file:
        data = file.read(START_BYTES)
        return data + file.read() if data[:4] == magic else data


def not_ours(start: bytes) -> str:
    """What is said of a file that begins so, where any of ours would do."""
    return mismatch("kind", what_is(start[:START_BYTES]), "a model, dataset or adapter file")


def unpack_table(table: struct.Struct, tables: bytes, where: object) -> tuple:
    """The fields of a fixed table at the start of a file's tables. Raises FileError."""
    if len(tables) < table.size:
        raise FileError(where, mismatch("header size", PREFIX.size + len(tables),
                                        f"at least {PREFIX.size + table.size}"))
    return table.unpack_from(tables)


def check_header(tables: bytes, n: int, where: object) -> None:
    """Raise FileError unless the tables are of n bytes."""
    if len(tables) != n:
        raise FileError(where, mismatch("header size", PREFIX.size + len(tables),
                                        PREFIX.size + n))


def check_scale(bits: int, where: object) -> None:
    """Raise FileError unless the bits of a float32 are those of a finite one, not negative."""
    if bits > 0x7F7FFFFF:
        raise FileError(where, mismatch("scale", f"{bits:08x}", "a finite number, 0 or above"))


def pack_scales(scales: Sequence[tuple[float, int]]) -> bytes:
    """Scale and zero of every channel, as they stand in a file."""
    return b"".join(_SCALE.pack(scale, zero) for scale, zero in scales)


def unpack_scales(raw: bytes, channels: int, scale: float, zero: int, where: object,
                  ) -> tuple[tuple[float, int], ...]:
    """Scale and zero of every channel; of none where `raw` is empty. Raises FileError.

    scale, zero: those of all channels, which then are 0.
    """
    if not raw:
        return ()
    if len(raw) != channels * _SCALE.size:
        raise FileError(where, mismatch("channels with a scale", len(raw) // _SCALE.size,
                                        f"0 or {channels}"))
    if scale or zero:
        raise FileError(where, mismatch("scale, zero of all channels", f"{scale:g}, {zero}",
                                        "0 where each has its own"))
    for (bits,) in struct.iter_unpack("<I4x", raw):
        if not 0x00800000 <= bits <= 0x7F7FFFFF:
            raise FileError(where, mismatch("scale of a channel", f"{bits:08x}",
                                            "a normal number above 0"))
    return tuple(_SCALE.iter_unpack(raw))


def pack_sound(sound: Sound | None) -> bytes:
    """What a file says of the sound that its values are of; nothing where they are of none."""
    return b"" if sound is None else SOUND.pack(*sound, 0)


def unpack_sound(raw: bytes, where: object) -> Sound | None:
    """What a file says of sound, None where `raw` is empty. Raises FileError."""
    if not raw:
        return None
    *found, reserved = SOUND.unpack(raw)
    rate, frame, hop = found
    if not (RATES[0] <= rate <= RATES[1] and frame in FRAMES and 1 <= hop <= frame
            and not reserved):
        raise FileError(where, mismatch("rate, frame, hop of sound", f"{rate}, {frame}, {hop}",
                                        "4000..48000, 128, 256 or 512, 1..frame"))
    return Sound(rate, frame, hop)


def unpack_text(raw: bytes, field: str, most: int, where: object) -> str:
    """Text of 1..`most` bytes of UTF-8 without control characters. Raises FileError."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = ""
    if not 1 <= len(raw) <= most or not is_text(text):
        raise FileError(where, mismatch(field, repr(raw), f"1..{most} bytes of text"))
    return text


def is_text(text: str) -> bool:
    """Whether there is something, and no control character in it."""
    return text != "" and not any(c < " " or "\x7f" <= c < "\xa0" for c in text)


def pack_names(names: Sequence[str], where: object) -> bytes:
    """Names of classes as they stand in a file. Raises FileError."""
    raw = b"".join(name.encode() + b"\0" for name in names)
    raw += bytes(pad4(len(raw)) - len(raw))
    unpack_names(raw, len(names), where)
    return raw


def unpack_names(raw: bytes, classes: int | None, where: object) -> tuple[str, ...]:
    """Names from a file: none, or one for each of the classes (where their number is known)."""
    if not raw:
        return ()
    text = raw.rstrip(b"\0")
    padding = len(raw) - len(text)
    if len(raw) % 4 or not 1 <= padding <= 4:
        raise FileError(where, mismatch("padding of names", f"{padding} of {len(raw)} bytes",
                                        "1..4 zeros, to a multiple of 4"))
    names = tuple(unpack_text(name, "name of a class", NAME_BYTES, where)
                  for name in text.split(b"\0"))
    if classes is not None and len(names) != classes:
        raise FileError(where, mismatch("names", len(names), f"0 or {classes}"))
    return names


def first_difference(names: Sequence[str], model_names: Sequence[str]) -> str:
    """Where the names of a file and those of the model differ first."""
    i = next((i for i, (a, b) in enumerate(zip(names, model_names, strict=False)) if a != b),
             min(len(names), len(model_names)))
    here, there = (known[i] if i < len(known) else "missing" for known in (names, model_names))
    return f"class {i} is {here} there, {there} in the model"


def read_magic(path: Path | str) -> bytes:
    """The first four bytes of a file. Raises OSError."""
    return read_start(path)[:4]


def read_start(path: Path | str) -> bytes:
    """The first bytes of a file, enough to tell what it is. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(START_BYTES)


def read_crc(path: Path | str) -> str:
    """The CRC32 in a file's prefix, as eight digits. Raises OSError."""
    with open(path, "rb") as file:
        return f"{int.from_bytes(file.read(PREFIX.size)[12:], 'little'):08x}"


def write_file(path: Path | str, data: bytes) -> None:
    """Write beside `path` under a temporary name, then rename: never half a file.

    Raises OSError.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
