"""Hand-worked cases: half way values, clips, ties, thresholds, one element, with their answers."""

import numpy as np
from priot.network import fields as f

from kernels.cases import SCRATCH, Case
from kernels.layers import (
    Operand,
    changed,
    conv2d_descriptor,
    global_pool_descriptor,
    linear_descriptor,
    pool_descriptor,
    rubbish,
    words,
)


def signed(*values: int) -> Operand:
    """int8 values as an operand."""
    return "B", np.array(values, np.int8).tobytes()


def offset(*values: int) -> Operand:
    """Weights or scores, -128..127, as offset bytes."""
    return "B", bytes(v + 128 for v in values)


def raw(*values: int) -> Operand:
    return "B", bytes(values)


NONE = raw()
NO_BIAS: Operand = ("i", b"")


def _case(kernel: str, what: str, operands: list, *outputs: Operand, result: int = 0,
          number: int = 0) -> Case:
    return Case(kernel, what, operands, number=number, result=result,
                outputs=[data for _typecode, data in outputs])


def _linear(what, x, w, y, **values) -> Case:
    d = linear_descriptor(len(x[1]), len(y[1]), **{"FORWARD_SHIFT": 0, **values})
    return _case("linear_forward", what, [rubbish(len(y[1])), x, w, NO_BIAS, SCRATCH, words(d)], y)


def _forward() -> list[Case]:
    one = signed(1)
    halves = offset(3, 1, -1, -3)  # over 2: 1.5, 0.5, -0.5, -1.5 rounded half up
    return [
        _linear("half way values", one, halves, signed(2, 1, 0, -1), FORWARD_SHIFT=1),
        _linear("half way values and relu", one, halves, signed(2, 1, 0, 0), FORWARD_SHIFT=1,
                RELU=1),
        _linear("both clips", signed(127), offset(127, -127, 1, -1), signed(127, -127, 127, -127)),
        _linear("relu clips at 0", signed(127), offset(-1), signed(0), RELU=1),
        _linear("largest shift", signed(127), offset(127, -127), signed(0, 0), FORWARD_SHIFT=30),
        _linear("three products", signed(1, -2, 3), offset(4, 5, 6), signed(12)),
        _conv("2x2 image and kernel", (2, 2), signed(1, 2, 3, 4), offset(1, -1, 2, -2),
              signed(-1), NONE, kernel=2, FORWARD_SHIFT=1),  # 1 - 2 + 6 - 8 = -3
        _conv("border alone is zero", (1, 1), signed(5), offset(*range(-4, 5)), signed(0), NONE,
              kernel=3, padding=1),
        _conv("padding reaches every tap", (1, 1), signed(2), offset(1, 2, 3, 4),
              signed(8, 6, 4, 2), NONE, kernel=2, padding=1),
        _conv("stride skips", (3, 3), signed(1, 2, 3, 4, 5, 6, 7, 8, 9), offset(1),
              signed(1, 3, 7, 9), NONE, kernel=1, stride=2),
        _conv("a tie goes to the first", (2, 2), signed(4, 4, 4, 4), offset(1), signed(4),
              raw(0), kernel=1, pool=2),
        _conv("maximum before rounding", (2, 2), signed(5, 6, 6, 5), offset(1), signed(0),
              raw(1), kernel=1, pool=2, FORWARD_SHIFT=4),
        _conv("winners of two windows", (2, 4), signed(1, 5, 0, 2, 2, 3, 1, 7), offset(1),
              signed(5, 7), raw(1 | 3 << 2), kernel=1, pool=2),
        _conv("winners of negative windows", (2, 2), signed(-9, -8, -7, -8), offset(1), signed(-7),
              raw(2), kernel=1, pool=2),
        _conv("winner 8 of nine in four bits", (3, 3), signed(0, 0, 0, 0, 0, 0, 0, 0, 1),
              offset(1), signed(1), raw(8), kernel=1, pool=3),
        _measured(),
    ]


def _conv(what, size, x, w, y, argmax, **values) -> Case:
    d = conv2d_descriptor(1, size, 1, **{"FORWARD_SHIFT": 0, **values})
    return _case("conv2d_forward", what,
                 [rubbish(len(y[1])), rubbish(len(argmax[1])), x, w, NO_BIAS, SCRATCH,
                  words(d)], y, argmax)


def _measured() -> Case:
    d = linear_descriptor(2, 2, MEASURE=1)
    return _case("linear_forward", "measures and writes nothing",
                 [rubbish(2), signed(100, 100), offset(1, 1, -1, -2), NO_BIAS, SCRATCH,
                  words(d)],
                 rubbish(2), result=300)


