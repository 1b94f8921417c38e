"""Weights that stay in flash: copied into RAM a few rows at a time, each time they are wanted.

Imported with the first network that has some. Every forward pass reads all of them, and compares
what they sum to: where the file was replaced the flash holds other bytes, and no prediction is
made of those.
"""

from array import array

from . import backend
from . import fields as F
from .calls import EMPTY
from .heap import unload


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
        for i in range(0, len(self.pieces), 2):
            start, n = self.pieces[i], self.pieces[i + 1]
            low, high = max(first, at), min(end, at + n)
            if low < high:
                found[low - first:high - first] = self.flash[start + low - at:start + high - at]
            at += n
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
        """Copy rows of the backbone from `row` on; the forward pass of this step has looked at
        them."""
        operands[6][F.ROW] = row
        self.kernels.flash_rows(operands)


# ---- calls: Ctrl-C may break one off, which is a loop in Python; run again, it goes on ----------


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
    """A kernel for some channels or filters after the others: their weights come first.

    operands: those of _turn. Few local variables, as in calls.py.
    """
    state = operands[0]
    while state[0] * len(operands[6]) < len(operands[7]):
        _put_parts(operands[5], operands[6], operands[7], state[0] * len(operands[6]))
        operands[1](operands[2], state[0] * operands[3])
        operands[4](operands[5])
        state[0] += 1
    state[0] = 0


def _put_parts(kernel_operands, places, parts, at):
    i = 0
    while i < len(places):
        kernel_operands[places[i]] = parts[at + i]
        i += 1


def update_in_turn(operands):
    """The same of an update, by a descriptor of a part."""
    d, of_part, turn = operands
    of_part[F.UPDATE_SHIFT] = d[F.UPDATE_SHIFT]
    of_part[F.THRESHOLD] = d[F.THRESHOLD]
    in_turn(turn)


def backward_call(stage, kernel, form, of_columns, part, layer, cursors, g, dx, scratch):
    """The call for the gradient of a convolution's input, some channels at a time.

    of_columns: descriptor of a layer of these channels; part: room for their weights; cursors: two
    words for each row.
    """
    d = stage.d
    step = of_columns[F.N_IN] * d[F.H_IN] * d[F.W_IN]
    scores, select = (layer.scores, layer.select) if layer else (EMPTY, EMPTY)
    taken = part, cursors, stage.flash.flash, stage.flash.pieces, scores, select, d
    return in_turn, _turn(stage.flash.kernels.flash_columns, taken, of_columns[F.N_ROW], kernel,
                          form, {"y": g, "a": stage.argmax, "w": part, "1": scratch,
                                 "d": of_columns},
                          {"X": (dx, step), "x": (stage.x, step)})


def update_columns_call(stage, kernel, form, of_columns, part, layer, cursors, g, scratch):
    """The call for the update of a convolution of which some edges are trained, some channels at
    a time: see backward_call."""
    d = stage.d
    raw = array("i", d)
    raw[F.RULE] = 0
    taken = part, cursors, stage.flash.flash, stage.flash.pieces, EMPTY, layer.select, raw
    whole = {"S": layer.scores, "E": EMPTY, "y": g, "a": stage.argmax, "W": part,
             "b": cursors[4 * d[F.N_OUT]:], "2": scratch, "d": of_columns}
    step = of_columns[F.N_IN] * d[F.H_IN] * d[F.W_IN]
    return update_in_turn, (d, of_columns, _turn(stage.flash.kernels.flash_columns, taken,
                                                 of_columns[F.N_ROW], kernel, form, whole,
                                                 {"x": (stage.x, step)}))


def update_call(stage, kernel, form, of_rows, part, layer, weff, g, scratch):
    """The call for the update of a layer, some rows at a time.

    of_rows: descriptor of a layer of these rows; part: room for their weights; weff: effective
    weights of the whole layer, or empty.
    """
    d = stage.d
    rows = of_rows[F.N_OUT]
    whole = {"x": stage.x, "W": part, "2": scratch, "d": of_rows}
    cut = {"y": (g, rows * d[F.H_OUT] * d[F.W_OUT])}
    for letter, buffer, step in (
            ("a", stage.argmax, rows * (stage.argmax_bytes() // d[F.N_OUT])),
            ("E", weff, rows * d[F.N_ROW]),
            ("S", layer.scores, 0 if d[F.SELECTION] else rows * d[F.N_ROW]),
            ("b", layer.select, 4 * rows)):
        if step and len(buffer):
            cut[letter] = buffer, step
        else:
            whole[letter] = buffer if len(buffer) else EMPTY
    return update_in_turn, (d, of_rows, _turn(stage.flash.raw, raw_operands(stage, part, rows),
                                              rows, kernel, form, whole, cut))


def _turn(take, taken, step, kernel, form, whole, cut):
    """Operands of in_turn: how many parts were done, what takes weights, its operands, rows or
    values of a part, kernel, its operands, places of those that change, what they change to.

    whole: operands by the letters of a form; cut: those of which every call gets the next part,
    (buffer, bytes of a part).
    """
    operands, places, cuts = [], [], []
    for i, letter in enumerate(form):
        operands.append(whole.get(letter))
        if letter in cut:
            places.append(i)
            cuts.append(cut[letter])
    buffer, size = cuts[0]
    parts = []
    for i in range(len(buffer) // size):
        for buffer, size in cuts:
            parts.append(buffer[i * size:(i + 1) * size])
    return array("H", [0]), take, taken, step, kernel, operands, tuple(places), tuple(parts)


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
        try:
            from . import viper_flash as found
        except MemoryError:
            unload("viper_flash")
            raise
    return found
