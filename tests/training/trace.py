"""Trains on a dataset in order and prints a CRC32 of every buffer after every step.

Runs on MicroPython and on CPython: trace.py MODEL DATASET BACKEND METHOD OPTIONS STEPS EPOCH SAVE
"""

import json
import sys
from binascii import crc32

import priot
from priot import backend

_THRESHOLD = 32  # device/priot/fields.py, which is folded away


def trace(model, dataset, wanted, method, options, steps, epoch, save):
    """A list of one CRC32 per step over weights, scores, thresholds."""
    backend.use(wanted)
    net = priot.load(model)
    trainer = priot.Trainer(net, method, **options)
    trainer.set_epoch(epoch)
    data = priot.Dataset(dataset)
    crcs = []
    for i in range(steps):
        trainer.step(data.read(i % len(data), net.record))
        crc = 0
        for layer in trainer.layers:
            crc = crc32(layer.stage.w, crc)
            crc = crc32(layer.scores, crc)
            crc = crc32(bytes([layer.stage.d[_THRESHOLD]]), crc)
        crcs.append(crc)
    data.close()
    trainer.save(save)
    return crcs, trainer.skipped, trainer.correct


if __name__ == "__main__":
    model, dataset, wanted, method, options, steps, epoch, save = sys.argv[1:]
    print(json.dumps(trace(model, dataset, wanted, method, json.loads(options), int(steps),
                           int(epoch), save)))
