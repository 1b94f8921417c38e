"""What else lies in a board's heap: loaded code, and the objects around the arenas.

The arenas are known to the byte (memory.py). The rules here were measured on the emulated Pico
with MicroPython 1.25, by gc.mem_alloc() and micropython.mem_info(); a test measures again and
allows 5 %.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

from priot.network import fields as f
from priot.package import compile_package
from priot.paths import DEVICE, native_module
from priot.planning.memory import Network, StageBytes, Trained
from priot.targets import NATIVE_BACKENDS, PICO_HEAP_BYTES

HEAP_BYTES = PICO_HEAP_BYTES
BOOT_BYTES = 4_544  # in use when the prompt appears, the mounted file system included
WORKING_BYTES = 6_144  # of what is left: open files, printing, the garbage of an epoch
HOLES_BYTES = 5_120  # free, but in pieces too small for an arena: 1.8 to 4.3 kB were seen

_BLOCK = 16  # the heap is given out in pieces of 16 bytes
_BLOCK_HEADER = 16  # of a bytearray, beside its bytes
_BYTES_PER_NAME = 9  # that a module uses: an entry of a dictionary, a function object, its text
_BYTES_PER_NETWORK = 576
_BYTES_PER_WEIGHT_STAGE = 448
_BYTES_PER_POOL_STAGE = 432
_BYTES_PER_TRAINER = 416
BYTES_PER_TRAINED_LAYER = 320
_BYTES_PER_TRAINED_POOL = 96
_BYTES_PER_TOP_K = 120  # a layer
_BYTES_PER_DYNAMIC = 122  # a layer
_BYTES_PER_FIT = 1_728  # an open dataset file, the counts of an epoch


@dataclass
class Code:
    """Bytes of heap that code takes: with the import, a network, and training or an adapter."""

    package: int
    kernels: int
    late: int = 0

    @property
    def heap(self) -> int:
        """All of it."""
        return self.package + self.kernels + self.late


@dataclass
class Heap:
    """Bytes of a board's heap at one moment: all, in use, and free in pieces of little use."""

    size: int
    used: int
    holes: int = HOLES_BYTES

    @property
    def free(self) -> int:
        """What is left, in one piece or not; below 0 where more is wanted than there is."""
        return self.size - self.used

    @property
    def largest(self) -> int:
        """The largest free block, about."""
        return self.free - self.holes

    def with_blocks(self, objects: int, *blocks: int) -> "Heap":
        """After small objects and large blocks of so many bytes."""
        return Heap(self.size, self.used + objects + sum(map(block_bytes, blocks)), self.holes)


def block_bytes(n: int) -> int:
    """What a bytearray of n bytes takes of the heap."""
    return _BLOCK_HEADER + -(-n // _BLOCK) * _BLOCK if n else 0


def modules(entries: tuple[str, ...]) -> list[str]:
    """Names of the package's modules that importing `entries` loads, themselves included."""
    found: list[str] = []
    waiting = list(entries)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.append(name)
            waiting += _imports(DEVICE / "priot" / f"{name}.py")
    return sorted(found)


def _imports(path: Path) -> list[str]:
    """Modules of the package that a module imports as it is loaded: not inside functions."""
    names: list[str] = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names += [node.module] if node.module else [alias.name for alias in node.names]
    return names


def code_bytes(backend: str, network: Network, portable: bool = False,
               dynamic: bool = False) -> Code:
    """What the package takes of a Pico when it runs a host's jobs (`priot.remote`).

    `portable`: training, or an adapter, wants portable kernels; `dynamic`: scales are dynamic.
    Raises PriotError where something is not built.
    """
    folder = compile_package("armv6m") / "priot"

    def package_bytes(names: list[str]) -> int:
        return sum(loaded_bytes((folder / f"{name}.mpy").read_bytes()) for name in names)

    def native_bytes(name: str) -> int:
        return loaded_bytes(native_module("armv6m", name).read_bytes())

    imported = modules(("__init__", "remote"))
    package = package_bytes(imported)
    late = package_bytes(["dynamic"]) if dynamic else 0
    if backend not in NATIVE_BACKENDS:
        kernels = [name for name in modules((f"kernels_{backend}",)) if name not in imported]
        return Code(package, package_bytes(kernels), late)
    portable_bytes = native_bytes("priot_portable")
    if backend == "portable":
        return Code(package, portable_bytes, late)
    kernels_bytes = native_bytes("priot_native")
    if network.portable:
        kernels_bytes += portable_bytes
    elif portable:
        late += portable_bytes
    return Code(package, kernels_bytes, late)


def loaded_bytes(mpy: bytes) -> int:
    """Heap that a .mpy file takes when it is imported: as much as the file, and for its names.

    Their number follows the header of 4 bytes (MicroPython's documentation, ".mpy files").
    """
    n_names = 0
    for byte in mpy[4:]:  # seven bits a byte, the last one below 128
        n_names = n_names << 7 | byte & 127
        if byte < 128:
            break
    return len(mpy) + _BYTES_PER_NAME * n_names


def after_import(code: Code, size: int = HEAP_BYTES) -> Heap:
    """A board's heap when the package is imported."""
    return Heap(size, BOOT_BYTES + code.package)


def after_load(heap: Heap, code: Code, network: Network) -> Heap:
    """After `priot.load`, which brings the kernels."""
    objects = _BYTES_PER_NETWORK + sum(
        _BYTES_PER_WEIGHT_STAGE if s.weights else _BYTES_PER_POOL_STAGE for s in network.stages)
    return heap.with_blocks(objects + code.kernels, network.arena, network.scratch)


def trainer_objects(trained: Trained) -> int:
    """Bytes of the objects of a Trainer, its arena left out."""
    layers = [s for s in trained.stages if s.trained]
    first = trained.stages.index(layers[0])
    per_layer = (BYTES_PER_TRAINED_LAYER + _BYTES_PER_TOP_K * bool(trained.training.keep)
                 + _BYTES_PER_DYNAMIC * trained.training.rule.dynamic)
    pools = sum(1 for s in trained.stages[first:] if _is_pool(s))
    return _BYTES_PER_TRAINER + per_layer * len(layers) + _BYTES_PER_TRAINED_POOL * pools


def _is_pool(s: StageBytes) -> bool:
    return s.stage.kind in (f.MAX_POOL2D, f.AVG_POOL2D)


def while_training(loaded: Heap, code: Code, network: Network, trained: Trained,
                   samples: int = 0) -> Heap:
    """While `fit` runs on a dataset of so many samples, whose order takes two bytes each."""
    heap = loaded.with_blocks(trainer_objects(trained) + code.late, trained.arena)
    heap = with_scratch(heap, network.scratch, trained.scratch, code.late > network.scratch)
    return heap.with_blocks(_BYTES_PER_FIT, 2 * samples)


def with_scratch(heap: Heap, before: int, now: int, is_filled: bool = False) -> Heap:
    """After a scratch of another size has taken the place of the first, which leaves a hole.

    `is_filled`: code came into its place meanwhile.
    """
    if before == now:
        return heap
    unused = block_bytes(before)
    heap = heap.with_blocks(0, now)
    return Heap(heap.size, heap.used - unused, heap.holes + unused * (not is_filled))
