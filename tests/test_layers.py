"""The kernels of priot_layers and priot_backward on a simulated Cortex-M0+: exact, no slower.

On one core, and on two that take turns: what one writes in a share, the other never touches.
"""

import json

import numpy as np
import pytest
from armv6m import layer_cases as cases
from armv6m import layer_cycles, plan_module
from armv6m.target import LayersTarget
from kernels.layers import conv2d_descriptor, linear_descriptor, n_inputs, n_outputs
from priot.network import fields as f
from priot.paths import ROOT

SEEDS = 2
CASES = 100  # of a kernel and a seed
LAYERS = 20  # of each kernel, to plan for
GROWTH = 1.03  # cycles that a kernel may take, relative to the committed figures
STACK = 600  # bytes that a kernel may take of the board's 8 kB


@pytest.fixture(scope="module", params=[1, 2], ids=["one", "two"])
def target(request) -> LayersTarget:
    return LayersTarget(request.param)


@pytest.fixture
def aligned(target) -> LayersTarget:
    target.align = 0
    return target


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kernel", cases.SHAPES)
def test_random_calls(target, kernel, seed):
    rng = np.random.default_rng(seed + SEEDS * target.cores)
    for _ in range(CASES):
        target.align = int(rng.integers(4))
        cases.random_call(target, rng, kernel)
        assert target.machine.stack_used <= STACK


