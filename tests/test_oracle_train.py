"""A whole training step of the numpy oracle, worked by hand: gmin, halving, top-k, NITI."""

import numpy as np
import pytest
from oracle_support import offset, signed
from priot.formats import Model
from priot.methods import METHODS
from priot.network import fields as f
from priot.network.stage import Stage
from priot.oracle.step import Oracle
from support import random_dataset, random_model


def one_layer_model() -> Model:
    """Two inputs, two classes, one linear layer; logits z stand for z * 2^-4."""
    stage = Stage(f.LINEAR, 2, weight_exponent=1, forward_shift=4, update_bits_weights=9,
                  update_bits_scores=12, weights=np.array([[16, 0], [0, 16]], np.int8))
    model = Model("hand", (2, 1, 1), 2, [stage])
    model.check()
    return model


def test_one_step_by_hand():
    """x = (10, 10): z = (10, 10), g = (-63, 64), dW = g * 10, dW * w = -10080 and 10240."""
    o = Oracle(one_layer_model(), "gain", rounding=f.RHU)
    assert o.loss[f.LOSS_SHIFT] == -7 + 4 - 1 + 4
    assert o.step(np.array([10, 10], np.uint8), 0) == 64
    s = o.states[0]
    assert signed(s.y) == [10, 10] and signed(s.g) == [-63, 64]
    assert s.d[f.UPDATE_SHIFT] == 12 - 7
    assert s.scores == offset(127, 0, 0, -128)  # -+ 315 and 320 clip
    assert s.weff == offset(48, 0, 0, -16)  # 16 * 191 / 64 = 47.75; 16 * -64 / 64


def test_gmin_skips_the_backward_pass():
    o = Oracle(one_layer_model(), "weights")
    before = bytes(o.states[0].w)
    assert o.step(np.array([127, 0], np.uint8), 0) < 2
    assert (o.steps, o.skipped) == (1, 1) and o.states[0].w == before
    assert o.step(np.array([127, 0], np.uint8), 1) == 127
    assert (o.steps, o.skipped) == (2, 1) and o.states[0].w != before


def test_gmin_is_two():
    """Logits 66 apart: 127 * 530 / 33297 = 2.02 trains; 80 apart: 127 * 221 / 32988 = 0.9."""
    o = Oracle(one_layer_model(), "weights")
    assert o.step(np.array([80, 0], np.uint8), 0) == 1 and o.skipped == 1
    assert o.step(np.array([66, 0], np.uint8), 0) == 2 and o.skipped == 1


def test_steps_and_their_halving():
    """gs = gb - u: u 9 in linear, 8 in conv layers of priot; one more after every 8 epochs."""
    model = random_model("conv 2 1, flatten, linear 2", (1, 2, 2), 1, 2)
    conv, linear = Oracle(model, "priot").states
    o = Oracle(model, "priot")
    assert [o.update_shift(s, 20) for s in (conv, linear)] == [12, 11]
    o.epoch = 7
    assert o.update_shift(linear, 20) == 11
    o.epoch = 16
    assert o.update_shift(linear, 20) == 13
    assert o.update_shift(linear, 3) == 0 and o.update_shift(linear, 50) == 30
    assert [m.step for m in METHODS.values()] == [9, 8, 7, 4, 2, 3, 9, 4]
    weights = Oracle(model, "weights")
    assert [weights.update_shift(s, 20) for s in weights.states] == [16, 16]
    wide, narrow = (Oracle(model, name).states[1].update_bits for name in ("weights16", "weights"))
    assert wide == narrow - 8  # steps of the lower byte


def test_top_k_keeps_all_ties():
    model = random_model("linear 4, relu, linear 2", (10, 1, 1), 1, 2)
    o = Oracle(model, "priot", keep=50)
    s = o.states[0]
    s.scores[:] = bytes([9] * 5 + [7] * 25 + [3] * 10)
    o._refresh()
    assert s.d[f.THRESHOLD] == 7
    assert [w != 128 for w in s.weff] == [w != 128 and i < 30 for i, w in enumerate(s.w)]
    o = Oracle(model, "priot", keep=1)
    # 8 * 1 // 100 is nothing, one edge stays
    assert o.states[1].d[f.THRESHOLD] == max(o.states[1].scores)


def test_only_the_last_layers_move():
    model = random_model("linear 6, relu, linear 5, relu, linear 3", (4, 1, 1), 1, 3)
    data = random_dataset(model, 30, 1)
    o = Oracle(model, "weights", last=2)
    before = [bytes(s.w) for s in o.states]
    o.fit(data.images, data.labels, 1)
    assert [bytes(s.w) != b for s, b in zip(o.states, before, strict=True)] == [False, True, True]
    assert Oracle(model, "head").needs == [False, False, True]


def test_niti_needs_no_shifts_of_the_file():
    """Shifts come from the tensors: a model whose file has other shifts trains alike."""
    model = random_model("conv 3 2, relu, maxpool 2, flatten, linear 3", (1, 5, 5), 1, 3)
    data = random_dataset(model, 10, 1)
    traces = []
    for shift in (0, 9):
        for stage in model.weight_stages:
            stage.forward_shift = stage.backward_shift = shift
        o = Oracle(model, "niti")
        o.fit(data.images, data.labels, 2)
        traces.append([bytes(s.w) for s in o.states])
    assert traces[0] == traces[1]
    largest = max(abs(v) for v in signed(o.states[0].y))
    assert 64 <= largest <= 127  # the shift was made to fit


def test_what_cannot_train_is_refused():
    model = random_model("linear 3, relu, linear 2", (4, 1, 1), 1, 2)
    with pytest.raises(ValueError, match="keep: gain prunes nothing"):
        Oracle(model, "gain", keep=50)
    with pytest.raises(ValueError, match="last: 3, the network has 2"):
        Oracle(model, last=3)
    with pytest.raises(ValueError, match="select: least is none of"):
        Oracle(model, "priot-s", select="least")
