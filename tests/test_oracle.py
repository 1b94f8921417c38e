"""The numpy oracle against examples worked by hand from the definitions in device/DESIGN.md."""

from array import array

import numpy as np
import pytest
from oracle_support import int8, offset, signed, stage
from priot.network import fields as f
from priot.oracle import kernels as oracle
from priot.oracle.selection import Selection, largest_tau, random_bitmap

SCRATCH = array("i", [0] * 1024)


# ---- rounding ----


@pytest.mark.parametrize("x, shift, expected", [
    (5, 0, 5), (-5, 0, -5),
    (1, 1, 1), (-1, 1, 0), (3, 1, 2), (-3, 1, -1),  # halves go up
    (7, 4, 0), (8, 4, 1), (-8, 4, 0), (-9, 4, -1), (-24, 4, -1), (-25, 4, -2),
    (2**31 - 1, 30, 2), (-(2**31), 30, -2),
])
def test_rhu(x, shift, expected):
    assert oracle.rhu(np.array(x), shift) == expected


@pytest.mark.parametrize("x, shift, expected", [
    (5, 0, 5),
    (3, 1, 2),  # dropped 1: hi = 1, lo = 0 (no bits), so up
    (2, 1, 1),
    (0b01_10, 4, 0), (0b10_01, 4, 1),  # hi 1 > lo 2 is false; hi 2 > lo 1
    (0b10_10, 4, 0),  # equal halves stay
    (0b1_10_01, 4, 2), (-0b1_10_01, 4, -2),  # the sign is put back
    (0b01_0, 3, 1), (0b01_1, 3, 0), (0b10_0, 3, 1),  # odd: the one bit of lo doubled
    (0b10_1, 3, 0), (0b11_1, 3, 1),  # hi 2 > lo 2 is false; hi 3 > lo 2
])
def test_psr(x, shift, expected):
    assert oracle.psr(np.array(x), shift) == expected


def test_psr_is_unbiased_over_all_dropped_bits():
    """Half way on average: the sum over every dropped pattern loses at most one step in two."""
    for shift in (2, 4, 6, 8):
        ups = int(oracle.psr(np.arange(1 << shift), shift).sum())
        half = 1 << shift // 2
        assert ups == half * (half - 1) // 2


# ---- forward ----


def test_conv2d_forward_by_hand():
    """2 x 3 image, 2 x 2 kernel: accumulators 1*1 + 2*2 - 4*3 = -7 and 2 + 6 - 15."""
    s = stage("conv 1 2", (1, 2, 3), FORWARD_SHIFT=1)
    y, x, w = int8(9, 9), int8(1, 2, 3, 4, 5, 6), offset(1, 2, -3, 0)
    assert oracle.conv2d_forward((y, b"", x, w, b"", SCRATCH, s.d)) == 0
    assert signed(y) == [-3, -3]  # RHU(-7, 1), RHU(-7, 1)


def test_conv2d_padding_stride_and_rows():
    """Padding 1, stride 2 on 3 x 3: the corners; the second filter only."""
    s = stage("conv 2 3 stride 2 pad 1", (1, 3, 3), ROW=1, ROWS=1)
    x = int8(1, 2, 3, 4, 5, 6, 7, 8, 9)
    y = int8(*[77] * 8)
    oracle.conv2d_forward((y, b"", x, offset(*[1] * 9), b"", SCRATCH, s.d))
    assert signed(y) == [77] * 4 + [1 + 2 + 4 + 5, 2 + 3 + 5 + 6, 4 + 5 + 7 + 8, 5 + 6 + 8 + 9]


def test_max_over_accumulators_not_over_outputs():
    """5 and 6 round to the same output, but 6 wins; of equals the first wins."""
    s = stage("conv 1 1, maxpool 2, relu", (1, 2, 4), FORWARD_SHIFT=3)
    y, argmax = bytearray(2), bytearray(s.stage.argmax_bytes)
    x = int8(5, 6, 3, 4, 0, 0, 4, 4)
    oracle.conv2d_forward((y, argmax, x, offset(1), b"", SCRATCH, s.d))
    assert signed(y) == [1, 1]
    assert argmax == bytes([0b01_01])  # both windows: position 1


