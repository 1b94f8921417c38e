"""How an adaptation trains: as the plan for its board recommends, or as was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from priot.errors import PriotError
from priot.formats import Model
from priot.planning.advice import choices, recommend
from priot.planning.board import Limits, Plan, file_sizes, most_samples, plan_trainings
from priot.planning.sizes import Planner, Training, heap_for
from priot.targets.unix import UnixTarget, unix_port


@dataclass
class Chosen:
    """A way to train, and why; plan: None where no MicroPython is here to plan with.

    stays: the datasets stay on the host, as the board's flash has no room for them.
    """

    training: Training
    reason: str
    plan: Plan | None = None
    stays: bool = False


def choose(path: Path, datasets: Sequence[Path], board: Limits, method: str | None,
           options: dict[str, Any], stream: bool = False) -> Chosen:
    """The training for a model file and datasets on a board. Raises PriotError where none fits.

    method: None takes what is recommended; options: the Trainer's, that stand in any case.
    """
    try:
        unix_port()
    except PriotError as error:
        if method is None:
            raise PriotError(error.where, f"{error.what}; or without a plan, --method "
                             "priot") from error
        return Chosen(Training.of(method, **options), "as asked, not planned: no MicroPython "
                      "here to ask", stays=stream)
    model = Model.read(path)
    planner = Planner(UnixTarget(heap_for(path)), path, board.backend)
    samples = most_samples(datasets, model)
    refusals: list[str] = []
    for stays in ([True] if stream else [False, True]):
        files = file_sizes(path, [] if stays else datasets)
        if method is None:
            found = choices(planner, Training.of(), len(model.weight_stages), board, files,
                            samples)
            advised = recommend(found)
            refusals = found[0].plan.refusals
            if advised is None:
                continue
            training, plan = advised.choice.training, advised.choice.plan
            reason = f"recommended: {advised.reason}"
            if not options:
                return Chosen(training, reason, plan, stays)
            training = training.but(**options)
        else:
            training, reason = Training.of(method, **options), "as asked"
        planned = plan_trainings(planner, [training], board, files, samples)[0]
        if isinstance(planned, PriotError):
            raise planned
        refusals = planned.refusals
        if not refusals:
            return Chosen(training, reason, planned, stays)
    raise PriotError(path, f"does not fit: {'; '.join(refusals)}; 'priot plan {path}' says what "
                     "takes it")
