"""Learns what a machine sounds like here, counts alarms before and after; on a board or a PC.

The microphone is a file of its samples; for a real one, `play` yields what it reads.
"""

from array import array

import priot
from priot.audio import LogMel

BLOCK = 256  # samples that a microphone gives at once
EVERY = 4  # columns from one sample of the network to the next


def play(path):
    """Blocks of samples, int16, of a file of nothing else."""
    block = array("h", bytes(2 * BLOCK))
    with open(path, "rb") as f:
        while f.readinto(block) == 2 * BLOCK:
            yield block


def windows(net, blocks):
    """The network's samples of a sound: the last columns, again and again in one buffer."""
    mel = LogMel(net)
    wanted = net.shape[1]
    for block in blocks:
        wanted -= mel.feed(block)
        if wanted <= 0:
            wanted += EVERY
            yield mel.image


def alarms(net, normal):
    """How often normal.pcm and other.pcm are unlike what is normal: a larger error than any."""
    limit = max([net.error(sample) for sample in normal])
    found = []
    for name in ("normal", "other"):
        errors = [net.error(sample) for sample in windows(net, play(name + ".pcm"))]
        found += [sum([error > limit for error in errors]), len(errors)]
    return "%d of %d normal ones, %d of %d others" % tuple(found)


def main():
    net = priot.load("anomaly.priot")
    heard = [bytes(sample) for sample in windows(net, play("learn.pcm"))]  # 128 bytes each
    normal = heard[::5]  # to know how large a normal error is; the others are learned
    print("alarms before:", alarms(net, normal))
    trainer = priot.Trainer(net, "gain", halve=3)
    trainer.fit([heard[i] for i in range(len(heard)) if i % 5], epochs=12)
    print("alarms after:", alarms(net, normal))
    trainer.save("place.scores")


main()
