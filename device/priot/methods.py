"""What each training method trains, how it rounds, where it starts: the table, and its rows.

The host reads the table as data, as that of fields.py. The defaults were fixed by measurement;
METHODS.md says when to choose which.
"""

# RULE: what training changes
FROZEN = 0
PRUNE = 1
GAIN = 2
# from here on in place, in the network's own block
WEIGHTS = 3
WIDE = 4  # weights of 16 bits, of which the score byte is the lower one
ONLY_BIAS = 5  # of no layer's weights: its descriptor says FROZEN

# of a layer, after pooling: of so many, dW * w is at most 1048 * 127 * 127 * 127, below 2^31. In
# layers with more, scores are updated by RHU(dW, k) * w, k = ceil(log2(positions / 1048))
MAX_POSITIONS = 1048

# ROUNDING of updates: half up, pseudo-stochastic
RHU = 0
PSR = 1

# number: in adapter files. step: u, the update shift is (bits of the largest gradient) - u, that
# of a bias in units of the layer's output; for a dynamic method mu, the bits of an update;
# conv_step: that of conv2d layers. useful: least and largest step that was seen to train.
# threshold: offset byte, 64 is a score of -64. dynamic: every shift from the largest value of the
# tensor at hand. last: trains only so many layers, 0: all. fraction: percent of the edges that get
# a score. rounding: None is BY_BIASES
COLUMNS = ("name", "number", "rule", "rounding", "step", "conv_step", "useful", "threshold",
           "dynamic", "last", "fraction")
METHODS = (
    ("priot", 1, PRUNE, None, 9, 8, (6, 10), 64, False, 0, None),
    ("priot-s", 2, PRUNE, None, 8, 8, (6, 10), 128, False, 0, 10),
    ("gain", 3, GAIN, PSR, 7, 7, (6, 8), 64, False, 0, None),
    ("weights", 4, WEIGHTS, PSR, 4, 4, (0, 5), 64, False, 0, None),
    ("niti", 5, WEIGHTS, PSR, 2, 2, (1, 4), 64, True, 0, None),
    ("head", 6, WEIGHTS, PSR, 3, 3, (0, 5), 64, False, 1, None),
    ("bias", 7, ONLY_BIAS, PSR, 9, 9, (7, 10), 64, False, 0, None),
    ("weights16", 8, WIDE, PSR, 4, 4, (0, 5), 64, False, 0, None),
)

# rounding, and whether scores start normal, otherwise at 0: on a network without biases, and on
# one with them. Those are compact as a rule: random scores prune 2 % at once, which they feel
BY_BIASES = ((RHU, True), (PSR, False))

# of a network: with fewer, prune reached less than gain, and with depthwise layers very little
FEW_WEIGHTS = 10000
# with so many layers that have weights, what is to be learned was less than 8 bits can tell
DEEP = 10

# which edges get a score; how effective weights are held
SELECTS = ("largest", "random", "layers")
ROUNDINGS = (None, "rhu", "psr")
LAYOUTS = ("auto", "kept", "small")

# keywords of a Trainer: name, default, least and largest value, or the words that it takes.
# None: the method's own; the largest `last` is the number of layers
OPTIONS = (
    ("seed", 1, 0, 0xFFFFFFFF),
    ("step", None, -20, 30),
    ("threshold", None, -127, 127),
    ("keep", None, 1, 96),
    ("fraction", None, 1, 100),
    ("select", "largest", SELECTS, None),
    ("last", None, 1, None),
    ("gmin", 2, 0, 127),
    ("halve", 8, 0, 65535),
    ("rounding", None, ROUNDINGS, None),
    ("layout", "auto", LAYOUTS, None),
)


class Method:
    """One row of the table, its columns as attributes, on a network with or without biases.

    normal: its scores start normal.
    """

    def __init__(self, row, has_biases):
        for column, value in zip(COLUMNS, row):
            setattr(self, column, value)
        self.normal = False
        if self.rounding is None:
            self.rounding, self.normal = BY_BIASES[has_biases]


def find(name, has_biases=False):
    """The Method of that name, or of that number in an adapter file. ValueError if none."""
    for row in METHODS:
        if name == row[0] or name == row[1]:
            return Method(row, has_biases)
    raise ValueError("method: %s is none of %s" % (
        name, ", ".join(sorted([row[0] for row in METHODS]))))
