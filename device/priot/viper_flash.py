"""Weights that lie in flash, in viper: rows or columns of effective weights into RAM.

The module priot_flash is the same in C. Operands: weff; checks or cursors; the flash as memory;
pieces of it, an array of pairs (offset, bytes); scores, select and d as of effective_weights.
Rows are whole words, and so is every piece.
"""

import micropython

from . import fields as F
from . import methods as M


@micropython.viper
def flash_rows(operands) -> int:
    """Rows ROW .. ROW + ROWS - 1 of the effective weights, from the first call on to the last.

    checks: the sum of the layer's words so far, that of the sums, and what both have to be in the
    end. Returns 1 with the last rows where they are not, else 0.
    """
    checks = ptr32(operands[1])
    d = ptr32(operands[6])
    row = int(d[F.ROW])
    rows = int(d[F.ROWS])
    n = rows * int(d[F.N_ROW])
    edge = row * int(d[F.N_ROW])
    if row == 0:
        checks[0] = 0
        checks[1] = 0
    _copy(operands, 0, edge, n, 1)
    s = edge
    if int(d[F.SELECTION]):
        starts = ptr32(operands[5])
        s = int(starts[row])
    _apply(operands, 0, n, edge, s)
    if row + rows < int(d[F.N_OUT]):
        return 0
    return 0 if checks[0] == checks[2] and checks[1] == checks[3] else 1


@micropython.viper
def flash_columns(operands, first: int) -> int:
    """Columns of every row, as many as weff has room for, from `first` on.

    cursors: where not all edges have a score two words for each row, the number of scores before
    the next columns, then before these. Calls take the columns in their order, from 0 on.
    """
    d = ptr32(operands[6])
    n_out = int(d[F.N_OUT])
    columns = int(len(operands[0])) // n_out
    edge = first
    at = 0
    for row in range(n_out):
        _copy(operands, at, edge, columns, 0)
        s = edge
        if int(d[F.SELECTION]):
            cursors = ptr32(operands[1])
            starts = ptr32(operands[5])
            s = int(starts[row]) if first == 0 else int(cursors[row])
            cursors[n_out + row] = s
            cursors[row] = int(_apply(operands, at, columns, edge, s))
        else:
            _apply(operands, at, columns, edge, s)
        edge += int(d[F.N_ROW])
        at += columns
    return 0


@micropython.viper
def _copy(operands, at: int, edge: int, n: int, is_checked: int):
    """n weights from `edge` on to weff from `at` on; is_checked: they are added to checks."""
    to = ptr8(operands[0])
    checks = ptr32(operands[1])
    flash = ptr8(operands[2])
    pieces = ptr32(operands[3])
    total = 0
    sums = 0
    if is_checked:
        total = int(checks[0])
        sums = int(checks[1])
    p = 0
    while edge >= int(pieces[p + 1]):
        edge -= int(pieces[p + 1])
        p += 2
    while n:
        left = int(pieces[p + 1]) - edge
        left = left if left < n else n
        source = int(pieces[p]) + edge
        end = source + left
        while source < end:
            word = int(flash[source]) + (int(flash[source + 1]) << 8)
            word += (int(flash[source + 2]) << 16) + (int(flash[source + 3]) << 24)
            to[at] = flash[source]
            to[at + 1] = flash[source + 1]
            to[at + 2] = flash[source + 2]
            to[at + 3] = flash[source + 3]
            total += word
            sums += total
            source += 4
            at += 4
        n -= left
        p += 2
        edge = 0
    if is_checked:
        checks[0] = total
        checks[1] = sums


@micropython.viper
def _apply(operands, at: int, n: int, edge: int, s: int) -> int:
    """Effective weights in the place of n weights; s: of the first score. Returns the next one,
    also where the rule makes none."""
    weff = ptr8(operands[0])
    scores = ptr8(operands[4])
    select = ptr8(operands[5])
    d = ptr32(operands[6])
    rule = int(d[F.RULE])
    selection = int(d[F.SELECTION])
    tau = int(d[F.TAU])
    bitmap = 4 * int(d[F.N_OUT])
    for i in range(at, at + n):
        v = int(weff[i])
        selected = 1
        if selection == F.LARGEST and v - 128 < tau and 128 - v < tau:
            selected = 0
        elif selection == F.BITMAP:
            selected = int(select[bitmap + (edge >> 3)]) >> (edge & 7) & 1
        if selected:
            if rule == M.GAIN:
                v = ((v - 128) * (int(scores[s]) - 64) + 32) >> 6
                if v < -127:
                    v = -127
                weff[i] = v + 128 if v < 127 else 255
            elif rule == M.PRUNE:
                if int(scores[s]) < int(d[F.THRESHOLD]):
                    weff[i] = 128
            s += 1
        edge += 1
    return s
