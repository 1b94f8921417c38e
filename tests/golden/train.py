"""Trains by every case, saves what was learned, and counts what the network then answers.

train.py MODEL DATASET BACKEND CASES FOLDER: CASES is a JSON file, a list of [method, options].
Case i leaves FOLDER/i.scores and prints one JSON object: its number and its confusion matrices,
of the trained network, of what was saved put in force in both layouts, and of the mask.
Only what a user types is used here, so that any version of the package runs it.
"""

import json
import sys

import priot

_EPOCHS = 2  # the step of halve=1 falls between them


def answers(evaluation):
    """The confusion matrix as lists."""
    return [list(row) for row in evaluation.confusion]


def learn(model, data, method, options, name):
    """Train and save by one case; returns its confusion matrices."""
    net = priot.load(model)
    trainer = priot.Trainer(net, method, **options)
    trainer.fit(data, epochs=_EPOCHS, verbose=False)
    found = [answers(trainer.evaluate(data))]
    trainer.save(name + ".scores")
    is_pruned = method in ("priot", "priot-s")
    if is_pruned:
        trainer.export_mask(name + ".mask")
    for layout in ("kept", "small"):
        net.apply(name + ".scores", layout)
        found.append(answers(net.evaluate(data)))
    if is_pruned:
        net.apply(name + ".mask")
        found.append(answers(net.evaluate(data)))
    return found


model, data, backend, cases, folder = sys.argv[1:]
priot.backend.use(backend)
with open(cases) as f:
    cases = json.load(f)
for i in range(len(cases)):
    method, options = cases[i]
    found = learn(model, data, method, options, folder + "/" + str(i))
    print(json.dumps({"case": i, "confusions": found}))