def test_clips():
    s = stage("conv 1 1", (1, 1, 2))
    y = bytearray(2)
    oracle.conv2d_forward((y, b"", int8(127, 1), offset(-2), b"", SCRATCH, s.d))
    assert signed(y) == [-127, -2]
    s.d[f.RELU] = 1
    oracle.conv2d_forward((y, b"", int8(127, 1), offset(-2), b"", SCRATCH, s.d))
    assert signed(y) == [0, 0]
    oracle.conv2d_forward((y, b"", int8(127, 1), offset(2), b"", SCRATCH, s.d))
    assert signed(y) == [127, 2]


def test_argmax_bits():
    """4 bits a winner, channels start on bytes: 3 windows need 2 bytes."""
    s = stage("maxpool 3 stride 1", (2, 3, 5))
    x = bytearray(30)
    x[7], x[9], x[15] = 50, 60, 70  # (1, 2) and (1, 4) of channel 0, (0, 0) of channel 1
    y, argmax = bytearray(6), bytearray(s.stage.argmax_bytes)
    oracle.max_pool_forward((y, argmax, x, s.d))
    assert signed(y) == [50, 50, 60, 70, 0, 0]
    assert argmax == bytes([5 | 4 << 4, 5, 0, 0])


def test_max_pool_of_negatives():
    s = stage("maxpool 2", (1, 2, 2))
    y, argmax = bytearray(1), bytearray(1)
    oracle.max_pool_forward((y, argmax, int8(-9, -127, -5, -5), s.d))
    assert signed(y) == [-5] and argmax == b"\2"
    s.d[f.RELU] = 1
    oracle.max_pool_forward((y, argmax, int8(-9, -127, -5, -5), s.d))
    assert signed(y) == [0] and argmax == b"\2"


@pytest.mark.parametrize("pixels, expected", [
    ((1, 1, 0, 0), 1), ((1, 0, 0, 0), 0), ((-1, -1, 0, 0), 0), ((-1, -1, -1, 0), -1),
    ((127,) * 4, 127), ((-127,) * 4, -127),
])
def test_avg_pool_rounds_half_up(pixels, expected):
    s = stage("avgpool 2", (1, 2, 2))
    assert s.d[f.MULTIPLIER] == 16384
    y = bytearray(1)
    oracle.avg_pool_forward((y, int8(*pixels), s.d))
    assert signed(y) == [expected]


def test_multiplier_of_every_window():
    """The average of equal pixels is that pixel, for every window and every value."""
    for pool in range(2, 16):
        s = stage(f"avgpool {pool}", (1, pool, pool))
        y = bytearray(1)
        for v in (-127, -1, 1, 64, 127):
            oracle.avg_pool_forward((y, int8(*[v] * pool * pool), s.d))
            assert signed(y) == [v], pool


def test_measure():
    s = stage("linear 2", (2, 1, 1), MEASURE=1)
    y, x, w = int8(5, 5), int8(10, 20), offset(1, 1, -3, -1)
    assert oracle.linear_forward((y, x, w, b"", SCRATCH, s.d)) == 50
    s.d[f.RELU] = 1  # what the ReLU cuts is not measured
    assert oracle.linear_forward((y, x, w, b"", SCRATCH, s.d)) == 30
    assert signed(y) == [5, 5]


# ---- loss ----


def test_exp_table():
    assert oracle.EXP_TABLE[[0, 16, 160, 255]].tolist() == [32767, 12054, 1, 0]


