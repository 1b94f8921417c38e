"""The training step: forward, loss gradient, backward, update; in integers, without allocating."""

from array import array

from . import adapter, fields as F
from .arena import set_up
from .epochs import Epochs
from .evaluation import Evaluation, permille, percent_text
from .methods import check_options, find
from .selection import select_layers


class Trainer:
    """Adapts a Network by one method. `fit` trains, `evaluate` tests, `save` keeps.

    net: a Network. method: "priot", "priot-s", "gain", "weights", "niti" or "head".
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

    def __init__(self, net, method="priot", seed=1, step=None, threshold=None, keep=None,
                 fraction=None, select="largest", last=None, gmin=2, halve=8, rounding=None,
                 layout="auto"):
        if not 0 <= seed <= 0xFFFFFFFF:
            raise ValueError("seed: %d, expected 0..4294967295" % seed)
        self.net = net
        self.method = method = find(method)
        stages = net.weight_stages()
        self.warnings = check_options(method, len(stages), step, threshold, keep, fraction, select,
                                      last, gmin, halve, rounding, layout)
        for text in self.warnings:
            print("warning:", text)
        self.seed = seed
        self.state = array("I", [seed])
        self.step_size = method.step if step is None else step
        self.conv_step = method.conv_step + self.step_size - method.step
        self.threshold = method.threshold if threshold is None else threshold + 128
        self.rounding = method.rounding if rounding is None else (F.RHU, F.PSR)[rounding == "psr"]
        self.keep = keep or 0
        self.gmin = gmin
        self.halve = halve
        self.epoch = 0
        self.clear_counters()
        is_second = net.trainer is not None
        last = last or method.last or len(stages)
        self.first = stages[len(stages) - last]
        net.reset()
        net.modified = method.rule == F.WEIGHTS
        self.layers = select_layers(net, stages[len(stages) - last:], method.rule,
                                    fraction or method.fraction, select)
        for layer in self.layers:
            layer.keep = self.keep
            layer.describe(self.rounding, self.threshold)
        set_up(self, layout)
        if is_second and layout == "auto" and self.layout == "small":
            print("warning: layout small, which is slower; del the trainer before this one first")

    # ---- steps -------------------------------------------------------------------------------

    def set_epoch(self, epoch):
        """Set the epoch and with it the step size of every layer."""
        self.epoch = epoch
        halvings = epoch // self.halve if self.halve else 0
        for layer in self.layers:
            stage = layer.stage
            u = self.conv_step if stage.kind == F.CONV2D else self.step_size
            bits = stage.bits_weights if layer.rule == F.WEIGHTS else stage.bits_scores
            layer.update_bits = self.step_size - halvings
            if not self.method.dynamic:
                stage.d[F.UPDATE_SHIFT] = max(0, min(30, bits - u + halvings))

    # ---- one sample --------------------------------------------------------------------------

    def learn(self, image, label):
        """One training step from a buffer of pixels 0..127; True if it was predicted right."""
        if not 0 <= label < self.net.n_classes:
            raise ValueError("label: %d, expected 0..%d" % (label, self.net.n_classes - 1))
        self.net.put(image)
        return self.step(label)

    def step(self, label):
        """One training step on the image in net.x; True if it was predicted right."""
        net = self.net
        if net.trainer is not self:
            self.check_owner()
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
        self._backward()
        return right

    def _backward(self):
        """Count the sample and run the backward calls; Ctrl-C waits until it is learned whole.

        MicroPython raises it at jumps only, so a kernel that returned is never run again, and the
        calls that are loops in Python may be.
        """
        calls = self.backward_calls
        n = len(calls)
        i = -1
        interrupted = False
        while i < n:
            try:
                if i < 0:
                    self.seen += 1
                    i = 0
                while i < n:
                    kernel, operands = calls[i]
                    kernel(operands)
                    i += 1
            except KeyboardInterrupt:
                interrupted = True
        if interrupted:
            raise KeyboardInterrupt

    # ---- epochs ------------------------------------------------------------------------------

    def fit(self, source, epochs=1, validate=None, checkpoint=None, shuffle=True, progress=None,
            verbose=True, stop=None):
        """Train. Returns a list with a dictionary for each of the last 32 epochs.

        source: path of a dataset file, a Dataset, or an iterable of (buffer, label) pairs.
        validate: dataset to test on after every epoch. checkpoint: file to save to after every
        epoch and at Ctrl-C. progress: called with each epoch's dictionary. verbose: print it.
        stop: asked before every sample; training ends as by Ctrl-C where it returns True.
        """
        return Epochs(self, checkpoint, progress, verbose, stop).run(
            source, epochs, validate, shuffle)

    def clear_counters(self):
        """Start counting samples, hits, skipped backward passes and saturated logits anew."""
        self.seen = self.correct = self.skipped = self.saturated = 0

    def evaluate(self, source):
        """Classify every sample of a dataset (path, Dataset or iterable); an Evaluation."""
        self.check_owner()
        return Evaluation.of(self.net, source)

    # ---- keeping -----------------------------------------------------------------------------

    def save(self, path):
        """Write everything learned, and where training stands, to an adapter file, atomically.

        Scores are the trainer's own: they are saved even when the network is in other hands.
        """
        if self.method.rule == F.WEIGHTS or self.keep:
            self.check_owner()
        adapter.save(self, path)

    def load(self, path):
        """Take back what `save` wrote: same predictions, and training goes on as if never stopped.

        Seed, epoch, step, threshold, gmin and halve are the file's. ValueError if it belongs to
        another backbone, method, selection, keep or rounding: then nothing has changed. After any
        other failure the network is reset.
        """
        self.check_owner()
        adapter.load(self, path)

    def export_mask(self, path):
        """Write which edges are kept, one bit per edge."""
        self.check_owner()
        adapter.export_mask(self, path)

    def check_owner(self):
        """ValueError where the network no longer computes with what this trainer learns."""
        if self.net.trainer is not self:
            raise ValueError("trainer: the network was reset, or has another one; make a new one")

    @property
    def ram_bytes(self):
        """Bytes that training takes beside the loaded network: its arena and scratch."""
        scratch = self.net.scratch
        return len(self.arena) + len(scratch) * (4 if self.net.backend == "plain" else 1)

    def __repr__(self):
        lines = ["<Trainer %s, seed %d, step %d, epoch %d, %d bytes (%s), %s backend" % (
            self.method.name, self.seed, self.step_size, self.epoch, self.ram_bytes, self.layout,
            self.net.backend)]
        for layer in self.layers:
            text = "  layer %d: %d of %d edges trained" % (
                layer.stage.index, layer.n_params, layer.n_edges)
            if layer.rule == F.PRUNE:
                text += ", %s pruned" % percent_text(permille(layer.n_pruned(), layer.n_params))
                text += (", top %d %%" % layer.keep) if layer.keep else (
                    ", threshold %d" % (layer.stage.d[F.THRESHOLD] - 128))
            text += "  [%s]" % self.net.kernels.plan_name(layer.stage.plan)
            lines.append(text)
        return "\n".join(lines) + ">"
