"""Networks trained by squared error: the step, the error of a sample and of a dataset.

An error is the sum over the outputs of (output - target)^2 in integers, both at the exponent of
the outputs, a difference beyond 127 counting as 127: the sum whose gradient training follows. With
at most 32,767 outputs it is below 2^29.
"""

from array import array

from . import fields as F
from .calls import run_whole
from .dataset import Dataset, check_dataset
from .viper_error import squared_error

_NONE = bytearray(0)  # the gradient that nobody wants
_CARRY = 1 << 29  # sums below it take no memory


# ---- training ----------------------------------------------------------------------------------


def step(trainer):
    """One training step on the sample in net.record; returns its error."""
    trainer.net.forward()
    error = gradient(trainer)
    if trainer.loss_operands[3][0] < trainer.gmin:
        trainer.seen += 1
        trainer.skipped += 1
    else:
        run_whole(trainer.backward_calls, trainer)
    return error


def gradient(trainer):
    """The loss gradient of the outputs that are there, counted; returns their error."""
    operands = trainer.loss_operands
    error = squared_error(operands)
    trainer.saturated += operands[3][1]
    trainer.error += error
    if trainer.error >= _CARRY:
        trainer.error -= _CARRY
        trainer.error_carries += 1
    return error


def learn(trainer, sample, target):
    """One training step from buffers."""
    put(trainer.net, sample, target)
    return trainer.step(0)


def samples(net, source):
    """Pairs (sample, target) of an iterable, which for a reconstruction may give samples alone."""
    for item in source:
        yield item if isinstance(item, tuple) else (item, None)


def train_error(trainer):
    """Mean error of the samples that were seen, rounded half up."""
    return mean(trainer.error + trainer.error_carries * _CARRY, max(1, trainer.seen))


def mean(error, n):
    """error / n, rounded half up."""
    return (2 * error + n) // (2 * n)


# ---- asking ------------------------------------------------------------------------------------


def operands(net):
    """Of squared_error, where no gradient is wanted."""
    return _NONE, net.logits, net.target, array("i", [0, 0]), net.loss


def put(net, sample, target=None):
    """Copy a sample into the input, and its target. ValueError if one is wrong."""
    net.put(sample)
    if net.loss_kind == F.RECONSTRUCTION:
        return  # whatever came with it is no target
    try:
        if len(target) != net.n_outputs:
            raise ValueError("target: %d values, expected %d" % (len(target), net.n_outputs))
        for i in range(len(target)):
            if not -127 <= target[i] <= 127:
                raise ValueError("target: value %d, expected -127..127" % target[i])
            net.target[i] = target[i] & 255
    except TypeError:
        raise ValueError("target: %s of other than integers" % type(target).__name__)


def error(net, sample, target):
    """The error of one sample."""
    put(net, sample, target)
    net.forward()
    return squared_error(operands(net))


def outputs(net, sample):
    """The outputs for one sample, a list of -127..127."""
    net.put(sample)
    net.forward()
    return [(v ^ 128) - 128 for v in net.logits]


class Errors:
    """Result of a test of a network trained by squared error.

    total: samples. sum: of their errors. error: of a sample, the mean, rounded half up. by_label:
    of each label of the dataset, or one for all samples, a list [samples, sum of errors, largest].
    names: of the labels, or none.
    """

    key = "error"
    n_classes = 0  # of a Comparison

    def __init__(self, net):
        self.net = net
        self.names = ()
        self.by_label = [[0, 0, 0]]

    def read(self, source, stop=None):
        """Compute every sample of a path, a Dataset or an iterable; returns itself."""
        if isinstance(source, str):
            with Dataset(source) as dataset:
                return self.read(dataset, stop)
        net = self.net
        wanted = operands(net)
        if isinstance(source, Dataset):
            check_dataset(source, net)
            self.names = source.names
            self.by_label = [[0, 0, 0] for _ in range(source.n_classes)]
            for i in range(len(source)):
                if stop is not None and stop():
                    raise KeyboardInterrupt
                label = source.read(i, net.record)
                net.forward()
                self.add(0 if source.n_targets else label, squared_error(wanted))
        else:
            for sample, target in samples(net, source):
                put(net, sample, target)
                net.forward()
                self.add(0, squared_error(wanted))
        return self

    def add(self, label, error):
        """Count one sample."""
        row = self.by_label[label]
        row[0] += 1
        row[1] += error
        row[2] = max(row[2], error)

    @property
    def total(self):
        return sum([row[0] for row in self.by_label])

    @property
    def sum(self):
        return sum([row[1] for row in self.by_label])

    @property
    def error(self):
        return mean(self.sum, max(1, self.total))

    def __repr__(self):
        lines = ["<Errors: %d samples, mean error %d" % (self.total, self.error)]
        for i, (n, error, largest) in enumerate(self.by_label):
            if n and len(self.by_label) > 1:
                lines.append("  %-12s %d samples, mean error %d, largest %d" % (
                    self.names[i] if self.names else i, n, mean(error, n), largest))
        return "\n".join(lines) + ">"
