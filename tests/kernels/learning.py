"""Random cases of updates, effective weights and everything that reads scores."""

import numpy as np
from priot.network import fields as f
from priot.oracle import kernels as oracle

from kernels.cases import SCRATCH, Case
from kernels.layers import Operand, buffer, rubbish, words


def random_scores(rng, n: int) -> np.ndarray:
    """Score bytes of one of several characters; some at the clips and at the threshold."""
    kind = rng.integers(3)
    if kind == 0:
        return rng.choice(np.array([0, 1, 63, 64, 65, 254, 255], np.uint8), n)
    if kind == 1:
        return np.clip(np.rint(rng.normal(128, 32, n)), 0, 255).astype(np.uint8)
    return rng.integers(0, 256, n).astype(np.uint8)


def random_selection(rng, d, w) -> tuple[bytes, int]:
    """`select` for the weights of a whole layer, and how many edges it gives a score."""
    if d[f.SELECTION] == f.ALL:
        return b"", w.size
    bits = rng.random(w.size) < rng.choice([0.0, 0.1, 0.5, 1.0])
    if d[f.SELECTION] == f.LARGEST:
        bits = np.abs(w.astype(int) - 128) >= d[f.TAU]
    per_row = bits.reshape(int(d[f.N_OUT]), -1).sum(axis=1)
    before = np.concatenate([[0], np.cumsum(per_row)[:-1]]).astype(np.uint32)
    bitmap = np.packbits(bits, bitorder="little")
    return before.tobytes() + (bitmap.tobytes() if d[f.SELECTION] == f.BITMAP else b""), bits.sum()


class Learned:
    """Operands that an update writes and reads: scores, weff, w, select; consistent."""

    def __init__(self, rng, d, w, kept: bool):
        self.select, n_scores = random_selection(rng, d, w)
        self.w: Operand | int = buffer(w)
        if d[f.RULE] == f.WEIGHTS:
            self.scores, self.weff = buffer(b""), self.w
            self.w = 1  # the same buffer as operand 1
            return
        scores = random_scores(rng, int(n_scores))
        self.scores = buffer(scores)
        weff = bytearray(w.size if kept else 0)
        if kept:
            oracle.effective_weights((weff, bytes(w), bytes(scores), self.select, d))
        self.weff = buffer(bytes(weff))


def conv2d_update(what, rng, d, g, argmax, x, w, kept=True) -> Case:
    learned = Learned(rng, d, w, kept)
    return Case("conv2d_update", what, [
        learned.scores, learned.weff, buffer(g), buffer(argmax), buffer(x), learned.w,
        buffer(learned.select), SCRATCH, words(d)])


def linear_update(what, rng, d, g, x, w, kept=True) -> Case:
    learned = Learned(rng, d, w, kept)
    return Case("linear_update", what, [
        learned.scores, learned.weff, buffer(g), buffer(x), learned.w, buffer(learned.select),
        SCRATCH, words(d)])


def effective_weights(what, rng, d, w) -> Case:
    """w is the whole layer's; weff gets the rows of d."""
    select, n_scores = random_selection(rng, d, w)
    return Case("effective_weights", what, [
        rubbish(int(d[f.ROWS] * d[f.N_ROW])), buffer(w),
        buffer(random_scores(rng, int(n_scores))), buffer(select), words(d)])
