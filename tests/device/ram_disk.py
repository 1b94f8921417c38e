"""A littlefs in RAM that can lose its power at a chosen write."""

import vfs

BLOCK = 512


class PowerLost(Exception):
    """The supply failed in the middle of a write."""


class RamDisk:
    """Block device of 512-byte blocks; `writes_left` counts down to the power loss."""

    def __init__(self, n_blocks):
        self.data = bytearray(n_blocks * BLOCK)
        self.writes_left = -1

    def _spend(self, block, offset, buf):
        if self.writes_left == 0:
            half = len(buf) // 2  # what a flash chip had time to program
            at = block * BLOCK + offset
            self.data[at:at + half] = buf[:half]
            self.writes_left = -2
        if self.writes_left == -2:
            raise PowerLost
        if self.writes_left > 0:
            self.writes_left -= 1

    def readblocks(self, block, buf, offset=0):
        at = block * BLOCK + offset
        buf[:] = self.data[at:at + len(buf)]

    def writeblocks(self, block, buf, offset=None):
        self._spend(block, offset or 0, buf)
        at = block * BLOCK + (offset or 0)
        self.data[at:at + len(buf)] = buf

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // BLOCK
        if op == 5:
            return BLOCK
        if op == 6:
            return 0


def make(n_blocks, where):
    """A fresh littlefs mounted at `where`."""
    disk = RamDisk(n_blocks)
    vfs.VfsLfs2.mkfs(disk)
    vfs.mount(disk, where)
    return disk