@pytest.mark.parametrize("logits, shift, label, expected", [
    ((3, 3), 0, 0, [-63, 64]),  # (127 * 1/2 rounded half up = 64) - 127
    ((127, -127), 0, 0, [0, 0]), ((127, -127), 0, 1, [127, -127]),
    # distance 1 << 4: e = 12054 / 32767; 127 * 12054 / 44821 = 34.16, 127 * 32767 / 44821 = 92.84
    ((0, 1), 4, 1, [34, -34]),
    ((127, -127), -8, 0, [-63, 64]),  # 254 >> 8 = 0: all equal
])
def test_cross_entropy(logits, shift, label, expected):
    s = stage("linear 2", (1, 1, 1), N_CLASSES=2, LOSS_SHIFT=shift)
    g = bytearray(2)
    assert oracle.cross_entropy((g, int8(*logits), SCRATCH, s.d), label) == max(map(abs, expected))
    assert signed(g) == expected


# ---- backward ----


def test_conv2d_backward_by_hand():
    """One error of 10 at the window's winner (1, 1): the kernel stamped there."""
    s = stage("conv 1 2, maxpool 2", (1, 3, 3), BACKWARD_SHIFT=1, MASK_DX=128)
    x = int8(1, 1, 1, 1, 9, 0, 1, -3, 9)
    w, dx = offset(1, 2, 3, 4), bytearray(9)
    oracle.conv2d_backward((dx, int8(10), b"\3", x, w, SCRATCH, s.d))
    assert signed(dx) == [0, 0, 0, 0, 5, 0, 0, 0, 20]  # x <= 0 has no gradient
    s.d[f.MEASURE] = 1
    assert oracle.conv2d_backward((dx, int8(10), b"\3", x, w, SCRATCH, s.d)) == 40
    s.d[f.MASK_DX] = 0
    s.d[f.MEASURE] = 0
    oracle.conv2d_backward((dx, int8(-127), b"\0", x, w, SCRATCH, s.d))
    assert signed(dx) == [-63, -127, 0, -127, -127, 0, 0, 0, 0]  # RHU(-127, 1); the rest clips


def test_linear_backward_adds_rows_over_calls():
    s = stage("linear 3", (2, 1, 1), BACKWARD_SHIFT=2)
    g, x, dx = int8(1, -2, 3), int8(1, 1), int8(55, 55)
    s.d[f.ROWS] = 2
    oracle.linear_backward((dx, g, x, offset(1, 2, 3, 4), SCRATCH, s.d))
    assert signed(dx) == [55, 55] and SCRATCH[:2].tolist() == [-5, -6]
    s.d[f.ROW], s.d[f.ROWS] = 2, 1
    oracle.linear_backward((dx, g, x, offset(5, 4), SCRATCH, s.d))
    assert signed(dx) == [3, 2]  # RHU(10, 2) = 3, RHU(6, 2) = 2


def test_max_pool_backward_clamps_after_adding():
    """The middle pixel wins four windows: 100 + 100 - 50 - 100 = 50; three of 100 clip."""
    s = stage("maxpool 2 stride 1", (1, 3, 3))
    dx, winners = bytearray(9), bytes([3 | 2 << 2 | 1 << 4 | 0 << 6])
    oracle.max_pool_backward((dx, int8(100, 100, -50, -100), winners, bytes(9), s.d))
    assert signed(dx) == [0, 0, 0, 0, 50, 0, 0, 0, 0]
    oracle.max_pool_backward((dx, int8(100, 100, 100, 0), winners, bytes(9), s.d))
    assert signed(dx)[4] == 127


def test_avg_pool_backward_by_hand():
    s = stage("avgpool 2 stride 1", (1, 2, 3), MASK_DX=128)
    dx = bytearray(6)
    oracle.avg_pool_backward((dx, int8(100, 50), int8(1, 1, 1, 0, -1, 1), s.d))
    assert signed(dx) == [100, 127, 50, 0, 0, 50]


# ---- updates ----


def linear_update(scores, w, weff, g, x, **values):
    s = stage(f"linear {len(g)}", (len(x), 1, 1), **values)
    select = Selection().pack(np.zeros((len(g), len(x)), np.int8), s.d)
    s.d[f.SELECTION] = values.get("SELECTION", 0)
    return oracle.linear_update((scores, weff, g, x, w, select, SCRATCH, s.d))


