"""What else lies in a board's heap: loaded code, and the objects around the large blocks.

The blocks are known to the byte (sizes.py). The rules here were measured on the emulated Pico
with MicroPython 1.25, by gc.mem_alloc() and micropython.mem_info(); a test measures again and
allows 5 %.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

from priot.jobs.protocol import NATIVE_BACKENDS, PICO_HEAP_BYTES
from priot.network import fields as f
from priot.package import compile_package, package_source
from priot.paths import native_module
from priot.planning.flash import file_blocks
from priot.planning.sizes import Learned, Network, Training
from priot.processors import PICO, Processor

HEAP_BYTES = PICO_HEAP_BYTES
BOOT_BYTES = 4_544  # in use when the prompt appears, the mounted file system included
# of what is left: the code that prepares training, then open files, printing, an epoch's garbage
WORKING_BYTES = 12_288
# free, but in pieces too small for a block: when imported (1 to 1.8 kB), when loaded (7.8 to
# 13.7 kB were seen), where what was learned has taken the place of the working block (9.2 to
# 13.9 kB, more where there are more stages, with the stack of core 1), and
# behind the code that reads adapters (26.5 to 30.1 kB)
_HOLES_IMPORTED_BYTES = 3_072
HOLES_BYTES = 14_592
_HOLES_LEARNED_BYTES = 15_184
_HOLES_LEARNED_PER_STAGE = 180
_HOLES_BACKWARD_BYTES = 512  # less where priot_backward, which comes early, trains all layers
_HOLES_ADAPTER_BYTES = 31_232

_BLOCK = 16  # the heap is given out in pieces of 16 bytes
_BLOCK_HEADER = 16  # of a bytearray, beside its bytes
_BYTES_PER_NAME = 10  # that a module uses: an entry of a dictionary, a function object, its text
_BYTES_LEFT_BY_IMPORT = 1_040
_BYTES_PER_NETWORK = 640
_BYTES_OF_READING = 11_000  # code and objects while a model file is read, forgotten afterwards
_BYTES_LEFT_BEHIND = 7_984  # names and remains of the modules that are imported for one use
_BYTES_PER_WEIGHT_STAGE = 608
_BYTES_PER_POOL_STAGE = 592
_BYTES_PER_FLASH_STAGE = 320  # beside them, where its weights stay in flash; 8 a block of those
_BYTES_PER_FLASH_LAYER = 1_000  # that is trained: its calls, and of each part of its weights
_BYTES_PER_FLASH_PART = 56
_BYTES_PER_TRAINER = 1_424
_BYTES_PER_TRAINED_LAYER = 350
_BYTES_PER_SCORED_LAYER = 144  # beside them, where effective weights are made of scores
_BYTES_PER_TRAINED_POOL = 96
_BYTES_PER_TOP_K = 120  # a layer
_BYTES_PER_DYNAMIC = 122  # a layer
_BYTES_PER_MEMO = 64  # of each call of a stage whose kernels are over soon
_BYTES_PER_FIT = 3_028  # an open dataset file, the counts of an epoch


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
    waiting, folder = list(entries), package_source() / "priot"
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.append(name)
            waiting += _imports(folder / f"{name}.py")
    return sorted(found)


def _imports(path: Path) -> list[str]:
    """Modules of the package that a module imports as it is loaded: not inside functions."""
    names: list[str] = []
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names += [node.module] if node.module else [alias.name for alias in node.names]
    return names


def code_bytes(backend: str, network: Network | None, learned: Learned | None = None,
               processor: Processor = PICO) -> Code:
    """What the package takes of a board when it runs a host's jobs (`priot.remote`).

    Without a network: before one is loaded. learned: training, or an adapter, which may want more
    kernels. Raises PriotError where something is not built.
    """
    folder = compile_package(processor.package) / "priot"

    def package_bytes(names: list[str]) -> int:
        # a table whose numbers were folded into the others is no module any more
        paths = (folder / f"{name}.mpy" for name in names)
        return sum(loaded_bytes(path.read_bytes()) for path in paths if path.exists())

    def native_bytes(name: str) -> int:
        return loaded_bytes(native_module(processor.native, name).read_bytes())

    imported = modules(("__init__", "remote"))
    package = package_bytes(imported)
    flash = 0
    if network and network.flash_bytes:
        flash = package_bytes(["in_flash"]) + (
            native_bytes("priot_flash") if backend in NATIVE_BACKENDS else
            package_bytes(["viper_flash"]))
    if backend not in NATIVE_BACKENDS:
        kernels = [name for name in modules((f"kernels_{backend}",)) if name not in imported]
        return Code(package, package_bytes(kernels) + flash)
    if backend == "portable":
        return Code(package, native_bytes("priot_portable") + flash)
    kernels_bytes = native_bytes("priot_native") + flash + (
        native_bytes("priot_layers") if network and network.layers else 0)
    late = native_bytes("priot_backward") if learned and learned.backward else 0
    if network and network.portable:
        return Code(package, kernels_bytes + native_bytes("priot_portable"), late)
    if learned and learned.portable:
        late += native_bytes("priot_portable")
    return Code(package, kernels_bytes, late)


def free_at_load(backend: str, size: int = HEAP_BYTES, processor: Processor = PICO) -> int:
    """Bytes of a board's heap that are free when `priot.load` asks whether those are too few."""
    code = code_bytes(backend, None, processor=processor)
    return after_import(code, size).free - code.kernels - _BYTES_OF_READING


