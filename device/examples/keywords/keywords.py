"""On the board: a network of words learns a new speaker. Needs NAME.priot and NAME.words.

    >>> import keywords
    >>> keywords.main("theo", n=20)         # learns 20 words, tests the others of the file

A source of words is what can be iterated over again and again: (label, n, blocks), where blocks
are the n samples of a word, int16, some at a time. `Recorded` plays a file; the page has one for a
microphone.
"""

import struct
from array import array

import priot
from priot.audio import LogMel

_BLOCK = 256
_HEAD = "<BI"  # label, samples; the samples follow


class Recorded:
    """Words of a file, number `first` to before `last`, as a microphone would give them."""

    def __init__(self, path, first=0, last=1 << 30):
        self._path = path
        self._first = first
        self._last = last

    def __iter__(self):
        with open(self._path, "rb") as f:
            for i in range(self._last):
                head = f.read(struct.calcsize(_HEAD))
                if not head:
                    return
                label, n = struct.unpack(_HEAD, head)
                end = f.tell() + 2 * n
                if i >= self._first:
                    yield label, n, _blocks(f, n)
                f.seek(end)


def _blocks(f, n):
    """Samples of a file in blocks."""
    while n:
        block = array("h", bytes(2 * min(n, _BLOCK)))
        if f.readinto(block) != 2 * len(block):
            raise ValueError("words: the file ends within a word")
        n -= len(block)
        yield block


class Words:
    """Images with labels of a source of words: what `evaluate` and `fit` take."""

    def __init__(self, net, source):
        self._mel = LogMel(net)
        self._source = source

    def __iter__(self):
        for label, n, blocks in self._source:
            yield self._mel.word(blocks, n), label


def main(name, n=20, epochs=30, method="gain", first=100):
    """Learn the first n words of NAME.words by a method; test those from number `first` on."""
    net = priot.load(name + ".priot")
    path = name + ".words"
    test = Words(net, Recorded(path, first))
    before = net.evaluate(test)
    # 512 bytes a word; of more words than fit into RAM, `fit` takes the Words themselves
    learned = [(bytes(image), label) for image, label in Words(net, Recorded(path, 0, n))]
    t = priot.Trainer(net, method)
    t.fit(learned, epochs=epochs)
    after = t.evaluate(test)
    t.save(name + ".scores")
    print("%s, %d words: %d.%d %% before, %d.%d %% after" % (
        (name, n) + divmod(before.permille, 10) + divmod(after.permille, 10)))
    return before, after
