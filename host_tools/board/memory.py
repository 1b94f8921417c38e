"""Heap of a board that package, native module and model take: measured there, not estimated."""

from dataclasses import dataclass

from host_tools.board.connection import Connection

_QUESTION = """
import gc
def free():
    gc.collect()
    return gc.mem_free()
found = [free() + gc.mem_alloc(), free()]
import priot_native
found.append(free())
import priot
found.append(free())
if {path!r}:
    net = priot.load({path!r})
found.append(free())
print(*found)
"""


@dataclass
class Memory:
    """Bytes of heap: all of it, taken by each part, and left for training."""

    heap: int
    native: int
    package: int
    model: int
    free: int


def measure(connection: Connection, path: str | None) -> Memory:
    """Load the package, and the model at `path` on the board, on a fresh heap."""
    answer = connection.execute(_QUESTION.format(path=path)).split()
    heap, start, native, package, model = map(int, answer)
    return Memory(heap, start - native, native - package, package - model, model)
