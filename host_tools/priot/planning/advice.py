"""Which method suits the RAM at hand, and what would make a plan fit that does not."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from priot.network import fields as f
from priot.planning.board import Limits, Plan, plan_trainings
from priot.planning.sizes import Planner, Training

_ALL, _SOME, _LAST = "all", "some edges", "last layers"


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
    def is_advisable(self) -> bool:
        """Whether it fits and the device's Trainer warns of nothing."""
        return self.fits and not self.plan.learned.warnings

    @property
    def result_bytes(self) -> int:
        """The smallest file that later puts the result in force: a mask where there is one."""
        return self.plan.learned.mask or self.plan.learned.saved

    @property
    def is_whole(self) -> bool:
        """Whether every layer is trained."""
        return not self.training.get("last") and not self.training.rule.last


@dataclass
class Recommendation:
    """The choice to take, why, and what else may be wanted."""

    choice: Choice
    reason: str
    also: list[str] = field(default_factory=list)


def choices(planner: Planner, asked: Training, n_layers: int, board: Limits,
            files: Mapping[str, int], samples: int = 0) -> list[Choice]:
    """What was asked for, its levers, then the other methods; each once.

    n_layers: layers with weights. Raises PriotError where the device refuses what was asked for.
    """
    candidates = _candidates(asked, n_layers)
    plans = plan_trainings(planner, candidates, board, files, samples)
    if not isinstance(plans[0], Plan):
        raise plans[0]
    found: list[Choice] = []
    seen = set()
    for training, plan in zip(candidates, plans, strict=True):
        if not isinstance(plan, Plan):
            continue  # this network cannot be trained so
        learned = plan.learned
        effect = (training.method, training.get("keep"), learned.ram_bytes,
                  tuple((a.scored, a.select) for a in learned.layers))
        if effect not in seen:
            seen.add(effect)
            found.append(Choice(training, plan))
    return found


def _candidates(asked: Training, n_layers: int) -> list[Training]:
    levers = [asked, asked.but(layout="small")]
    if not asked.rule.last:
        levers += [asked.but(last=last) for last in sorted({max(1, n_layers // 2), 1},
                                                           reverse=True)]
    sparse = {"fraction": 10, "select": "layers"}
    wide = [Training.of("weights16")] if n_layers >= f.DEEP else []
    return [*levers, *wide, Training.of("priot"), Training.of("priot", layout="small"),
            Training.of("priot-s", **sparse), Training.of("gain"),
            Training.of("gain", **sparse), Training.of("gain", **sparse, layout="small"),
            Training.of("weights"), Training.of("weights", layout="small"),
            *([Training.of("weights", last=n_layers // 2)] if n_layers > 3 else []),
            Training.of("head"), Training.of("bias")]


def on_portable_kernels(planner: Planner, asked: Training, board: Limits,
                        files: Mapping[str, int], samples: int = 0) -> Choice | None:
    """What was asked for where it takes the least RAM; None unless that is less than planned."""
    if board.backend != "native":
        return None
    training = asked.but(layout="small")
    plan = plan_trainings(replace(planner, backend="portable"), [training],
                          replace(board, backend="portable"), files, samples)[0]
    return Choice(training, plan) if isinstance(plan, Plan) else None


def in_flash(planner: Planner, asked: Training, board: Limits, files: Mapping[str, int],
             samples: int = 0) -> Choice | None:
    """What was asked for with the weights in flash; None where they are there, or none can be."""
    if planner.flash is not None:
        return None
    plan = plan_trainings(replace(planner, flash=True), [asked], board, files, samples)[0]
    return Choice(asked, plan) if isinstance(plan, Plan) and plan.network.flash_bytes else None


def recommend(found: list[Choice]) -> Recommendation | None:
    """What to take of what fits; None where nothing does.

    The order follows what device/METHODS.md says of each method: a score an edge where there is
    room, then weights in place, which need none, then some edges only, then the last layers; but
    biases first for sensors, weights of 16 bits for deep networks, and gains, or else weights,
    where there is little to prune. What the device warns of is not taken.
    """
    if not found:
        return None
    network = found[0].plan.network
    n_weights = network.n_weights
    rows = [  # method, which layers and edges are trained, reason
        ("priot", _ALL, "the backbone stays as it is and the result is a bit an edge: many "
                        "adaptations fit on a board"),
        ("weights", _ALL, "a score an edge does not fit; weights are trained in place"),
        ("gain", _SOME, "a gain for some of the edges; the backbone stays as it is"),
        ("weights", _LAST, "all layers do not fit; the weights of the last ones are trained in "
                           "place"),
        ("head", _ALL, "only the last layer's weights are trained"),
    ]
    if max(len(choice.plan.learned.layers) for choice in found) >= f.DEEP:
        rows.insert(0, ("weights16", _ALL, "many layers move at once: each changes by less than "
                                            "8 bits can tell, 16 while training can"))
    if network.is_depthwise:
        rows[:0] = [("gain", _ALL, "depthwise layers have too few edges to prune; a gain trains "
                                   "them, too, and the backbone stays as it is"),
                    ("weights", _ALL, "depthwise layers have too few edges to prune, and a gain "
                                      "an edge does not fit; weights are trained in place")]
    elif n_weights < f.FEW_WEIGHTS:
        rows.insert(0, ("gain", _ALL, f"{n_weights:,} weights are few to prune; a gain can also "
                                      "strengthen an edge, and the backbone stays as it is"))
    if network.is_sensor:
        rows.insert(0, ("bias", _ALL, "signed samples of one line, as sensors give them: biases "
                                      "learn another offset or gain, in the least RAM"))
    for method, what, reason in rows:
        for choice in found:
            training = choice.training
            if choice.is_advisable and (training.method, _trained(training)) == (method, what):
                return Recommendation(choice, reason, _also(found, choice))
    return None


def _trained(training: Training) -> str:
    return _LAST if training.get("last") else _SOME if training.get("fraction") else _ALL


def _also(found: list[Choice], chosen: Choice) -> list[str]:
    """What else may be wanted: more heap left, or a backbone that stays as it is."""
    texts = []
    whole = [c for c in found if c.is_advisable and c.is_whole]
    least = max(whole, key=lambda choice: choice.plan.heap.free, default=chosen)
    if least is not chosen:
        texts.append(f"most heap left, all layers trained: {least.training.command()}")
    if chosen.training.rule.rule >= f.WEIGHTS:
        untouched = [c for c in whole if c.training.method == "gain"]
        if untouched:
            texts.append("to leave the backbone as it is: "
                         f"{untouched[0].training.command()}")
    return texts


def weights_that_fit(plan: Plan) -> int:
    """About how many weights a network like the planned one may have, 0 for none.

    A weight takes a byte of the network's block, and what its edge takes of the trainer's.
    """
    weights = plan.network.n_weights
    blocks = plan.network.weight_bytes + plan.learned.learned_bytes + plan.learned.work_bytes
    return max(0, weights - weights * plan.missing // blocks)