def test_prune_update_at_the_threshold():
    """dW * w >> 4 = 5 * 16 * w >> 4 = 5 w: -64 - 0 stays kept, -64 - 5 is pruned."""
    scores, w = offset(-64, -64, -64, 126), offset(0, 1, -1, -1)
    weff = bytearray(w)
    linear_update(scores, w, weff, int8(5), int8(16, 16, 16, 16), RULE=f.PRUNE, THRESHOLD=64,
                  UPDATE_SHIFT=4)
    assert scores == offset(-64, -69, -59, 127)
    assert weff == offset(0, 0, -1, -1)


def test_score_clips_and_half_way_cases():
    scores, w = offset(-127, 127, 0, 0), offset(127, -127, 1, -1)
    linear_update(scores, w, bytearray(), int8(127), int8(127, 127, 1, 1), RULE=f.PRUNE,
                  THRESHOLD=0, UPDATE_SHIFT=0)
    assert scores == offset(-128, 127, -127, 127)
    for rounding, expected in ((f.RHU, (-1, 0)), (f.PSR, (-1, 1))):
        scores = offset(0, 0)  # +-2 >> 2: half way; PSR: hi 1 > lo 0
        linear_update(scores, offset(1, -1), bytearray(), int8(2), int8(1, 1), RULE=f.PRUNE,
                      UPDATE_SHIFT=2, ROUNDING=rounding)
        assert scores == offset(*expected)


def test_gain_rule():
    """w * (64 + S) / 64, half up: 100 * 32 / 64 = 50; 3 * 32 / 64 = 1.5; 100 * 191 / 64 clips."""
    s = stage("linear 5", (1, 1, 1), RULE=f.GAIN)
    weff = bytearray(5)
    oracle.effective_weights((weff, offset(100, 3, -3, 100, 100), offset(-32, -32, -32, 127, 0),
                              b"", s.d))
    assert weff == offset(50, 2, -1, 127, 100)


def test_weights_rule_changes_w_itself():
    w = offset(127, -127, 10, -125)
    linear_update(bytearray(), w, w, int8(-4, 4), int8(8, 4), RULE=f.WEIGHTS, UPDATE_SHIFT=3)
    assert w == offset(127, -125, 6, -127)
    linear_update(bytearray(), w, w, int8(0, 4), int8(8, 4), RULE=f.WEIGHTS, UPDATE_SHIFT=3)
    assert w == offset(127, -125, 2, -127)  # never -128


def test_measured_update_touches_nothing():
    scores, w = offset(0, 0), offset(50, 60)
    assert linear_update(scores, w, w, int8(-9), int8(3, 7), RULE=f.PRUNE, MEASURE=1) == 63
    assert scores == offset(0, 0) and w == offset(50, 60)


def test_conv2d_update_by_hand():
    """Errors 2 and -3 at (0, 0) and (1, 1) of a 1 x 1 x 2 x 2 output: dW = 2 x - 3 x'."""
    s = stage("conv 1 2", (1, 3, 3), RULE=f.PRUNE, UPDATE_SHIFT=1)
    scores, w = offset(0, 0, 0, 0), offset(1, 2, -1, 0)
    x = int8(1, 2, 3, 4, 5, 6, 7, 8, 9)
    oracle.conv2d_update((scores, bytearray(), int8(2, 0, 0, -3), b"", x, w, b"", SCRATCH, s.d))
    # dW = 2*(1, 2, 4, 5) - 3*(5, 6, 8, 9) = (-13, -14, -16, -17); * w >> 1
    assert scores == offset(6, 14, -8, 0)  # RHU(-13, 1) = -6


