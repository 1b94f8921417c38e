"""Float training: gradients of every layer against differences, batch norm, losses, steps."""

import numpy as np
import pytest
from priot.backbone.batch_norm import BatchNorm
from priot.backbone.float_graph import run
from priot.backbone.float_loss import cross_entropy
from priot.backbone.optimizer import Optimizer, cosine
from priot.backbone.pretrain import Pretraining, Recipe
from priot.network import fields as f
from priot.network.spec import parse_network
from priot.network.stages import compile_layers
from priot.oracle import batch

# name -> network, input shape, classes
LAYERS = {
    "linear": ("flatten, linear 5 bias, relu, linear 3 bias", (2, 2, 3), 3),
    "linear without bias": ("flatten, linear 5, relu, linear 3", (2, 2, 3), 3),
    "conv": ("conv 4 3 bias, conv 3 2, flatten, linear 2", (2, 6, 5), 2),
    "conv of a rectangle": ("conv 3 1 bias, conv 4 3x2 stride 2x1 pad 1x0x1x1 bias, conv 2 2x3, "
                            "flatten, linear 2", (2, 7, 6), 2),
    "1 x k": ("conv 3 1x1, conv 4 1x5 stride 1x3 pad 0x0x2x1 bias, flatten, linear 2",
              (2, 1, 13), 2),
    "groups": ("conv 4 1, conv 6 3 pad 1 groups 2 bias, conv 2 1, flatten, linear 2",
               (3, 4, 5), 2),
    "dw": ("conv 3 1, dw 3x2 stride 2x1 pad 0x1x1x0 bias, conv 2 1, flatten, linear 2",
           (2, 5, 6), 2),
    "dw times": ("conv 3 1, dw 2 times 3 bias, conv 2 1, flatten, linear 2", (2, 4, 3), 2),
    "dw of the image": ("dw 3 pad 1 bias, conv 2 1, flatten, linear 2", (3, 4, 5), 2),
    "bn": ("conv 4 3, bn, relu, flatten, linear 3, bn, relu, linear 2", (2, 4, 5), 2),
    "bn behind a bias": ("conv 4 2 bias, bn, conv 2 1, flatten, linear 2", (2, 4, 3), 2),
    "bn behind dw": ("conv 3 1, dw 3, bn, relu6, conv 2 1, flatten, linear 2", (2, 4, 5), 2),
    "relu6": ("conv 8 2 bias, relu6, conv 3 1, flatten, linear 2", (2, 5, 4), 2),
    "maxpool": ("conv 4 2, relu, maxpool 2, maxpool 2 stride 1, conv 2 1, flatten, linear 2",
                (2, 8, 7), 2),
    "maxpools that overlap": ("conv 4 1, maxpool 3x2 stride 2x1, relu6, conv 2 1, flatten, "
                              "linear 2", (2, 7, 5), 2),
    "avgpool": ("conv 4 1, avgpool 3x2 stride 1x2, conv 2 1, flatten, linear 2", (2, 5, 6), 2),
    "globalpool": ("conv 4 1, globalpool, flatten, linear 3", (2, 3, 5), 3),
    "add": ("conv 4 1 bias, relu as x, conv 4 3 pad 1, relu, conv 4 1, add x, relu as y, "
            "conv 4 1, add y, avgpool 2, flatten, linear 2", (2, 4, 4), 2),
    "add of the image": ("conv 2 1, add input, conv 3 2, flatten, linear 2", (2, 4, 4), 2),
    "from": ("conv 3 1 as x, conv 4 2 stride 2 bias as a, from x, conv 4 2 stride 2, bn, add a, "
             "relu, flatten, linear 2", (2, 4, 4), 2),
}


def training(line: str, shape: tuple[int, int, int], classes: int, **recipe) -> Pretraining:
    """Of float64, with biases, gammas and betas at random."""
    found = Pretraining(parse_network(line), shape, classes, Recipe(**recipe))
    rng = np.random.default_rng(7)
    # so that some outputs are clamped
    wide = 4 if any(stage.clamp for stage in found.graph.stages) else 1
    for stage in found.graph.stages:
        if stage.weights is not None:
            stage.weights = stage.weights.astype(np.float64)
            stage.weights *= wide
        if stage.bias is not None:
            stage.bias = rng.normal(0, 0.3, stage.n_out)
    for i, norm in found.norms.items():
        found.norms[i] = BatchNorm(len(norm.gamma), np.float64)
        found.norms[i].gamma += rng.normal(0, 0.3, len(norm.gamma))
        found.norms[i].gamma *= wide
        found.norms[i].beta += rng.normal(0, 0.3, len(norm.gamma))
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_differences(name):
    line, shape, classes = LAYERS[name]
    found = training(line, shape, classes)
    rng = np.random.default_rng(5)
    x, labels = rng.normal(0, 1, (6, *shape)), rng.integers(0, classes, 6)

    def loss() -> tuple[float, np.ndarray, list]:
        tapes = found.forward(x)
        return *cross_entropy(tapes[-1].y.reshape(6, -1), labels), tapes

    _, g, tapes = loss()
    gradients = found.backward(tapes, g)
    assert len(gradients) == len(found.parameters)
    step = 1e-6
    largest = max(np.abs(gradient).max() for gradient in gradients)
    for values, gradient in zip(found.parameters, gradients, strict=True):
        assert gradient.shape == values.shape
        for place in rng.permutation(values.size)[:12]:
            before = values.flat[place]
            ends = []
            for moved in (before + step, before - step):
                values.flat[place] = moved
                ends.append(loss()[0])
            values.flat[place] = before
            expected = (ends[0] - ends[1]) / (2 * step)
            assert abs(gradient.flat[place] - expected) <= 1e-6 * max(1, largest), (name, place)
    if "relu6" in line:
        clamped = [tape.y == stage.clamp for tape, stage in zip(
            tapes, found.graph.stages, strict=True) if stage.clamp]
        assert any(0 < some.mean() < 1 for some in clamped)


