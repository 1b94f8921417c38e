"""Trains, loads, applies and resets at every size of free heap; says what came of it.

sweep.py MODEL DATASET SCORES METHOD LAYOUT: the file SCORES is written first. Prints a dictionary:
wrong: where an answer was neither right nor an error; right, refused: counts of the others,
unseen: where looking itself lacked memory; skipped: sizes at which earlier ones had left
something; done, failed: of the steps; sizes: first and last.
"""

import builtins
import gc
import sys
from binascii import crc32

import priot

model, dataset, scores, method, layout = sys.argv[1:]
STEP = 256
LOWEST = 768
PIECE = 512
HIGHEST = 90000
FEWEST = 8  # sizes in a row at which all went well: then the sweep ends
MARGIN = 3072  # that looking may take

gc.threshold(-1)
builtins.print = lambda *_, **__: None  # warnings of what is no longer in force
data = priot.Dataset(dataset)
images = []
for i in range(3):
    record = bytearray(data.record_bytes)
    data.read(i, record)
    images.append(memoryview(record)[:-1])
counts = {"right": 0, "refused": 0, "done": 0, "failed": 0, "unseen": 0, "skipped": 0, "wrong": []}


def answer(net):
    """A number for all logits of all images."""
    crc = 0
    for image in images:
        net.put(image)
        net.forward()
        crc = crc32(net.logits, crc)
    return crc


net = priot.load(model)
right = {"backbone": answer(net)}
t = priot.Trainer(net, method, layout=layout)
right["fresh"] = answer(net)
t.fit(data, epochs=2, verbose=False)
t.save(scores)
right["loaded"] = answer(net)
t = None
net.apply(scores, "small" if layout == "small" else "kept")
right["applied"] = answer(net)
net.reset()
assert answer(net) == right["backbone"] and right["applied"] == right["loaded"], right
assert right["loaded"] not in (right["fresh"], right["backbone"]), right


def claimed(net):
    """What the network says that it computes with."""
    if net.trainer is not None:
        return states[id(net.trainer)]
    return "applied" if net.adapter else "backbone"


def look(net, where):
    """Compare the network's answer with its own claim."""
    global reserve
    reserve = None
    gc.collect()
    try:
        found = answer(net)
    except ValueError as e:
        assert "memory" in str(e), e
        counts["refused"] += 1
    except MemoryError:
        counts["unseen"] += 1
    else:
        if found == right[claimed(net)]:
            counts["right"] += 1
        else:
            counts["wrong"].append((where, claimed(net)))
    gc.collect()
    take_margin()


def take_margin():
    """Keep what looking takes from all else; whether it was there."""
    global reserve
    try:
        reserve = bytearray(MARGIN)
    except MemoryError:
        return False
    return True


def make():
    global t
    made = priot.Trainer(net, method, layout=layout)
    states[id(made)] = "fresh"
    t = made


def make_another():
    """While the first one is still there."""
    global u
    u = priot.Trainer(net, method, layout=layout)
    states[id(u)] = "fresh"


def load():
    if t is not None and net.trainer is t:
        t.load(scores)
        states[id(t)] = "loaded"


def apply():
    net.apply(scores, "small" if layout == "small" else "kept")


def drop():
    global t, u
    t = u = None


def add():
    """A second network beside the first."""
    other = priot.load(model)
    states[0] = ""
    look(other, "other")
    other.apply(scores)
    look(other, "other applied")


STEPS = (make, load, make_another, net.reset, apply, make, load, apply, drop, net.reset, add,
         apply, make, net.reset)


def attempt(step):
    """Whether a step could be done."""
    try:
        step()
    except (MemoryError, ValueError):
        return False
    return True


def run(free):
    """All steps at one size of free heap; True where each could be done."""
    ballast = []
    gc.collect()
    if not take_margin():
        counts["skipped"] += 1
        for step in STEPS:  # unlooked at: what is left over lies elsewhere afterwards
            attempt(step)
        return False
    try:
        while gc.mem_free() > free + PIECE:
            ballast.append(bytearray(PIECE - 64))
    except MemoryError:
        pass  # the rest lies in smaller pieces
    all_done = True
    for step in STEPS:
        done = attempt(step)
        counts["done" if done else "failed"] += 1
        all_done = all_done and done
        look(net, "%s at %d" % (getattr(step, "__name__", "reset"), free))
    ballast.clear()  # a stale word on the stack may still point to the list
    return all_done


t = u = reserve = None
n_good = 0
free = LOWEST
while n_good < FEWEST and free < HIGHEST and len(counts["wrong"]) < 5:
    states = {}
    n_good = n_good + 1 if run(free) else 0
    t = u = reserve = None
    gc.collect()
    look(net, "after %d" % free)
    net.reset()
    look(net, "in the end, %d" % free)
    free += STEP
counts["sizes"] = (LOWEST, free)
sys.stdout.write(str(counts) + "\n")