def _backward() -> list[Case]:
    d = linear_descriptor(2, 1, BACKWARD_SHIFT=2)
    cut = linear_descriptor(3, 1, BACKWARD_SHIFT=0, MASK_DX=128, NONNEGATIVE=0)
    at = conv2d_descriptor(1, (2, 2), 1, kernel=1, pool=2, BACKWARD_SHIFT=0)
    padded = conv2d_descriptor(1, (1, 1), 1, kernel=2, padding=1, BACKWARD_SHIFT=1)
    return [
        _case("linear_backward", "2.5 and -3.75 rounded half up",
              [rubbish(2), signed(5), signed(1, 1), offset(2, -3), SCRATCH, words(d)],
              signed(3, -4)),
        _case("linear_backward", "an error of 1",
              [rubbish(2), signed(1), signed(1, 1), offset(8, -8), SCRATCH, words(d)],
              signed(2, -2)),
        _case("linear_backward", "zero where the relu cut, and a clip",
              [rubbish(3), signed(127), signed(0, 1, -1), offset(9, 9, 9), SCRATCH, words(cut)],
              signed(0, 127, 0)),
        _case("conv2d_backward", "the winner gets all",
              [rubbish(4), signed(3), raw(2), signed(1, 1, 1, 1), offset(5), SCRATCH,
               words(at)], signed(0, 0, 15, 0)),
        _case("conv2d_backward", "four positions, half way",
              [rubbish(1), signed(1, 1, 1, 0), NONE, signed(1), offset(1, 2, 3, 6), SCRATCH,
               words(padded)], signed(6)),  # (6 + 3 + 2) / 2: the kernel turns round
    ]


def _pooling() -> list[Case]:
    overlapping = pool_descriptor(1, (1, 3), 1, 1)
    two = pool_descriptor(1, (3, 3), 2, 1)
    four = pool_descriptor(1, (2, 2), 2)
    relu = pool_descriptor(1, (2, 2), 2, RELU=1)
    three = pool_descriptor(1, (3, 3), 3)
    cut = pool_descriptor(1, (2, 2), 2, MASK_DX=128)
    image = pool_descriptor(1, (2, 2), 2, NONNEGATIVE=1)
    whole = global_pool_descriptor(2, (1, 3), FORWARD_SHIFT=1)
    grid = signed(1, 2, 3, 4, 9, 5, 6, 7, 8)
    return [
        _case("max_pool_forward", "the middle wins four windows",
              [rubbish(4), rubbish(1), grid, words(two)], signed(9, 9, 9, 9),
              raw(3 | 2 << 2 | 1 << 4 | 0 << 6)),
        _case("max_pool_forward", "a tie, below zero",
              [rubbish(1), rubbish(1), signed(-5, -3, -3, -4), words(four)], signed(-3), raw(1)),
        _case("max_pool_forward", "a tie, below zero, and relu",
              [rubbish(1), rubbish(1), signed(-5, -3, -3, -4), words(relu)], signed(0), raw(1)),
        _case("max_pool_backward", "four gradients clamp",
              [rubbish(9), signed(40, 40, 40, 40), raw(3 | 2 << 2 | 1 << 4), grid, words(two)],
              signed(0, 0, 0, 0, 127, 0, 0, 0, 0)),
        _case("max_pool_backward", "negative gradients clamp",
              [rubbish(9), signed(-40, -40, -40, -8), raw(3 | 2 << 2 | 1 << 4), grid, words(two)],
              signed(0, 0, 0, 0, -127, 0, 0, 0, 0)),
        _case("max_pool_backward", "cut where x is 0",
              [rubbish(4), signed(40), raw(1), signed(0, 0, 0, 0), words(cut)],
              signed(0, 0, 0, 0)),
        _case("max_pool_backward", "not cut at the image",
              [rubbish(4), signed(40), raw(1), signed(0, 0, 0, 0), words(image)],
              signed(0, 40, 0, 0)),
        _case("avg_pool_backward", "not cut at the image",
              [rubbish(4), signed(40), signed(0, 0, 0, 0), words(image)], signed(40, 40, 40, 40)),
        _case("avg_pool_forward", "2.5 rounds up",
              [rubbish(1), signed(1, 2, 3, 4), words(four)], signed(3)),
        _case("avg_pool_forward", "-2.5 rounds up",
              [rubbish(1), signed(-1, -2, -3, -4), words(four)], signed(-2)),
        _case("avg_pool_forward", "-2.5 and relu",
              [rubbish(1), signed(-1, -2, -3, -4), words(relu)], signed(0)),
        _case("avg_pool_forward", "a ninth of 9 * 127",
              [rubbish(1), signed(*[127] * 9), words(three)], signed(127)),
        _case("avg_pool_forward", "a window of one", [rubbish(3), signed(-127, 0, 127),
              words(overlapping)], signed(-127, 0, 127)),
        _case("global_pool_forward", "4.5 and -4.5 round up",
              [rubbish(2), signed(1, 2, 6, -1, -2, -6), words(whole)], signed(5, -4)),
        _case("global_pool_forward", "-4.5 and relu",
              [rubbish(2), signed(1, 2, 6, -1, -2, -6), words(changed(whole, RELU=1))],
              signed(5, 0)),
        _case("global_pool_forward", "sums clamp",
              [rubbish(2), signed(127, 127, 127, -127, -127, -127),
               words(changed(whole, FORWARD_SHIFT=0))], signed(127, -127)),
        _case("global_pool_backward", "to every position that the relu let through",
              [rubbish(6), signed(5, -7), signed(1, 0, 3, 4, 5, -6),
               words(changed(whole, MASK_DX=128))], signed(5, 0, 5, -7, -7, 0)),
        _case("avg_pool_backward", "sums of windows clamp",
              [rubbish(9), signed(100, -3, 50, 7), grid, words(two)],
              signed(100, 97, -3, 127, 127, 4, 50, 57, 7)),
    ]


