"""Networks to plan for, and what the device says of their memory."""

import json
from pathlib import Path

from priot.formats import Model
from priot.planning.board import Limits, Plan, plan_trainings
from priot.planning.sizes import Planner, Training, heap_for
from priot.targets.unix import UnixTarget
from support import micropython, random_model

SAMPLES = 8
BLOCKS = Path(__file__).parent / "plan" / "blocks.py"

NETWORK_A = ("conv 8 3, relu, maxpool 2, conv 16 3, relu, maxpool 2, flatten, linear 64, relu, "
             "linear 10")
# name -> network, input shape
NETWORKS = {
    "a": (NETWORK_A, (1, 28, 28)),
    "padded": ("conv 5 3 pad 1, relu, conv 6 5 pad 2 stride 2, relu, maxpool 3 stride 2, flatten, "
               "linear 21, relu, linear 10", (3, 17, 15)),
    "pools": ("conv 6 5 pad 2, relu, avgpool 2, maxpool 3 stride 1, relu, conv 7 1, avgpool 2, "
              "flatten, linear 9, linear 10", (1, 12, 12)),
    "wide": ("conv 40 3 pad 1 stride 3, relu, conv 3 9 pad 8, relu, maxpool 5, flatten, linear 10",
             (2, 26, 31)),
    "perceptron": ("flatten, linear 33, relu, linear 10", (1, 8, 8)),
    "biased": ("conv 7 3 pad 1 bias, relu as x, dw 3 pad 1 bias, relu6, conv 7 1 bias, add x, "
               "maxpool 2, conv 6 3 stride 2 bias, relu, globalpool, linear 10 bias", (3, 17, 15)),
    "one": ("flatten, linear 10", (1, 3, 3)),
}


def device_says(path: Path, backend: str, cases: list) -> list:
    """The answers of tests/plan/blocks.py on the unix port."""
    cases_path = path.with_suffix(".json")
    cases_path.write_text(json.dumps(cases))
    result = micropython(BLOCKS, str(path), backend, str(cases_path), backend=backend)
    return json.loads(result.stdout.splitlines()[-1])


def planned(path: Path, training: Training, backend: str = "native",
            samples: int = SAMPLES, limits: Limits | None = None) -> Plan:
    """The plan to train a model on a Pico, or on a board of those limits."""
    planner = Planner(UnixTarget(heap_for(path)), path, backend)
    limits = limits or Limits(backend=backend)
    plan = plan_trainings(planner, [training], limits, {}, samples)[0]
    assert isinstance(plan, Plan)
    return plan


def perceptron(hidden: int) -> Model:
    """A network whose only large layer has so many outputs."""
    return random_model(f"flatten, linear {hidden}, relu, linear 10", (1, 28, 28), seed=1)


def least(folder: Path, missing: int, **options: str) -> int:
    """The smallest hidden layer of a perceptron for which more than `missing` bytes lack."""
    low, high = 60, 140
    while low < high:
        middle = (low + high) // 2
        perceptron(middle).write(folder / "trial.priot")
        if planned(folder / "trial.priot", Training.of(**options)).missing > missing:
            high = middle
        else:
            low = middle + 1
    return low
