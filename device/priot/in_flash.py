"""Weights that stay in flash: copied into RAM a few rows at a time, each time they are wanted.

Imported with the first network that has some. Every forward pass reads all of them, and compares
what they sum to: where the file was replaced the flash holds other bytes, and no prediction is
made of those.
"""

from array import array

from . import backend
from . import fields as F
from .calls import EMPTY


class FlashWeights:
    """Where the weights of one stage lie in the flash: pieces, in their order.

    pieces: array of pairs (offset in the flash, bytes); path: of the model file.
    """

    def __init__(self, kernels, path, flash, pieces):
        self.path = path
        self.flash = flash
        self.pieces = pieces
        self.checks = array("I", bytes(16))
        self.kernels = kernels

    def parts(self):
        """Views of the pieces."""
        pieces = self.pieces
        return [self.flash[pieces[i]:pieces[i] + pieces[i + 1]] for i in range(0, len(pieces), 2)]

    def copy(self, first, end):
        """A copy of bytes first .. end - 1 of the weights."""
        found = bytearray(end - first)
        at = 0  # where a piece begins
        for part in self.parts():
            low, high = max(first, at), min(end, at + len(part))
            if low < high:
                found[low - first:high - first] = part[low - at:high - at]
            at += len(part)
        return found

    def operands(self, weff, scores, select, d):
        """Operands of `take`: rows ROW .. ROW + ROWS - 1 to `weff`."""
        return weff, self.checks, self.flash, self.pieces, scores, select, d

    def take(self, operands):
        """Copy some rows. ValueError where they are the last, and the file was replaced."""
        if self.kernels.flash_rows(operands):
            raise ValueError("%s: the model file was replaced: load it again" % self.path)

    def remember(self, d, room):
        """Note what the weights sum to. room: a buffer for some rows, of whole words each."""
        n_row = d[F.N_ROW]
        rows = min(d[F.N_OUT], len(room) // n_row)
        whole = d[F.ROWS]
        room = memoryview(room)
        for row in range(0, d[F.N_OUT], rows):
            d[F.ROW] = row
            d[F.ROWS] = n = min(rows, d[F.N_OUT] - row)
            self.kernels.flash_rows(self.operands(room[:n * n_row], EMPTY, EMPTY, d))
        d[F.ROW], d[F.ROWS] = 0, whole
        self.checks[2], self.checks[3] = self.checks[0], self.checks[1]


    def raw(self, operands, row):
        """Copy rows of the backbone, which the forward pass of this step has read, from `row` on."""
        operands[6][F.ROW] = row
        self.kernels.flash_rows(operands)


# ---- calls: where these are lists in Python, Ctrl-C may break one off; run again, it goes on -------


def verified(operands):
    """A kernel of a layer that is trained, once the weights are known to be those of the file."""
    take, taken, kernel, kernel_operands = operands
    d = taken[6]
    row = 0
    while row < d[F.N_OUT]:
        d[F.ROW] = row
        take(taken)
        row += d[F.ROWS]
    kernel(kernel_operands)


def in_turn(operands):
    """A kernel for some channels or filters after the others: their weights come first."""
    state, take, taken, calls = operands
    while state[0] < len(calls):
        kernel, kernel_operands, first = calls[state[0]]
        take(taken, first)
        kernel(kernel_operands)
        state[0] += 1
    state[0] = 0


def update_in_turn(operands):
    """The same of an update, by a descriptor of some rows."""
    d, of_rows, turn = operands
    of_rows[F.UPDATE_SHIFT] = d[F.UPDATE_SHIFT]
    of_rows[F.THRESHOLD] = d[F.THRESHOLD]
    in_turn(turn)


def backward_call(stage, kernel, of_columns, part, layer, cursors, g, dx, scratch):
    """The call for the gradient of a convolution's input, some channels at a time.

    of_columns: descriptor of a layer of these channels; part: room for their weights; cursors: a
    word for each row.
    """
    d = stage.d
    channels, plane = of_columns[F.N_IN], d[F.H_IN] * d[F.W_IN]
    calls = []
    for c in range(0, d[F.N_IN], channels):
        low, high = c * plane, (c + channels) * plane
        calls.append((kernel, (dx[low:high], g, stage.argmax, stage.x[low:high], part, scratch,
                               of_columns), c * d[F.KERNEL_H] * d[F.KERNEL_W]))
    scores, select = (layer.scores, layer.select) if layer else (EMPTY, EMPTY)
    taken = part, cursors, stage.flash.flash, stage.flash.pieces, scores, select, d
    return in_turn, (array("H", [0]), stage.flash.kernels.flash_columns, taken, calls)


def update_call(stage, kernel, form, of_rows, part, layer, weff, g, scratch):
    """The call for the update of a layer, some rows at a time.

    of_rows: descriptor of a layer of these rows; part: room for their weights; weff: effective
    weights of the whole layer, or empty.
    """
    d = stage.d
    n_row, rows = d[F.N_ROW], of_rows[F.N_OUT]
    outputs, winners = d[F.H_OUT] * d[F.W_OUT], stage.argmax_bytes() // d[F.N_OUT]
    places = {"x": stage.x, "W": part, "2": scratch, "d": of_rows}
    calls = []
    for row in range(0, d[F.N_OUT], rows):
        end = row + rows
        places["y"] = g[row * outputs:end * outputs]
        places["a"] = stage.argmax[row * winners:end * winners]
        places["E"] = weff[row * n_row:end * n_row] if len(weff) else EMPTY
        places["S"], places["b"] = layer.scores, EMPTY
        if d[F.SELECTION] == F.ALL:
            places["S"] = layer.scores[row * n_row:end * n_row]
        else:
            places["b"] = layer.select[4 * row:4 * end]
        calls.append((kernel, tuple([places[letter] for letter in form]), row))
    return update_in_turn, (d, of_rows, (array("H", [0]), stage.flash.raw,
                                         raw_operands(stage, part, rows), calls))


def raw_operands(stage, part, rows):
    """Operands that copy so many rows of the backbone to `part`."""
    d = array("i", stage.d)
    d[F.RULE] = d[F.SELECTION] = 0
    d[F.ROWS] = rows
    return stage.flash.operands(part, EMPTY, EMPTY, d)


def kernels_for(kernels):
    """The kernels that read the flash, beside a backend's own."""
    found = backend.native_module("priot_flash") if kernels.__name__[:6] == "priot_" else None
    if found is None:
        from . import viper_flash as found
    return found
