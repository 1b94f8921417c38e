"""Windows of a sensor's readings, scaled by integers to the values that a network takes.

The scale and zero of each channel are the model file's. host_tools/priot/data/scaling.py has the
arithmetic, to the bit, and makes datasets by it.
"""

import struct
from array import array

from .files import DATASET, pack_names, write_file
from .heap import unload

_NULL_SHIFT = 31  # from here on a reading of 16 bits is less than half a level


class Windows:
    """The last readings of a sensor as an image of a network, again and again.

    net: a Network whose input is channels x 1 x length, or channels x 1 x 1, and whose model says
    how its values are scaled. hop: readings from one image to the next, 1 or more; None: an
    image's length. ValueError where the model cannot say.

    image: int8 values (uint8 where the input is not signed), [channel][reading]; `add` fills it.
    """

    def __init__(self, net, hop=None):
        channels, height, length = net.shape
        if height != 1:
            raise ValueError("windows: images are %dx%dx%d, expected a height of 1" % net.shape)
        self.hop = length if hop is None else hop
        if self.hop < 1:
            raise ValueError("windows: hop %d, expected 1 or more" % hop)
        self.channels = channels
        self.length = length
        self.image = bytearray(channels * length)
        self._last = bytearray(channels * length)  # a ring for each channel
        self._low = -127 if net.signed else 0
        self._scales = _scales(net.path, channels)
        self.restart()

    def restart(self):
        """Forget the readings there are: a new recording begins."""
        self._at = 0  # in the rings
        self._wanted = self.length  # readings until the next image

    def add(self, reading):
        """Take one reading, an integer of 16 bits for each channel; True where `image` is new.

        ValueError for a reading of another kind.
        """
        scales, last, low = self._scales, self._last, self._low
        at = self._at
        if len(reading) != self.channels:
            raise ValueError("reading: %d numbers, expected %d" % (len(reading), self.channels))
        i = 0
        for x in reading:
            try:
                v = (x * scales[i] + scales[i + 1] >> scales[i + 2]) + scales[i + 3]
            except TypeError:
                raise ValueError("reading: %s, expected integers" % (x,))
            last[at] = (low if v < low else 127 if v > 127 else v) & 255
            at += self.length
            i += 4
        self._at = (self._at + 1) % self.length
        self._wanted -= 1
        if self._wanted:
            return False
        self._wanted = self.hop
        self._unroll()
        return True

    def _unroll(self):
        """The rings into `image`, the oldest reading first."""
        last, image = memoryview(self._last), memoryview(self.image)
        n, at = self.length, self._at
        for first in range(0, len(image), n):
            image[first:first + n - at] = last[first + at:first + n]
            image[first + n - at:first + n] = last[first:first + at]


class Recording:
    """Labelled images of a recording: what `evaluate` takes, and `fit` where they are mixed.

    One exercise after the other is not: `save` makes a dataset file of them, which `fit` shuffles.

    readings: a function that begins the recording anew and returns an iterator of (reading,
    label); a reading is integers, one for each channel, and a change of the label, or a reading
    of None, begins a new window. hop: as of Windows.
    """

    def __init__(self, net, readings, hop=None):
        self._windows = Windows(net, hop)
        self._readings = readings
        self._net = net

    def __iter__(self):
        windows = self._windows
        windows.restart()
        before = None
        for reading, label in self._readings():
            if reading is None or label != before:
                windows.restart()
                before = label
            if reading is not None and windows.add(reading):
                yield windows.image, label

    def save(self, path):
        """Write the images as a dataset file (`.prd`); the recording is played three times.

        OSError where the flash is full, ValueError without an image: no file is left.
        """
        net = self._net
        n = 0
        for _, label in self:
            n += 1
            if not 0 <= label < net.n_classes:
                raise ValueError("recording: label %d, expected 0..%d" % (
                    label, net.n_classes - 1))
        if not n:
            raise ValueError("recording: no window of %d readings with one label"
                             % self._windows.length)
        (scale, zero), each = _in_file(net.path)
        names = pack_names(net.names)
        channels, height, width = net.shape
        head = struct.pack("<IHHHHHBBHHIiI", n, channels, height, width, net.n_classes, 1,
                           net.signed, 0, len(names), len(each) // 8, scale, zero, 0)
        write_file(path, DATASET, 16 + len(head) + len(names) + len(each),
                   _Chunks((head, names, each), self))


class _Chunks:
    """The bytes of a dataset file behind its prefix, as often as they are wanted."""

    def __init__(self, head, recording):
        self._head = head
        self._recording = recording

    def __iter__(self):
        for part in self._head:
            yield part
        label = bytearray(1)
        for image, label[0] in self._recording:
            yield image
            yield label


def _scales(path, channels):
    """Of each channel m, half of 2^s, s and zero, all integers."""
    common, each = _in_file(path)
    found = array("i", [0] * (4 * channels))
    for i in range(channels):
        bits, zero = struct.unpack_from("<Ii", each, 8 * i) if each else common
        shift = (bits >> 23) - 113
        if shift < 1:
            raise ValueError("%s: scale %08x of channel %d, expected 2^-13 or more" % (
                path, bits, i))
        if shift < _NULL_SHIFT:
            found[4 * i] = ((1 << 38) // (bits & 0x7FFFFF | 0x800000) + 1) >> 1
            found[4 * i + 1] = 1 << shift - 1
            found[4 * i + 2] = shift
        found[4 * i + 3] = zero
    return found


def _in_file(path):
    """Scale and zero as read_scales gives them. ValueError where there are none."""
    try:
        from .model_file import read_scales

        common, each = read_scales(path)
    finally:
        unload("model_file")
    if not common[0] and not each:
        raise ValueError("%s: does not say how readings are scaled; on a PC: priot dataset "
                         "--standardise or --scale, before quantize" % path)
    return common, each
