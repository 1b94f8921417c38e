"""The Pico's fast kernels on a simulated Cortex-M0+: exact at every bound, no slower than ever.

On one core, and on two that take turns: what one writes in a share, the other never touches.
"""

import json
import subprocess

import numpy as np
import pytest
from armv6m import cases, plan_module, step
from armv6m.target import NATIVE, OBJECTS, Target, compare
from kernels.layers import argmax_bytes, conv2d_descriptor, linear_descriptor, n_inputs, n_outputs
from m0plus.machine import Machine
from priot.network import fields as f
from priot.oracle import kernels as oracle

SEEDS = 4
CASES = 100  # of a kind and a seed
LAYERS = 200  # to plan for
KINDS = {"conv2d": f.CONV2D, "linear": f.LINEAR}
GROWTH = 1.03  # cycles that a kernel may take, relative to the committed figures
STACK = 600  # bytes that a kernel may take of the board's 8 kB


@pytest.fixture(scope="module", params=[1, 2], ids=["one", "two"])
def target(request) -> Target:
    return Target(request.param)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kernel", cases.RANDOM)
@pytest.mark.parametrize("kind", KINDS)
def test_random_calls(target, kind, kernel, seed):
    rng = np.random.default_rng(seed)
    for _ in range(CASES):
        target.align = int(rng.integers(4)) if kind == "conv2d" or kernel == "update" else 0
        cases.RANDOM[kernel](target, rng, KINDS[kind])
        assert target.machine.stack_used <= STACK


@pytest.fixture
def aligned(target) -> Target:
    target.align = 0
    return target


