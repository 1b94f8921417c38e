"""The flash of an emulated Pico as a file: firmware from a UF2, files in its littlefs.

The file is the whole chip, 2 MB: the firmware at 0, the file system from 0xA0000 to the end.
"""
from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from littlefs import LittleFS

from priot.errors import PriotError

FLASH_BYTES = 2 * 1024 * 1024
FILES_START = 0xA0000
BLOCK_BYTES = 4096

_XIP_START = 0x10000000
_UF2_BLOCK = struct.Struct("<8I")
_UF2_MAGIC = (0x0A324655, 0x9E5D5157)
_UF2_BYTES = 512
_UF2_PAYLOAD_MAX = 476


def write_firmware(flash: Path, uf2: Path) -> None:
    """Put the firmware of `uf2` into the file `flash`, which is made if there is none.

    As on a Pico, files on it stay. Raises PriotError for what is not a UF2 of the Pico's size.
    """
    image = bytearray(flash.read_bytes() if flash.exists() else b"\xff" * FLASH_BYTES)
    if len(image) != FLASH_BYTES:
        raise PriotError(flash, f"found {len(image)} bytes, expected {FLASH_BYTES}")
    before = bytes(image)
    image[:FILES_START] = b"\xff" * FILES_START
    for address, payload in _uf2_blocks(uf2):
        image[address:address + len(payload)] = payload
    if image != before or not flash.exists():
        flash.parent.mkdir(parents=True, exist_ok=True)
        new = flash.with_name(flash.name + ".new")
        new.write_bytes(image)
        new.replace(flash)


def _uf2_blocks(uf2: Path) -> Iterator[tuple[int, bytes]]:
    data = uf2.read_bytes()
    if not data or len(data) % _UF2_BYTES:
        raise PriotError(uf2, f"not a UF2 file: {len(data)} bytes")
    for offset in range(0, len(data), _UF2_BYTES):
        magic0, magic1, _, address, size, *_ = _UF2_BLOCK.unpack_from(data, offset)
        start = address - _XIP_START
        if (magic0, magic1) != _UF2_MAGIC or size > _UF2_PAYLOAD_MAX:
            raise PriotError(uf2, f"not a UF2 file: block {offset // _UF2_BYTES}")
        if not 0 <= start <= FLASH_BYTES - size:
            raise PriotError(uf2, f"block {offset // _UF2_BYTES}: address {address:#x} is outside "
                                  "the Pico's flash")
        yield start, data[offset + _UF2_BLOCK.size:offset + _UF2_BLOCK.size + size]


@contextmanager
def _files(flash: Path, save: bool) -> Iterator[LittleFS]:
    """The littlefs of the chip, with the geometry of MicroPython's rp2 port."""
    image = bytearray(flash.read_bytes())
    size = FLASH_BYTES - FILES_START
    files = LittleFS(block_size=BLOCK_BYTES, block_count=size // BLOCK_BYTES, prog_size=256,
                     read_size=32, lookahead_size=32, cache_size=1024, mount=False)
    is_blank = image.count(0xFF, FILES_START) == size
    files.context.buffer[:] = image[FILES_START:]
    if is_blank:
        files.format()
    files.mount()
    yield files
    if save:
        image[FILES_START:] = files.context.buffer
        flash.write_bytes(image)


def write_files(flash: Path, contents: Mapping[str, bytes]) -> None:
    """Put files straight into the flash of a Pico that is off, with the folders of their names."""
    with _files(flash, save=True) as files:
        for name, data in contents.items():
            folder = str(PurePosixPath(name).parent)
            if folder not in (".", "/"):
                files.makedirs(folder, exist_ok=True)
            with files.open(name, "wb") as file:
                file.write(data)


def read_files(flash: Path) -> dict[str, bytes]:
    """All files in the flash of a Pico that is off, by name without leading slash."""
    found = {}
    with _files(flash, save=False) as files:
        for folder, _, names in files.walk("/"):
            for name in names:
                full = f"{folder.rstrip('/')}/{name}"
                with files.open(full, "rb") as file:
                    found[full.lstrip("/")] = file.read()
    return found
