"""Adds a class, trains by a method, and prints what the oracle has to show too, as JSON.

added.py MODEL DATASET NAME METHOD OPTIONS STEPS SAVE: CRC32 of every step's biases, weights and
scores, the logits of all images before the class was there, with it, and after training.
"""

import json
import sys
from binascii import crc32, hexlify

import priot

model, dataset, name, method, options, steps, save = sys.argv[1:]
net = priot.load(model)
data = priot.Dataset(dataset)


def logits():
    found = []
    for i in range(len(data)):
        data.read(i, net.record)
        net.forward()
        found.append(str(hexlify(net.logits), "ascii"))
    return found


before = logits()
label = net.add_class(name)
added = logits()
t = priot.Trainer(net, method, **json.loads(options))
crcs = []
for i in range(int(steps)):
    t.step(data.read(i % len(data), net.record))
    crc = 0
    for layer in t.layers:
        crc = crc32(layer.scores, crc32(layer.stage.w, crc32(layer.stage.bias, crc)))
    crcs.append(crc)
t.save(save)
print(json.dumps([label, before, added, crcs, logits()]))
