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


def check_options(method, keep, fraction, select, last, step, n_layers):
    """Refuse what cannot train, with the reason; returns a list of warnings."""
    if keep is not None:
        if method.rule != F.PRUNE:
            raise ValueError("keep: %s prunes nothing" % method.name)
        if not 1 <= keep < 97:
            raise ValueError("keep: %d %%, expected 1..96: at 97 %% the scores that must fall "
                             "below the k-th are clamped at 127 and nothing trains" % keep)
    if fraction is not None:
        if method.dynamic or method.last:
            raise ValueError("fraction: %s trains whole layers" % method.name)
        if not 1 <= fraction <= 100:
            raise ValueError("fraction: %d %%, expected 1..100" % fraction)
    if select not in ("largest", "random", "layers"):
        raise ValueError("select: %s is none of largest, random, layers" % select)
    if last is not None and not 1 <= last <= n_layers:
        raise ValueError("last: %d, the network has %d layers with weights" % (last, n_layers))
    if step is not None and not -20 <= step <= 30:
        raise ValueError("step: %d, expected -20..30" % step)
    low, high = method.useful
    if step is not None and not low <= step <= high:
        return ["step %d is outside the useful range %d..%d of %s" % (
            step, low, high, method.name)]
    return []
