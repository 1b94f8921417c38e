"""What all file formats share: the prefix, the CRC32, and writing that survives a power loss.

The byte tables are in priot/formats. A file begins with 16 bytes: magic, version u16,
header size u16, file size u32, CRC32 u32 of all bytes from 16 on; little-endian.
"""

import os
import struct
from binascii import crc32

VERSION = 2
PREFIX = 16
MODEL = b"PRIM"
DATASET = b"PRID"
ADAPTER = b"PRIA"
_KINDS = {MODEL: "a model", DATASET: "a dataset", ADAPTER: "an adapter"}

NAME_BYTES = 63  # of a class
_SHOWN = 20  # names in a line
_CHUNK = 512
_FOLDER = 0x4000  # bit of a file's mode
# What littlefs and FAT complain of, by errno.
_REASONS = {2: "no such file", 5: "the flash fails", 21: "is a folder", 28: "no space left",
            30: "read-only file system", 84: "the file system is damaged"}


def file_size(path):
    """Size of a file in bytes. OSError if it is not there."""
    return os.stat(path)[6]


def open_file(path):
    """Open a file to read. OSError names it where it cannot be opened."""
    try:
        if os.stat(path)[0] & _FOLDER:
            raise OSError(21, "")
        return open(path, "rb")
    except OSError as e:
        raise OSError(e.errno, "%s: %s" % (path, reason(e)))


def reason(e):
    """What an OSError means, in words."""
    if e.errno in _REASONS:
        return _REASONS[e.errno]
    from errno import errorcode

    return "refused by the file system: %s" % errorcode.get(e.errno)


def fail(path, field, found, expected):
    """The one form of every complaint about a file."""
    raise ValueError("%s: %s is %s, expected %s" % (path, field, found, expected))


def are_values(kernels, operands, signed):
    """Whether all bytes of operands[0] are values of a sample: 0..127, or int8 without -128."""
    below = kernels.count_below(operands, 128)
    if signed:
        return below == kernels.count_below(operands, 129)
    return below == len(operands[0])


def read_prefix(f, path, magic, header_size):
    """Check the prefix of an open file; returns (header size, crc32).

    `header_size` is the least that this kind of file needs. ValueError names file and field.
    """
    size = file_size(path)
    prefix = f.read(PREFIX)
    found = prefix[:4]
    if found != magic:
        fail(path, "file", _KINDS.get(found, "none of priot's" if found else "empty"),
             _KINDS[magic])
    if len(prefix) < PREFIX:
        fail(path, "file size", size, "at least %d" % (PREFIX + 1))
    _, version, header, total, crc = struct.unpack("<4sHHII", prefix)
    if version != VERSION:
        fail(path, "version", version, "%d; %s" % (
            VERSION, "convert it on a PC: priot convert" if version == 1 else
            "another priot wrote it"))
    if total != size:
        fail(path, "file size", size, "%d (truncated or appended to)" % total)
    if header < header_size or header > size:
        fail(path, "header size", header, "%d..%d" % (header_size, size))
    return header, crc


def check_crc(f, path, expected):
    """CRC32 of an open file from byte 16 on, read in small pieces. Leaves the position at 16."""
    buf = bytearray(_CHUNK)
    f.seek(PREFIX)
    crc = 0
    n = f.readinto(buf)
    view = memoryview(buf)
    while n:
        crc = crc32(view[:n], crc)
        n = f.readinto(buf)
    if crc != expected:
        fail(path, "crc32", "%08x" % crc, "%08x (corrupt file)" % expected)
    f.seek(PREFIX)


def check_scale(path, bits):
    """ValueError unless the bits of a float32 are those of a finite one, 0 or above."""
    if bits > 0x7F7FFFFF:
        fail(path, "scale", "%08x" % bits, "finite, 0 or above")


def check_scales(f, path, n, channels, common):
    """Pass over the scale and zero of each of n channels. ValueError unless n is 0 or all.

    common: the scale or zero of all channels, 0 where each has its own.
    """
    if n and (n != channels or common):
        fail(path, "channels with a scale", n, "0 or %d, or one for all" % channels)
    for _ in range(n):
        bits = int.from_bytes(f.read(8)[:4], "little")
        if not 0x00800000 <= bits <= 0x7F7FFFFF:
            fail(path, "scale of a channel", "%08x" % bits, "a normal number above 0")


