"""Finds the blocks of a model file in the flash, so that its weights can stay there.

littlefs keeps a file as blocks: block 0 holds data alone, block i > 0 begins with ctz(i) + 1
block numbers of 4 bytes, the first of which is that of block i - 1. The blocks of a closed file
never move. So its last block leads to all of them, and that one is found by what stands at its
end: in all blocks of the flash, as no file system tells where it lies. Where several end so, as
after a copy of the file, its last byte is written once more: littlefs puts that block to another
place then, and what was not there before is this file's.
"""

import gc
import os
import struct
from array import array
from binascii import crc32

from . import fields as F
from .files import PREFIX, fail
from .heap import unload
from .in_flash import FlashWeights, kernels_for
from .kinds import LINEAR
from .memory import RESERVE, aligned, allocate

_LEAST_EDGES = 2048  # of a layer that stays in flash
_TAIL = 16  # bytes by which a last block is found
_BLOCK_SIZE = 5  # ioctl of a block device
_TRIES = 4


def choose(stages, free):
    """The stages whose weights stay in flash.

    Rows have to be whole words. The last layer may get another class, those with groups have few
    weights. Linear layers, whose weights are read once a pass, are twice as fast in RAM: they are
    there as long as `free` bytes of heap have room for them beside the others and RESERVE.
    """
    weighted = [stage for stage in stages if stage.index >= 0]
    chosen = [stage for stage in weighted[:-1]
              if stage.n_edges() >= _LEAST_EDGES and not stage.d[F.N_ROW] & 3
              and stage.d[F.GROUPS] == 1]
    free -= RESERVE + sum([4 * stage.d[F.N_OUT] * stage.d[F.BIAS] for stage in weighted])
    free -= sum([aligned(stage.n_edges()) for stage in weighted if stage not in chosen])
    for stage in weighted:
        if stage in chosen and stage.kind == LINEAR and stage.n_edges() <= free:
            free -= stage.n_edges()
            chosen.remove(stage)
    return chosen


def place(net, description, f, is_wanted):
    """Leave in flash what can stay there of a network's weights, and read the others.

    f: the open model file; is_wanted: whether that was asked for, else it is tried. Returns the
    block of the others; None where nothing can stay in flash and that was not asked for.
    ValueError says why it cannot.
    """
    gc.collect()
    free = gc.mem_free() if hasattr(gc, "mem_free") else 0
    chosen = choose(description.stages, free)
    header = f.tell()
    try:
        if not chosen:
            raise ValueError("none of its layers is large enough")
        flash, pieces = find(net.path)
        check(flash, pieces, description.crc)
    except ValueError as e:
        if not is_wanted:
            unload("in_flash")
            return None
        raise ValueError("%s: its weights cannot stay in flash: %s" % (net.path, e))
    kernels = kernels_for(net.kernels)
    room = bytearray(max([stage.d[F.N_ROW] for stage in chosen]))
    for stage in chosen:
        start = header + stage.offset
        stage.flash = FlashWeights(kernels, net.path, flash,
                                   _cut(pieces, start, start + stage.n_edges()))
        for part in stage.flash.parts():
            if net.kernels.count_below((part,), 1):
                fail(net.path, "a weight", -128, "-127..127")
        stage.flash.remember(stage.d, room)
    return _read_others(net, description, f, header)


def _read_others(net, description, f, header):
    """What does not stay in flash, in one block; stages then know their place in that."""
    net.ram_parts = parts = []  # [place in the file, place in the block, bytes]
    n = 0
    for stage in description.stages:
        sizes = []
        if stage.index >= 0 and stage.flash is None:
            sizes.append((stage.offset, aligned(stage.n_edges())))
            stage.offset = n
        if stage.d[F.BIAS]:
            sizes.append((stage.bias_offset, 4 * stage.d[F.N_OUT]))
            stage.bias_offset = n + sum([size for _, size in sizes[:-1]])
        for at, size in sizes:
            parts.append((header + at, n, size))
            n += size
    return read(f, net, memoryview(allocate(n, net.path)))


def read(f, net, block):
    """Read those parts of an open model file that lie in RAM; returns the block of them."""
    for at, start, size in net.ram_parts:
        f.seek(at)
        if f.readinto(block[start:start + size]) != size:
            fail(net.path, "file size", "short", at + size)
    return block


def find(path):
    """The flash as memory, and where in it a file lies: [(offset, bytes)] in order. ValueError."""
    flash, block_size = _flash()
    info = os.statvfs(path)
    if info[0] != block_size or info[2] != len(flash) // block_size:
        raise ValueError("it is not in the flash")
    size = os.stat(path)[6]
    last, sizes = 0, [block_size]  # bytes of data in each block
    left = size - block_size
    while left > 0:
        last += 1
        sizes.append(block_size - 4 * _pointers(last))
        left -= sizes[last]
    sizes[last] += left
    end = 4 * _pointers(last) + sizes[last]
    n_tail = min(_TAIL, sizes[last])
    with open(path, "rb") as f:
        head = f.read(PREFIX)
        f.seek(size - n_tail)
        tail = f.read()
    before = ()
    for _ in range(_TRIES):
        found = []  # last blocks
        for block in range(len(flash) // block_size):
            at = block * block_size + end
            if flash[at - n_tail:at] == tail:
                first = _chain(flash, block_size, block, last)[0]
                if first >= 0 and flash[first * block_size:first * block_size + PREFIX] == head:
                    found.append(block)
        new = [block for block in found if block not in before]
        if len(new) == 1 and (before or len(found) == 1):
            blocks = _chain(flash, block_size, new[0], last)
            return flash, [(block * block_size + 4 * _pointers(i), sizes[i])
                           for i, block in enumerate(blocks)]
        if not found:
            break
        before = found
        _write_last(path, tail[-1:], size - 1)
    raise ValueError("its blocks are not to be found")


def check(flash, pieces, crc):
    """ValueError unless the file that lies there has such a CRC32 from its byte 16 on."""
    found = 0
    skip = PREFIX
    for at, n in pieces:
        found = crc32(flash[at + skip:at + n], found)
        skip = 0
    if found != crc:
        raise ValueError("crc32 is %08x, expected %08x" % (found, crc))


def _flash():
    """The flash as memory, and the bytes of a block of its file system. ValueError."""
    try:
        import rp2

        device = rp2.Flash()
        return memoryview(device), device.ioctl(_BLOCK_SIZE, 0)
    except (ImportError, AttributeError, TypeError):
        raise ValueError("MicroPython does not show this board's flash as memory")


def _pointers(i):
    """Block numbers at the start of block i of a file: none, or ctz(i) + 1."""
    n = 0
    if i:
        n = 1
        while not i & 1:
            i >>= 1
            n += 1
    return n


def _chain(flash, block_size, block, last):
    """The blocks of a file, the first to the last one, which is given; [-1] for none."""
    blocks = [block]
    for _ in range(last):
        block = struct.unpack_from("<I", flash, block * block_size)[0]
        if block >= len(flash) // block_size:
            return [-1]
        blocks.append(block)
    blocks.reverse()
    return blocks


def _write_last(path, byte, at):
    """Write the last byte of a file once more."""
    try:
        with open(path, "r+b") as f:
            f.seek(at)
            f.write(byte)
    except OSError:
        raise ValueError("no block of the flash is free")


def _cut(pieces, start, end):
    """Those parts of pieces that are bytes start .. end - 1 of a file, as an array of pairs."""
    found = array("I")
    at = 0
    for offset, n in pieces:
        low, high = max(start, at), min(end, at + n)
        if low < high:
            found.extend(array("I", [offset + low - at, high - low]))
        at += n
    return found
