"""Adapters on a network whose weights were trained in place: modified.py MODEL GOOD BAD."""

import sys

import priot

model, good, bad = sys.argv[1:4]
net = priot.load(model)
image = bytes([(7 * i) & 127 for i in range(len(net.x))])


def logits():
    net.predict(image)
    return bytes(net.logits)


def train():
    trainer = priot.Trainer(net, "weights", step=5)
    for i in range(30):
        trainer.learn(image, i % net.n_classes)


backbone = logits()
net.apply(good)
expected = logits()
net.reset()
train()
print("trained", net.modified and logits() != backbone)
net.apply(good)
print("good", logits() == expected)
net.reset()
train()
try:
    net.apply(bad)
except ValueError as e:
    print("bad refused", "parameters is 5, expected 3 of" in str(e) and logits() == backbone)
