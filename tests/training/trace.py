"""Trains on a dataset in order and prints a CRC32 of every buffer after every step.

Runs on MicroPython and on CPython:
trace.py MODEL DATASET BACKEND METHOD OPTIONS STEPS EPOCH SAVE THRESHOLD
"""

import json
import sys
from binascii import crc32

import priot
from priot import backend


def trace(model, dataset, wanted, method, options, steps, epoch, save, threshold):
    """A list of one CRC32 per step over weights, scores, biases, thresholds.

    threshold: the field of that name, which is folded away in the package.
    """
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
            crc = crc32(layer.stage.bias, crc)
            crc = crc32(bytes([layer.stage.d[threshold]]), crc)
        crcs.append(crc)
    data.close()
    trainer.save(save)
    return crcs, trainer.skipped, trainer.correct, trainer.error, trainer.saturated


if __name__ == "__main__":
    model, dataset, wanted, method, options, steps, epoch, save, threshold = sys.argv[1:]
    print(json.dumps(trace(model, dataset, wanted, method, json.loads(options), int(steps),
                           int(epoch), save, int(threshold))))
