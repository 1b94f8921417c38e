"""Goes on after training did not fit: no_memory.py MODEL DATASET prints a CRC32 of logits thrice.

First as loaded, then after a Trainer found no memory (its text in between), then after a smaller
one has trained and was taken back.
"""

import sys
from binascii import crc32

import priot

net = priot.load(sys.argv[1])
data = priot.Dataset(sys.argv[2])


def look():
    crc = 0
    for i in range(len(data)):
        data.read(i, net.record)
        net.forward()
        crc = crc32(net.logits, crc)
    print(crc)


look()
try:
    priot.Trainer(net)
except MemoryError as e:
    print(e)
look()
trainer = priot.Trainer(net, "weights", last=1)
for i in range(len(data)):
    trainer.step(data.read(i, net.record))
net.reset()
look()