def test_gradients_with_dropout():
    """The same values are left out backward as forward, and the others are larger for it."""
    found = training("flatten, linear 6 bias, linear 2", (1, 4, 5), 2, dropout=0.5)
    x = np.random.default_rng(1).normal(0, 1, (3, 1, 4, 5))
    tapes = found.forward(x)
    kept = tapes[1].keep
    assert set(np.unique(kept)) == {0.0, 2.0}
    assert np.array_equal(tapes[1].x, tapes[0].y * kept)
    g = np.ones((3, 2))
    _, db, _ = found.backward(tapes, g)
    w = found.graph.stages[1].weights
    np.testing.assert_allclose(db, ((g @ w) * kept[:, :, 0, 0]).sum(axis=0))


@pytest.mark.parametrize("name", [
    name for name, (line, *_) in LAYERS.items()
    if not any(word in line for word in ("bn", "bias", "add"))])  # these the oracle rounds
def test_the_forward_is_that_of_the_oracle(name):
    """Float logits are those of the integer network where nothing is rounded."""
    line, shape, classes = LAYERS[name]
    found = training(line, shape, classes)
    x = np.random.default_rng(1).integers(0, 128, (5, *shape)) / 128
    tensors: dict[int, np.ndarray] = {-1: x}
    weights = iter(found.parameters)
    for i, stage in enumerate(compile_layers(found.layers, shape, classes)):
        if stage.has_weights:
            stage.weights = next(weights)
        acc = batch.forward(stage, *(tensors[n] for n in stage.inputs))[0]
        if stage.kind in (f.AVG_POOL, f.GLOBAL_POOL):
            acc = acc / (stage.window[0] * stage.window[1])
        acc = np.maximum(acc, 0) if stage.relu else acc
        tensors[i] = np.minimum(acc, 6) if stage.largest < 127 else acc
    np.testing.assert_allclose(found.forward(x)[-1].y.ravel(), tensors[i].ravel(), rtol=1e-9,
                               atol=1e-9)


@pytest.mark.parametrize("name", ["bn", "bn behind a bias", "bn behind dw"])
def test_batch_norm_is_folded(name):
    """The network that is written computes on a batch what training computes, where the running
    mean and variance are the batch's: behind the first one."""
    line, shape, classes = LAYERS[name]
    found = training(line, shape, classes)
    x = np.random.default_rng(4).normal(0, 1, (40, *shape))
    trained = found.forward(x)[-1].y
    folded = run(found.network().graph(shape, classes), x)[-1]
    np.testing.assert_allclose(folded, trained, rtol=1e-4, atol=1e-4)


def test_running_mean_and_variance():
    """The mean of the first ten batches; then a tenth of each."""
    norm = BatchNorm(1, np.float64)
    batches = [np.array([i, i + 2.0]).reshape(2, 1, 1, 1) for i in range(11)]
    for some in batches[:10]:
        norm.forward(some)
    assert norm.mean == pytest.approx(5.5) and norm.variance == pytest.approx(1)
    norm.forward(batches[10])
    assert norm.mean == pytest.approx(0.9 * 5.5 + 0.1 * 11)


def test_cross_entropy_by_hand():
    loss, g = cross_entropy(np.array([[0.0, np.log(3)], [1000.0, 1000.0]]), np.array([1, 0]))
    assert loss == pytest.approx((np.log(4 / 3) + np.log(2)) / 2)
    np.testing.assert_allclose(g, [[1 / 8, -1 / 8], [-1 / 4, 1 / 4]])


def test_steps_by_hand():
    """Two steps of each optimizer on one number of gradient 2, then 1, and one that decays."""
    values = [np.array([1.0]), np.array([1.0])]
    optimizer = Optimizer("sgd", values, [False, True], 0.5)
    optimizer.step([np.array([2.0])] * 2, 0.1)
    assert [float(v[0]) for v in values] == pytest.approx([0.8, 1 - 0.1 * 2.5])
    optimizer.step([np.array([1.0])] * 2, 0.1)
    assert [float(v[0]) for v in values] == pytest.approx(
        [0.8 - 0.1 * (0.9 * 2 + 1), 0.75 - 0.1 * (0.9 * 2.5 + 1 + 0.5 * 0.75)])
    values = [np.array([1.0]), np.array([1.0])]
    optimizer = Optimizer("adamw", values, [False, True], 0.5)
    optimizer.step([np.array([2.0])] * 2, 0.1)
    assert [float(v[0]) for v in values] == pytest.approx([0.9, 0.95 - 0.1])
    optimizer.step([np.array([1.0])] * 2, 0.1)
    first, second = (0.9 * 0.2 + 0.1) / 0.19, (0.999 * 0.004 + 0.001) / (1 - 0.999**2)
    assert float(values[0][0]) == pytest.approx(0.9 - 0.1 * first / second**0.5)


def test_the_learning_rate_falls_along_a_cosine():
    assert [cosine(2, i, 4) for i in range(4)] == pytest.approx(
        [2, 1 + 0.5**0.5, 1, 1 - 0.5**0.5])
