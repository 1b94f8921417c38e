"""Heap of a board that package, kernels and model take: measured there, not estimated."""

from dataclasses import dataclass

from priot.board.connection import Connection
from priot.paths import native_module
from priot.planning.heap import loaded_bytes, why_in_flash
from priot.processors import named

_QUESTION = """
import gc, sys
def free():
    gc.collect()
    return gc.mem_free()
found = [free() + gc.mem_alloc(), free()]
import priot
found.append(free())
priot.backend.use()
found.append(free())
blocks, late = [0, 0, 0], []
if {path!r}:
    net = priot.load({path!r})
    late = [name for name in sys.modules
            if name.startswith("priot_") and name != net.kernels.__name__]
    blocks = [net.weight_bytes, net.work_bytes, net.flash_bytes]
found.append(free())
print(*found, *blocks, *late)
"""


@dataclass
class Memory:
    """Bytes of heap: all of it, taken by each part, and left for training.

    `native`: the fastest kernels there; those that only some layers want, `late`, come with the
    model, of which `weights` and `work` are the two large blocks. in_flash: of the weights that
    stay in flash.
    """

    heap: int
    native: int
    package: int
    model: int
    free: int
    weights: int = 0
    work: int = 0
    late: int = 0
    in_flash: int = 0

    @property
    def weights_reason(self) -> str:
        """Why weights stay in flash."""
        return why_in_flash(self.free + self.model - self.weights - self.in_flash)

    @property
    def boot(self) -> int:
        """What was in use before."""
        return self.heap - self.native - self.package - self.model - self.free


def measure(connection: Connection, path: str | None, processor: str) -> Memory:
    """Load the package, and the model at `path` on the board, on a fresh heap."""
    answer = connection.execute(_QUESTION.format(path=path)).split()
    heap, start, package, native, model, weights, work, in_flash = map(int, answer[:8])
    late = sum(loaded_bytes(native_module(named(processor).native, name).read_bytes())
               for name in answer[8:])
    return Memory(heap, package - native, start - package, native - model, model, weights, work,
                  late, in_flash)
