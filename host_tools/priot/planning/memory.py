"""What the device package takes of a heap in large blocks, to the byte, before anything is copied.

The network's arena, the trainer's arena and the shared scratch as device/DESIGN.md ("Memory")
lays them out; a test compares every number with what the device allocates. What lies around these
blocks (objects, code) is priot/planning/heap.py.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from priot.errors import PriotError
from priot.formats import Adapter, Model
from priot.formats.container import pad4
from priot.jobs.options import check_options
from priot.network import fields as f
from priot.network.stages import Stage
from priot.oracle.selection import largest_tau
from priot.oracle.step import METHODS, Method
from priot.planning.scratch import Use, needs_portable, scratch_words
from priot.planning.scratch_armv6m import can_update

RESERVE = 49_152  # bytes of heap that the trainer's layout "auto" leaves free
ROW_BYTES = 512  # of effective weights at a time in the layout "small"
_HISTOGRAM_WORDS = 256  # that top-k counts scores in


@dataclass(frozen=True)
class Training:
    """A method and those keywords of the device's Trainer that decide how much memory it takes."""

    method: str = "priot"
    keep: int | None = None
    fraction: int | None = None
    select: str = "largest"
    last: int | None = None
    rounding: str | None = None
    layout: str = "auto"

    @classmethod
    def from_options(cls, method: str, options: dict[str, Any]) -> "Training":
        """From keywords of the Trainer; those that cost no memory are left out."""
        return cls(method, **{name: options[name] for name in cls.__dataclass_fields__
                              if name in options})

    @property
    def rule(self) -> Method:
        """What the method trains, and how."""
        return METHODS[self.method]

    def check(self, n_layers: int) -> None:
        """Raise PriotError for what the device's trainer refuses on a network of `n_layers`."""
        check_options(self.method, n_layers, {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name != "method"})

    def command(self) -> str:
        """The options of `priot train` that say the same."""
        words = [f"--method {self.method}"]
        for name in ("keep", "fraction", "last"):
            if getattr(self, name) is not None:
                words.append(f"--{name} {getattr(self, name)}")
        if self.select != "largest":
            words.append(f"--select {self.select}")
        if self.rounding:
            words.append(f"--rounding {self.rounding}")
        if self.layout != "auto":
            words.append(f"--layout {self.layout}")
        return " ".join(words)


@dataclass
class StageBytes:
    """Bytes of one stage in the two arenas, padding left out.

    `scored`: edges that have a score, gain or trained weight; `selection`: SELECTION, which.
    `effective`: the kept effective weights. `by_rows`: bytes of the row buffer that takes their
    place, 0 where they are kept.
    """

    stage: Stage
    weights: int
    activations: int
    argmax: int
    trained: bool = False
    scored: int = 0
    selection: int = f.ALL
    scores: int = 0
    select: int = 0
    effective: int = 0
    by_rows: int = 0


@dataclass
class Network:
    """A loaded model: its stages, its arena and the scratch of the forward pass, in bytes.

    `portable`: whether a Pico loads priot_portable beside priot_native.
    """

    model: Model
    backend: str
    stages: list[StageBytes]
    input: int
    arena: int
    scratch: int
    portable: bool


@dataclass
class Trained:
    """A Trainer on a network: its arena, and the scratch that the network then has, in bytes.

    `portable` as in Network.
    """

    training: Training
    layout: str
    stages: list[StageBytes]
    gradients: tuple[int, int]
    row_buffer: int
    arena: int
    scratch: int
    portable: bool

    @property
    def ram_bytes(self) -> int:
        """What `Trainer.ram_bytes` says on the device."""
        return self.arena + self.scratch


def network_bytes(model: Model, backend: str, target: str = "armv6m") -> Network:
    """The memory of a model that was loaded with the kernels of `backend`.

    `target`: processor that native modules are built for, see priot/planning/scratch.py.
    """
    stages = []
    for stage in model.stages():
        weights = model.layers[stage.layer].weights.size if stage.weight_index >= 0 else 0
        stages.append(StageBytes(stage, weights, int(np.prod(stage.shape_out)),
                                 stage.argmax_bytes))
    image = int(np.prod(model.shape)) + 1  # the label follows the image
    arena = pad4(image) + sum(pad4(s.weights) + pad4(s.activations) + pad4(s.argmax)
                              for s in stages)
    uses = [Use()] * len(stages)
    return Network(model, backend, stages, image, arena,
                   _scratch(stages, uses, model.classes, backend, target),
                   _needs_portable(stages, uses, backend))