def test_sparse_scores_lie_packed():
    w = np.array([[10, -50, 3], [40, -40, 39]], np.int8)
    buffer = offset(*w.ravel().tolist())
    for selection in (Selection(tau=40), Selection(bitmap=np.array([0, 1, 0, 1, 1, 0], bool))):
        s = stage("linear 2", (3, 1, 1), RULE=f.PRUNE, THRESHOLD=128)
        select = selection.pack(w, s.d)
        assert select[:8] == bytes([0, 0, 0, 0, 1, 0, 0, 0])
        assert select[8:] == (b"" if selection.tau else bytes([0b011010]))
        scores, weff = offset(-1, 0, -1), bytearray(6)
        oracle.effective_weights((weff, buffer, scores, select, s.d))
        assert weff == offset(10, 0, 3, 40, 0, 39)
        s.d[f.ROW], s.d[f.ROWS] = 1, 1
        row = bytearray(3)
        oracle.effective_weights((row, buffer, scores, select, s.d))
        assert row == weff[3:]
        oracle.linear_update((scores, weff, int8(1, 1), int8(-1, -1, 5), buffer, select, SCRATCH,
                              s.d))
        assert scores == offset(-51, 40, -41)


def test_sparse_weights_move_only_where_selected():
    s = stage("linear 1", (3, 1, 1), RULE=f.WEIGHTS)
    w = offset(1, 2, 3)
    select = Selection(bitmap=np.array([1, 0, 1], bool)).pack(np.zeros((1, 3), np.int8), s.d)
    oracle.linear_update((b"", w, int8(1), int8(5, 5, 5), w, select, SCRATCH, s.d))
    assert w == offset(-4, 2, -2)


# ---- top-k, counting, random numbers ----


def test_kth_largest_and_count_below():
    scores = bytes([7, 200, 7, 0, 255])
    for k, expected in enumerate((255, 200, 7, 7, 0), start=1):
        assert oracle.kth_largest((scores, SCRATCH), k) == expected
    for threshold, expected in ((0, 0), (7, 1), (8, 3), (255, 4)):
        assert oracle.count_below((scores,), threshold) == expected


def test_xorshift32():
    """The first draws of Marsaglia's generator from 1, known from his paper's triple 13, 17, 5."""
    draws = [1]
    for _ in range(3):
        draws.append(oracle.xorshift32(draws[-1]))
    assert draws[1:] == [270369, 67634689, 2647435461]
    assert oracle.xorshift32(0) == 270369


def test_init_scores():
    """270369 = 0x00042021: bytes 4 + 32 + 33 = 69; ((69 - 510) * 111 + 256) >> 9 = -96 (floor).

    67634689 = 0x04080601: bytes 19; (-491 * 111 + 256) >> 9 = -105.9 = -106.
    """
    scores, state = bytearray(2), array("I", [0])
    oracle.init_scores((scores, state))
    assert scores == offset(-96, -106) and state[0] == 67634689
    many = bytearray(20000)
    oracle.init_scores((many, array("I", [1])))
    values = np.frombuffer(many, np.uint8).astype(int) - 128
    assert abs(values.mean()) < 1 and abs(values.std() - 32) < 1
    assert 0.015 < (values < -64).mean() < 0.03


def test_shuffle():
    """Draws 270369 and 67634689: j = (2 * 3) >> 15 = 0, then (516 * 2) >> 15 = 0."""
    order, state = array("H", [0, 1, 2]), array("I", [1])
    oracle.shuffle((order, state))
    assert order.tolist() == [1, 2, 0] and state[0] == 67634689
    order = array("H", range(1000))
    oracle.shuffle((order, state))
    assert sorted(order) == list(range(1000)) and order.tolist() != list(range(1000))


def test_random_bitmap_has_exactly_n():
    state = array("I", [4])
    for n in (0, 1, 50, 99, 100):
        assert random_bitmap(100, n, state).sum() == n


def test_random_bitmap_draws_below():
    """A draw of exactly a half does not take one of two edges: draw < left / edges."""
    half = next(x for x in range(1, 1 << 20) if oracle.xorshift32(x) >> 17 == 1 << 14)
    assert random_bitmap(2, 1, array("I", [half])).tolist() == [False, True]


def test_largest_tau():
    w = np.array([1, -5, 5, 9, -127], np.int8)
    assert [largest_tau(w, n) for n in range(6)] == [127, 10, 6, 6, 2, 1]
