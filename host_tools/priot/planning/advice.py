"""Which method suits the RAM at hand, and what would make a plan fit that does not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from priot.errors import PriotError
from priot.formats import Model
from priot.network import fields as f
from priot.planning.board import Limits, Plan, plan_training
from priot.planning.memory import Training

# Pruning chooses among edges: with fewer weights than this it reached less than gain.
SMALL_NETWORK = 10_000


@dataclass
class Choice:
    """A way to train, and its plan."""

    training: Training
    plan: Plan

    @property
    def fits(self) -> bool:
        """Whether heap and flash suffice."""
        return not self.plan.refusals

    @property
    def result_bytes(self) -> int:
        """The smallest file that later puts the result in force: a mask where there is one."""
        return min(self.plan.saved.values())

    @property
    def is_whole(self) -> bool:
        """Whether every layer is trained."""
        return self.training.last is None and not self.training.rule.last


@dataclass
class Recommendation:
    """The choice to take, why, and what else may be wanted."""

    choice: Choice
    reason: str
    also: list[str] = field(default_factory=list)


def choices(model: Model, asked: Training, board: Limits, files: Mapping[str, int],
            samples: int = 0) -> list[Choice]:
    """What was asked for, its levers, then the other methods; each once."""
    found: list[Choice] = []
    seen = set()
    for training in _candidates(asked, len(model.weight_layers)):
        try:
            choice = Choice(training, plan_training(model, training, board, files, samples))
        except PriotError:
            continue  # this network cannot be trained so
        trained = choice.plan.trained
        assert trained is not None
        effect = (training.method, training.keep, trained.ram_bytes,
                  tuple((s.scored, s.select) for s in trained.stages))
        if effect not in seen:
            seen.add(effect)
            found.append(choice)
    return found


def _candidates(asked: Training, n_layers: int) -> Iterator[Training]:
    yield asked
    yield replace(asked, layout="small")
    if not asked.rule.last:
        for last in sorted({max(1, n_layers // 2), 1}, reverse=True):
            yield replace(asked, last=last)
    yield Training("priot")
    yield Training("priot", layout="small")
    yield Training("priot-s", fraction=10, select="layers")
    yield Training("gain")
    for layout in ("auto", "small"):
        yield Training("gain", fraction=10, select="layers", layout=layout)
    yield Training("weights")
    yield Training("weights", layout="small")
    yield Training("head")


def on_portable_kernels(model: Model, asked: Training, board: Limits, files: Mapping[str, int],
                        samples: int = 0) -> Choice | None:
    """What was asked for where it takes the least RAM; None unless that is less than planned."""
    if board.backend != "native":
        return None
    training = replace(asked, layout="small")
    return Choice(training, plan_training(model, training, replace(board, backend="portable"),
                                          files, samples))


def recommend(found: list[Choice]) -> Recommendation | None:
    """What to take of what fits; None where nothing does.

    The order follows the accuracies in the table of experiments (device/METHODS.md): a score an
    edge where there is room, then weights in place, which need none, then some edges only.
    """
    if not found:
        return None
    n_weights = sum(s.weights for s in found[0].plan.stages)
    rows = [  # method, whether only some edges are trained, reason
        ("priot", False, "the backbone stays as it is and the result is a bit an edge: many "
                         "adaptations fit on a board"),
        ("weights", False, "a score an edge does not fit; weights are trained in place"),
        ("gain", True, "a gain for some of the edges; the backbone stays as it is"),
        ("head", False, "only the last layer's weights are trained"),
    ]
    if n_weights < SMALL_NETWORK:
        rows.insert(0, ("gain", False, f"{n_weights:,} weights are few to prune; a gain can also "
                                       "strengthen an edge, and the backbone stays as it is"))
    for method, is_sparse, reason in rows:
        for choice in found:
            training = choice.training
            if (choice.fits and training.method == method and training.last is None
                    and (training.fraction is not None) == is_sparse):
                return Recommendation(choice, reason, _also(found, choice))
    return None


def _also(found: list[Choice], chosen: Choice) -> list[str]:
    """What else may be wanted: more heap left, or a backbone that stays as it is."""
    texts = []
    whole = [c for c in found if c.fits and c.is_whole]
    least = max(whole, key=lambda choice: choice.plan.heap.free, default=chosen)
    if least is not chosen:
        texts.append(f"most heap left, all layers trained: {least.training.command()}")
    if chosen.training.rule.rule == f.WEIGHTS:
        untouched = [c for c in whole if c.training.method == "gain"]
        if untouched:
            texts.append("to leave the backbone as it is: "
                         f"{untouched[0].training.command()}")
    return texts


def weights_that_fit(plan: Plan) -> int:
    """About how many weights a network like the planned one may have, 0 for none.

    A weight takes a byte of the network's arena, and what its edge takes of the trainer's.
    """
    weights = sum(s.weights for s in plan.stages)
    arenas = plan.network.arena + (plan.trained.arena if plan.trained else plan.adapter)
    return max(0, weights - weights * plan.missing // arenas)
