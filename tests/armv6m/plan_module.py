"""The module priot_plan, which tells on this machine what the kernels for the Pico would do."""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from priot.network import fields as f
from priot.paths import native_module, tool

_SCRIPT = Path(__file__).parent / "plans.py"


def answers(folder: Path, layers: Iterable[tuple[int, np.ndarray]], end: int,
            *functions: str) -> list[list]:
    """A list of each layer, (kind, descriptor): number and name of its plan, the words from
    PLAN_FORWARD to `end` of its descriptor, and scratch words with training 0, 1, 2.

    functions: of the module: what plans, names a plan, and all that tell scratch words.
    """
    path = folder / "layers"
    path.write_bytes(b"".join(np.append(kind, d).astype(np.int32).tobytes()
                              for kind, d in layers))
    environment = dict(os.environ, MICROPYPATH=str(native_module("x64", "priot_plan").parent))
    done = subprocess.run([str(tool("micropython")), str(_SCRIPT), str(path), str(f.N_FIELDS),
                           str(f.PLAN_FORWARD), str(end), *functions],
                          env=environment, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
