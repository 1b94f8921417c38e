"""Every integer kernel in viper, for any layer: the meaning of each, where nothing is faster.

Here are those of no layer; viper_layers.py, viper_pool.py and viper_update.py have the others,
viper_bias.py one that few want.

Viper checks neither bounds nor types: only the layers call this. ptr8 and ptr32 read unsigned, so
an int8 is (v ^ 128) - 128 and an int32 is (v ^ sign) - sign with sign = 2^31, which holds both
where a viper int has 32 bits (the Pico) and where it has 64 (the unix port). Such constants are
built by shifts at run time: as literals they are objects, not viper ints. Fields are numbers by
the time this is compiled (packaging): viper takes no names of other modules. A loop over rows may
call a function, which takes microseconds on a Pico; one over positions or edges does all itself.
"""

import micropython

from . import fields as F
from . import viper_layers, viper_pool, viper_update
from .exp_table import EXP_TABLE
from .kinds import CONV2D, LINEAR
from .viper_update import effective_weights  # noqa: F401  of no layer either


def __getattr__(name):
    """The kernels of layers, by their names in kinds.py."""
    for module in (viper_layers, viper_pool, viper_update):
        if hasattr(module, name):
            return getattr(module, name)
    if name == "bias_update":
        from .viper_bias import bias_update

        return bias_update
    raise AttributeError(name)


@micropython.viper
def cross_entropy(operands, label: int) -> int:
    """127 * (softmax(z) - onehot(label)); returns the largest absolute value."""
    g = ptr8(operands[0])
    z = ptr8(operands[1])
    scratch = ptr32(operands[2])
    d = ptr32(operands[3])
    table = ptr8(EXP_TABLE)
    sign = 1
    sign <<= 31
    n = int(d[F.N_CLASSES])
    t = (int(d[F.LOSS_SHIFT]) ^ sign) - sign
    top = -128
    for i in range(n):
        v = (int(z[i]) ^ 128) - 128
        if v > top:
            top = v
    total = 0
    for i in range(n):
        delta = top - ((int(z[i]) ^ 128) - 128)
        if t >= 0:
            delta <<= t
        else:
            delta >>= 0 - t
        if delta > 255:
            delta = 255
        e = int(table[2 * delta]) | (int(table[2 * delta + 1]) << 8)
        scratch[i] = e
        total += e
    largest = 0
    for i in range(n):
        v = (127 * int(scratch[i]) + (total >> 1)) // total
        if i == label:
            v -= 127
        g[i] = v
        if v < 0:
            v = 0 - v
        if v > largest:
            largest = v
    return largest


@micropython.viper
def classify(operands) -> int:
    """Index of the largest logit, the first of equals, + 256 * those at +-127."""
    z = ptr8(operands[0])
    top = -129
    winner = 0
    saturated = 0
    for i in range(int(len(operands[0]))):
        v = (int(z[i]) ^ 128) - 128
        if v > top:
            top = v
            winner = i
        if v == 127 or v == -127:
            saturated += 1
    return winner | saturated << 8


@micropython.viper
def kth_largest(operands, k: int) -> int:
    """The k-th largest score byte."""
    scores = ptr8(operands[0])
    scratch = ptr32(operands[1])
    for i in range(256):
        scratch[i] = 0
    for i in range(int(len(operands[0]))):
        v = int(scores[i])
        scratch[v] = int(scratch[v]) + 1
    left = k
    value = 255
    while value > 0:
        left -= int(scratch[value])
        if left <= 0:
            break
        value -= 1
    return value


@micropython.viper
def count_below(operands, threshold: int) -> int:
    """How many score bytes are below a threshold."""
    scores = ptr8(operands[0])
    n = 0
    for i in range(int(len(operands[0]))):
        if int(scores[i]) < threshold:
            n += 1
    return n


@micropython.viper
def init_scores(operands) -> int:
    """Scores of mean 0 and standard deviation 32, one draw each; the state moves on."""
    scores = ptr8(operands[0])
    state = ptr32(operands[1])
    mask = 0xFFFF
    mask = mask << 16 | mask
    x = int(state[0])
    if x == 0:
        x = 1
    for i in range(int(len(operands[0]))):
        x = (x ^ (x << 13)) & mask
        x ^= (x >> 17) & ((1 << 15) - 1)
        x = (x ^ (x << 5)) & mask
        b = (x & 255) + ((x >> 8) & 255) + ((x >> 16) & 255) + ((x >> 24) & 255)
        scores[i] = (((b - 510) * 111 + 256) >> 9) + 128
    state[0] = x
    return 0


@micropython.viper
def shuffle(operands) -> int:
    """Fisher-Yates on uint16 indices, 15 bits of a draw each; the state moves on."""
    order = ptr16(operands[0])
    state = ptr32(operands[1])
    mask = 0xFFFF
    mask = mask << 16 | mask
    x = int(state[0])
    if x == 0:
        x = 1
    i = int(len(operands[0])) - 1
    while i > 0:
        x = (x ^ (x << 13)) & mask
        x ^= (x >> 17) & ((1 << 15) - 1)
        x = (x ^ (x << 5)) & mask
        j = (((x >> 17) & ((1 << 15) - 1)) * (i + 1)) >> 15
        v = int(order[i])
        order[i] = order[j]
        order[j] = v
        i -= 1
    state[0] = x
    return 0


def scratch_words(kind, training, d):
    """int32 words of scratch that a layer of this kind needs.

    training: 0 forward only, 1 everything, but no update where RULE is FROZEN, 2 everything but
    the gradient of its input.
    """
    if not training:
        return 0
    if kind == CONV2D:
        n_row = d[F.N_ROW] if training == 2 or d[F.RULE] else 0
        return n_row if training == 2 else max(d[F.H_IN] * d[F.W_IN], n_row)
    return d[F.N_IN] if kind == LINEAR else 0


def plan(kind, d):
    """There is one implementation of everything here: number 0."""
    return 0


def plan_name(number):
    """What `plan` chose, in words."""
    return "viper"
