"""What a model and a method need of a board: heap and flash, and whether it fits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from priot.errors import PriotError
from priot.formats import Dataset, Model
from priot.jobs.protocol import NATIVE_BACKENDS
from priot.network import fields as f
from priot.package import compile_package
from priot.paths import native_module
from priot.planning.flash import PICO_BLOCKS, Flash, flash_blocks
from priot.planning.heap import (
    BOOT_BYTES,
    HEAP_BYTES,
    WORKING_BYTES,
    Code,
    Heap,
    after_import,
    after_load,
    block_bytes,
    code_bytes,
    free_at_load,
    why_in_flash,
    with_learned,
)
from priot.planning.names import Names, board_path
from priot.planning.sizes import Learned, Network, Planner, Training
from priot.processors import PICO, Processor, named


@dataclass
class Limits:
    """A board to plan for: its heap, its flash, the kernels that run there, its processor."""

    heap_bytes: int = HEAP_BYTES
    flash_blocks: int = PICO_BLOCKS
    backend: str = "native"
    processor: Processor = PICO


def default_backend(processor: Processor = PICO) -> tuple[str, str]:
    """The kernels to plan a board with, and a line where those for it are not built."""
    try:
        for name in processor.modules:
            native_module(processor.native, name)
    except PriotError as error:
        return "viper", f"note: {error}; planned with viper kernels"
    return processor.fastest, ""


def limits_of(processor: str, heap_bytes: int, flash_blocks: int, backend: str | None) -> Limits:
    """A board of that processor; backend: None for its fastest. Raises PriotError."""
    gets = named(processor)
    if backend in NATIVE_BACKENDS and not gets.modules:
        raise PriotError("--backend", f"{backend}: there are no native modules for {processor}")
    if backend in (None, "native"):
        backend = gets.fastest
    return Limits(heap_bytes, flash_blocks, backend, gets)


@dataclass
class Plan:
    """A model on a board, trained by a method, or with an adapter applied.

    `heap` is the board's heap when all of it is there, `layout_reason` why the trainer takes its
    layout. `refusals` are empty where all fits.
    """

    board: Limits
    code: Code
    network: Network
    heap: Heap
    loaded: Heap
    flash: Flash
    learned: Learned
    training: Training | None = None
    layout_reason: str = ""
    refusals: list[str] = field(default_factory=list)

    @property
    def weights_reason(self) -> str:
        """Why weights stay in flash."""
        weights = self.network.weight_bytes + self.network.flash_bytes
        return why_in_flash(free_at_load(
            self.board.backend, self.board.heap_bytes, self.board.processor) - weights)

    @property
    def missing(self) -> int:
        """Bytes of heap that are missing, 0 where it fits."""
        return max(missing_bytes(self.loaded), missing_bytes(self.heap))

    @property
    def other_bytes(self) -> int:
        """What is in use beside MicroPython, code and the large blocks."""
        large = (self.network.weight_bytes, self.learned.learned_bytes, self.learned.work_bytes)
        return self.heap.used - BOOT_BYTES - self.code.heap - sum(large)


def missing_bytes(heap: Heap) -> int:
    """What is missing of a heap whose `largest` or free bytes a plan has overdrawn."""
    return max(0, -heap.largest, WORKING_BYTES - heap.free)


def plan_trainings(planner: Planner, trainings: Sequence[Training], board: Limits,
                   files: Mapping[str, int], samples: int = 0) -> list[Plan | PriotError]:
    """Plans to train the planner's model in several ways, or why the device refuses one.

    files: sizes by path on the board, model and datasets included; samples: images of the
    dataset to train on. Raises PriotError where something is not built.
    """
    planner = _on(board, planner)
    network = planner.network()
    code = code_bytes(board.backend, network, processor=board.processor)
    loaded = after_load(after_import(code, board.heap_bytes), code, network)
    free = loaded.free + block_bytes(network.work_bytes)
    found: list[Plan | PriotError] = []
    for training, learned in zip(trainings, planner.trainings(trainings, free), strict=True):
        if isinstance(learned, PriotError):
            found.append(learned)
            continue
        code = code_bytes(board.backend, network, learned, board.processor)
        heap = with_learned(loaded, code, network, learned, training, samples)
        # a file that is written anew needs room beside its predecessor
        kept = {"/saved.scores": learned.saved, "/saved.scores.tmp": learned.saved}
        plan = Plan(board, code, network, heap, loaded,
                    flash_blocks({**package_sizes(board), **files, **kept}), learned, training,
                    _layout_reason(training, learned, network))
        _refuse(plan, f"training by {training.method}")
        found.append(plan)
    return found


def plan_adapter(planner: Planner, adapter: Path, layout: str, board: Limits,
                 files: Mapping[str, int]) -> Plan:
    """Plan to apply an adapter of the planner's model. Raises PriotError."""
    planner = _on(board, planner)
    network, learned = planner.network(), planner.adapter(adapter, layout)
    code = code_bytes(board.backend, network, learned, board.processor)
    loaded = after_load(after_import(code, board.heap_bytes), code, network)
    plan = Plan(board, code, network, with_learned(loaded, code, network, learned), loaded,
                flash_blocks({**package_sizes(board), **files}), learned)
    _refuse(plan, "applying the adapter")
    return plan


