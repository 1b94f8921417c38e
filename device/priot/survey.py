"""What there is to learn, class by class, and what is doubtful about it."""

from .dataset import Dataset, check_dataset
from .evaluation import class_text, percent_text, permille
from .names import class_counts

_LOOK = 64  # samples looked at before training: a quarter of a second of network A on a Pico
_IMBALANCE = 5  # times as many samples of one class as of another
_APART = 24  # of 127: two mean pixels that differ by less say nothing
_LISTED = 20  # classes whose counts are listed


class Survey:
    """What there is to learn, and what is doubtful about it.

    counts: samples of each of the network's classes in `source`; replayed: in `replay`, or None.
    warnings: texts. source, replay, validate: a Dataset, the last two may be None. is_new: nothing
    has been learned yet; then the network runs forward on some samples.
    """

    def __init__(self, net, source, replay=None, validate=None, balance=False, is_new=True):
        self.net = net
        self.path = source.path
        self.warnings = []
        self.names = net.names
        if net.loss_kind:
            self._look_at_labels(source, replay)
            return
        self.counts = class_counts(source, check_dataset(source, net), net)
        self.replayed = replay and class_counts(replay, check_dataset(replay, net), net)
        look_at_counts(net.names, self.counts, self.replayed, balance, self._warn)
        if is_new:
            self._look_at_images(source, [other for other in (validate, replay) if other])

    def _look_at_labels(self, source, replay):
        """With squared error labels teach nothing; where samples are their own targets, all that
        is there becomes normal."""
        self.names, self.counts = source.names, list(source.counts)
        self.replayed = replay and list(replay.counts)
        there = ["%d of class %s" % (n, class_text(self.names, i))
                 for i, n in enumerate(self.counts) if n]
        if len(there) > 1:
            self._warn("labels are not looked at: %s are all learned as normal" % (
                ", ".join(there[:_LISTED])))

    def _warn(self, text):
        self.warnings.append("%s: %s" % (self.path, text))

    def _look_at_images(self, source, others):
        classes = self.net.n_classes
        present = sum([n > 0 for n in self.counts])
        mixed = present > 1 and 2 * present >= classes  # some classes alone may all be unfamiliar
        n, mean, right = _look(self.net, source, mixed)
        below = n - right * classes if mixed else 0
        if below > 0 and below * below > 4 * n * classes:  # two standard deviations below chance
            self._warn("before training %d of %d are right, by chance it would be %s: are images "
                       "inverted, or labels those of other classes?" % (
                           right, n, percent_text(permille(1, classes))))
        for other in others:
            there = _look(self.net, other, False)[1]
            apart = abs(mean - there)
            if apart > _APART and abs(127 - mean - there) < apart:
                self._warn("the mean pixel is %d, that of %s %d: is one of them inverted?" % (
                    mean, other.path, there))

    def text(self):
        """One line: how many samples of which class."""
        counts = self.counts
        text = "%s: %d samples" % (self.path, sum(counts))
        if len(counts) == 1:
            return text
        if len(counts) <= _LISTED:
            return text + ", by class " + ", ".join(
                ["%s: %d" % (class_text(self.names, i), n) for i, n in enumerate(counts)])
        there = [n for n in counts if n]
        return text + " of %d classes, %d to %d of each" % (len(there), min(there), max(there))


def look_at_counts(names, counts, replayed, balance, warn):
    """Call `warn` with every doubt about the numbers of samples by class."""
    both = [a + b for a, b in zip(counts, replayed)] if replayed else counts
    there = [i for i, n in enumerate(both) if n]
    absent = [i for i, n in enumerate(both) if not n]
    if len(there) == 1:
        warn("every sample is of class %s: nothing else will be predicted any more; mix in others "
             "by replay" % class_text(names, there[0]))
    elif absent:
        warn("no sample of class %s: it will hardly be predicted any more; mix in others by replay"
             % ", ".join([class_text(names, i) for i in absent[:_LISTED]]))
    there = [(n, i) for i, n in enumerate(counts) if n]
    (least, few), (most, many) = min(there), max(there)
    if most >= _IMBALANCE * least and not balance:
        warn("%d samples of class %s, %d of %s: balance draws every class equally often" % (
            most, class_text(names, many), least, class_text(names, few)))


def say_counts(net, counts):
    """Print what is doubtful about the samples that an iterable has given."""
    look_at_counts(net.names, counts, None, False,
                   lambda text: print("warning: what was learned: " + text))


def say(trainer, source, mix, validate):
    """Print what there is to learn from a Dataset, and what is doubtful about it."""
    survey = Survey(trainer.net, source, mix.replay and mix.replay[0] if mix else None,
                    validate if isinstance(validate, Dataset) else None, mix and mix.balance,
                    trainer.epoch == 0)
    print(survey.text())
    for text in survey.warnings:
        print("warning:", text)


def _look(net, dataset, forward):
    """(how many samples, their mean pixel, how many are right) of some of a dataset's samples.

    Without `forward` none is right.
    """
    labels = check_dataset(dataset, net)
    n = min(_LOOK, len(dataset))
    draw = 1
    total = right = 0
    for _ in range(n):
        draw = (draw * 75 + 74) % 65537  # not in order, which may be that of the classes
        label = labels[dataset.read(draw * len(dataset) // 65537, net.record)]
        total += sum(net.x)
        if forward:
            net.forward()
            right += net.top_class() == label
    return n, total // (n * len(net.x)), right