def lane_weights(total: int, taps: int) -> list[int]:
    """`taps` weights of magnitude up to 127 that sum up to `total`."""
    each = [total // taps + (i < total % taps) for i in range(taps)]
    assert max(each) <= 127
    return each


# sum(|w|) of the taps that one lane adds up: the last that fits, the first that does not, of one
# channel and of a pair, behind a ReLU and for signed inputs; and the largest of all
@pytest.mark.parametrize("total", [258, 259, 510, 511, 512, 762])
@pytest.mark.parametrize("n_in", [1, 2, 4])
@pytest.mark.parametrize("rows", [(0, 1), (1, 2)])
@pytest.mark.parametrize("low", [0, -127])
def test_conv2d_forward_at_the_lanes_bounds(aligned, total, n_in, rows, low):
    d = conv2d_descriptor(n_in, (6, 6), 4, 3, 1, 1, 2, RELU=0, NONNEGATIVE=low == 0,
                          FORWARD_SHIFT=9)
    signs = np.array([[1], [-1], [1], [-1]]) * np.array([1, 1, 1, -1, 1, -1])
    for spread in (1, min(2, n_in)):  # over the taps of one channel, or of a pair
        if total > spread * 6 * 127:
            continue
        w = np.zeros((4, n_in, 3, 3), int)
        for c in range(spread):
            part = lane_weights(total // spread + (c < total % spread), 6)
            w[:2, c, rows[0]:rows[1] + 1] = (signs[:2] * part).reshape(2, 2, 3)
            w[2:, c, rows[0]:rows[1] + 1] = (np.sign(signs[2:, :1]) * part).reshape(2, 2, 3)
        bytes_ = (w + 128).astype(np.uint8).ravel()
        for x in (127, low):
            cases.forward(aligned, f.CONV2D, d, np.full(n_inputs(d), x, np.int8), bytes_)
        for flip in (1, -1):  # each input at the end that its tap drives furthest
            image = np.where(np.arange(n_inputs(d)) % 2 == (flip > 0), 127, low)
            cases.forward(aligned, f.CONV2D, d, image.astype(np.int8), bytes_)


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("n_in", [1, 2, 3])
def test_conv2d_forward_of_extremes_with_every_shift(aligned, n_in, pool):
    for shift in range(31):
        d = conv2d_descriptor(n_in, (5, 7), 2, 3, 1, 0, pool, RELU=shift % 2, NONNEGATIVE=1,
                              FORWARD_SHIFT=shift)
        for byte in (1, 255):
            cases.forward(aligned, f.CONV2D, d, np.full(n_inputs(d), 127, np.int8),
                          np.full(2 * n_in * 9, byte, np.uint8))


@pytest.mark.parametrize("byte", [1, 128, 255])
def test_linear_forward_of_extremes_with_every_shift(aligned, byte):
    for shift in range(31):
        d = linear_descriptor(24, 3, RELU=shift % 2, NONNEGATIVE=1, FORWARD_SHIFT=shift)
        cases.forward(aligned, f.LINEAR, d, np.full(24, 127, np.int8), np.full(72, byte, np.uint8))


def errors_of(total: int, n: int) -> np.ndarray:
    """n positive errors that sum up to `total`."""
    g = np.zeros(n, np.int8)
    g[:3] = [127, min(127, total - 127), max(0, total - 254)]
    return g


@pytest.mark.parametrize("total", [254, 258, 259, 381])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("byte", [1, 255])
def test_linear_backward_at_the_lists_bound(aligned, total, sign, byte):
    for shift in range(0, 31, 3):
        d = linear_descriptor(12, 5, MASK_DX=128, BACKWARD_SHIFT=shift)
        cases.backward(aligned, f.LINEAR, d, sign * errors_of(total, 5), cases.NOTHING,
                       np.full(12, 127, np.int8), np.full(60, byte, np.uint8))


# what a lane holds behind the first list, and the errors of the second: 193 is the last that is
# one list, 8191 (-8192) what the lane may hold to take it
@pytest.mark.parametrize("second", [193, 194])
@pytest.mark.parametrize("first", [8191, 8192, 8193, 12000, 16384, 32766])
@pytest.mark.parametrize("columns", [(1, 1, 1, 1), (1, -1, -1, 1), (1, 0, 0, 0), (0, 1, 0, 0),
                                     (0, 0, 1, 0), (0, 0, 0, 1)])
def test_linear_backward_of_two_lists(aligned, second, first, columns):
    errors = np.array([127, 127, 3, 1, 127, second - 127])
    large = min(first // 254, 127)
    small = min((first - 254 * large) // 3, 127)
    rows = np.array([large, large, small, first - 254 * large - 3 * small, 127, 127])
    assert errors[:4] @ rows[:4] == first
    w = np.outer(rows, np.tile(columns, 4))
    for sign in (1, -1):
        d = linear_descriptor(16, 6, MASK_DX=128, BACKWARD_SHIFT=9)
        cases.backward(aligned, f.LINEAR, d, (sign * errors)[::-1].astype(np.int8), cases.NOTHING,
                       np.full(16, 127, np.int8), (w[::-1] + 128).astype(np.uint8).ravel())


@pytest.mark.parametrize("relu", [0, 1])
@pytest.mark.parametrize("live", [0, 1, 2, 40])
@pytest.mark.parametrize("align", [0, 1])
def test_linear_backward_by_rows_and_few_inputs(aligned, relu, live, align):
    """Calls of some rows each, the first without errors, give what one call of all rows does.

    `live` inputs are not 0; `align`: bytes that the inputs lie off the start of a word.
    """
    rng = np.random.default_rng(live)
    d = linear_descriptor(40, 12, MASK_DX=128 * relu, BACKWARD_SHIFT=9)
    x, w = np.zeros(40, np.int8), cases.weights(rng, d)
    x[rng.choice(40, live, replace=False)] = rng.integers(1, 128, live)
    g = np.append(np.zeros(3), rng.integers(-127, 128, 9)).astype(np.int8)
    expected = np.zeros(40, np.uint8)
    oracle.linear_backward((expected, g, x, w, np.zeros(40, np.int32), d))
    for rows in (1, 3, 5):
        dx, scratch = np.full(40, cases.RUBBISH, np.uint8), cases.scratch(aligned, f.LINEAR, 1, d)
        for row in range(0, 12, rows):
            d[f.ROW], d[f.ROWS] = row, min(rows, 12 - row)
            part = w[40 * row:40 * (row + rows)]
            aligned.run("linear_backward", (dx, g, x, part, scratch, d), shifted={"x": align})
        assert np.array_equal(dx, expected)
        d[f.ROW], d[f.ROWS] = 0, 12


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("error", [127, -127, 64, 1])
@pytest.mark.parametrize("byte", [1, 255])
def test_conv2d_backward_where_lanes_overflow(aligned, pool, error, byte):
    """Every output has an error: nine or four meet in an input, from up to three filters."""
    for n_out in (1, 2, 3):
        for shift in (0, 7, 16, 30):
            d = conv2d_descriptor(3, (8, 7), n_out, 3, 1, 1, pool, MASK_DX=128,
                                  BACKWARD_SHIFT=shift)
            cases.backward(aligned, f.CONV2D, d, np.full(n_outputs(d), error, np.int8),
                           np.zeros(argmax_bytes(d), np.uint8), np.full(n_inputs(d), 1, np.int8),
                           np.full(n_out * 27, byte, np.uint8))


@pytest.mark.parametrize("total", [511, 512])
@pytest.mark.parametrize("sign", [1, -1])
def test_conv2d_backward_at_the_lanes_bound(aligned, total, sign):
    """Nine errors meet in the middle, all weights are -64: 512 * 64 is the first to overflow."""
    d = conv2d_descriptor(2, (5, 5), 1, 3, 1, 0, 1, MASK_DX=128, BACKWARD_SHIFT=10)
    g = np.full(9, total // 9) + (np.arange(9) < total % 9)
    cases.backward(aligned, f.CONV2D, d, (sign * g).astype(np.int8), cases.NOTHING,
                   np.full(50, 1, np.int8), np.full(18, 64, np.uint8))


@pytest.mark.parametrize("total", [254, 258, 259, 381])
@pytest.mark.parametrize("n_in", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("x", [127, -127])
def test_conv2d_gradient_at_the_lists_bound(aligned, total, n_in, padding, x):
    d = conv2d_descriptor(n_in, (6, 6), 2, 3, 1, padding, 2, RULE=f.WEIGHTS, ROUNDING=f.PSR,
                          UPDATE_SHIFT=11)
    per_filter = n_outputs(d) // 2
    for sign in (1, -1):
        g = sign * np.append(errors_of(total, per_filter), errors_of(total, per_filter)[::-1])
        cases.update(aligned, f.CONV2D, d, g, np.zeros(argmax_bytes(d), np.uint8),
                     np.full(n_inputs(d), x, np.int8), np.full(18 * n_in, 128, np.uint8),
                     cases.NOTHING, cases.NOTHING)


@pytest.mark.parametrize("total", [128, 129, 130, 257, 258, 259, 381])
@pytest.mark.parametrize("n_in", [1, 2])
@pytest.mark.parametrize("x", [(127, 0), (0, 127), (127, 127), (127, -127), (-127, 127)])
def test_conv2d_gradient_of_errors_of_both_signs(aligned, total, n_in, x):
    """Positive errors over the upper half of the image, negative ones over the lower half."""
    d = conv2d_descriptor(n_in, (6, 6), 2, 3, 1, 0, 1, RULE=f.WEIGHTS, ROUNDING=f.PSR,
                          UPDATE_SHIFT=11, NONNEGATIVE=min(x) >= 0)
    g = np.append(errors_of(total, 8), -errors_of(total, 8)[::-1])
    image = np.repeat(x, 18).astype(np.int8)
    cases.update(aligned, f.CONV2D, d, np.append(g, -g), cases.NOTHING, np.tile(image, n_in),
                 np.full(18 * n_in, 128, np.uint8), cases.NOTHING, cases.NOTHING)


RULES = [(f.PRUNE, f.RHU), (f.PRUNE, f.PSR), (f.GAIN, f.PSR), (f.WEIGHTS, f.PSR),
         (f.WIDE, f.PSR)]


@pytest.mark.parametrize("rule, rounding", RULES)
def test_every_shift_of_the_update(aligned, rule, rounding):
    rng = np.random.default_rng(1)
    w = np.arange(256).astype(np.uint8).clip(1)
    for shift in range(31):
        d = linear_descriptor(64, 4, RULE=rule, ROUNDING=rounding, UPDATE_SHIFT=shift)
        x = np.append([127, 1, 0, -127], rng.integers(-127, 128, 60)).astype(np.int8)
        cases.update(aligned, f.LINEAR, d, np.array([127, -127, 1, -3], np.int8), cases.NOTHING,
                     x, rng.permutation(w), rng.integers(0, 256, 256).astype(np.uint8),
                     cases.NOTHING)


@pytest.mark.parametrize("rule, rounding", RULES[:3])
@pytest.mark.parametrize("threshold", [0, 1, 63, 64, 96, 128, 255])
def test_scores_around_the_threshold_and_the_ends(aligned, rule, rounding, threshold):
    """All scores by steps of -3 .. 3: each crosses, touches or saturates."""
    d = linear_descriptor(256, 7, RULE=rule, ROUNDING=rounding, THRESHOLD=threshold)
    scores = np.tile(np.arange(256), 7).astype(np.uint8)
    cases.update(aligned, f.LINEAR, d, np.array([-3, -2, -1, 0, 1, 2, 3], np.int8), cases.NOTHING,
                 np.full(256, 1, np.int8), np.full(7 * 256, 129, np.uint8), scores, cases.NOTHING)


@pytest.mark.parametrize("shift", range(1, 20))
def test_rounding_half_way(aligned, shift):
    """dW * w of exactly half a step, one less and one more, either sign."""
    half = 1 << (shift - 1)
    products = [p for p in (half - 1, half, half + 1, 3 * half) if p <= 127**3]
    factors = [(a, b, p // (a * b)) for p in products for a in range(1, 128)
               for b in range(1, 128) if p % (a * b) == 0 and p // (a * b) <= 127][:200]
    for rule, rounding in RULES[:2]:
        for x, error, w in factors[::17]:
            d = linear_descriptor(4, 2, RULE=rule, ROUNDING=rounding, UPDATE_SHIFT=shift)
            cases.update(aligned, f.LINEAR, d, np.array([error, -error], np.int8), cases.NOTHING,
                         np.full(4, x, np.int8), np.full(8, w + 128, np.uint8),
                         np.full(8, 128, np.uint8), cases.NOTHING)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 63, 511, 512, 1000, 1003])
def test_kth_largest(target, n):
    rng = np.random.default_rng(n)
    for target.align in range(4):
        for scores in (rng.integers(0, 256, n), np.full(n, 255), np.zeros(n)):
            operands = scores.astype(np.uint8), np.zeros(512, np.int32)
            compare(target, "kth_largest", operands, int(rng.integers(1, n + 1)))


@pytest.mark.parametrize("rule", [f.PRUNE, f.GAIN])
@pytest.mark.parametrize("chosen", [f.ALL, f.LARGEST, f.BITMAP])
def test_effective_weights(aligned, rule, chosen):
    """Of all rows and of some, down to one."""
    rng = np.random.default_rng(rule + chosen)
    for rows in (9, 4, 1):
        d = linear_descriptor(13, 9, RULE=rule, SELECTION=chosen, TAU=30, THRESHOLD=120)
        w = cases.weights(rng, d)
        select, n_scores = cases.selection(rng, d, w)
        d[f.ROW], d[f.ROWS] = 9 - rows, rows
        scores = rng.integers(0, 256, n_scores).astype(np.uint8)
        weff = np.full(13 * rows, cases.RUBBISH, np.uint8)
        compare(aligned, "effective_weights", (weff, w, scores, select, d))


@pytest.mark.parametrize("shift", range(31))
def test_linear_forward_of_signed_inputs(aligned, shift):
    rng = np.random.default_rng(shift)
    d = linear_descriptor(16, 5, RELU=shift % 2, NONNEGATIVE=0, FORWARD_SHIFT=shift)
    for x in (rng.integers(-127, 128, 16), np.full(16, -127)):
        for w in (cases.weights(rng, d), np.full(80, 255, np.uint8)):
            cases.forward(aligned, f.LINEAR, d, x.astype(np.int8), w)


def test_assembly_runs_at_any_address(target):
    """No relocation but calls, which are relative."""
    for source in NATIVE.glob("armv6m/*.S"):
        object_file = OBJECTS / "armv6m" / f"{source.stem}.o"
        listing = subprocess.run(["arm-none-eabi-readelf", "-r", str(object_file)], check=True,
                                 capture_output=True, text=True).stdout
        kinds = {line.split()[2] for line in listing.splitlines() if "R_ARM" in line}
        assert kinds <= {"R_ARM_THM_CALL"}, source.name


def test_a_step_of_network_a_takes_no_more_cycles_than_committed(target, capsys):
    """Every kernel, every method; each call is compared with the oracle as well."""
    target.align = 0
    results = step.network_a(target)
    committed = json.loads(step.FIGURES.read_text())
    with capsys.disabled():
        for method, figures in results.items():
            print(f"\n{method}\n{step.table(figures)}")
    slower = [f"{method}, {name}: {cycles}, committed {committed[method][name][0]}"
              for method, figures in results.items() for name, (cycles, _) in figures.items()
              if cycles > GROWTH * committed[method][name][0]]
    assert not slower


def random_layer(rng: np.random.Generator) -> tuple[int, np.ndarray]:
    """A layer of any size that a Pico might see, under any rule; one in three is linear."""
    if rng.random() < 1 / 3:
        kind, d = f.LINEAR, linear_descriptor(int(rng.choice([rng.integers(1, 2000),
                                                              4 * rng.integers(1, 20000)])),
                                              int(rng.integers(1, 100)))
    else:
        kernel, pool = int(rng.choice([1, 2, 3, 3, 3, 5, 9])), int(rng.choice([1, 2, 2, 3, 4]))
        channels, height, width, filters = rng.integers(1, 40, 4)
        kind, d = f.CONV2D, conv2d_descriptor(
            int(channels), (int(height), int(width)), int(filters), kernel,
            int(rng.choice([1, 1, 1, 2, 3])), int(rng.integers(kernel)), pool,
            int(rng.choice([pool, pool, 1])))
        if min(d[[f.H_OUT, f.W_OUT]]) < 1:
            return random_layer(rng)
    d[f.MASK_DX], d[f.RULE], d[f.ROUNDING], d[f.SELECTION] = rng.integers([2, 4, 2, 3]) * (
        128, 1, 1, 1)
    d[f.LOW_MEMORY] = rng.random() < 0.25
    return kind, d


def simulated_answers(machine: Machine, kind: int, d: np.ndarray) -> list:
    """Number, name, planned kernels and scratch of a layer, by the Pico's own code."""
    machine.clear()
    at = machine.place(d, writable=True)
    number = machine.call("fast_plan", kind, at)
    text = bytes(machine.fetch(machine.call("fast_plan_name", number), 60, np.uint8))
    slots = machine.fetch(at, f.N_FIELDS, np.int32)[f.PLAN_FORWARD:f.PLAN_END]
    words = [machine.call(name, kind, training, at)
             for name in ("fast_scratch_words", "scratch_words") for training in range(3)]
    return [number, text.split(b"\0")[0].decode(), *map(int, slots), *words]


def test_priot_plan_says_what_the_pico_would(target, tmp_path):
    """The module for this machine against the code for the Pico, and that all cases occur."""
    rng = np.random.default_rng(3)
    layers = [random_layer(rng) for _ in range(LAYERS)]
    expected = [simulated_answers(target.machine, kind, d) for kind, d in layers]
    answers = plan_module.answers(tmp_path, layers, f.PLAN_END, "plan", "plan_name",
                                  "scratch_words", "portable_scratch_words")
    assert answers == expected
    assert len({answer[1] for answer in answers}) == 6  # every name but that of no fast kernel
    for slot in range(2, 5):
        assert 20 < sum(answer[slot] > 0 for answer in answers) < LAYERS


CHANGES = [  # kind of layer, part, field of d and what it becomes after the plan
    ("linear", f.PLAN_FORWARD, f.N_IN, 18), ("linear", f.PLAN_BACKWARD, f.N_IN, 18),
    ("linear", f.PLAN_UPDATE, f.RULE, f.FROZEN), ("linear", f.PLAN_UPDATE, f.MEASURE, 1),
    ("conv2d", f.PLAN_BACKWARD, f.MASK_DX, 0), ("conv2d", f.PLAN_FORWARD, f.KERNEL_H, 1),
    ("conv2d", f.PLAN_FORWARD, f.POOL_H, 3), ("conv2d", f.PLAN_FORWARD, f.ARGMAX_BITS, 4),
    ("conv2d", f.PLAN_FORWARD, f.POOL_STRIDE_H, 1), ("conv2d", f.PLAN_UPDATE, f.STRIDE_H, 2),
    ("conv2d", f.PLAN_FORWARD, f.MEASURE, 1),
]


@pytest.mark.parametrize("kind, slot, field, value", CHANGES)
def test_what_changed_since_the_plan_is_refused(aligned, kind, slot, field, value):
    """module.c asks before every call: a kernel that does not take d would leave its buffers."""
    d = (linear_descriptor(16, 4, RULE=f.PRUNE) if kind == "linear" else
         conv2d_descriptor(2, (8, 8), 3, 3, 1, 0, 2, RULE=f.PRUNE, MASK_DX=128))
    aligned.plan(KINDS[kind], d)
    machine = aligned.machine
    answers = []
    for changed in (d[field], value):
        d[field] = changed
        machine.clear()
        answers.append(machine.call("fast_planned", KINDS[kind], slot, machine.place(d)))
    assert answers[0] and not answers[1]


@pytest.mark.parametrize("before", [7, 1 << 31, 0xFFFFFF00])
@pytest.mark.parametrize("kind", KINDS)
def test_forged_rows_of_scores_stay_in_their_buffer(aligned, kind, before):
    """`select` says that all scores lie before the only row: none is left for it."""
    rng = np.random.default_rng(1)
    d = (linear_descriptor(16, 1) if kind == "linear" else conv2d_descriptor(2, (6, 6), 1, 3))
    d[[f.RULE, f.SELECTION, f.TAU, f.UPDATE_SHIFT]] = f.PRUNE, f.LARGEST, 1, 0
    d[f.THRESHOLD] = 64
    n = int(d[f.N_ROW])
    w, scores = np.full(n, 255, np.uint8), rng.integers(0, 256, 7).astype(np.uint8)
    assert aligned.plan(KINDS[kind], d) and d[f.PLAN_UPDATE]
    select = np.array([before], np.uint32).view(np.uint8)
    g, x = np.full(n_outputs(d), 9, np.int8), np.full(n_inputs(d), 9, np.int8)
    words = cases.scratch(aligned, KINDS[kind], 2, d)
    inputs = (g, x) if kind == "linear" else (g, np.zeros(argmax_bytes(d), np.uint8), x)
    operands = (scores.copy(), np.full(n, 200, np.uint8), *inputs, w, select, words, d)
    aligned.run(f"{kind}_update", operands)
    assert (operands[0] == scores).all() and (operands[1] == 200).all()