def _loss() -> list[Case]:
    def loss(what, z, g, label, result, shift=0):
        d = np.zeros(f.N_FIELDS, np.int32)
        d[f.N_CLASSES], d[f.LOSS_SHIFT] = len(g[1]), shift
        return _case("cross_entropy", what, [rubbish(len(g[1])), z, SCRATCH, words(d)], g,
                     number=label, result=result)

    return [
        loss("one class", signed(-5), signed(0), 0, 0),
        loss("two equals", signed(3, 3), signed(-63, 64), 0, 64),  # 127.5 / 2 + 0.5 = 64
        # e = 32767, 12054: (127 e + 22410) // 44821 = 93, 34
        loss("one apart in steps of 16", signed(9, 8), signed(93, -93), 1, 93, shift=4),
        loss("nothing left of the loser", signed(127, -127), signed(127, -127), 1, 127, shift=8),
    ]


def _update(what, g, w, after, scores=NONE, scores_after=NONE, weff=NONE, **values) -> Case:
    """linear_update of one edge with x = 1, so that dW = g."""
    d = linear_descriptor(1, 1, **{"UPDATE_SHIFT": 0, **values})
    return _case("linear_update", what,
                 [scores, weff, signed(g), signed(1), w, NONE, SCRATCH, words(d)],
                 scores_after, after)


def _score(what, w, g, score, after, weff, **values) -> Case:
    """`before` is what a kernel may leave alone: the effective weight of the first score."""
    values = {"RULE": f.PRUNE, **values}
    before = w if score >= -64 else 0
    if values["RULE"] == f.GAIN:
        before = min(127, max(-127, (w * (64 + score) + 32) >> 6))
    return _update(what, g, offset(w), offset(weff), offset(score), offset(after),
                   offset(before), **values)


def _weight(what, w, g, after, **values) -> Case:
    case = _update(what, g, 1, offset(after), weff=offset(w), **{"RULE": f.WEIGHTS, **values})
    if values.get("SELECTION"):
        case.operands[5] = words(np.zeros(1))  # no score before row 0
    return case


def _wide(what, w, low, g, after, low_after, **values) -> Case:
    """Weight and its lower byte, which stands where the score does."""
    values = {"RULE": f.WIDE, **values}
    return _update(what, g, 1, offset(after), scores=offset(low - 128),
                   scores_after=offset(low_after - 128), weff=offset(w), **values)


