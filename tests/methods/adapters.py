"""Trains by every method, saves, and puts the adapters in force in turn on one backbone.

adapters.py MODEL DATASET FOLDER BACKEND CASES: CASES is a JSON file (an argument may not be longer
than 255 characters); prints one JSON object. A "look" at a network is a
CRC32 of its logits for every image of the dataset.
"""

import json
import os
import sys
from binascii import crc32

import priot
from priot import backend


def look(net, data):
    crc = 0
    for i in range(len(data)):
        data.read(i, net.record)
        net.forward()
        crc = crc32(net.logits, crc)
    return crc


def train(model, data, method, options, folder):
    """Train, save; what the network then answers, and the files that hold it."""
    net = priot.load(model)
    before = look(net, data)
    trainer = priot.Trainer(net, method, **options)
    for i in range(len(data)):
        trainer.step(data.read(i, net.record))
    trained = look(net, data)
    name = folder + "/" + str(len(os.listdir(folder)))
    trainer.save(name + ".scores")
    files = [name + ".scores"]
    if method in ("priot", "priot-s"):
        net.export_mask(name + ".adapter")
        files.append(name + ".adapter")
    net.reset()
    again = priot.Trainer(net, method, **options)
    again.load(files[0])
    loaded = look(net, data)
    net.reset()
    return {"before": before, "trained": trained, "loaded": loaded, "reset": look(net, data),
            "bytes": [os.stat(path)[6] for path in files], "files": files}


def state(net):
    """CRC32 of the backbone's weights, of every shape, shift and row, of rule and selection.

    The rest of a descriptor means nothing in a frozen layer.
    """
    crc = 0
    for stage in net.stages:
        crc = crc32(stage.w, crc)
        crc = crc32(stage.d[:21], crc) ^ stage.d[23]
    return crc


model, dataset, folder, wanted, cases = sys.argv[1:]
backend.use(wanted)
data = priot.Dataset(dataset)
with open(cases) as f:
    cases = json.load(f)
runs = [train(model, data, method, options, folder) for method, options in cases]
net = priot.load(model)
os.rename(model, model + ".away")  # switching must not need the backbone's file
first = look(net, data)
fresh = state(net)
for layout in ("kept", "small"):
    for run in runs:
        run[layout] = []
        for path in run["files"]:
            net.apply(path, layout)
            run[layout].append(look(net, data))
for run in runs:
    net.apply(run["files"][-1])
    net.reset()
    run["after reset"] = (look(net, data), state(net) == fresh)
os.rename(model + ".away", model)
print(json.dumps({"backbone": first, "runs": runs}))
