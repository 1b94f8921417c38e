"""Which edges of a layer get a score: all, the largest weights, or some at random."""

from . import fields as F
from . import methods as M
from .layer_state import LayerState


def select_layers(net, stages, rule, fraction, select):
    """A LayerState for every stage, with its selection decided and counted.

    fraction: percent of a layer's edges, None for all. select: "largest", "random", or "layers"
    (all edges of every layer but the largest one). ValueError where nothing is selected.
    """
    sizes = [stage.n_edges() for stage in stages]
    layers = []
    for stage, n in zip(stages, sizes):
        if fraction in (None, 100) or (select == "layers" and n < max(sizes)):
            layers.append(LayerState(net, stage, rule))
            continue
        wanted = max(1, n * fraction // 100)
        if select == "random" and stage.flash:
            raise ValueError("select: random edges of layer %d, whose weights stay in flash; "
                             "largest, or load(path, flash=False)" % stage.index)
        if select == "random":
            layers.append(LayerState(net, stage, rule, F.BITMAP, 0, wanted))
            continue
        tau, found = largest_tau(net.kernels, stage.parts(), wanted)
        if found == 0:
            raise ValueError("fraction: %d %% selects no weight of layer %d, too many are "
                             "equally large" % (fraction, stage.index))
        # weights move, so "largest" must be remembered edge by edge where they are trained
        kind = F.BITMAP if rule >= M.WEIGHTS else F.LARGEST
        layers.append(LayerState(net, stage, rule, kind, tau, found))
    return layers


def fill_selection(layers, state):
    """Write bitmaps and row starts, once the layers have their buffers.

    `state` is the generator's array('I'): random bitmaps draw from it, layer by layer.
    """
    for layer in layers:
        if layer.selection == F.BITMAP:
            if layer.tau:
                set_largest_bits(layer.bitmap(), layer.stage.w, layer.tau)
            else:
                set_random_bits(layer.bitmap(), layer.n_edges, layer.n_params, state)
        count_rows(layer)


def largest_tau(kernels, parts, n):
    """The least tau with at most n weights of abs(weight) >= tau; returns (tau, how many).

    127, where even more than n weights reach that. parts: buffers that hold the weights.
    """
    low, high = 1, 127
    while low < high:
        middle = (low + high) >> 1
        if count_largest(kernels, parts, middle) <= n:
            high = middle
        else:
            low = middle + 1
    return low, count_largest(kernels, parts, low)


def set_random_bits(bits, n_edges, n, state):
    """Set exactly n of n_edges bits, each edge equally likely (Knuth's algorithm S).

    One xorshift32 draw an edge until n are set; `state` is the generator's array('I').
    """
    x = state[0] or 1
    left = n
    for edge in range(n_edges):
        if left == 0:
            break
        x = (x ^ (x << 13)) & 0xFFFFFFFF
        x ^= x >> 17
        x = (x ^ (x << 5)) & 0xFFFFFFFF
        if (x >> 17) * (n_edges - edge) < left << 15:
            bits[edge >> 3] |= 1 << (edge & 7)
            left -= 1
    state[0] = x


def set_largest_bits(bits, w, tau):
    """Set the bit of every weight with abs(weight) >= tau."""
    for edge in range(len(w)):
        if w[edge] - 128 >= tau or 128 - w[edge] >= tau:
            bits[edge >> 3] |= 1 << (edge & 7)


def count_rows(layer):
    """Fill a layer's table of row starts; the bitmap, if there is one, is already set."""
    if layer.selection == F.ALL:
        return
    stage, n_row = layer.stage, layer.stage.d[F.N_ROW]
    total = 0
    for row in range(stage.d[F.N_OUT]):
        for i in range(4):
            layer.select[4 * row + i] = (total >> (8 * i)) & 255
        first, end = row * n_row, (row + 1) * n_row
        if layer.selection == F.LARGEST:
            w = stage.flash.copy(first, end) if stage.flash else stage.w[first:end]
            total += count_largest(layer.net.kernels, (w,), layer.tau)
        else:
            total += _count_bits(layer.bitmap(), first, end)
    if total != layer.n_params:
        raise ValueError("layer %d: %d edges selected, expected %d" % (
            stage.index, total, layer.n_params))


def _count_bits(bitmap, first, end):
    n = 0
    for edge in range(first, end):
        n += (bitmap[edge >> 3] >> (edge & 7)) & 1
    return n


def count_largest(kernels, parts, tau):
    """Number of offset weight bytes in some buffers with abs(weight) >= tau."""
    n = 0
    for w in parts:
        n += (len(w) - kernels.count_below((w,), 128 + tau)
              + kernels.count_below((w,), 129 - tau))
    return n