def _on(board: Limits, planner: Planner) -> Planner:
    """The planner, told what the board's heap has free before the model is loaded."""
    return replace(planner, free_at_load=free_at_load(
        board.backend, board.heap_bytes, board.processor))


def _layout_reason(training: Training, learned: Learned, network: Network) -> str:
    if training.get("layout") != "auto":
        return "as asked"
    if learned.layout == "kept":
        if learned.left_bytes < network.reserve_bytes:
            return "small would take no less"
        return (f"beside it {learned.left_bytes:,} bytes stay free, auto wants "
                f"{network.reserve_bytes:,}")
    return ("kept would leave less than the "
            f"{network.reserve_bytes:,} bytes that auto wants free")


def _refuse(plan: Plan, what: str) -> None:
    if missing_bytes(plan.loaded):
        plan.refusals.append(f"loading the network lacks {missing_bytes(plan.loaded):,} bytes of "
                             "heap")
    elif plan.missing:
        plan.refusals.append(f"{what} lacks {plan.missing:,} bytes of heap")
    if plan.flash.blocks > plan.board.flash_blocks:
        lacking = 4 * (plan.flash.blocks - plan.board.flash_blocks)
        plan.refusals.append(f"the files lack {lacking:,} kB of flash")


def package_sizes(board: Limits) -> dict[str, int]:
    """Sizes of the package's files on the board; deploying copies all of them."""
    folder = compile_package(board.processor.package) / "priot"
    sizes = {f"/lib/priot/{path.name}": path.stat().st_size for path in folder.glob("*.mpy")}
    if board.backend in NATIVE_BACKENDS:
        for name in board.processor.modules:
            module = native_module(board.processor.native, name)
            sizes[f"/lib/{name}.mpy"] = module.stat().st_size
    return sizes


def file_sizes(model: Path, others: Sequence[Path]) -> dict[str, int]:
    """Sizes of a model and further files by the path that deploying gives them.

    Raises PriotError for two of one name.
    """
    names = Names()
    return {names.give(board_path(path), path): path.stat().st_size for path in (model, *others)}


def most_samples(datasets: Sequence[Path], model: Model) -> int:
    """Images of the largest dataset. Raises PriotError for one that does not fit the model."""
    most = 0
    for path in datasets:
        dataset = Dataset.read(path)
        if tuple(dataset.shape) != tuple(model.shape):
            raise PriotError(path, f"samples are {dataset.shape}, expected {model.shape}")
        classes = model.classes + len(model.spare)  # of which the board may take some into use
        if model.loss != f.CROSS_ENTROPY:
            dataset.check_fits(model, path)
        elif dataset.classes > classes:
            raise PriotError(path, f"{dataset.classes} classes, the model has {classes}")
        most = max(most, len(dataset))
    return most