def _learning() -> list[Case]:
    psr = {"ROUNDING": f.PSR}
    return [
        _score("at the threshold is kept", w=2, g=3, score=-58, after=-64, weff=2),
        _score("below the threshold is pruned", w=2, g=3, score=-59, after=-65, weff=0),
        _score("above the threshold again", w=-2, g=3, score=-67, after=-61, weff=-2),
        _score("clamps at -128", w=127, g=127, score=0, after=-128, weff=0),
        _score("clamps at 127", w=-127, g=127, score=0, after=127, weff=-127),
        _score("half way up", w=1, g=3, score=10, after=8, weff=1, UPDATE_SHIFT=1),
        _score("half way down", w=-1, g=3, score=10, after=11, weff=-1, UPDATE_SHIFT=1),
        # 90 = 5 * 16 + 0b1010: 0b10 against 0b10; 89: 0b10 against 0b01
        _score("psr 90 / 16", w=1, g=90, score=10, after=5, weff=1, UPDATE_SHIFT=4, **psr),
        _score("psr 89 / 16", w=1, g=89, score=10, after=4, weff=1, UPDATE_SHIFT=4, **psr),
        # 13 = 8 + 0b101: 0b10 against 0b1 doubled; 12 = 8 + 0b100: 0b10 against 0
        _score("psr 13 / 8", w=1, g=13, score=10, after=9, weff=1, UPDATE_SHIFT=3, **psr),
        _score("psr 12 / 8", w=1, g=12, score=10, after=8, weff=1, UPDATE_SHIFT=3, **psr),
        _score("psr -12 / 8", w=-1, g=12, score=10, after=12, weff=-1, UPDATE_SHIFT=3, **psr),
        _score("gain of one", w=100, g=1, score=100, after=0, weff=100, RULE=f.GAIN),
        _score("gain of nothing", w=100, g=1, score=36, after=-64, weff=0, RULE=f.GAIN),
        _score("gain rounds up", w=-100, g=-1, score=0, after=-100, weff=56, RULE=f.GAIN),
        _score("gain clamps", w=100, g=-1, score=0, after=100, weff=127, RULE=f.GAIN),
        _weight("a step", w=10, g=3, after=7),
        _weight("clamps at 127", w=10, g=-127, after=127),
        _weight("clamps at -127", w=-10, g=127, after=-127),
        _weight("a step of nothing", w=10, g=1, after=10, UPDATE_SHIFT=2),
        # 16 bits: 10 * 256 + 128 less 3, less 129; at both ends
        _wide("a step of the lower byte", w=10, low=128, g=3, after=10, low_after=125),
        _wide("a step that borrows", w=10, low=100, g=127, after=9, low_after=229),
        _wide("rounds pseudo-stochastically", w=10, low=128, g=90, after=10, low_after=123,
              UPDATE_SHIFT=4, **psr),
        _wide("ends at 127", w=127, low=250, g=-127, after=127, low_after=255),
        _wide("ends at -127", w=-127, low=5, g=127, after=-127, low_after=0),
        _weight("too small to be selected", w=10, g=3, after=10, SELECTION=f.LARGEST, TAU=11),
        _weight("just selected", w=-11, g=3, after=-14, SELECTION=f.LARGEST, TAU=11),
        _two_positions(),
        _many_positions(),
        *_biases(),
        *_effective(),
    ]


def _two_positions() -> Case:
    """dW of a 1x1 kernel is 2 * 5 + 3 * 7 = 31; times w = 2, over 4: 15.5, rounded to 16."""
    d = conv2d_descriptor(1, (2, 2), 1, kernel=1, RULE=f.PRUNE, UPDATE_SHIFT=2)
    return _case("conv2d_update", "two positions",
                 [offset(0), offset(2), signed(0, 2, 3, 0), NONE, signed(9, 5, 7, 9), offset(2),
                  NONE, SCRATCH, words(d)], offset(-16), offset(2))


def _many_positions() -> Case:
    """One more than 1048: dW = 1 is halved to 1 first; times w = 64, over 128: 0.5, rounded to 1.
    dW * w over 256 would be 0."""
    d = conv2d_descriptor(1, (1, 1049), 1, kernel=1, RULE=f.PRUNE, UPDATE_SHIFT=8)
    g = signed(*[0] * 1048, 1)
    return _case("conv2d_update", "many positions",
                 [offset(0), offset(64), g, NONE, signed(*[1] * 1049), offset(64), NONE, SCRATCH,
                  words(d)], offset(-1), offset(64))


def _biases() -> list[Case]:
    """Two outputs at three positions: sums of 6 and -20."""
    g = signed(1, 2, 3, -127, 127, -20)
    cases = []
    for what, shift, before, after in (
            ("no shift", 0, (100, 100), (94, 120)),
            ("half is dropped", 2, (100, 100), (98, 105)),  # 6 / 4: of 10, 1 is above 0
            ("to the left", -4, (0, 0), (-96, 320)),
            ("at most 2^30", -30, (0, 2**30), (-(2**30), 2**31 - 1 - 16129))):
        d = conv2d_descriptor(1, (1, 3), 2, kernel=1, BIAS=1, UPDATE_SHIFT=shift)
        cases.append(_case("bias_update", what, [
            ("i", np.array(before, np.int32).tobytes()), g, words(d)],
            ("i", np.array(after, np.int32).tobytes())))
    return cases