def training_bytes(network: Network, training: Training, layout: str,
                   target: str = "armv6m") -> Trained:
    """The memory of a Trainer on a network, with `layout` "kept" or "small".

    Raises PriotError where the device's trainer refuses the options.
    """
    weighted = [s for s in network.stages if s.weights]
    training.check(len(weighted))
    chosen = weighted[len(weighted) - (training.last or training.rule.last or len(weighted)):]
    stages = [StageBytes(s.stage, s.weights, s.activations, s.argmax) for s in network.stages]
    mine = {id(s.stage): s for s in stages}
    for layer in chosen:
        _train_stage(mine[id(layer.stage)], network.model, training, layout,
                     max(s.weights for s in chosen))
    first = next(i for i, s in enumerate(stages) if s.trained)
    # the gradients of every other stage's output share an area
    areas = [max((s.activations for s in stages[first:][(first + parity) % 2 :: 2]), default=0)
             for parity in (0, 1)]
    rows = pad4(max(s.by_rows for s in stages))
    arena = rows + sum(map(pad4, areas)) + sum(
        pad4(s.scores) + pad4(s.select) + pad4(s.effective) for s in stages)
    uses = [_use(s, i - first, training, layout == "small") for i, s in enumerate(stages)]
    words = max(network.model.classes, _HISTOGRAM_WORDS if training.keep else 0)
    scratch = _scratch(stages, uses, words, network.backend, target)
    if layout != "small":
        scratch = max(network.scratch, scratch)
    return Trained(training, layout, stages, (areas[0], areas[1]), rows, arena, scratch,
                   network.portable or _needs_portable(stages, uses, network.backend))


def _use(s: StageBytes, after_first: int, training: Training, small: bool) -> Use:
    """What training does with a stage that comes so many after the first trained one."""
    rule, update = training.rule, None
    if s.trained:
        rounding = {None: rule.rounding, "rhu": f.RHU, "psr": f.PSR}[training.rounding]
        update = can_update(rule.rule, rounding, s.selection, int(s.stage.d[f.N_ROW]))
    return Use(0 if after_first < 0 else 1 if after_first else 2, update, rule.dynamic, small)


def _train_stage(s: StageBytes, model: Model, training: Training, layout: str,
                 largest_layer: int) -> None:
    """Fill in what training one stage takes."""
    rule = training.rule.rule
    s.trained = True
    weights = model.layers[s.stage.layer].weights
    s.scored, s.selection = scored_edges(weights, training, largest_layer)
    s.select = select_bytes(s, s.selection)
    if rule == f.WEIGHTS:  # in place
        return
    s.scores = s.scored
    if layout == "kept" or s.stage.kind == f.CONV2D:
        s.effective = s.weights
    else:
        s.by_rows = row_buffer_bytes(s.stage)


def scored_edges(weights: np.ndarray, training: Training,
                 largest_layer: int) -> tuple[int, int]:
    """How many edges of a layer are trained, and the SELECTION that says which.

    `largest_layer`: weights of the largest trained layer. Raises PriotError where none is.
    """
    fraction = training.fraction or training.rule.fraction
    n = weights.size
    if fraction in (None, 100) or (training.select == "layers" and n < largest_layer):
        return n, f.ALL
    wanted = max(1, n * fraction // 100)
    if training.select == "random":
        return wanted, f.BITMAP
    tau = largest_tau(weights, wanted)
    found = int((np.abs(weights.astype(np.int16)) >= tau).sum())
    if not found:
        raise PriotError("fraction", f"{fraction} % selects no weight of a layer of {n}, too "
                         "many are equally large")
    # weights move: which were the largest has to be remembered
    return found, f.BITMAP if training.rule.rule == f.WEIGHTS else f.LARGEST


def select_bytes(s: StageBytes, selection: int) -> int:
    """Bytes of the buffer `select`: a count a row, and for a bitmap a bit an edge."""
    starts = 4 * int(s.stage.d[f.N_OUT])
    return {f.ALL: 0, f.LARGEST: starts, f.BITMAP: starts + (s.weights + 7) // 8}[selection]


def row_buffer_bytes(stage: Stage) -> int:
    """Bytes of the rows of effective weights that are computed at a time: a divisor of all."""
    n_out, n_row = int(stage.d[f.N_OUT]), int(stage.d[f.N_ROW])
    most = max(1, min(n_out, ROW_BYTES // n_row))
    return n_row * next(step for step in range(most, 0, -1) if n_out % step == 0)


def adapter_bytes(network: Network, adapter: Adapter, layout: str = "kept") -> int:
    """The block that `Network.apply` takes for an adapter of this network."""
    weighted = [s for s in network.stages if s.weights]
    scored = adapter.content in ("scores", "gains")
    total = rows = 0
    for layer in adapter.layers:
        s = weighted[layer.index]
        rows = max(rows, pad4(row_buffer_bytes(s.stage)))
        total += pad4(select_bytes(s, layer.selection))
        if scored:
            total += pad4(len(layer.values))
        if not (scored and layout == "small" and s.stage.kind == f.LINEAR):
            total += pad4(s.weights)
    return total + (rows if scored and layout == "small" else 0)


def adapter_scratch(network: Network, layout: str = "kept", target: str = "armv6m",
                    measures: bool = False) -> int:
    """The scratch of a network after `Network.apply`; `measures`: of a method that does."""
    uses = [Use(measures=measures, low_memory=layout == "small")] * len(network.stages)
    scratch = _scratch(network.stages, uses, network.model.classes, network.backend, target)
    return scratch if layout == "small" else max(scratch, network.scratch)


def _scratch(stages: list[StageBytes], uses: list[Use], words: int, backend: str,
             target: str) -> int:
    """Bytes of the scratch that all stages share, at least so many words."""
    return 4 * max(words, *(scratch_words(s.stage, use, backend, target)
                            for s, use in zip(stages, uses, strict=True)))


def _needs_portable(stages: list[StageBytes], uses: list[Use], backend: str) -> bool:
    return any(needs_portable(s.stage, use, backend)
               for s, use in zip(stages, uses, strict=True))
