"""Sound as a network takes it: columns of the power in bands of frequencies, from a microphone.

Not imported with the package: `from priot.audio import LogMel`. The arithmetic is in AUDIO.md.
"""

import struct
from array import array

from . import backend
from .heap import unload


class LogMel:
    """The last columns of a stream of samples, one every `hop` samples.

    net: a Network whose model says of what its columns are made; or the shape of an input,
    (1, columns, bands), and: rate: samples a second, 4000..48000. frame: samples that a column
    sees, 128, 256 or 512, by default the largest that takes at most 32 ms; hop: 1..frame, by
    default half of it. kernels: a module with `log_mel`, by default the native one where it is
    installed, else viper.

    image: what the network takes, a buffer of columns * bands values -127..127 as int8: the
    oldest column first. level: bits of the largest sample of the last frame, 0..17: how loud it
    is. ValueError for what cannot be; MemoryError.
    """

    def __init__(self, net, rate=0, hop=0, frame=0, kernels=None):
        shape = net
        if not isinstance(net, tuple):
            shape = net.shape
            if net.sound:
                asked = rate, frame, hop
                rate, frame, hop = found = struct.unpack_from("<3H", net.sound)
                if any([a and a != b for a, b in zip(asked, found)]):
                    raise ValueError("audio: rate, frame, hop %s, the model's are %s" % (
                        asked, found))
            elif not rate:
                raise ValueError("audio: %s does not say the rate of its sound: give rate, and "
                                 "hop where it is not half a frame" % net.path)
        rate = rate or 8000
        channels, columns, mels = shape
        if channels != 1 or not 4 <= mels <= 64:
            raise ValueError("audio: input %dx%dx%d, expected 1 x columns x 4..64 bands" % shape)
        if not 4000 <= rate <= 48000:
            raise ValueError("audio: rate %s, expected 4000..48000 samples a second" % rate)
        frame = frame or max([n for n in (128, 256, 512) if n * 1000 <= rate * 32])
        hop = hop or frame >> 1
        if frame not in (128, 256, 512) or not 1 <= hop <= frame:
            raise ValueError("audio: frame %s, hop %s, expected 128, 256 or 512, 1..frame" % (
                frame, hop))
        self.rate = rate
        self.frame = frame
        self.hop = hop
        self.image = bytearray(columns * mels)
        self._samples = array("h", bytes(2 * frame))
        self._column = bytearray(mels)
        try:
            from .audio_tables import LOGARITHMS, cosines, empty_bands, places

            found = places(frame, rate, mels)
            if empty_bands(found, mels):
                raise ValueError("audio: %d bands, of which one has no frequency" % mels)
            # operands of the kernel
            self._operands = (self._column, self._samples,
                              array("i", bytes(2 * frame + 8 * mels)), cosines(frame), found,
                              LOGARITHMS)
        finally:
            unload("audio_tables")
        self._log_mel = (kernels or _kernels()).log_mel
        self.clear()

    def clear(self):
        """Forget all samples: as after a long silence."""
        for i in range(len(self.image)):
            self.image[i] = 129  # -127
        self.level = 0
        self._wanted = self.frame  # samples until the next column is there
        self._missing = self.n_samples()  # until `image` is full

    def feed(self, samples):
        """Take samples, int16, as many as there are; returns how many new columns `image` has."""
        n = 0
        samples, kept = memoryview(samples), memoryview(self._samples)
        while len(samples):
            taken = samples[:self._wanted]
            place = self.frame - self._wanted  # the newest are at the end
            kept[place:place + len(taken)] = taken
            self._wanted -= len(taken)
            self._missing = max(0, self._missing - len(taken))
            samples = samples[len(taken):]
            if self._wanted == 0:
                self._put_column()
                self._wanted = self.hop
                kept[:self.frame - self.hop] = kept[self.hop:]
                n += 1
        return n

    def n_samples(self):
        """Samples that fill `image`: a word of so many is seen whole."""
        return (len(self.image) // len(self._column) - 1) * self.hop + self.frame

    def word(self, blocks, n):
        """The middle of a recording of n samples, which come in blocks; returns `image`.

        Silence is added before and behind, or what is too much left out, as `priot dataset` does.
        """
        self.clear()
        n = self.n_samples() - n
        self._silence(n >> 1)
        skipped = -n >> 1
        for block in blocks:
            if skipped > 0:
                taken = min(skipped, len(block))
                skipped -= taken
                block = memoryview(block)[taken:]
            self.feed(memoryview(block)[:self._missing])
        self._silence(self._missing)
        return self.image

    def _silence(self, n):
        zeros = array("h", bytes(2 * self.frame))
        while n > 0:
            self.feed(memoryview(zeros)[:n])
            n -= self.frame

    def _put_column(self):
        self.level = self._log_mel(self._operands)
        image, mels = memoryview(self.image), len(self._column)
        image[:-mels] = image[mels:]
        image[-mels:] = self._column


def _kernels():
    """The module with log_mel: native code where it is installed, else viper."""
    found = backend.native_module("priot_features")
    if found is None:
        try:
            from . import viper_audio as found
        except MemoryError:
            unload("viper_audio")
            raise
    return found