def read_sound(f, path, n):
    """Rate, frame, hop of the sound that values are of: n bytes, 8 or none, as they stand there.

    ValueError for what cannot be.
    """
    raw = f.read(n)
    if n:
        rate, frame, hop, more = struct.unpack("<4H", raw)
        if (not 4000 <= rate <= 48000 or frame not in (128, 256, 512) or not 1 <= hop <= frame
                or more):
            fail(path, "rate, frame, hop of sound", "%d, %d, %d" % (rate, frame, hop),
                 "4000..48000, 128, 256 or 512, 1..frame")
    return raw


def check_text(path, field, raw, most):
    """Bytes as text; ValueError unless they are 1..most of UTF-8 without control characters."""
    text, n = "", 0
    try:
        text = str(raw, "utf-8")
        for c in text:
            n += _utf8_bytes(ord(c))
    except ValueError:
        pass
    if not 1 <= len(raw) <= most or n != len(raw):
        fail(path, field, repr(raw), "1..%d bytes of text" % most)
    return text


def _utf8_bytes(c):
    """Bytes of a character; ValueError for none: MicroPython decodes more than there is."""
    if c < 32 or 127 <= c < 160 or 0xD800 <= c < 0xE000 or c > 0x10FFFF:
        raise ValueError
    return 1 + (c > 0x7F) + (c > 0x7FF) + (c > 0xFFFF)


def read_names(f, path, n_bytes, n_classes, most=0):
    """Names of the classes from an open file, as a tuple: one for each, or none.

    most: there may be so many, of added classes.
    """
    raw = f.read(n_bytes)
    if not raw:
        return ()
    names = raw.rstrip(b"\0")
    if n_bytes & 3 or not 1 <= n_bytes - len(names) <= 4:
        fail(path, "padding of names", n_bytes - len(names), "1..4, to a multiple of 4")
    names = names.split(b"\0")
    if not n_classes <= len(names) <= max(n_classes, most):
        fail(path, "names", len(names), n_classes if most <= n_classes else "%d..%d" % (
            n_classes, most))
    return tuple([check_text(path, "name of a class", name, NAME_BYTES) for name in names])


def names_text(names):
    """Names of classes for a line, the first of many."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (" and %d more" % more if more > 0 else "")


def pack_names(names):
    """Names of classes as they stand in a file."""
    raw = b"".join([name.encode() + b"\0" for name in names])
    return raw + bytes(-len(raw) & 3)


def write_file(path, magic, header_size, chunks):
    """Write a file under its final name only when it is complete.

    `chunks` are the buffers from byte 16 on. They go to `path`.tmp first; a rename puts it in
    place, which littlefs and POSIX do in one step. OSError (28: no space left) leaves the
    previous file as it was.
    """
    crc = 0
    total = PREFIX
    for chunk in chunks:
        crc = crc32(chunk, crc)
        total += len(chunk)
    temporary = path + ".tmp"
    _check_replaced(path, magic)
    try:
        with open(temporary, "wb") as f:
            _write(f, path, struct.pack("<4sHHII", magic, VERSION, header_size, total, crc))
            for chunk in chunks:
                _write(f, path, chunk)
        os.rename(temporary, path)
    except OSError as e:
        _remove(temporary)
        text = "no such directory" if e.errno == 2 else reason(e)
        raise OSError(e.errno, "%s: %s; the previous file is untouched" % (path, text))
    except BaseException:
        _remove(temporary)
        raise


def _check_replaced(path, magic):
    """ValueError where another kind of file would be lost, as the model itself."""
    try:
        with open(path, "rb") as f:
            found = f.read(4)
    except OSError:
        return
    if found and found != magic:
        raise ValueError("%s: is not %s; not overwritten" % (path, _KINDS[magic]))


def _write(f, path, chunk):
    if f.write(chunk) != len(chunk):
        raise OSError(28, "no space left")


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        pass  # it was never made
