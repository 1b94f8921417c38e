"""What a model and ways to train it take of memory: the device package's own answers.

It runs under MicroPython on this machine and plans for the board's processor, with the same code
that takes memory on a board (device/priot/plan.py, layout.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from priot.errors import PriotError
from priot.jobs.protocol import Event, Target
from priot.methods import METHODS, OPTIONS, Method
from priot.processors import PICO

_LEAST_HEAP_BYTES = 16 << 20


def heap_for(model: Path) -> int:
    """Of the MicroPython that is asked about a model, of which it reads weights and sizes.

    Not more: each collection of garbage goes over all of it.
    """
    return _LEAST_HEAP_BYTES + 16 * (model.stat().st_size if model.exists() else 0)


@dataclass(frozen=True)
class Training:
    """A method and keywords of the device's Trainer."""

    method: str = "priot"
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, method: str = "priot", **options: Any) -> "Training":
        """From keywords of the Trainer."""
        return cls(method, tuple((name, options[name]) for name in OPTIONS if name in options))

    @property
    def rule(self) -> Method:
        """What the method trains, and how."""
        return METHODS[self.method]

    def get(self, name: str) -> Any:
        """An option, or its default."""
        return dict(self.options).get(name, OPTIONS[name])

    def but(self, **options: Any) -> "Training":
        """The same with other options."""
        return Training.of(self.method, **{**dict(self.options), **options})

    def command(self) -> str:
        """The options of `priot train` that say the same."""
        return " ".join([f"--method {self.method}", *(
            f"--{name} {value}" for name, value in self.options if value != OPTIONS[name])])


@dataclass
class Layer:
    """What training or an adapter takes of one stage, in bytes.

    scored: edges that have a score, gain or trained weight; scores, select: of what they are, and
    of what says which.
    """

    stage: int
    scored: int
    scores: int
    select: int


@dataclass
class Network:
    """A loaded model: two blocks, and its stages as device/priot/plan.py describes them.

    weight_bytes: of the block of weights; flash_bytes: of the weights that stay in flash.
    portable, layers: whether a Pico loads priot_portable, priot_layers beside priot_native.
    is_depthwise: whether some of its layers are; is_sensor: whether its samples are signed and of
    one line, not pictures.
    """

    stages: list[dict[str, Any]]
    n_classes: int
    weight_bytes: int
    work_bytes: int
    portable: bool
    reserve_bytes: int
    flash_bytes: int = 0
    layers: bool = False
    is_depthwise: bool = False
    is_sensor: bool = False

    @property
    def n_weights(self) -> int:
        """Weights of all layers."""
        return sum(stage["weights"] for stage in self.stages)


@dataclass
class Learned:
    """A Trainer on a network, or an adapter put in force: two blocks beside its weights.

    parts: in which the weights of trained layers come from the flash.
    ram_bytes: what that is more than the loaded network takes, as `Trainer.ram_bytes`. portable,
    backward: whether a Pico loads priot_portable, priot_backward for it. saved,
    mask: bytes of the files that it writes (0: none). left_bytes: of what was said to be free
    beside the weights.
    """

    layout: str
    layers: list[Layer]
    learned_bytes: int
    work_bytes: int
    ram_bytes: int
    portable: bool
    backward: bool
    dynamic: bool
    parts: int = 0
    left_bytes: int = 0
    saved: int = 0
    mask: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass
class Planner:
    """Asks the device package on `target` about a model on a board.

    backend: the kernels there; arch: its processor, "" for that of the target, where None stands
    for the fastest kernels. flash: whether weights stay in flash, None: where RAM is short;
    free_at_load: bytes of its heap before the model is loaded, 0: its flash is no memory.
    """

    target: Target
    model: Path
    backend: str | None
    arch: str = PICO.native
    flash: bool | None = None
    free_at_load: int = 0

    def network(self) -> Network:
        """The model alone. Raises PriotError where it is refused."""
        return _network(self._ask()[0])

    def trainings(self, trainings: Sequence[Training], free: int) -> list[Learned | PriotError]:
        """Ways to train, where `free` bytes of heap are left beside the weights.

        A PriotError instead of what the device's Trainer refuses.
        """
        asked = [[training.method, dict(training.options)] for training in trainings]
        return [_learned(event) for event in self._ask(trainings=asked, free=free)[1:]]

    def training(self, training: Training, free: int = 1 << 30) -> Learned:
        """One way to train. Raises PriotError where it is refused."""
        learned = self.trainings([training], free)[0]
        if isinstance(learned, PriotError):
            raise learned
        return learned

    def adapter(self, path: Path, layout: str) -> Learned:
        """An adapter of the model, put in force. Raises PriotError."""
        learned = _learned(self._ask(adapters=[[str(path.absolute()), layout]])[1])
        assert isinstance(learned, Learned)
        return learned

    def _ask(self, **wanted: Any) -> list[Event]:
        job = {"action": "plan", "model": str(self.model.absolute()), "backend": self.backend,
               "arch": self.arch, "flash": self.flash, "free_at_load": self.free_at_load,
               **wanted}
        return [event for event in self.target.run(job) if event["event"] != "done"]


def _network(event: Event) -> Network:
    return Network(**{name: event[name] for name in Network.__dataclass_fields__})


def _learned(event: Event) -> Learned | PriotError:
    if "refused" in event:
        where, _, text = event["refused"].partition(": ")
        return PriotError(where, text)
    values = {name: event[name] for name in Learned.__dataclass_fields__ if name in event}
    return Learned(**{**values, "layers": [Layer(**layer) for layer in event["layers"]]})
