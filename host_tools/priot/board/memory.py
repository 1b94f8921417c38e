"""Heap of a board that package, kernels and model take: measured there, not estimated."""

from dataclasses import dataclass

from priot.board.connection import Connection

_QUESTION = """
import gc
def free():
    gc.collect()
    return gc.mem_free()
found = [free() + gc.mem_alloc(), free()]
import priot
found.append(free())
priot.backend.use()
found.append(free())
if {path!r}:
    net = priot.load({path!r})
found.append(free())
print(*found)
"""


@dataclass
class Memory:
    """Bytes of heap: all of it, taken by each part, and left for training.

    `native`: the fastest kernels there; those that only some layers want come with the model.
    """

    heap: int
    native: int
    package: int
    model: int
    free: int


def measure(connection: Connection, path: str | None) -> Memory:
    """Load the package, and the model at `path` on the board, on a fresh heap."""
    answer = connection.execute(_QUESTION.format(path=path)).split()
    heap, start, package, native, model = map(int, answer)
    return Memory(heap, package - native, start - package, native - model, model)
