"""Does what should be refused: misuse.py MODEL OTHER GAIN OPTIONS.

Prints a line per attempt, a JSON list of what it was, the error or "accepted", and its text.
OTHER: adapter of another backbone. GAIN: of a "gain" run. OPTIONS: JSON file of a list of
keywords of Trainer.
"""

import json
import sys

import priot

model, other, gain, options_path = sys.argv[1:]
net = priot.load(model)
with open(options_path) as f:
    every = json.load(f)


def attempt(name, function):
    try:
        function()
    except (ValueError, OSError) as e:
        print(json.dumps([name, type(e).__name__, str(e)]))
    else:
        print(json.dumps([name, "accepted", ""]))


for i, options in enumerate(every):
    attempt(str(i), lambda o=options: priot.Trainer(net, **o))
attempt("label", lambda: priot.Trainer(net).learn(bytearray(len(net.x)), net.n_classes))
attempt("small image", lambda: priot.Trainer(net).learn(bytearray(3), 0))
attempt("bright image", lambda: priot.Trainer(net).learn(bytearray([200] * len(net.x)), 0))
attempt("mask of gain", lambda: priot.Trainer(net, "gain").export_mask("unwritten"))
net.reset()
attempt("mask of nothing", lambda: net.export_mask("unwritten"))
attempt("apply other", lambda: net.apply(other))
attempt("apply none", lambda: net.apply("/nowhere"))
attempt("load other", lambda: priot.Trainer(net).load(other))
attempt("load gain", lambda: priot.Trainer(net).load(gain))
attempt("load fraction", lambda: priot.Trainer(net, "gain", fraction=50).load(gain))
attempt("load last", lambda: priot.Trainer(net, "gain", last=1).load(gain))
attempt("load gain again", lambda: priot.Trainer(net, "gain").load(gain))
