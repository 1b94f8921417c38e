"""Trains with weights in RAM and in flash: flash_training.py MODEL DATASET BACKEND STEPS CASES.

CASES: a file of JSON, a list of [method, keywords]. Prints as JSON for each, in RAM and in flash:
CRC32 of scores, biases and logits after every step, then of the logits of what it saved put in
force and of the backbone again; the layout; the bytes of heap that 10 more steps left behind; and
how many weights stay in flash.
"""

import gc
import json
import sys
from binascii import crc32

import micropython
import priot
import rp2
from priot import backend

PRUNE = 1
model, dataset, wanted, steps, cases = sys.argv[1:]
backend.use(wanted)
rp2.mount()
rp2.copy(model, "m.priot")
data = priot.Dataset(dataset)


def logits(net):
    crc = 0
    for i in range(3):
        data.read(i, net.record)
        net.forward()
        crc = crc32(net.logits, crc)
    return crc


def train(flash, method, options):
    net = priot.load("m.priot", flash)
    trainer = priot.Trainer(net, method, seed=3, **options)
    found = []
    for i in range(int(steps)):
        trainer.step(data.read(i % len(data), net.record))
        crc = 0
        for layer in trainer.layers:
            crc = crc32(layer.scores, crc32(layer.stage.bias, crc))
        found.append(crc32(net.logits, crc))
    gc.collect()
    before = gc.mem_alloc()
    micropython.heap_lock()
    for i in range(10):
        trainer.step(data.read(i % len(data), net.record))
    micropython.heap_unlock()
    left = gc.mem_alloc() - before
    trainer.save("s")
    files = [("s", "kept"), ("s", "small")]
    if trainer.method.rule == PRUNE:
        trainer.export_mask("m")
        files.append(("m", "kept"))
    found.append(logits(net))
    for name, layout in files:
        net.apply(name, layout)
        found.append(logits(net))
    net.reset()
    found.append(logits(net))
    return found, trainer.layout, left, net.flash_bytes


with open(cases) as f:
    cases = json.load(f)
print(json.dumps([[train(flash, *case) for flash in (False, True)] for case in cases]))