def why_in_flash(free: int) -> str:
    """Why weights stay in flash; free: bytes of heap that they would leave, below 0: that lack."""
    return (f"in RAM they would leave {free:,} bytes of heap for all else" if free > 0 else
            f"in RAM they lack {-free:,} bytes of heap")


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
    return Heap(size, BOOT_BYTES + code.package + _BYTES_LEFT_BY_IMPORT, _HOLES_IMPORTED_BYTES)


def after_load(heap: Heap, code: Code, network: Network) -> Heap:
    """After `priot.load`, which brings the kernels."""
    objects = _BYTES_PER_NETWORK + _BYTES_LEFT_BEHIND + sum(
        _BYTES_PER_WEIGHT_STAGE if s["weights"] else _BYTES_PER_POOL_STAGE
        for s in network.stages) + sum(
        _BYTES_PER_FLASH_STAGE + 8 * file_blocks(s["weights"])
        for s in network.stages if s["in_flash"])
    objects += _BYTES_PER_MEMO * sum(1 for s in network.stages if s["quick"])
    heap = Heap(heap.size, heap.used)
    return heap.with_blocks(objects + code.kernels, network.weight_bytes, network.work_bytes)


def learned_objects(network: Network, learned: Learned, training: Training | None) -> int:
    """Bytes of the objects of a Trainer, or of an adapter in force, its blocks left out."""
    per_layer = _BYTES_PER_TRAINED_LAYER + _BYTES_PER_DYNAMIC * learned.dynamic
    if training is None:
        return per_layer * len(learned.layers)
    per_layer += _BYTES_PER_TOP_K * bool(training.get("keep"))
    scored = training.rule.rule < f.WEIGHTS
    per_layer += _BYTES_PER_SCORED_LAYER * scored
    first = learned.layers[0].stage
    pools = sum(1 for s in network.stages[first:] if not s["weights"])
    trained = [network.stages[a.stage] for a in learned.layers]
    memos = (sum(1 + scored for s in trained if s["quick"])
             + sum(1 for s in network.stages[first + 1:] if s["quick"]))
    in_flash = sum(1 for a in learned.layers if network.stages[a.stage]["in_flash"])
    return (_BYTES_PER_TRAINER + per_layer * len(learned.layers)
            + _BYTES_PER_FLASH_LAYER * in_flash + _BYTES_PER_FLASH_PART * learned.parts
            + _BYTES_PER_TRAINED_POOL * pools
            + _BYTES_PER_MEMO * memos * (not learned.dynamic))


def with_learned(loaded: Heap, code: Code, network: Network, learned: Learned,
                 training: Training | None = None, samples: int = 0) -> Heap:
    """With an adapter in force, or while `fit` runs by `training` on so many samples.

    The network's working block has made room for another, and the order of samples takes two
    bytes each.
    """
    heap = loaded.with_blocks(learned_objects(network, learned, training) + code.late,
                              learned.learned_bytes, learned.work_bytes)
    holes = (_HOLES_LEARNED_BYTES + _HOLES_LEARNED_PER_STAGE * len(network.stages)
             - _HOLES_BACKWARD_BYTES * (learned.backward and not learned.portable))
    heap = Heap(heap.size, heap.used - block_bytes(network.work_bytes),
                holes if training else _HOLES_ADAPTER_BYTES)
    return heap.with_blocks(_BYTES_PER_FIT, 2 * samples) if training else heap
