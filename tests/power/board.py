"""MicroPython's unix port as a board: board.py FLASH START CUT, on stdin and stdout.

The raw REPL of a board, soft resets, littlefs in the file FLASH from START on as the only file
system. At flash
operation CUT (0: never) half of what was to be programmed or erased is done, and no more.
"""

import gc
import io
import os
import sys

import vfs

BLOCK = 4096  # bytes that are erased together
PAGE = 256  # bytes that are programmed together, as on a Pico


class Flash:
    """A block device in a file."""

    def __init__(self, path, start, cut):
        self.n_blocks = (os.stat(path)[6] - start) // BLOCK
        self.file = open(path, "r+b")
        self.start = start
        self.cut = cut
        self.operations = 0

    def write(self, at, data):
        self.operations += 1
        lost = self.operations == self.cut
        self.file.seek(self.start + at)
        self.file.write(memoryview(data)[:len(data) // 2] if lost else data)
        if lost:
            sys.stderr.write("power lost")  # whoever reads that ends this process
            while True:
                pass

    def readblocks(self, block, buf, offset=0):
        self.file.seek(self.start + block * BLOCK + offset)
        self.file.readinto(buf)

    def writeblocks(self, block, buf, offset=0):
        for start in range(0, len(buf), PAGE):
            self.write(block * BLOCK + offset + start, memoryview(buf)[start:start + PAGE])

    def ioctl(self, op, arg):
        if op == 4:
            return self.n_blocks
        if op == 5:
            return BLOCK
        if op == 6:
            self.write(arg * BLOCK, b"\xff" * BLOCK)
            return 0


def mount(path, start, cut):
    flash = Flash(path, start, cut)
    vfs.umount("/")
    try:
        vfs.mount(vfs.VfsLfs2(flash, progsize=PAGE), "/")
    except OSError:
        vfs.VfsLfs2.mkfs(flash, progsize=PAGE)
        vfs.mount(vfs.VfsLfs2(flash, progsize=PAGE), "/")
    return flash


say = sys.stdout.buffer.write
hear = sys.stdin.buffer.read


def paste():
    """Code in raw paste mode: a window of 128 bytes at a time."""
    say(b"R\x01\x80\x00")
    code = bytearray()
    while True:
        byte = hear(1)
        if byte in (b"\x04", b""):
            say(b"\x04")
            return str(code, "utf-8")
        code += byte
        if not len(code) % 128:
            say(b"\x01")


def run(code, names):
    """Run code; then what it raised."""
    try:
        exec(code, names)
        say(b"\x04")
    except BaseException as e:
        text = io.StringIO()
        sys.print_exception(e, text)
        say(b"\x04" + text.getvalue().encode())
    say(b"\x04>")


def reset():
    """The globals of a fresh MicroPython."""
    for name in list(sys.modules):
        if name.startswith("priot"):
            del sys.modules[name]
    gc.collect()
    return {"__name__": "__main__"}


def serve(flash):
    names = reset()
    raw = False
    while True:
        byte = hear(1)
        if byte == b"":
            return
        if byte == b"\x01":
            raw = True
            say(b"raw REPL; CTRL-B to exit\r\n>")
        elif byte == b"\x02":
            raw = False
            say(b"\r\nMicroPython v1.25 on a file\r\n>>> ")
        elif byte == b"\x04":
            names = reset()
            say(b"OK\r\nMPY: soft reboot\r\n")
            if raw:
                say(b"raw REPL; CTRL-B to exit\r\n>")
        elif byte == b"\x07":
            say(b" %d\x07" % flash.operations)
        elif raw and byte == b"\x05":
            hear(2)
            run(paste(), names)
        elif not raw:
            say(b"\r\n>>> ")


sys.path[:] = ["", ".frozen", "/lib"]
serve(mount(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
