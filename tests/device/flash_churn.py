"""Random operations on the files around a model whose weights stay in flash.

flash_churn.py MODEL BACKEND SEED OPERATIONS: prints as JSON how many predictions were right, wrong
and refused, how often the model was loaded, and could not be.
"""

import json
import os
import random
import struct
import sys
from binascii import crc32

import priot
import rp2
from priot import backend

NAME = "m.priot"
BLOCKS = 80  # of the flash: six times what the model takes
counts = {"right": 0, "wrong": 0, "refused": 0, "loaded": 0, "unloadable": 0}
expected = {}  # logits by the model's CRC32


def write(name, data, mode="wb"):
    with open(name, mode) as f:
        f.write(data)


def changed(at, sealed):
    """The model with another byte; with the CRC32 of that, or not."""
    data = bytearray(original)
    data[at] ^= 1
    if sealed:
        struct.pack_into("<I", data, 12, crc32(memoryview(data)[16:]))
    return data


def weight():
    return random.randrange(len(original) - 40_000, len(original) - 4)


def others():
    return [name for name in os.listdir() if name != NAME]


def replace(data):
    write("new", data)
    os.rename("new", NAME)


def remove():
    for name in others()[:random.randrange(1, 3)]:
        os.remove(name)


def touch():
    with open(NAME, "r+b") as f:
        f.seek(weight())
        f.write(os.urandom(1))


OPERATIONS = (
    lambda: write("x%d" % random.randrange(4), os.urandom(random.randrange(1, 30000))),
    lambda: write("x%d" % random.randrange(4), os.urandom(random.randrange(1, 30000)), "ab"),
    remove,
    lambda: write("y%d" % random.randrange(2), original),
    lambda: write("z", changed(weight(), False)),
    lambda: replace(original),
    lambda: replace(changed(weight(), True)),
    lambda: write(NAME, original),
    lambda: write(NAME, changed(weight(), False)),
    lambda: write(NAME, original[:random.randrange(len(original))]),
    touch,
    lambda: os.remove(NAME),
    lambda: os.rename(NAME, "away") or os.rename("away", NAME),
)


def load():
    """The network from flash, or None; what its logits have to be is noted."""
    try:
        net = priot.load(NAME, flash=True)
    except (OSError, ValueError) as e:
        assert isinstance(e, OSError) or str(e).startswith(NAME + ": "), e
        counts["unloadable"] += 1
        return None
    counts["loaded"] += 1
    if net.crc not in expected:
        expected[net.crc] = logits(priot.load(NAME, flash=False))
    return net


def logits(net):
    net.put(image)
    net.forward()
    return bytes(net.logits)


def look(net):
    """What a network predicts now; None where it refuses."""
    try:
        counts["right" if logits(net) == expected[net.crc] else "wrong"] += 1
        return net
    except ValueError as e:
        assert str(e) == NAME + ": the model file was replaced: load it again", e
        counts["refused"] += 1
        return None


model, wanted, seed, operations = sys.argv[1:]
random.seed(int(seed))
backend.use(wanted)
rp2.mount(BLOCKS)
with open(model, "rb") as f:
    original = f.read()
image = bytes([random.randrange(128) for _ in priot.load(model, flash=False).x])
write(NAME, original)
net = None
for _ in range(int(operations)):
    try:
        random.choice(OPERATIONS)()
    except OSError as e:
        if e.errno == 28:  # no space left
            remove()
    if net is None and NAME not in os.listdir():
        for name in others()[:2]:
            os.remove(name)
        try:
            write(NAME, original)
        except OSError:
            pass
    net = look(net) if net else load()
print(json.dumps(counts))
