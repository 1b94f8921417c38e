"""Turn a raw RP2040 image into a UF2 file, as picotool would: `bin2uf2.py IN.bin OUT.uf2`."""
import pathlib
import struct
import sys

_FLASH_BASE = 0x10000000
_FAMILY_RP2040 = 0xE48BFF56
_MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
_FLAG_FAMILY = 0x2000
_CHUNK = 256  # payload of one 512-byte block: one page of the flash


def bin_to_uf2(image: bytes) -> bytes:
    """The UF2 blocks that write `image` to the start of the flash."""
    n_blocks = (len(image) + _CHUNK - 1) // _CHUNK
    blocks = []
    for i in range(n_blocks):
        payload = image[i * _CHUNK:(i + 1) * _CHUNK].ljust(476, b"\0")
        header = struct.pack("<8I", _MAGIC[0], _MAGIC[1], _FLAG_FAMILY, _FLASH_BASE + i * _CHUNK,
                             _CHUNK, i, n_blocks, _FAMILY_RP2040)
        blocks.append(header + payload + struct.pack("<I", _MAGIC[2]))
    return b"".join(blocks)


if __name__ == "__main__":
    source, target = sys.argv[1:]
    pathlib.Path(target).write_bytes(bin_to_uf2(pathlib.Path(source).read_bytes()))
