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


def kernels_for(kernels):
    """The kernels that read the flash, beside a backend's own."""
    found = backend.native_module("priot_flash") if kernels.__name__[:6] == "priot_" else None
    if found is None:
        from . import viper_flash as found
    return found
