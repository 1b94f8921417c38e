"""The fast kernels of the Pico, run on a simulated Cortex-M0+: exact, and no slower than before."""

import numpy as np
import pytest
from armv6m.cases import RANDOM, backward, forward, update
from armv6m.target import Target

from host_tools import fields as f

SEEDS = 4
CASES = 150  # of a kind and a seed
KINDS = {"conv2d": f.CONV2D, "linear": f.LINEAR}


@pytest.fixture(scope="module")
def target() -> Target:
    return Target()


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kernel", RANDOM)
@pytest.mark.parametrize("kind", KINDS)
def test_random_calls(target, kind, kernel, seed):
    rng = np.random.default_rng(seed)
    for _ in range(CASES):
        target.align = int(rng.integers(4)) if kind == "conv2d" or kernel == "update" else 0
        RANDOM[kernel](target, rng, KINDS[kind])
