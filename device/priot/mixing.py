"""Which samples an epoch takes where it is not all of one dataset: balanced, with old ones."""

from array import array

from .dataset import identity_order


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
            if dataset is not None and table is None:
                raise ValueError("balance, replay: need a dataset, not an iterable")
        self.net = net
        self.source = source
        self.replay = replay if replay[1] else None
        self.balance = balance
        self.shuffle = shuffle
        dataset = source[0]
        self.n_new = len(dataset)
        if balance:
            self.n_new -= self.n_new % _classes_there(dataset)
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
        old = self._replayed(state)
        due = 0
        dataset, table = self.source
        record = self.net.record
        for index in self._order(dataset, state):
            yield table[dataset.read(index, record)]
            due += self.n_old
            while due >= self.n_new:
                due -= self.n_new
                yield next(old)

    def _replayed(self, state):
        dataset, table = self.replay or self.source
        record = self.net.record
        while True:
            for index in self._order(dataset, state):
                yield table[dataset.read(index, record)]

    def _order(self, dataset, state):
        """The numbers of the samples of one epoch."""
        if self.balance:
            return self._rounds(dataset, state)
        order = identity_order(len(dataset))
        if self.shuffle:
            self.net.kernels.shuffle((order, state))
        return order

    def _rounds(self, dataset, state):
        n, k = len(dataset), _classes_there(dataset)
        order, ends = _by_class(dataset)
        turn = array("H", [c for c in range(len(ends)) if dataset.counts[c]])
        shuffle = self.net.kernels.shuffle
        if self.shuffle:
            view = memoryview(order)
            for c in turn:
                shuffle((view[ends[c] - dataset.counts[c]:ends[c]], state))
        for i in range(n // k):
            if self.shuffle:
                shuffle((turn, state))
            for c in turn:
                size = dataset.counts[c]
                yield order[ends[c] - size + i % size]


def _classes_there(dataset):
    return sum([n > 0 for n in dataset.counts])


def _by_class(dataset):
    """Numbers of the samples, class after class, and where each class ends."""
    order = identity_order(len(dataset))
    ends = array("I", dataset.counts)
    at = 0
    for c in range(len(ends)):
        ends[c], at = at, at + ends[c]
    for i in range(len(order)):
        label = dataset.label(i)
        order[ends[label]] = i
        ends[label] += 1
    return order, ends