def _effective() -> list[Case]:
    prune = linear_descriptor(3, 1, RULE=f.PRUNE)
    gain = linear_descriptor(4, 1, RULE=f.GAIN)
    largest = linear_descriptor(3, 2, RULE=f.PRUNE, SELECTION=f.LARGEST, TAU=5, ROW=1, ROWS=1)
    bits = linear_descriptor(3, 2, RULE=f.PRUNE, SELECTION=f.BITMAP, ROW=1, ROWS=1)
    bounds = linear_descriptor(4, 1, RULE=f.PRUNE, SELECTION=f.LARGEST, TAU=5)
    before = words(np.array([0, 2]))[1]
    weights = offset(5, 1, -6, 7, 2, -9)
    return [
        _case("effective_weights", "threshold", [
            rubbish(3), offset(5, 6, 7), offset(-65, -64, 127), NONE, words(prune)],
            offset(0, 6, 7)),
        *[_case("effective_weights", f"threshold {threshold} by words, and a rest", [
            rubbish(10), raw(*range(1, 11)), raw(0, 1, 127, 128, 200, 199, 255, 254, 201, 199),
            NONE, words(linear_descriptor(10, 1, RULE=f.PRUNE, THRESHOLD=threshold))],
            raw(*kept)) for threshold, kept in (
                (0, range(1, 11)), (200, (128,) * 4 + (5, 128, 7, 8, 9, 128)),
                (255, (128,) * 6 + (7,) + (128,) * 3), (256, (128,) * 10))],
        _case("effective_weights", "half of 1 and of -1, and clips", [
            rubbish(4), offset(1, -1, 100, -100), offset(-32, -32, 127, 127), NONE, words(gain)],
            offset(1, 0, 127, -127)),
        _case("effective_weights", "row 1 of the largest", [
            rubbish(3), weights, offset(0, 0, -65, -64), raw(*before), words(largest)],
            offset(0, 2, -9)),
        _case("effective_weights", "just large enough to be pruned", [
            rubbish(4), offset(5, 4, -5, -4), offset(-65, -65), raw(*before[:4]), words(bounds)],
            offset(0, 4, 0, -4)),
        _case("effective_weights", "row 1 of a bitmap", [
            rubbish(3), weights, offset(0, 0, -64, -65), raw(*before, 0b110101), words(bits)],
            offset(7, 2, 0)),
    ]


def _orders() -> list[Case]:
    one, draw = words(np.array([1]))[1], words(np.array([270369]))[1]  # xorshift32 of 1
    scores = offset(5, 3, 5)
    return [
        _case("kth_largest", "second of two equals", [scores, SCRATCH], number=2, result=133),
        _case("kth_largest", "the smallest", [scores, SCRATCH], number=3, result=131),
        _case("kth_largest", "of one, the lowest", [offset(-128), SCRATCH], number=1, result=0),
        _case("count_below", "equal is not below", [scores], number=133, result=1),
        _case("count_below", "none", [scores], number=0, result=0),
        _case("count_below", "all", [offset(-128, 127)], number=256, result=2),
        _case("classify", "first of equals, saturated", [signed(3, 127, -127, 127, -126)],
              result=1 + 3 * 256),
        _case("classify", "all lowest", [signed(-127, -127)], result=2 * 256),
        _case("classify", "none saturated", [signed(-5, -4, 126)], result=2),
        # bytes 33, 32, 4, 0: (69 - 510) * 111 = -48951, over 512 and rounded: -96
        _case("init_scores", "first draw", [rubbish(1), ("I", one)], offset(-96), ("I", draw)),
        _case("init_scores", "0 is taken as 1", [rubbish(1), ("I", bytes(4))], offset(-96),
              ("I", draw)),
        # draw >> 17 = 2: 2 * 2 >> 15 = 0, so 1 and 0 swap
        _case("shuffle", "two", [("H", bytes([7, 0, 8, 0])), ("I", one)],
              ("H", bytes([8, 0, 7, 0])), ("I", draw)),
        _case("shuffle", "one", [("H", bytes([7, 0])), ("I", one)], ("H", bytes([7, 0])),
              ("I", one)),
    ]


def worked_cases() -> list[Case]:
    return [*_forward(), *_backward(), *_pooling(), *_loss(), *_learning(), *_orders()]
