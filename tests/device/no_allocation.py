"""Trains under heap_lock(), and counts what the heap gains.

no_allocation.py MODEL DATASET BACKEND
"""

import gc
import micropython
import sys

import priot
from priot import backend

model, dataset, wanted = sys.argv[1:]
backend.use(wanted)
for method, options in (("priot", {}), ("priot", {"keep": 80}), ("priot-s", {"select": "random"}),
                        ("gain", {"layout": "small"}), ("weights", {}), ("niti", {}),
                        ("head", {})):
    net = priot.load(model)
    trainer = priot.Trainer(net, method, **options)
    data = priot.Dataset(dataset)
    n = len(data)
    step, read, record = trainer.step, data.read, net.record
    step(read(0, record))
    gc.collect()
    before = gc.mem_alloc()
    micropython.heap_lock()
    for i in range(n):
        step(read(i, record))
    micropython.heap_unlock()
    print(method, gc.mem_alloc() - before, trainer.seen - trainer.skipped)
    data.close()
