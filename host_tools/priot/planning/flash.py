"""How much of a board's flash files take: blocks of the littlefs that MicroPython makes there.

Rules of littlefs 2 with the geometry of MicroPython's rp2 port; a test compares them with an image
that littlefs itself makes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

BLOCK_BYTES = 4096
PICO_BLOCKS = 352  # 1408 kB from 0xA0000 to the end of a Pico's flash
_INLINE_MOST = BLOCK_BYTES // 8  # a file so small lies in its folder
_FOLDER_BLOCKS = 2  # a folder is written in turn to a pair of blocks
# A folder is split over two pairs when, as it is tidied up, it no longer fits in half a block.
_FOLDER_BYTES = BLOCK_BYTES // 2
_SPLIT_FULL = 70  # percent that the halves of a split folder are full, at the least, as it grows
_ENTRY_BYTES = 4 + 4 + 8 + 4 + 8  # tags of name, place and time, and what the last two hold
_FOLDER_HEADER = 64  # revision, checksum, links to the next


@dataclass
class Flash:
    """Blocks that files take: `files` by path, and `folders` for all folders together."""

    files: dict[str, int]
    folders: int

    @property
    def blocks(self) -> int:
        """All of them."""
        return sum(self.files.values()) + self.folders


def flash_blocks(sizes: Mapping[str, int]) -> Flash:
    """Blocks for files of these sizes in bytes, by absolute path, on an otherwise empty board."""
    files = {path: file_blocks(size) for path, size in sizes.items()}
    held: dict[PurePosixPath, int] = {PurePosixPath("/"): _FOLDER_HEADER}
    for path, size in sizes.items():
        name = PurePosixPath(path)
        held.setdefault(name.parent, _FOLDER_HEADER)
        held[name.parent] += _ENTRY_BYTES + len(name.name.encode())
        held[name.parent] += size if files[path] == 0 else 0
    for folder in list(held):  # those that hold nothing but folders, as /lib may
        for parent in folder.parents:
            held.setdefault(parent, _FOLDER_HEADER)
    return Flash(files, _FOLDER_BLOCKS * sum(map(_pairs, held.values())))


def _pairs(n: int) -> int:
    """Pairs of blocks of a folder that holds n bytes."""
    return 1 if n <= _FOLDER_BYTES else -(-100 * n // (_SPLIT_FULL * _FOLDER_BYTES))


def file_blocks(size: int) -> int:
    """Blocks of a file: each but the first begins with pointers to earlier ones.

    Block i holds ctz(i) + 1 pointers of 4 bytes (littlefs' DESIGN.md, "CTZ skip-lists").
    """
    if size <= _INLINE_MOST:
        return 0
    blocks = 0
    while size > 0:
        pointers = 4 * (blocks & -blocks).bit_length()
        size -= BLOCK_BYTES - pointers
        blocks += 1
    return blocks
