"""priot: integer-only transfer learning on a microcontroller (arXiv 2503.16860)."""

from . import heap  # noqa: F401  first: the imports themselves leave garbage behind
from .cores import BothCores
from .dataset import Dataset
from .network import load
from .trainer import Trainer

__version__ = "0.1.0"

_HELP = """\
priot adapts a frozen int8 network to new data, in integers.

  net = priot.load("digits.priot")        read a backbone
  t = priot.Trainer(net, seed=1)          method="priot", "priot-s", "gain", "weights", ...
  t.fit("train.prd", epochs=30)           Ctrl-C stops and keeps what was learned
  t.evaluate("test.prd")                  accuracy, confusion matrix
  t.save("kitchen.scores")                t.load("kitchen.scores") goes on from there
  net.predict(image)                      class of a buffer of pixels 0..127; net.names, if any
  net.predict(image, least=700)           None where its score is below
  net.scores(image)                       how sure it is: integers that sum to 1000
  net.error(sample)                       of an autoencoder: how unusual a sample is
  net.evaluate("test.prd")                the same of a network that nobody trains
  t.learn(image, label)                   one training step
  net.export_mask("kitchen.adapter")      one bit per edge
  net.apply("kitchen.adapter")            put an adaptation in force; net.reset() takes it back
  net.add_class("mug")                    a new class, before the Trainer: uses a spare output
  with priot.BothCores():                 for loops of your own; priot.cores.use(1): one core
  priot.backend.name                      which kernels run: native, portable or viper
  priot.backend.use("portable")           before load: the kernels that take least memory"""


def help():
    """Print what there is to type."""
    print(_HELP)
