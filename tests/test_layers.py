"""The kernels of priot_layers on a simulated Cortex-M0+: exact at every bound, and their cycles."""

import numpy as np
import pytest
from armv6m import layer_cases as cases
from armv6m.target import LayersTarget

SEEDS = 4
CASES = 100  # of a kernel and a seed
STACK = 600  # bytes that a kernel may take of the board's 8 kB


@pytest.fixture(scope="module")
def target() -> LayersTarget:
    return LayersTarget()


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kernel", cases.RANDOM)
def test_random_calls(target, kernel, seed):
    rng = np.random.default_rng(seed)
    for _ in range(CASES):
        target.align = int(rng.integers(4))
        cases.RANDOM[kernel](target, rng)
        assert target.machine.stack_used <= STACK
