"""Labelled images that stay on the host and come over the serial line, one when it is wanted."""

import struct
import sys
from binascii import a2b_base64, crc32

from .dataset import Dataset
from .events import emit

_requests = [0]  # number of the last request: tells its answer from one that came late


class HostDataset(Dataset):
    """A dataset file of the host, which must be listening: priot/board/session.py.

    `source` is a dictionary: name, samples, shape [channels, height, width], signed, targets
    (values of a target, 0: a label), classes, counts (samples of each) and names. The host
    has checked the file.
    """

    def __init__(self, source):
        self.path = source["name"]
        self.shape = tuple(source["shape"])
        self.signed = source["signed"]
        self.n_targets = source["targets"]
        self.n_classes = source["classes"]
        self._names = tuple(source["names"])
        self.counts = source["counts"]
        self._n = source["samples"]
        self._labels = None
        self.record_bytes = self.shape[0] * self.shape[1] * self.shape[2] + (
            self.n_targets or 1)

    def read(self, index, record):
        """Fill `record` (image bytes, then the label) with sample `index`; returns the label."""
        _requests[0] = number = (_requests[0] + 1) & 0x3FFFFFFF
        emit("sample", name=self.path, index=index, number=number)
        answer = _answer(number)
        if len(answer) != self.record_bytes + 8:
            raise OSError(5, "%s: sample %d did not arrive whole" % (self.path, index))
        record[:] = answer[4:-4]
        return record[self.record_bytes - 1]

    def label(self, index):
        """The label of sample `index` alone; the first time all samples come, to note them."""
        if self._labels is None:
            record = bytearray(self.record_bytes)
            self._labels = bytes([self.read(i, record) for i in range(self._n)])
        return self._labels[index]

    @property
    def names(self):
        """Names of the classes, a tuple; empty where the file has none."""
        return self._names

    def close(self):
        pass


def _answer(number):
    """The line that answers a request: its number, the record, CRC32 of both."""
    while True:
        try:
            answer = memoryview(a2b_base64(sys.stdin.readline()))
        except ValueError:  # the rest of a line that Ctrl-C cut
            continue
        if len(answer) >= 8 and struct.unpack_from("<I", answer)[0] == number:
            break
    if struct.unpack_from("<I", answer, len(answer) - 4)[0] != crc32(answer[:-4]):
        return b""
    return answer
