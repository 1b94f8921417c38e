"""The training step: forward, loss gradient, backward, update; in integers, without allocating."""

from array import array

from . import adapter
from . import fields as F
from . import methods as M
from .calls import run_whole
from .cores import BothCores
from .epochs import Epochs
from .heap import PLANNING, unload
from .kinds import CONV2D
from .memory import free_bytes, hold, let_go

_PREPARATION = ("options", "selection") + PLANNING  # modules
_PREPARATION_BYTES = 12288  # of heap that they take, at least, and give back


class Trainer:
    """Adapts a Network by one method. `fit` trains, `evaluate` tests, `save` keeps.

    net: a Network. method: "priot", "priot-s", "gain", "weights", "weights16", "niti", "head" or,
    where the network has biases, "bias". Keywords:
    seed: of scores, selection and the order of samples, 0..2^32-1 (0 is taken as 1). step: u, the
    learning rate as a power of two. threshold: score below which an edge is pruned, -127..127.
    keep: percent of a layer's scored edges that top-k keeps (edge-popup), instead of the
    threshold. fraction: percent of the edges that get a score; select: which, "largest" weights,
    "random", or "layers" (all edges of every layer but the largest one, and the largest weights
    of that). last: train only the last so many layers. gmin: skip the backward pass where no
    loss gradient reaches it. halve: epochs after which the step is halved, again and again (0:
    never). rounding: "rhu" or "psr". layout: "kept" effective weights (fast), "small", or "auto".

    ValueError explains what cannot train; MemoryError says how much was needed.
    """

    def __init__(self, net, method="priot", **keywords):
        self.net = net
        self.method = method = M.find(method, net.has_biases())
        options = self._options(keywords)
        self.warnings = options.warnings
        for text in self.warnings:
            print("warning:", text)
        self.seed = options.seed
        self.state = array("I", [options.seed])
        self._set_step(method.step if options.step is None else options.step)
        self.threshold = options.threshold_byte()
        self.rounding = options.rounding_number()
        self.keep = options.keep or 0
        self.gmin = options.gmin
        self.halve = options.halve
        self.epoch = 0
        self.names = net.names  # the net may get another class, and these scores be saved
        self.squared = net.squared()
        self.best = None  # of the last fit with keep_best or patience
        self.is_stopped = False  # whether the last fit was ended by Ctrl-C
        self.clear_counters()
        self.mark_saved()
        warns = net.trainer is not None and options.layout == "auto"
        if method.dynamic or method.rule == M.ONLY_BIAS:
            try:
                net.portable()  # which stays: not where the block was, if there is room elsewhere
            except MemoryError:
                pass
        net.to_backbone()
        self._wanted, self.layout = 0, ""  # bytes of the block to work in, once they are known
        options = None  # with its code it takes the place of a block
        try:
            if 2 * net.idle_bytes > free_bytes():
                hold(net.idle_bytes)  # what is imported must not lie in the only place for a block
            try:
                self._prepare(keywords)
            except MemoryError:
                self._forget()
                net.to_backbone()
                if self._wanted:
                    hold(self._wanted)
                    if not net.flash_bytes:  # as found before, without planning another one
                        keywords["layout"] = self.layout
                self.state[0] = self.seed  # the first attempt may have drawn from it
                self._prepare(keywords)
        except BaseException:  # too little memory, no kernels for a layer, Ctrl-C
            self._forget()  # before some of it is imported again
            net.recover()
            raise
        unload(*_PREPARATION)
        if warns and self.layout == "small":
            print("warning: layout small, which is slower; del the trainer before this one first")

    def _options(self, keywords):
        """What the keywords ask for, in order. ValueError."""
        try:
            from .options import Options

            options = Options(self.method, len(self.net.weight_stages()), keywords)
            options.warn_of_loss(self.net)
            options.warn_of_network(self.net)
        except BaseException:
            unload("options")
            raise
        return options

    def _prepare(self, keywords):
        """Plan the memory, take it and fill it."""
        self.layers, layout = self._options(keywords).plan(
            self.net, lambda: free_bytes() + _PREPARATION_BYTES)
        unload("options", "selection")  # the blocks take their place
        self._wanted = layout.work.size
        self.layout = layout.name
        let_go(self._wanted)
        self._set_up(layout)

    def _forget(self):
        """What could not be prepared."""
        self.layers = ()
        let_go()
        unload(*_PREPARATION)

    def _set_up(self, layout):
        """Take memory and fill it, list the calls of the backward pass."""
        net = self.net
        calls = net.prepare(layout, self)
        self.ram_bytes = layout.bytes_beside(net)
        if any([layer.selection != F.ALL for layer in self.layers]):
            from .selection import fill_selection

            fill_selection(self.layers, self.state)
        self._init_scores()
        for layer in self.layers:
            layer.refresh()
        self.loss_operands = layout.loss_operands()
        self.backward_calls, self.call_names = layout.backward_calls()
        self.set_epoch(0)
        net.forward_calls = calls

    def _init_scores(self):
        for layer in self.layers:
            if self.method.normal:
                self.net.kernels.init_scores((layer.scores, self.state))
            else:
                for i in range(len(layer.scores)):
                    layer.scores[i] = 128

    # ---- steps -------------------------------------------------------------------------------

    def _set_step(self, step):
        self.step_size = step
        self.conv_step = self.method.conv_step + step - self.method.step

    def set_epoch(self, epoch):
        """Set the epoch and with it the step size of every layer."""
        self.epoch = epoch
        halvings = epoch // self.halve if self.halve else 0
        for layer in self.layers:
            stage = layer.stage
            u = self.conv_step if stage.kind == CONV2D else self.step_size
            layer.update_bits = self.step_size - halvings
            if not self.method.dynamic:
                layer.set_step(u, halvings)

    # ---- one sample --------------------------------------------------------------------------

    def learn(self, image, label=None):
        """One training step from a buffer of pixels 0..127; True if it was predicted right.

        With squared error: `label` is the target, n_outputs values of -127..127; where the sample
        itself is the target, none is needed. Returns the error of the sample.
        """
        if self.squared:
            return self.squared.learn(self, image, label)
        if label is None or not 0 <= label < self.net.n_classes:
            raise ValueError("label: %s, expected 0..%d" % (label, self.net.n_classes - 1))
        self.net.put(image)
        return self.step(label)

    def step(self, label):
        """One training step on the image in net.x; True if it was predicted right.

        With squared error on the sample in net.record, whose error it returns.
        """
        net = self.net
        if net.trainer is not self:
            self.check_owner()
        if self.squared:
            return self.squared.step(self)
        net.forward()
        top = net.kernels.classify(net.top)
        right = top & 255 == label
        largest = net.kernels.cross_entropy(self.loss_operands, label)
        self.correct += right
        self.saturated += top >> 8
        if largest < self.gmin:
            self.seen += 1
            self.skipped += 1
            return right
        run_whole(self.backward_calls, self)
        return right

    # ---- epochs ------------------------------------------------------------------------------

    def fit(self, source, epochs=1, validate=None, checkpoint=None, shuffle=True, progress=None,
            verbose=True, stop=None, balance=False, replay=None, share=50, keep_best=None,
            patience=0):
        """Train. Returns a list with a dictionary for each of the last 32 epochs.

        source: path of a dataset file, a Dataset, or an iterable of (buffer, label) pairs; where
        the sample itself is the target, of buffers too.
        validate: dataset to test on after every epoch. checkpoint: file to save to after every
        epoch and at Ctrl-C. progress: called with each epoch's dictionary. verbose: print it, and
        before training the samples by class and what is doubtful about them.
        stop: asked before every sample; training ends as by Ctrl-C where it returns True.
        balance: every class of the dataset equally often. replay: dataset whose samples are mixed
        in, share: how many percent of an epoch they are, 1..90 (mixing.py says in which order).
        keep_best: file to save to when the validation gets better; in the end the trainer is what
        it holds. patience: ends after so many epochs that were no better, 0: never.
        """
        with BothCores(self.net.kernels, verbose):
            return Epochs(self, checkpoint, progress, verbose, stop, keep_best, patience).run(
                source, epochs, validate, shuffle, balance, replay, share)

    def clear_counters(self):
        """Start counting samples, hits, skipped backward passes and saturated logits anew."""
        self.seen = self.correct = self.skipped = self.saturated = 0
        self.error = self.error_carries = 0  # of squared error
        self._saved = None

    def evaluate(self, source, *others):
        """Classify every sample of a dataset (path, Dataset or iterable); an Evaluation.

        Of several datasets a Comparison, which shows them side by side.
        """
        self.check_owner()
        return self.net.evaluate(source, *others)

    # ---- keeping -----------------------------------------------------------------------------

    def save(self, path):
        """Write everything learned, and where training stands, to an adapter file, atomically.

        Scores are the trainer's own: they are saved even when the network is in other hands.
        """
        if self.is_in_network:
            self.check_owner()
        adapter.save(self, path)
        self.mark_saved()

    def mark_saved(self):
        """Remember how far training is: nothing up to here can be lost."""
        self._saved = self.epoch, self.seen

    @property
    def has_learned(self):
        """Whether there is something that was trained or loaded."""
        return self.epoch or self.seen

    @property
    def is_saved(self):
        """Whether all of it is in a file."""
        return self._saved == (self.epoch, self.seen)

    @property
    def is_in_network(self):
        """Whether what was learned, or its threshold, goes when the network is taken over."""
        return self.method.rule >= M.WEIGHTS or self.keep

    def load(self, path):
        """Take back what `save` wrote: same predictions, and training goes on as if never stopped.

        A class that was added since starts as this trainer has it. Seed, epoch, step, threshold,
        gmin and halve are the file's. ValueError if it belongs to another backbone, method,
        selection, keep or rounding, or knows more classes: then nothing has changed. After any
        other failure the network is the backbone.
        """
        self.check_owner()
        try:
            from .adapter_reader import load

            load(self, path)
        finally:
            unload("adapter_reader", "names", "selection")

    def resume(self, seed, state, epoch, step, threshold, gmin, halve):
        """Stand where a saved trainer stood, whose scores or weights are there already."""
        self.seed, self.gmin, self.halve, self.threshold = seed, gmin, halve, threshold
        self.state[0] = state
        self._set_step(step)
        for layer in self.layers:
            layer.stage.d[F.THRESHOLD] = threshold
        self.set_epoch(epoch)
        self.clear_counters()
        self.mark_saved()
        for layer in self.layers:
            layer.refresh()

    def export_mask(self, path):
        """Write which edges are kept, one bit per edge."""
        self.check_owner()
        adapter.export_mask(self, path)

    def check_owner(self):
        """ValueError where the network no longer computes with what this trainer learns."""
        if self.net.trainer is not self:
            raise ValueError("trainer: the network was reset, or has another one; make a new one")

    def __repr__(self):
        try:
            from .describe import trainer

            return trainer(self)
        finally:
            unload("describe")
