"""Moves files; runs on the board, where it is sent as text before anything is installed.

A file travels as lines of base64: no byte of it is a Ctrl-C or a Ctrl-D, so that the board can be
interrupted at any time. Each line is answered by "+".
"""

import os
import struct
import sys
from binascii import a2b_base64, b2a_base64, crc32, hexlify
from hashlib import sha256

_PIECE = 3072  # bytes in a line; a multiple of 3
_COMMIT = 16384  # bytes after which a file is put on record: littlefs forgets the rest at a reset


def size(path):
    """Size of a file in bytes, -1 if it is not there."""
    try:
        return os.stat(path)[6]
    except OSError:
        return -1


def digest(path, end):
    """SHA-256 of the first `end` bytes as text, "" if the file is not there."""
    if size(path) < 0:
        return ""
    state = sha256()
    buf = memoryview(bytearray(1024))
    with open(path, "rb") as f:
        while end > 0:
            n = f.readinto(buf[:min(end, 1024)])
            if not n:
                break
            state.update(buf[:n])
            end -= n
    return str(hexlify(state.digest()), "ascii")


def digests(paths):
    """Print size and SHA-256 of each file."""
    for path in paths:
        n = size(path)
        print(n, digest(path, n))


def make_folder(path):
    """Make a folder and those above it."""
    for i in range(1, len(path) + 1):
        if i == len(path) or path[i] == "/":
            try:
                os.mkdir(path[:i])
            except OSError as e:
                if e.errno != 17:  # it is there
                    raise


def put(path, mode, n):
    """Receive n bytes into a file."""
    f = open(path, mode)
    try:
        pending = 0
        while n > 0:
            data = a2b_base64(sys.stdin.readline())
            if f.write(data) != len(data):
                raise OSError(28)
            n -= len(data)
            pending += len(data)
            if pending >= _COMMIT:
                f.flush()
                pending = 0
            print("+", end="")
    finally:
        f.close()


def get(path):
    """Print a file."""
    buf = memoryview(bytearray(_PIECE))
    with open(path, "rb") as f:
        n = f.readinto(buf)
        while n:
            print(str(b2a_base64(buf[:n]), "ascii"), end="")
            n = f.readinto(buf)


def remove(path):
    """Remove a file or folder if it is there."""
    if size(path) < 0:
        return
    if os.stat(path)[0] & 0x4000:
        for entry in os.listdir(path):
            remove(path + "/" + entry)
        os.rmdir(path)
    else:
        os.remove(path)


def pieces(path, start):
    """The bytes of a file from `start` on, in pieces that share one buffer."""
    buf = memoryview(bytearray(1024))
    with open(path, "rb") as f:
        f.seek(start)
        n = f.readinto(buf)
        while n:
            yield buf[:n]
            n = f.readinto(buf)


def _head_bytes(head):
    return struct.unpack_from("<H", head, 6)[0]


def append(path, records, head):
    """Add a file of samples to a dataset file: in a new file, which then takes its place.

    `head`, what precedes the samples, begins the dataset where its file is not there. The samples'
    file begins with four bytes for the host. It stays: whoever adds them again can see that.
    """
    old = size(path)
    sources = [(records, 4)]
    if old >= 0:
        with open(path, "rb") as f:
            head = f.read(8)  # byte table: priot/formats
            head += f.read(_head_bytes(head) - 8)
        sources.insert(0, (path, len(head)))
    head = bytearray(head)
    n, channels, height, width, _, target_bytes = struct.unpack_from("<IHHHHH", head, 16)
    if old < 0:
        n = 0
    added = size(records) - 4
    struct.pack_into("<I", head, 8, max(old, len(head)) + added)
    struct.pack_into("<I", head, 16, n + added // (channels * height * width + target_bytes))
    crc = crc32(memoryview(head)[16:])
    for source, start in sources:
        for piece in pieces(source, start):
            crc = crc32(piece, crc)
    struct.pack_into("<I", head, 12, crc)
    with open(path + ".tmp", "wb") as f:
        f.write(head)
        for source, start in sources:
            for piece in pieces(source, start):
                if f.write(piece) != len(piece):
                    raise OSError(28)
    os.rename(path + ".tmp", path)


def listing(path):
    """Print name, type and size of what is in a folder; nothing if it is not there."""
    if size(path) >= 0:
        for entry in os.ilistdir(path):
            print(repr((entry[0], entry[1], entry[3])))


def free_bytes():
    """Free bytes of the file system; littlefs counts some blocks twice, and to below 0."""
    s = os.statvfs("/")
    return max(0, s[0] * s[3])


def all_bytes():
    """Bytes of the file system, free or not."""
    s = os.statvfs("/")
    return s[1] * s[2]
