"""What a model and a method need of a board: heap and flash, and whether it fits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from priot.errors import PriotError
from priot.formats import Adapter, Dataset, Model
from priot.formats.container import pad4
from priot.network import fields as f
from priot.package import compile_package
from priot.paths import NATIVE_MODULES, native_module
from priot.planning.flash import PICO_BLOCKS, Flash, flash_blocks
from priot.planning.heap import (
    BOOT_BYTES,
    BYTES_PER_TRAINED_LAYER,
    HEAP_BYTES,
    WORKING_BYTES,
    Code,
    Heap,
    after_import,
    after_load,
    code_bytes,
    trainer_objects,
    while_training,
    with_scratch,
)
from priot.planning.memory import (
    RESERVE,
    Network,
    StageBytes,
    Trained,
    Training,
    adapter_bytes,
    adapter_scratch,
    network_bytes,
    training_bytes,
)
from priot.targets import NATIVE_BACKENDS

_ADAPTER_HEADER = 48
_ADAPTER_RECORD = 16


@dataclass
class Limits:
    """A board to plan for: its heap, its flash, and the kernels that run there."""

    heap_bytes: int = HEAP_BYTES
    flash_blocks: int = PICO_BLOCKS
    backend: str = "native"


@dataclass
class Plan:
    """A model on a board, trained by a method, or with an adapter applied, or just loaded.

    `heap` is the board's heap when all of it is there, `scratch` what it holds of that.
    `layout_reason` says why the trainer takes `layout`. `refusals` are empty where all fits.
    """

    board: Limits
    code: Code
    network: Network
    heap: Heap
    loaded: Heap
    flash: Flash
    scratch: int
    layout: str
    trained: Trained | None = None
    adapter: int = 0
    layout_reason: str = ""
    saved: dict[str, int] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Bytes of heap that are missing, 0 where it fits."""
        return max(missing_bytes(self.loaded), missing_bytes(self.heap))

    @property
    def stages(self) -> list[StageBytes]:
        """The stages, with what training takes of each."""
        return self.trained.stages if self.trained else self.network.stages


def missing_bytes(heap: Heap) -> int:
    """What is missing of a heap whose `largest` or free bytes a plan has overdrawn."""
    return max(0, -heap.largest, WORKING_BYTES - heap.free)


def other_bytes(plan: Plan) -> int:
    """What is in use beside MicroPython, code and the large blocks."""
    training = plan.trained.arena if plan.trained else 0
    large = plan.network.arena + plan.scratch + plan.adapter + training
    return plan.heap.used - BOOT_BYTES - plan.code.heap - large


def plan_training(model: Model, training: Training, board: Limits,
                  files: Mapping[str, int], samples: int = 0) -> Plan:
    """Plan to train `model`; `files` are sizes by path on the board, model and datasets included.

    samples: images of the dataset to train on. Raises PriotError for options that the device
    refuses, and where something is not built.
    """
    network = network_bytes(model, board.backend)
    code = code_bytes(board.backend, network)
    loaded = after_load(after_import(code, board.heap_bytes), code, network)
    layout, reason = choose_layout(network, training, loaded)
    trained = training_bytes(network, training, layout)
    code = code_bytes(board.backend, network, trained.portable, training.rule.dynamic)
    heap = while_training(loaded, code, network, trained, samples)
    saved = saved_bytes(trained)
    # a file that is written anew needs room beside its predecessor
    kept = {"/saved.scores": saved["scores"], "/saved.scores.tmp": saved["scores"]}
    plan = Plan(board, code, network, heap, loaded,
                flash_blocks({**package_sizes(board), **files, **kept}),
                trained.scratch, layout, trained, layout_reason=reason, saved=saved)
    _refuse(plan, f"training by {training.method}")
    return plan