def weights_of(total: int, taps: int, n: int) -> np.ndarray:
    """n weights, of which the first `taps` sum up to `total` in magnitude."""
    w = np.zeros(n, int)
    w[:taps] = [total // taps + (i < total % taps) for i in range(taps)]
    assert w.max() <= 127
    return w


# sum(|w|) of the taps in a lane: the last that fits, the first that does not, behind a ReLU and
# for signed inputs; and the largest of all
@pytest.mark.parametrize("low", [0, -127])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("total", [258, 259, 510, 511, 512, 762])
def test_tiles_at_the_lanes_bounds(aligned, total, sign, low):
    d = conv2d_descriptor(14, (4, 5), 2, 1, NONNEGATIVE=low == 0, FORWARD_SHIFT=9)
    first = np.append(weights_of(total, 6, 7), weights_of(total, 6, 7))
    w = (sign * np.append(first, first[::-1]) + 128).astype(np.uint8)
    flipped = np.where(np.arange(n_inputs(d)) % 2 == 0, 127, low)
    for x in (np.full(n_inputs(d), 127), np.full(n_inputs(d), low), flipped, flipped[::-1]):
        cases.forward(aligned, "tiles_forward", d, x.astype(np.int8), w)


@pytest.mark.parametrize("low", [0, -127])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("total", [258, 259, 381, 511, 512, 762])
def test_depthwise_at_the_lanes_bounds(aligned, total, stride, sign, low):
    d = conv2d_descriptor(3, (7, 6), 3, 3, stride, 1, groups=3, NONNEGATIVE=low == 0,
                          FORWARD_SHIFT=9)
    taps = 3 if total <= 381 else 6  # of one row of the kernel, or of two
    w = np.append(weights_of(total, taps, 9), weights_of(total, taps, 9)[::-1])
    w = np.append(w, np.roll(weights_of(total, taps, 9), 3))
    w = (sign * w + 128).astype(np.uint8)
    flipped = np.where(np.arange(n_inputs(d)) % 2 == 0, 127, low)
    for x in (np.full(n_inputs(d), 127), np.full(n_inputs(d), low), flipped, flipped[::-1]):
        cases.forward(aligned, "depthwise3x3_forward", d, x.astype(np.int8), w)


@pytest.mark.parametrize("kernel", ["tiles_forward", "depthwise3x3_forward"])
def test_the_largest_weights_with_every_shift(aligned, kernel):
    groups = 1 if kernel == "tiles_forward" else 2
    for shift in range(31):
        d = conv2d_descriptor(2, (5, 7), 2, 3, 2 - shift % 2, 1, groups=groups, RELU=shift % 2,
                              NONNEGATIVE=1, FORWARD_SHIFT=shift)
        for byte in (1, 255):
            cases.forward(aligned, kernel, d, np.full(n_inputs(d), 127, np.int8),
                          np.full(int(d[f.N_OUT] * d[f.N_ROW]), byte, np.uint8))


@pytest.mark.parametrize("value", [-1, 1])
def test_segments_of_weights_of_all_sizes(aligned, value):
    """A row of weights that are 0 but for the last is one segment, longer than a byte can say."""
    d = conv2d_descriptor(700, (2, 6), 2, 1, NONNEGATIVE=1, FORWARD_SHIFT=5)
    w = np.full(1400, 128, np.uint8)
    w[699], w[700] = 128 + 127 * value, 128 - 127 * value
    cases.forward(aligned, "tiles_forward", d, np.full(n_inputs(d), 127, np.int8), w)


def test_gathers_at_the_lists_bounds(aligned):
    """Sums of |error| in a segment: 258 times 127 is the last that a lane holds."""
    for total in (258, 259, 381, 516, 517):
        for n_in in (1, 9, 16):
            for sign in (1, -1):
                g = np.zeros(12, np.int8)
                g[1:1 + -(-total // 127)] = 127
                g[-(-total // 127)] -= g.sum(dtype=int) - total
                for byte in (1, 255):
                    d = conv2d_descriptor(n_in, (2, 3), 12, 1, MASK_DX=128, BACKWARD_SHIFT=9)
                    errors = sign * np.repeat(g, 6)  # the same at all positions
                    cases.backward(aligned, "gather_backward", d, errors.astype(np.int8),
                                   np.full(n_inputs(d), 1, np.int8),
                                   np.full(12 * n_in, byte, np.uint8),
                                   np.zeros(n_inputs(d), np.uint8))
                for x in (127, -127):
                    d = conv2d_descriptor(n_in, (3, 4), 2, 1, RULE=f.WEIGHTS, ROUNDING=f.PSR,
                                          UPDATE_SHIFT=11)
                    cases.update(aligned, "gather_update", d, sign * np.append(g, g[::-1]),
                                 np.full(n_inputs(d), x, np.int8),
                                 np.full(2 * n_in, 128, np.uint8), cases.NOTHING, cases.NOTHING)


@pytest.mark.parametrize("shift", range(31))
def test_gathered_gradients_with_every_shift(aligned, shift):
    """Of sums that fit the lanes, and of such that do not."""
    for filters in (2, 3):
        d = conv2d_descriptor(9, (3, 3), filters, 1, MASK_DX=128, BACKWARD_SHIFT=shift)
        for byte in (1, 255):
            cases.backward(aligned, "gather_backward", d, np.full(9 * filters, 127, np.int8),
                           np.full(n_inputs(d), 1, np.int8), np.full(9 * filters, byte, np.uint8),
                           np.zeros(n_inputs(d), np.uint8))


def halves(shift: int) -> list[tuple[int, int]]:
    """Errors and sums of |weight| whose products are the last that fit, and the first that do not.

    They fit where, with what rounds, half a word holds them, and a byte what comes out.
    """
    most = (128 << min(shift, 8)) - 1 - (1 << shift >> 1)
    return [(error, total) for error in (1, 100, 127)
            for total in (most // error, most // error + 1) if 0 < total <= 9 * 127]


@pytest.mark.parametrize("shift", range(17))
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_gradient_where_words_are_full(aligned, shift, stride):
    d = conv2d_descriptor(3, (5, 6), 3, 3, stride, 1, groups=3, MASK_DX=128, BACKWARD_SHIFT=shift)
    for error, total in halves(shift):
        w = np.array([total // 9 + (i < total % 9) for i in range(9)])
        w = np.concatenate([w, -w, w * (-1) ** np.arange(9)])
        for sign in (1, -1):
            cases.backward(aligned, "depthwise3x3_backward", d,
                           np.full(n_outputs(d), sign * error, np.int8),
                           np.full(n_inputs(d), 1, np.int8), (w + 128).astype(np.uint8),
                           np.zeros(n_inputs(d), np.uint8))


def test_depthwise_gradient_of_the_largest(aligned):
    for shift in range(31):
        d = conv2d_descriptor(2, (5, 7), 2, 3, 2 - shift % 2, 1, groups=2, MASK_DX=128,
                              BACKWARD_SHIFT=shift)
        for byte in (1, 255):
            g = np.full(n_outputs(d), 127, np.int8)
            cases.backward(aligned, "depthwise3x3_backward", d, g,
                           np.full(n_inputs(d), 1, np.int8), np.full(18, byte, np.uint8),
                           np.zeros(n_inputs(d), np.uint8))


CHANGES = [  # kernel, field of d and what it becomes after the plan
    ("tiles_forward", f.GROUPS, 2), ("tiles_forward", f.POOL_H, 2),
    ("tiles_forward", f.MEASURE, 1),
    ("depthwise3x3_forward", f.KERNEL_W, 5), ("depthwise3x3_forward", f.STRIDE_H, 3),
    ("biased_linear_forward", f.FORWARD_SHIFT, 23), ("biased_linear_forward", f.BIAS, 0),
    ("gather_backward", f.POOL_W, 2), ("gather_backward", f.STRIDE_W, 3),
    ("gather_update", f.GROUPS, 2), ("gather_update", f.RULE, f.FROZEN),
    ("depthwise3x3_backward", f.KERNEL_H, 1), ("depthwise3x3_update", f.RULE, f.FROZEN),
    ("mean_backward", f.MEASURE, 1),
]


@pytest.mark.parametrize("kernel, field, value", CHANGES)
def test_what_changed_since_the_plan_is_refused(aligned, kernel, field, value):
    """module.c asks before every call: a kernel that does not take d would leave its buffers."""
    kind, d = cases.random_layer(np.random.default_rng(1), kernel)
    d[f.RULE] = f.PRUNE
    slot = getattr(f, f"PLAN_{kernel.rsplit('_', 1)[1].upper()}")
    aligned.plan(kind, d)
    assert aligned.planned(kind, slot, d) == kernel
    d[field] = value
    assert aligned.planned(kind, slot, d) == ""


def test_what_priot_native_has_planned_stays(aligned):
    d = linear_descriptor(16, 4, BIAS=1)
    d[f.PLAN_FORWARD] = 4
    aligned.machine.clear()
    address = aligned.machine.place(d, writable=True)
    assert aligned.machine.call("layers_plan", f.LINEAR, address) == 0
    assert aligned.machine.fetch(address, len(d), np.int32)[f.PLAN_FORWARD] == 4


def test_priot_plan_says_what_the_pico_would(aligned, tmp_path):
    """The module for this machine against the code for the Pico."""
    rng = np.random.default_rng(3)
    layers = [cases.random_layer(rng, kernel) for kernel in cases.SHAPES for _ in range(LAYERS)]
    expected, trained = [], []
    for kind, d in layers:
        d[f.RULE] = f.PRUNE
        number = aligned.plan(kind, d)
        name = bytes(aligned.machine.fetch(
            aligned.machine.call("layers_plan_name", number), 60, np.uint8))
        expected.append([number, name.split(b"\0")[0].decode(), int(d[f.PLAN_FORWARD]),
                         *3 * [aligned.scratch_words(kind, 0, d)]])
        trained.append([0, "portable C", 0, *d[f.PLAN_BACKWARD:f.PLAN_UPDATE + 1].tolist(), 0,
                        *(aligned.scratch_words(kind, training, d) for training in (1, 2))])
        d[f.PLAN_FORWARD:f.PLAN_END] = 0
    assert plan_module.answers(tmp_path, layers, f.PLAN_FORWARD + 1, "layers_plan",
                               "layers_plan_name", "layers_scratch_words") == expected
    assert plan_module.answers(tmp_path, layers, f.PLAN_UPDATE + 1, "backward_plan", "plan_name",
                               "backward_scratch_words") == trained


def test_no_layer_takes_longer_than_committed(target, capsys):
    """Each call is compared with the oracle as well."""
    target.align = 0
    figures = layer_cycles.measure(target)
    committed = json.loads(layer_cycles.FIGURES.read_text())[str(target.cores)]
    with capsys.disabled():
        print("\n" + layer_cycles.table(figures))
    slower = [f"{name}: {cycles}, committed {committed[name][0]}"
              for name, (cycles, _) in figures.items() if cycles > GROWTH * committed[name][0]]
    assert not slower


def test_the_readme_says_what_is_committed():
    """Cycles per product beside those of others."""
    rows = [line.split("|")[1:-1] for line in (ROOT / "README.md").read_text().splitlines()
            if line.startswith("|")]
    ours = {row[0].strip(): row[3].split()[0] for row in rows if len(row) == 4 and row[3].strip()}
    for layer, name in (("1x1 16->32, 24x24",) * 2, ("depthwise 3x3 stride 2 16, 48x48",) * 2,
                        ("depthwise 3x3, 24x24, theirs 32 channels, ours 16",
                         "depthwise 3x3 16, 24x24"),
                        ("the best 1x1: theirs 128->128, 6x6, ours 64->64, 16x16",
                         "1x1 64->64, 16x16")):
        cycles, products = json.loads(layer_cycles.FIGURES.read_text())["1"][name]
        assert ours[layer] == f"{cycles / products:.2f}"
