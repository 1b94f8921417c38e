"""Prints what the device package really takes for a model: `blocks.py MODEL BACKEND CASES`.

CASES is a file with JSON, a list of ["train", method, keywords of the Trainer, stem of files to
save to or null] and ["apply", adapter file, layout]. The answer is JSON: a list of dictionaries,
the first one of the loaded network.
"""

import json
import sys

import priot
from priot import backend, memory, network

taken = []  # bytes of every block that was allocated
_allocate = memory.allocate


def noted(n, where):
    """memory.allocate, remembered."""
    if n:
        taken.append(n)
    return _allocate(n, where)


def train(path, method, options, stem):
    """A Trainer's memory, and the files that it saves; or why it refuses."""
    net = priot.load(path)
    taken.clear()
    try:
        t = priot.Trainer(net, method, **options)
    except ValueError as e:
        return {"refused": str(e)}
    blocks = list(taken)
    if stem:
        t.save(stem + ".scores")
        try:
            t.export_mask(stem + ".mask")
        except ValueError:
            pass  # it prunes nothing
    return {"blocks": blocks, "ram_bytes": t.ram_bytes, "layout": t.layout,
            "layers": [[net.stages.index(a.stage), a.n_params, len(a.scores), len(a.select)]
                       for a in t.layers]}


def apply(path, adapter, layout):
    """The blocks that applying an adapter takes."""
    net = priot.load(path)
    taken.clear()
    net.apply(adapter, layout)
    return {"blocks": list(taken)}


def run(path, name, cases):
    """All answers."""
    backend.use(name)
    memory.allocate = network.allocate = noted
    net = priot.load(path)
    answers = [{"blocks": list(taken),
                "plans": [net.kernels.plan_name(s.plan) for s in net.stages]}]
    for what, *arguments in cases:
        answers.append((train if what == "train" else apply)(path, *arguments))
    return answers


with open(sys.argv[3]) as f:
    print(json.dumps(run(sys.argv[1], sys.argv[2], json.load(f))))
