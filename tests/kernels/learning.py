"""Random cases of updates, effective weights and everything that reads scores."""

import numpy as np
from priot.network import fields as f
from priot.oracle import kernels as oracle

from kernels.cases import Case
from kernels.layers import call


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


def update(kernel: str, what: str, rng, d, w, kept: bool = True, **given) -> Case:
    """A case of an update. `given`: the gradient and what else is read, by their letters."""
    select, n_scores = random_selection(rng, d, w)
    if d[f.RULE] == f.WEIGHTS:  # W is the same buffer as E
        return call(kernel, what, d, S=b"", E=w, W=1, b=select, **given)
    scores = random_scores(rng, int(n_scores)).tobytes()
    if d[f.RULE] == f.WIDE:
        return call(kernel, what, d, S=scores, E=w, W=1, b=select, **given)
    weff = bytearray(w.size if kept else 0)
    if kept:
        oracle.effective_weights((weff, w, scores, select, d))
    return call(kernel, what, d, S=scores, E=bytes(weff), W=w, b=select, **given)


def effective_weights(what, rng, d, w) -> Case:
    """w is the whole layer's; the output gets the rows of d."""
    select, n_scores = random_selection(rng, d, w)
    return call("effective_weights", what, d, w=w, s=random_scores(rng, int(n_scores)), b=select)
