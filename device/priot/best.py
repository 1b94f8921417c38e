"""The best epoch by validation: noticed, kept in a file, in force at the end."""

from .evaluation import percent_text, permille


class Best:
    """Watches the epochs of Trainer.fit.

    path: adapter file, written whenever the validation gets better, first with what there is
    before the first epoch; or None. patience: epochs without a better one after which `look` says
    that it is enough; 0: never. epoch, total, goodness (samples right, or minus the sum of
    errors): of the best.
    """

    def __init__(self, trainer, validate, path, patience, checkpoint):
        if validate is None:
            raise ValueError("keep_best, patience: need a dataset to validate on")
        if not (isinstance(patience, int) and patience >= 0):
            raise ValueError("patience: %s, expected epochs, 0: without end" % patience)
        if path and path == checkpoint:
            raise ValueError("keep_best: %s is the checkpoint too, give it a name of its own"
                             % path)
        self.trainer = trainer
        self.path = path
        self.patience = patience
        self.goodness = None
        self.start = trainer.epoch
        self.look(trainer.evaluate(validate))

    def look(self, evaluation):
        """Take note of an epoch; returns (whether it is the best, whether it is enough)."""
        epoch = self.trainer.epoch
        goodness = -evaluation.sum if self.trainer.squared else evaluation.correct
        better = self.goodness is None or goodness > self.goodness
        if better:
            self.total = evaluation.total
            self.goodness = goodness
            self.found = ("error %d" % evaluation.error if self.trainer.squared else
                          percent_text(permille(goodness, max(1, self.total))))
            self.epoch = epoch
            if self.path:
                self.trainer.save(self.path)
        return better, bool(self.patience) and epoch - self.epoch >= self.patience

    def put_back(self, is_whole):
        """Load the best epoch unless it is there; is_whole: no epoch is half done."""
        if not self.path or (is_whole and self.trainer.epoch == self.epoch):
            return
        try:
            self.trainer.load(self.path)
        except MemoryError:
            raise MemoryError("%s: has %s; too little memory to load it" % (self.path, self))

    def __str__(self):
        return "epoch %d, test %s" % (self.epoch, self.found)

    def text(self):
        """One line: which epoch was the best, and what became of it."""
        return "best: %s%s; %s" % (
            self, ", before training" if self.epoch == self.start else "",
            "in force, and in %s" % self.path if self.path else
            "not kept, there was no keep_best")
