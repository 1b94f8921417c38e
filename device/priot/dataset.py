"""Labelled images, one at a time: from a dataset file or from any iterator."""

import struct
from array import array
from binascii import crc32

from . import backend
from .files import (DATASET, are_values, check_scale, check_scales, fail, names_text, open_file,
                    read_names, read_prefix, read_sound)
from .heap import unload

_HEADER = 48
_PART = 1024  # bytes that are checked at a time


class Dataset:
    """A dataset file (`.prd`), read sample by sample, so that it may exceed RAM.

    Opening it checks sizes, the CRC32, that every image byte is 0..127 and every label below the
    number of classes. ValueError names file, field, found and expected; OSError: no such file.

    shape: (channels, height, width). n_targets: values that a sample's target has, 0 where it is a
    label. counts: samples of each class. sound: as of a Network.
    """

    sound = b""

    def __init__(self, path):
        self.path = path
        self._file = open_file(path)
        try:
            self._check()
        except BaseException:
            self._file.close()
            raise

    def _check(self):
        path, f = self.path, self._file
        header, expected = read_prefix(f, path, DATASET, _HEADER)
        raw = f.read(_HEADER - 16)
        (n, channels, height, width, classes, target_bytes, flags, reserved, n_names, n_scales,
         scale, zero, most) = struct.unpack("<IHHHHHBBHHIiI", raw)
        self.shape = (channels, height, width)
        self.n_classes = classes
        self._n = n
        self._start = header
        self.n_targets = target_bytes if flags & 2 else 0
        n_values = channels * height * width
        self._n_names = n_names
        self.record_bytes = n_values + target_bytes
        n_sound = (flags & 4) * 2
        if header != _HEADER + n_names + 8 * n_scales + n_sound:
            fail(path, "header size", header, _HEADER + n_names + 8 * n_scales + n_sound)
        if reserved or most:
            fail(path, "reserved", reserved or most, 0)
        if flags > 7:
            fail(path, "flags", flags, "0..7")
        if not target_bytes or target_bytes > max(1, self.n_targets):
            fail(path, "bytes of a target", target_bytes, "1, or more where it is a vector")
        self.signed = flags = flags & 1
        check_scale(path, scale)
        f.seek(_HEADER + n_names)
        check_scales(f, path, n_scales, channels, scale or zero)
        self.sound = read_sound(f, path, n_sound)
        if not 1 <= classes <= (1 if self.n_targets else 256):
            fail(path, "classes", classes, "1..256, 1 of samples with targets")
        f.seek(0, 2)
        size = f.tell()
        if n == 0 or n_values == 0 or size != header + n * self.record_bytes:
            fail(path, "file size", size, "%d records of %d bytes" % (n, self.record_bytes))
        crc = self._check_names(crc32(raw))
        buf = memoryview(bytearray(min(self.record_bytes, _PART)))
        counts = array("I", [0] * classes)
        for i in range(n):
            left = self.record_bytes
            while left:
                part = buf[:left]
                f.readinto(part)
                crc = crc32(part, crc)
                pixels = part[:max(0, left - target_bytes)]
                if not are_values(backend.kernels, (pixels,), flags):
                    fail(path, "pixel of sample %d" % i, -128 if flags else max(pixels),
                         "-127..127" if flags else "0..127")
                if self.n_targets and b"\x80" in bytes(part[len(pixels):]):
                    fail(path, "target of sample %d" % i, -128, "-127..127")
                left -= len(part)
            label = 0 if self.n_targets else part[-1]
            if label >= classes:
                fail(path, "label of sample %d" % i, label, "below %d" % classes)
            counts[label] += 1
        self.counts = counts
        if crc != expected:
            fail(path, "crc32", "%08x" % crc, "%08x (corrupt file)" % expected)

    def _check_names(self, crc):
        """Check the names and go on with the CRC32 over them; leaves the position behind."""
        self.names  # noqa: B018  reads and checks them
        f = self._file
        f.seek(_HEADER)
        return crc32(f.read(self._start - _HEADER), crc)

    @property
    def names(self):
        """Names of the classes, read from the file: a tuple, empty where it has none."""
        self._file.seek(_HEADER)
        return read_names(self._file, self.path, self._n_names, self.n_classes)

    def __len__(self):
        return self._n

    def read(self, index, record):
        """Fill `record` (image bytes, then the label or target) with sample `index`; returns the
        label, or the last byte of the target."""
        self._file.seek(self._start + index * self.record_bytes)
        if self._file.readinto(record) != self.record_bytes:
            if index < self._n and len(record) == self.record_bytes:
                raise OSError(5, "%s: sample %d cannot be read" % (self.path, index))
            raise ValueError("%s: sample %d into %d bytes, expected 0..%d into %d" % (
                self.path, index, len(record), self._n - 1, self.record_bytes))
        return record[self.record_bytes - 1]

    def label(self, index):
        """The label of sample `index` alone."""
        self._file.seek(self._start + (index + 1) * self.record_bytes - 1)
        return self._file.read(1)[0]

    def close(self):
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        try:
            names = names_text(self.names)
        except (OSError, ValueError):  # it is closed
            names = ""
        return "<Dataset %s: %d samples %dx%dx%d, %s%s>" % (
            (self.path, self._n) + self.shape + (
                "targets of %d values" % self.n_targets if self.n_targets else
                "%d classes" % self.n_classes, names and ": " + names))


def identity_order(n):
    """0 .. n-1 as array('H'); ValueError above 65,536 samples."""
    if n > 65536:
        raise ValueError("dataset: %d samples, at most 65536 can be shuffled" % n)
    order = array("H", bytes(2 * n))
    for i in range(n):
        order[i] = i
    return order


def check_dataset(dataset, net):
    """The network's labels for those of a dataset: a table, as bytes.

    A label means the class of the same name; without names on either side it stays as it is.
    ValueError unless the dataset's images and classes fit the network.
    """
    if dataset.shape != net.shape:
        raise ValueError("%s: samples are %dx%dx%d, expected %dx%dx%d" % (
            (dataset.path,) + dataset.shape + net.shape))
    if dataset.signed != net.signed:
        raise ValueError("%s: values are %s, the network's are not" % (
            dataset.path, "signed" if dataset.signed else "0..127"))
    if dataset.sound != net.sound and dataset.sound and net.sound:
        raise ValueError("%s: columns of other sound (rate, frame, hop) than the network's"
                         % dataset.path)
    if dataset.n_targets != net.n_targets:
        raise ValueError("%s: targets have %d values, expected %d, where 0 is a label" % (
            dataset.path, dataset.n_targets, net.n_targets))
    if net.loss_kind:
        return bytes(256)  # what comes with a sample is no class of the network
    names = dataset.names
    if names and net.names and names != net.names[:len(names)]:
        try:
            from .names import label_table

            return label_table(dataset.path, names, net)
        finally:
            unload("names")
    n = net.n_classes
    if dataset.n_classes > n:
        raise ValueError("%s: %d classes, the network has %d%s" % (
            dataset.path, dataset.n_classes, n, "; net.add_class(%r) adds one" % (
                names[n] if names else "NAME") if net.n_outputs > n else ""))
    return bytes(range(dataset.n_classes))
