"""Trains until Ctrl-C, saves, and prints how many samples were learned.

interrupt.py MODEL DATASET SAVE BACKEND METHOD OPTIONS SAMPLES: SAMPLES < 0 waits for Ctrl-C,
otherwise trains exactly so many steps, in the order that fit() takes.
"""

import json
import sys

import priot
from priot import backend

model, dataset, save, wanted, method, options, samples = sys.argv[1:]
backend.use(wanted)
net = priot.load(model)
trainer = priot.Trainer(net, method, **json.loads(options))
data = priot.Dataset(dataset)
total = 0
if int(samples) < 0:
    print("ready")
    last = trainer.fit(dataset, epochs=10000, verbose=False, checkpoint=save)[-1]
    total = trainer.epoch * len(data)
    if not last["complete"]:
        total += last["samples"]
else:
    left = int(samples)
    while left:
        from priot.dataset import identity_order

        order = identity_order(len(data))
        net.kernels.shuffle((order, trainer.state))
        trainer.set_epoch(trainer.epoch)
        for i in order:
            if left == 0:
                break
            trainer.step(data.read(i, net.record))
            left -= 1
        else:
            trainer.set_epoch(trainer.epoch + 1)
    total = int(samples)
    trainer.save(save)
print(json.dumps(total))
