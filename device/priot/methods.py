"""What each training method trains, how it rounds, and where it starts.

The table is that of device/DESIGN.md and its defaults were fixed by measurement; METHODS.md says
when to choose which.
"""

from . import fields as F


class Method:
    """One row of the table. Steps are u: the update shift is (bits of the largest) - u."""

    def __init__(self, name, number, rule, rounding, step, conv_step, useful, threshold=64,
                 normal=False, dynamic=False, last=None, fraction=None):
        self.name = name
        self.number = number  # in adapter files
        self.rule = rule
        self.rounding = rounding
        self.step = step  # in linear layers; for a dynamic method mu, the bits of an update
        self.conv_step = conv_step
        self.useful = useful  # least and largest step that was seen to train
        self.threshold = threshold  # offset byte: 64 is a score of -64
        self.normal = normal  # scores start normal, otherwise at 0
        self.dynamic = dynamic  # every shift from the largest value of the tensor at hand
        self.last = last  # trains only so many layers
        self.fraction = fraction  # percent of the edges that get a score, None for all

    def __repr__(self):
        return "<Method %s>" % self.name


METHODS = {m.name: m for m in (
    Method("priot", 1, F.PRUNE, F.RHU, 9, 8, (6, 10), normal=True),
    Method("priot-s", 2, F.PRUNE, F.RHU, 8, 8, (6, 10), threshold=128, normal=True, fraction=10),
    Method("gain", 3, F.GAIN, F.PSR, 7, 7, (6, 8)),
    Method("weights", 4, F.WEIGHTS, F.PSR, 4, 4, (0, 5)),
    Method("niti", 5, F.WEIGHTS, F.PSR, 2, 2, (1, 4), dynamic=True),
    Method("head", 6, F.WEIGHTS, F.PSR, 3, 3, (0, 5), last=1),
)}


def find(name):
    """The Method of that name, or of that number in an adapter file. ValueError if none."""
    for method in METHODS.values():
        if name == method.name or name == method.number:
            return method
    raise ValueError("method: %s is none of %s" % (name, ", ".join(sorted(METHODS))))


def check_options(method, n_layers, step, threshold, keep, fraction, select, last, gmin, halve,
                  rounding, layout):
    """Refuse what cannot train, with the reason; returns a list of warnings."""
    _check_prune(method, threshold, keep)
    if fraction is not None and (method.dynamic or method.last):
        raise ValueError("fraction: %s trains whole layers" % method.name)
    _check_range("fraction", fraction, 1, 100)
    _check_word("select", select, ("largest", "random", "layers"))
    if select != "largest" and fraction is None and method.fraction is None:
        raise ValueError("select: %s needs a fraction" % select)
    _check_range("last", last, 1, n_layers)
    if last is not None and method.last not in (None, last):
        raise ValueError("last: %s trains the last layer" % method.name)
    _check_range("step", step, -20, 30)
    _check_range("gmin", gmin, 0, 127)
    _check_range("halve", halve, 0, 65535)
    _check_word("rounding", rounding, (None, "rhu", "psr"))
    _check_word("layout", layout, ("auto", "kept", "small"))
    return _warnings(method, step, rounding)


def _check_prune(method, threshold, keep):
    """The threshold, fixed or found by top-k."""
    for name, value in (("threshold", threshold), ("keep", keep)):
        if value is not None and method.rule != F.PRUNE:
            raise ValueError("%s: %s prunes nothing" % (name, method.name))
    if threshold is not None and keep is not None:
        raise ValueError("threshold: top-k finds its own, give keep or threshold")
    _check_range("threshold", threshold, -127, 127)  # no score is below -128
    if keep is not None and keep >= 97:
        raise ValueError("keep: %s %%, expected 1..96: at 97 %% the scores that must fall "
                         "below the k-th are clamped at 127 and nothing trains" % keep)
    _check_range("keep", keep, 1, 96)


def _check_range(name, value, low, high):
    if value is not None and not (isinstance(value, int) and low <= value <= high):
        raise ValueError("%s: %s, expected %d..%d" % (name, value, low, high))


def _check_word(name, value, words):
    if value not in words:
        raise ValueError("%s: %s is none of %s" % (
            name, value, ", ".join([word for word in words if word])))


def _warnings(method, step, rounding):
    warnings = []
    low, high = method.useful
    if step is not None and not low <= step <= high:
        warnings.append("step %d is outside the useful range %d..%d of %s" % (
            step, low, high, method.name))
    if rounding == "rhu" and method.rounding == F.PSR:
        warnings.append("rounding rhu: %s may look healthy for ten epochs and then collapse; "
                        "psr does not" % method.name)
    return warnings
