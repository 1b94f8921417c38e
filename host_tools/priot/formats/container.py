"""The prefix that all files share: magic, version, sizes, CRC32; reading it, atomic writing."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np

from priot.errors import FileError, mismatch

PREFIX = struct.Struct("<4sHHII")
VERSION = 1
KINDS = {b"PRIM": "model", b"PRID": "dataset", b"PRIA": "adapter"}


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


def unpack_file(data: bytes, magic: bytes, where: object) -> tuple[bytes, bytes, int]:
    """Tables, payload and CRC32 of a file's bytes, or a FileError that names the bad field."""
    if len(data) < PREFIX.size:
        raise FileError(where, mismatch("file size", len(data), f"at least {PREFIX.size}"))
    found, version, header_size, size, crc = PREFIX.unpack_from(data)
    if found != magic:
        raise FileError(where, mismatch("kind", KINDS.get(found, "another file"), KINDS[magic]))
    if version != VERSION:
        raise FileError(where, mismatch("version", version, VERSION))
    if size != len(data):
        raise FileError(where, mismatch("file size", len(data), f"{size} as its header says"))
    if not PREFIX.size <= header_size <= size:
        raise FileError(where, mismatch("header size", header_size, f"{PREFIX.size}..{size}"))
    computed = zlib.crc32(memoryview(data)[PREFIX.size :])
    if computed != crc:
        raise FileError(where, mismatch("crc32", f"{computed:08x}", f"{crc:08x}; damaged"))
    return data[PREFIX.size : header_size], data[header_size:], crc


def read_file(path: Path | str, magic: bytes) -> tuple[bytes, bytes, int]:
    """Tables, payload and CRC32 of a file. Raises FileError, OSError."""
    with open(path, "rb") as file:
        data = file.read(PREFIX.size)
        if data[:4] == magic:  # read no more of a file that is something else
            data += file.read()
    return unpack_file(data, magic, path)


def read_magic(path: Path | str) -> bytes:
    """The first four bytes of a file. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(4)


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
