"""Which edges of a layer a sparse method trains: all, the largest weights, or a random share.

The same choices, draw for draw, as the device's trainer makes.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from priot.network import fields as f
from priot.oracle.kernels import xorshift32

CHOICES = ("largest", "random", "layers")


@dataclass(frozen=True)
class Selection:
    """Scored edges of a layer: all (tau 0), those with abs(w) >= tau, or those of a bitmap.

    `bitmap` is bool [edges], in storage order.
    """

    tau: int = 0
    bitmap: np.ndarray | None = None

    def edges(self, weights: np.ndarray) -> np.ndarray:
        """bool [edges], from the layer's int8 weights."""
        if self.bitmap is not None:
            return self.bitmap
        return np.abs(weights.ravel().astype(np.int16)) >= self.tau

    def pack(self, weights: np.ndarray, d: np.ndarray) -> bytearray:
        """The buffer `select` of device/DESIGN.md; sets SELECTION and TAU of d."""
        d[f.SELECTION] = f.BITMAP if self.bitmap is not None else f.LARGEST if self.tau else f.ALL
        d[f.TAU] = self.tau
        if d[f.SELECTION] == f.ALL:
            return bytearray()
        edges = self.edges(weights)
        per_row = edges.reshape(len(weights), -1).sum(axis=1)
        starts = (np.cumsum(per_row) - per_row).astype("<u4").tobytes()
        bits = np.packbits(edges, bitorder="little").tobytes() if self.bitmap is not None else b""
        return bytearray(starts + bits)


def largest_tau(weights: np.ndarray, n: int) -> int:
    """The least tau, 1..127, with at most n int8 weights of abs(w) >= tau.

    127, where even more than n weights reach that.
    """
    counts = np.bincount(np.abs(weights.ravel().astype(np.int16)), minlength=129)
    at_least = counts[::-1].cumsum()[::-1]
    return next((tau for tau in range(1, 127) if at_least[tau] <= n), 127)


def random_bitmap(n_edges: int, n: int, state: array) -> np.ndarray:
    """bool [n_edges] with exactly n set (Knuth's algorithm S), a draw per edge until then."""
    bits = np.zeros(n_edges, bool)
    left = n
    for edge in range(n_edges):
        if left == 0:
            break
        state[0] = draw = xorshift32(state[0])
        if (draw >> 17) * (n_edges - edge) < left << 15:
            bits[edge] = True
            left -= 1
    return bits


def select_edges(weights: Sequence[np.ndarray], fraction: int | None, select: str,
                 remember: bool, state: array) -> list[Selection]:
    """A Selection per trained layer from their int8 weights.

    fraction: percent of the edges, None for all. select: one of CHOICES; "layers" takes all edges
    of every layer but the largest. remember: store even the largest weights as a bitmap, because
    the weights will move. Raises ValueError where nothing is selected.
    """
    if select not in CHOICES:
        raise ValueError(f"select: {select} is none of {', '.join(CHOICES)}")
    most = max(w.size for w in weights)
    selections = []
    for i, w in enumerate(weights):
        if fraction in (None, 100) or (select == "layers" and w.size < most):
            selections.append(Selection())
            continue
        n = max(1, w.size * fraction // 100)
        if select == "random":
            selections.append(Selection(bitmap=random_bitmap(w.size, n, state)))
            continue
        largest = Selection(largest_tau(w, n))
        edges = largest.edges(w)
        if not edges.any():
            raise ValueError(f"fraction: {fraction} % selects no weight of trained layer {i}")
        selections.append(Selection(largest.tau, edges) if remember else largest)
    return selections