def plan_adapter(model: Model, adapter: Adapter, layout: str, board: Limits,
                 files: Mapping[str, int]) -> Plan:
    """Plan to apply an adapter of `model`, which has been checked to be one."""
    dynamic = adapter.method == "niti"
    network = network_bytes(model, board.backend)
    code = code_bytes(board.backend, network, dynamic, dynamic)
    loaded = after_load(after_import(code, board.heap_bytes), code, network)
    block = adapter_bytes(network, adapter, layout)
    scratch = adapter_scratch(network, layout, measures=dynamic)
    objects = BYTES_PER_TRAINED_LAYER * len(adapter.layers) + code.late
    heap = loaded.with_blocks(objects, block)
    plan = Plan(board, code, network, with_scratch(heap, network.scratch, scratch), loaded,
                flash_blocks({**package_sizes(board), **files}), scratch, layout, adapter=block)
    _refuse(plan, "applying the adapter")
    return plan


def _refuse(plan: Plan, what: str) -> None:
    if missing_bytes(plan.loaded):
        plan.refusals.append(f"loading the network lacks {missing_bytes(plan.loaded):,} bytes of "
                             "heap")
    elif plan.missing:
        plan.refusals.append(f"{what} lacks {plan.missing:,} bytes of heap")
    if plan.flash.blocks > plan.board.flash_blocks:
        lacking = 4 * (plan.flash.blocks - plan.board.flash_blocks)
        plan.refusals.append(f"the files lack {lacking:,} kB of flash")


def choose_layout(network: Network, training: Training, loaded: Heap) -> tuple[str, str]:
    """The layout that the device's trainer takes, and why."""
    if training.layout != "auto":
        return training.layout, "as asked"
    if training.rule.rule == f.WEIGHTS:
        return "kept", "weights are trained in place, there are no effective weights"
    kept = training_bytes(network, training, "kept")
    left = loaded.free - trainer_objects(kept) - kept.arena
    if left >= RESERVE:
        return "kept", f"beside it {left:,} bytes stay free, auto wants {RESERVE:,}"
    return "small", (f"keeping all effective weights would leave {max(0, left):,} bytes, auto "
                     f"wants {RESERVE:,}")


def saved_bytes(trained: Trained) -> dict[str, int]:
    """Sizes of the files that `save` ("scores") and, where there is one, `export_mask` write."""
    layers = [s for s in trained.stages if s.trained]
    header = _ADAPTER_HEADER + _ADAPTER_RECORD * len(layers)
    scores = mask = header
    for s in layers:
        is_bitmap = s.select > 4 * int(s.stage.d[f.N_OUT])
        scores += pad4(s.scored) + (pad4((s.weights + 7) // 8) if is_bitmap else 0)
        mask += pad4((s.weights + 7) // 8)
    prunes = trained.training.rule.rule == f.PRUNE
    return {"scores": scores, **({"mask": mask} if prunes else {})}


def package_sizes(board: Limits) -> dict[str, int]:
    """Sizes of the package's files on the board; deploying copies all of them."""
    folder = compile_package("armv6m") / "priot"
    sizes = {f"/lib/priot/{path.name}": path.stat().st_size for path in folder.glob("*.mpy")}
    if board.backend in NATIVE_BACKENDS:
        for name in NATIVE_MODULES["armv6m"]:
            sizes[f"/lib/{name}.mpy"] = native_module("armv6m", name).stat().st_size
    return sizes


def file_sizes(model: Path, others: Sequence[Path]) -> dict[str, int]:
    """Sizes of a model and further files by the path that deploying gives them."""
    return {f"/{path.name}": path.stat().st_size for path in (model, *others)}


def most_samples(datasets: Sequence[Path], model: Model) -> int:
    """Images of the largest dataset. Raises PriotError for one that does not fit the model."""
    most = 0
    for path in datasets:
        dataset = Dataset.read(path)
        if tuple(dataset.shape) != tuple(model.shape):
            raise PriotError(path, f"images are {dataset.shape}, expected {model.shape}")
        if dataset.classes > model.classes:
            raise PriotError(path, f"{dataset.classes} classes, the model has {model.classes}")
        most = max(most, len(dataset))
    return most
