"""Answers cases of log-mel columns by the device package: runner.py KERNELS CASES ANSWERS.

A case: rate u32, frame, hop, mels, columns, block u16, samples u32, and the samples int16; the
answer: the image after all samples were fed in blocks of so many.
"""

import struct
import sys
from array import array

from priot.audio import LogMel

HEAD = "<IHHHHHI"


def answer(kernels, cases, answers):
    module = __import__(kernels) if kernels == "priot_features" else None
    if module is None:
        from priot import viper_audio as module
    with open(cases, "rb") as source, open(answers, "wb") as sink:
        while True:
            head = source.read(struct.calcsize(HEAD))
            if not head:
                return
            rate, frame, hop, mels, columns, block, n = struct.unpack(HEAD, head)
            mel = LogMel((1, columns, mels), rate, hop, frame, module)
            made = 0
            while n:
                samples = array("h", bytes(2 * min(block, n)))
                source.readinto(samples)
                n -= len(samples)
                made += mel.feed(samples)
            sink.write(struct.pack("<HH", made, mel.level))
            sink.write(mel.image)


if __name__ == "__main__":
    answer(*sys.argv[1:])
