"""Which samples an epoch takes where it is not all of one dataset: balanced, with old ones."""

from array import array

from .dataset import identity_order
from .names import class_counts


class Mix:
    """The samples of an epoch of Trainer.fit with `balance` or `replay`.

    source, replay: pairs of a Dataset and its table of labels, (None, None) without replay.
    ValueError where something else than a Dataset is to be mixed.

    An epoch takes all n samples of the source or, balanced, n // k of each of the k classes that
    it has: in rounds of one sample of each, whose order is drawn; the samples of a class in drawn
    order, from the first again when they are used up. In between, at even distances, come samples
    of `replay`, in drawn order or balanced too, so many that they are `share` percent of the
    epoch. The trainer's generator draws; without `shuffle` nothing is drawn. 2 bytes a sample.
    """

    def __init__(self, net, source, replay, share, balance, shuffle):
        for dataset, table in (source, replay):
            if dataset is not None and not table:
                raise ValueError("balance, replay: need a dataset, not an iterable")
        if balance and net.loss_kind:
            raise ValueError("balance: the network has no classes")
        self.net = net
        self.source = source
        self.replay = replay if replay[1] else None
        self.balance = balance
        self.shuffle = shuffle
        self.n_new = len(source[0])
        if balance:
            self.n_new -= self.n_new % sum([n > 0 for n in class_counts(*source, net)])
        if not (isinstance(share, int) and 1 <= share <= 90):
            raise ValueError("share: %s, expected 1..90" % share)
        rest = 100 - share
        self.n_old = max(1, (2 * self.n_new * share + rest) // (2 * rest)) if self.replay else 0

    def __len__(self):
        return self.n_new + self.n_old

    def labels(self, state):
        """Put the samples of an epoch into net.record, one by one; yields their labels.

        state: of the generator, array('I').
        """
        old = self._samples(self.replay, state)
        due = 0
        new = self._samples(self.source, state)
        for _ in range(self.n_new):
            yield next(new)
            due += self.n_old
            while due >= self.n_new:
                due -= self.n_new
                yield next(old)

    def _samples(self, source, state):
        """The samples of a source in net.record without end, in an order drawn again and again."""
        dataset, labels = source
        record = self.net.record
        while True:
            if self.balance:
                order = self._rounds(dataset, labels, state)
            else:
                order = identity_order(len(dataset))
                if self.shuffle:
                    self.net.kernels.shuffle((order, state))
            for index in order:
                yield labels[dataset.read(index, record)]

    def _rounds(self, dataset, labels, state):
        """Numbers of samples, one of each class in turn."""
        counts = class_counts(dataset, labels, self.net)
        order, ends = _by_class(dataset, labels, counts)
        turn = array("H", [c for c in range(len(ends)) if counts[c]])
        shuffle = self.net.kernels.shuffle
        if self.shuffle:
            view = memoryview(order)
            for c in turn:
                shuffle((view[ends[c] - counts[c]:ends[c]], state))
        for i in range(len(order) // len(turn)):
            if self.shuffle:
                shuffle((turn, state))
            for c in turn:
                yield order[ends[c] - counts[c] + i % counts[c]]


def _by_class(dataset, labels, counts):
    """Numbers of the samples, class after class, and where each class ends."""
    order = identity_order(len(dataset))
    ends = array("I", counts)
    at = 0
    for c in range(len(ends)):
        ends[c], at = at, at + ends[c]
    for i in range(len(order)):
        label = labels[dataset.label(i)]
        order[ends[label]] = i
        ends[label] += 1
    return order, ends
