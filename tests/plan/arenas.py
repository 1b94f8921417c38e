"""Prints what the device package allocates for a model: `arenas.py MODEL BACKEND CASES`.

CASES is a file with JSON, a list of ["train", method, keywords of the Trainer, stem of files to
save to or null] and ["apply", adapter file, layout]. The answer is JSON: a list of dictionaries,
the first one of the loaded network.
"""

import json
import sys

import priot
import priot.adapter
from priot import backend
from priot import fields as F


def scratch_bytes(net):
    """Bytes of the network's scratch."""
    return len(net.scratch) * (4 if net.backend == "plain" else 1)


def train(path, method, options, stem):
    """A Trainer's memory, and the files that it saves; or why it refuses."""
    net = priot.load(path)
    try:
        t = priot.Trainer(net, method, **options)
    except ValueError as e:
        return {"refused": str(e)}
    if stem:
        t.save(stem + ".scores")
        if t.method.rule == F.PRUNE:
            t.export_mask(stem + ".mask")
    return {"arena": len(t.arena), "ram_bytes": t.ram_bytes, "layout": t.layout,
            "layers": [[a.stage.index, a.n_params, len(a.scores), len(a.select)]
                       for a in t.layers]}


def apply(path, adapter, layout):
    """The block that applying an adapter takes."""
    sizes = []
    allocate = priot.adapter.allocate

    def noted(n, where):
        sizes.append(n)
        return allocate(n, where)

    net = priot.load(path)
    priot.adapter.allocate = noted
    net.apply(adapter, layout)
    priot.adapter.allocate = allocate
    return {"arena": sum(sizes)}


def run(path, name, cases):
    """All answers."""
    backend.use(name)
    net = priot.load(path)
    answers = [{"arena": len(net.arena), "scratch": scratch_bytes(net),
                "plans": [net.kernels.plan_name(s.plan) for s in net.stages]}]
    for what, *arguments in cases:
        answers.append((train if what == "train" else apply)(path, *arguments))
    return answers


with open(sys.argv[3]) as f:
    print(json.dumps(run(sys.argv[1], sys.argv[2], json.load(f))))
