"""The module rp2 of a Pico, as far as weights in flash want it: a flash in RAM, with littlefs.

`mount` puts the file system to /flash and makes that the working directory, as / is on a Pico.
"""

import os

import vfs

BLOCK_SIZE = 4096


class _Memory(bytearray):
    """A block device that is its own memory."""

    def readblocks(self, block, buf, offset=0):
        at = block * BLOCK_SIZE + offset
        buf[:] = memoryview(self)[at:at + len(buf)]

    def writeblocks(self, block, buf, offset=None):
        at = block * BLOCK_SIZE + (offset or 0)
        if offset is None:
            self.ioctl(6, block)
        memoryview(self)[at:at + len(buf)] = buf

    def ioctl(self, op, argument):
        if op == 4:
            return len(memoryview(self)) // BLOCK_SIZE
        if op == 5:
            return BLOCK_SIZE
        if op == 6:
            at = argument * BLOCK_SIZE
            memoryview(self)[at:at + BLOCK_SIZE] = b"\xff" * BLOCK_SIZE
        return 0


def mount(blocks=352):
    """A new flash of so many blocks."""
    global _memory
    _memory = _Memory(blocks * BLOCK_SIZE)
    vfs.VfsLfs2.mkfs(_memory, progsize=256)
    vfs.mount(vfs.VfsLfs2(_memory, progsize=256), "/flash")
    os.chdir("/flash")


def attach(path, start):
    """The flash that a board has left in a file, its file system from `start` on."""
    global _memory
    with open(path, "rb") as f:
        f.seek(start)
        _memory = _Memory(f.read())
    vfs.mount(vfs.VfsLfs2(_memory, progsize=256), "/flash")
    os.chdir("/flash")


def copy(source, name):
    """Copy a file of the PC into the flash."""
    with open(source, "rb") as f, open(name, "wb") as to:
        part = f.read(BLOCK_SIZE)
        while part:
            to.write(part)
            part = f.read(BLOCK_SIZE)


def Flash():
    """The flash, as on a Pico."""
    return _memory
