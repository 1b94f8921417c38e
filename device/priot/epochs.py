"""Epochs of training: the order of samples, what is counted and kept, Ctrl-C between samples."""

import gc

from . import cores
from .clock import elapsed_us, ticks_diff, ticks_ms, ticks_us
from .dataset import Dataset, check_dataset, identity_order
from .evaluation import permille
from .heap import unload
from .progress import History, clear_line, counted, epoch_text, show_sample

_HISTORY = 32  # epochs whose figures are kept: 250 bytes each
_SHOW_MS = 5000  # between two words on an epoch that takes long


class Epochs:
    """One call of Trainer.fit; its arguments are explained there."""

    def __init__(self, trainer, checkpoint, progress, verbose, stop, keep_best, patience):
        self.trainer = trainer
        self.checkpoint = checkpoint
        self.progress = progress
        self.verbose = verbose
        self.stop = stop
        self.keep_best = keep_best
        self.patience = patience
        self.labels = None  # the network's for those of the dataset
        self.mix = None  # the samples of an epoch, where they are not simply the dataset's
        self.history = History()
        self.recorded = True  # whether the figures of the epoch at hand are in the history
        self.complete = True  # whether it has seen every sample
        self.start = (0, 0)
        self.n_samples = 0  # of an epoch, 0: not known
        self.shown = 0  # when the last word on this epoch was said

    def run(self, source, epochs, validate, shuffle, balance=False, replay=None, share=50):
        """Train; returns the history. Ctrl-C ends it after a whole sample."""
        trainer = self.trainer
        trainer.check_owner()
        trainer.best = None
        trainer.is_stopped = False
        opened = []
        try:
            source, self.labels = self._open(source, opened)
            validate, _ = self._open(validate, opened)
            if balance or replay is not None:
                from .mixing import Mix

                self.mix = Mix(trainer.net, (source, self.labels), self._open(replay, opened),
                               share, balance, shuffle)
            if self.verbose and self.labels:
                self._survey(source, validate)
            if self.keep_best or self.patience:
                from .best import Best

                trainer.best = Best(trainer, validate, self.keep_best, self.patience,
                                    self.checkpoint)
            for _ in range(epochs):
                self._one(source, shuffle)
                record = self._record()
                enough = False
                if validate is not None:
                    result = trainer.evaluate(validate)
                    if trainer.squared:
                        record["validate_error"] = result.error
                    else:
                        record["validate_permille"] = result.permille
                    if trainer.best:
                        record["best"], enough = trainer.best.look(result)
                self._report(record)
                if enough:
                    break
        except KeyboardInterrupt:
            self._stopped()
        finally:
            for dataset in opened:
                dataset.close()
            unload("mixing", "best", "survey", "names")
        if trainer.best:
            trainer.best.put_back(self.complete)
            if self.verbose:
                print(trainer.best.text())
        return self.history

    def _survey(self, source, validate):
        """Say what there is to learn, and what is doubtful about it; no reason not to train."""
        try:
            from .survey import say

            say(self.trainer, source, self.mix, validate)
        except MemoryError:
            print("warning: too little memory to look at the samples first")
        unload("survey", "names")

    def _stopped(self):
        """Report what there is after Ctrl-C."""
        self.trainer.is_stopped = True
        if not self.recorded:
            self._record()
        if self.history:
            self._report(self.history[-1])
        if self.verbose:
            print("stopped by Ctrl-C" if self.trainer.best else
                  "stopped by Ctrl-C; all that was learned in %s and %s is kept" % (
                      counted(self.trainer.epoch, "epoch"),
                      counted(0 if self.complete else self.trainer.seen, "sample")))

    def _open(self, source, opened):
        """(source, its table of labels), a path opened; no table of what is not a Dataset."""
        if isinstance(source, str):
            source = Dataset(source)
            opened.append(source)
        if isinstance(source, Dataset):
            return source, check_dataset(source, self.trainer.net)
        return source, None

    def _one(self, source, shuffle):
        """Train on every sample once."""
        trainer = self.trainer
        trainer.clear_counters()
        trainer.set_epoch(trainer.epoch)
        gc.collect()
        self.recorded = self.complete = False
        self.start = (ticks_ms(), ticks_us())
        self.shown = self.start[0]
        state = trainer.state[0]
        try:
            self._learn(source, shuffle)
        except KeyboardInterrupt:
            if trainer.seen == 0:
                trainer.state[0] = state  # as if this epoch's order had not been drawn
            raise
        self.complete = True
        trainer.set_epoch(trainer.epoch + 1)

    def _learn(self, source, shuffle):
        if self.mix:
            self.n_samples = len(self.mix)
            for label in self.mix.labels(self.trainer.state):
                self._check_stop()
                self.trainer.step(label)
            return
        if self.labels:
            self._learn_dataset(source, shuffle)
            return
        net = self.trainer.net
        squared = self.trainer.squared
        counts = [0] * net.n_classes
        for image, label in squared.samples(net, source) if squared else source:
            self._check_stop()
            self.trainer.learn(image, label)
            if not squared:
                counts[label] += 1
        if self.trainer.seen == 0:
            raise ValueError("source: gave no samples; an iterator is used up after one epoch")
        if self.verbose and not self.history and not squared:  # before it has come no one knows
            from .survey import say_counts

            say_counts(net, counts)

    def _learn_dataset(self, dataset, shuffle):
        trainer = self.trainer
        n = self.n_samples = len(dataset)
        record = trainer.net.record
        labels = self.labels
        order = identity_order(n) if shuffle else None
        if shuffle:
            trainer.net.kernels.shuffle((order, trainer.state))
        for i in range(n):
            self._check_stop()
            trainer.step(labels[dataset.read(order[i] if shuffle else i, record)])

    def _check_stop(self):
        if self.stop is not None and self.stop():
            raise KeyboardInterrupt
        if self.verbose and ticks_diff(ticks_ms(), self.shown) >= _SHOW_MS:
            self.shown = ticks_ms()
            show_sample(self.trainer, self.n_samples)

    def _record(self):
        """Append the dictionary of the epoch at hand, whole or broken off."""
        record = self._figures(elapsed_us(*self.start))
        self.history.append(record)
        if len(self.history) > _HISTORY:
            self.history.pop(0)
        self.recorded = True
        return record

    def _figures(self, elapsed_us):
        trainer = self.trainer
        n = max(1, trainer.seen)
        params = sum([layer.n_params for layer in trainer.layers])
        pruned = sum([layer.n_pruned() for layer in trainer.layers])
        record = {
            "epoch": trainer.epoch + (0 if self.complete else 1), "complete": self.complete,
            "samples": trainer.seen,
            "skipped": trainer.skipped, "saturated": trainer.saturated,
            "skipped_permille": permille(trainer.skipped, n),
            "saturated_permille": permille(trainer.saturated, n * trainer.net.n_classes),
            "pruned_permille": permille(pruned, max(1, params)),
            "pruned_by_layer": [permille(layer.n_pruned(), layer.n_params)
                                for layer in trainer.layers],
            "us_per_sample": elapsed_us // n, "cores": cores.at_work,
            "heap_bytes": gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0,
        }
        if trainer.squared:
            record["train_error"] = trainer.squared.train_error(trainer)
        else:
            record["correct"] = trainer.correct
            record["train_permille"] = permille(trainer.correct, n)
        return record

    def _report(self, record):
        if self.checkpoint:
            self.trainer.save(self.checkpoint)
        if self.verbose:
            if self.shown != self.start[0]:
                clear_line()
            print(epoch_text(record))
        if self.progress:
            self.progress(record)
