"""The options of a Trainer: what cannot train is refused, what can is planned."""

from . import fields as F
from . import methods as M


class Options:
    """Keywords of a Trainer, by the table in methods.py; those not given have their defaults.

    ValueError says what cannot train, and why; `warnings` lists what is doubtful.
    """

    def __init__(self, method, n_layers, given):
        self.method = method
        known = [row[0] for row in M.OPTIONS]
        for name in given:
            if name not in known:
                raise TypeError("unexpected keyword argument '%s'" % name)
        for row in M.OPTIONS:
            setattr(self, row[0], given.get(row[0], row[1]))
        self._check_prune()
        self._check_selection()
        if self.last is not None and method.last and self.last != method.last:
            raise ValueError("last: %s trains the last layer" % method.name)
        for name, default, low, high in M.OPTIONS:
            value = getattr(self, name)
            if isinstance(low, tuple):
                _check_word(name, value, low)
            elif value is not None or default is not None:
                _check_range(name, value, low, n_layers if name == "last" else high)
        self.warnings = self._warnings()

    def warn_of_loss(self, net):
        """Say what is in force on the network, and will not be once there is a new Trainer."""
        before = net.trainer
        text = ""
        if net.adapter:
            text = "%s is no longer in force (load() takes up what save() wrote)" % net.adapter
        elif before is not None and before.has_learned:
            text = "what the trainer before has learned is " + (
                "no longer in force (load() takes up what save() wrote)" if before.is_saved else
                "lost, it was not saved" if before.is_in_network else
                "no longer in force, its save() still keeps it")
        if text:
            self.warnings.append("training starts from the backbone: " + text)

    def warn_of_network(self, net):
        """Say where a method is known to do badly on such a network."""
        rule = self.method.rule
        if (rule == M.PRUNE and net.n_weights < M.FEW_WEIGHTS
                and any([is_depthwise(stage) for stage in net.stages])):
            self.warnings.append("%s does badly on small networks with depthwise layers, which "
                                 "have few edges to prune; gain does well" % self.method.name)
        deep = (self.last or self.method.last or len(net.weight_stages())) >= M.DEEP
        if (rule == M.ONLY_BIAS and net.has_biases()
                and (not net.signed or (deep and min(net.shape[1:]) > 1))):
            self.warnings.append("bias learns offsets and gains of sensors, and little of "
                                 "pictures; %s does" % ("weights16" if deep else "gain"))
        if rule == M.WEIGHTS and deep and any([stage.second != -2 for stage in net.stages]):
            self.warnings.append("%s does badly on deep networks with branches, where 8 bits are "
                                 "too coarse for what a step changes; weights16 does well, or "
                                 "weights with last" % self.method.name)

    def plan(self, net, free):
        """What a Trainer will train, and the memory for it: (layers, Layout); nothing is taken.

        free: a function that tells the bytes of heap beside the network's weights. The network is
        its backbone. ValueError where nothing is selected, or a layer cannot be trained so.
        """
        from .layout import choose  # here: into the place of the block that was given back
        from .selection import select_layers

        method = self.method
        stages = net.weight_stages()
        last = self.last or method.last or len(stages)
        stages = [stage for stage in stages[len(stages) - last:] if _is_trained(stage, method)]
        if not stages:
            raise ValueError("method: bias trains biases, which this network has none of"
                             if method.rule == M.ONLY_BIAS and not net.has_biases() else
                             "last: %s has nothing to train in the last %d layers"
                             % (method.name, last))
        for stage in stages:
            if stage.flash and M.WEIGHTS <= method.rule != M.ONLY_BIAS:
                raise ValueError("method: %s trains the weights of layer %d in place, which stay "
                                 "in flash; last, or load(path, flash=False)"
                                 % (method.name, stage.index))
        layers = select_layers(net, stages, method.rule, self.fraction or method.fraction,
                               self.select)
        for layer in layers:
            layer.keep = self.keep or 0
            layer.describe(self.rounding_number(), self.threshold_byte())
        if method.rule == M.ONLY_BIAS:
            net.portable()
        if method.dynamic:
            if net.loss_kind:
                raise ValueError("method: %s gives every sample's outputs a scale of their own, "
                                 "by which no errors can be compared" % method.name)
            for i, stage in enumerate(net.stages):
                if stage.input != i - 1 or stage.second != -2:
                    raise ValueError("method: %s trains networks without branches only"
                                     % method.name)
            net.portable()  # before the blocks take the large piece of heap that it needs
        return layers, choose(self.layout, net, layers, net.stages.index(stages[0]),
                              method.dynamic, free())

    def threshold_byte(self):
        """The threshold as an offset byte."""
        return self.method.threshold if self.threshold is None else self.threshold + 128

    def rounding_number(self):
        """Rounding of updates: M.RHU or M.PSR."""
        return self.method.rounding if self.rounding is None else (M.RHU, M.PSR)[
            self.rounding == "psr"]

    def _check_prune(self):
        """The threshold, fixed or found by top-k."""
        for name in ("threshold", "keep"):
            if getattr(self, name) is not None and self.method.rule != M.PRUNE:
                raise ValueError("%s: %s prunes nothing" % (name, self.method.name))
        if self.threshold is not None and self.keep is not None:
            raise ValueError("threshold: top-k finds its own, give keep or threshold")
        if self.keep is not None and self.keep >= 97:
            raise ValueError("keep: %s %%, expected 1..96: at 97 %% the scores that must fall "
                             "below the k-th are clamped at 127 and nothing trains" % self.keep)

    def _check_selection(self):
        method = self.method
        if self.rounding == "rhu" and method.rule == M.ONLY_BIAS:
            raise ValueError("rounding: bias has psr only")
        if self.fraction is not None and (method.dynamic or method.last
                                          or method.rule == M.ONLY_BIAS):
            raise ValueError("fraction: %s trains whole layers" % method.name)
        if self.select in M.SELECTS[1:] and self.fraction is None and method.fraction is None:
            raise ValueError("select: %s needs a fraction" % self.select)

    def _warnings(self):
        warnings = []
        low, high = self.method.useful
        if self.step is not None and not low <= self.step <= high:
            warnings.append("step %d is outside the useful range %d..%d of %s" % (
                self.step, low, high, self.method.name))
        if self.rounding == "rhu" and self.method.rule != M.PRUNE:
            warnings.append("rounding rhu: %s may look healthy for ten epochs and then collapse; "
                            "psr does not" % self.method.name)
        return warnings


def _is_trained(stage, method):
    """Whether a method changes a layer: depthwise ones have too few edges to prune."""
    if method.rule == M.ONLY_BIAS:
        return stage.bits_bias > 0
    return method.rule != M.PRUNE or not is_depthwise(stage)


def is_depthwise(stage):
    """Whether a filter sees one channel of several."""
    return stage.d[F.GROUPS] > 1 and stage.d[F.GROUP_IN] == 1


def _check_range(name, value, low, high):
    if not (isinstance(value, int) and low <= value <= high):
        raise ValueError("%s: %s, expected %d..%d" % (name, value, low, high))


def _check_word(name, value, words):
    if value not in words:
        raise ValueError("%s: %s is none of %s" % (
            name, value, ", ".join([word for word in words if word])))
