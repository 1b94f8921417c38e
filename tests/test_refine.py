"""What the refinement of an int8 network gains beside rounding to the nearest."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from import_support import Net, logits, relative_error
from priot.backbone.equalize import equalize
from priot.backbone.fidelity import compare
from priot.backbone.float_graph import FloatGraph, run
from priot.backbone.float_stage import FloatStage
from priot.backbone.quantize import quantize_graph
from priot.backbone.refine import largest_output
from priot.formats import Dataset
from priot.importer.read import import_file


def linear_graph(weights: np.ndarray, bias: np.ndarray | None) -> FloatGraph:
    """One linear layer."""
    n_out, n_in = weights.shape
    stage = FloatStage("linear", n_out, weights=weights.astype(np.float32),
                       bias=None if bias is None else bias.astype(np.float32))
    return FloatGraph("net", (n_in, 1, 1), [stage])


def related_inputs(n: int, size: int) -> Dataset:
    """Samples of 0..127 whose values rise and fall together, as those of a bright patch do."""
    rng = np.random.default_rng(0)
    x = 60 + 30 * rng.standard_normal((n, 1)) + 8 * rng.standard_normal((n, size))
    images = np.clip(np.rint(x), 0, 127).astype(np.uint8).reshape(n, size, 1, 1)
    return Dataset(images, (np.arange(n) % 4).astype(np.uint8), 4)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("size", [60, 1100])  # 1100: more than are looked at together
def test_rounding_errors_cancel(size, has_bias):
    """A fifth of the error of rounding to the nearest, and no weight far from its float."""
    rng = np.random.default_rng(1)
    weights = rng.normal(0, 0.05, (4, size)) * (rng.random((4, size)) < 0.9)
    weights[0, 0] = 1.5  # an outlier takes the bits of all others
    graph = linear_graph(weights, np.array([0.5, -3, 0, 1]) if has_bias else None)
    data = related_inputs(600, size)
    errors = {}
    for refined in (False, True):
        model = quantize_graph(graph, data, "x", training=False, refined=refined)
        stage, = model.stages
        x = data.images.reshape(len(data), -1)
        sums = x @ stage.rows.astype(np.int64).T + (stage.bias if has_bias else 0)
        step = 2.0 ** (model.input_exponent - stage.weight_exponent)
        wanted = (x * 2.0**model.input_exponent) @ weights.T + (graph.stages[0].bias
                                                                if has_bias else 0)
        errors[refined] = np.square(sums * step - wanted).mean()
        assert np.abs(stage.rows - weights * 2.0**stage.weight_exponent).max() < 3
    assert errors[True] < errors[False] / 5


def test_biases_make_up_for_the_mean():
    """The outputs' mean is the float network's, to a fraction of their step."""
    rng = np.random.default_rng(2)
    weights = rng.normal(0, 0.05, (4, 30))
    weights[:, 0] = 1.5
    graph, data = linear_graph(weights, np.zeros(4)), related_inputs(500, 30)
    model = quantize_graph(graph, data, "x", training=False, refined=True)
    stage, = model.stages
    x = data.images.reshape(len(data), -1)
    sums = x @ stage.rows.astype(np.int64).T + stage.bias
    wanted = (x * 2.0**model.input_exponent) @ graph.stages[0].weights.T
    found = sums * 2.0 ** (model.input_exponent - stage.weight_exponent)
    assert np.abs(found.mean(axis=0) - wanted.mean(axis=0)).max() < 1e-3 * np.abs(wanted).max()


def test_inputs_that_never_vary_leave_the_nearest():
    """A channel that is always 0: nothing is known of it, and nothing else suffers."""
    rng = np.random.default_rng(3)
    weights = rng.normal(0, 0.1, (4, 12))
    data = related_inputs(200, 12)
    data.images[:, 6:] = 0
    model = quantize_graph(linear_graph(weights, np.zeros(4)), data, "x", training=False,
                           refined=True)
    stage, = model.stages
    nearest = np.rint(weights * 2.0**stage.weight_exponent)
    assert (stage.rows[:, 6:] == nearest[:, 6:]).all()
    data.images[:] = 0
    data.images[0] = 1
    model = quantize_graph(linear_graph(weights, np.zeros(4)), data, "x", training=False,
                           refined=True)
    assert np.abs(model.stages[0].rows - nearest).max() <= 1


def test_the_shift_with_the_least_error():
    """One of 400 outputs is 130 in every sample, the others below 64: P99 of the largest takes a
    bit from these, which costs more than to clamp the one."""
    first = FloatStage("conv2d", 1, relu=True, weights=np.full((1, 1, 1, 1), 1.9, np.float32))
    last = FloatStage("linear", 2, 0, weights=np.ones((2, 400), np.float32))
    graph = FloatGraph("net", (1, 20, 20), [first, last])
    images = np.random.default_rng(4).integers(0, 32, (100, 1, 20, 20)).astype(np.uint8)
    images[:, 0, 0, 0] = 68  # times 122: 14 bits
    data = Dataset(images, (np.arange(100) % 2).astype(np.uint8), 2)
    plain, refined = (quantize_graph(graph, data, "x", training=False, refined=refined)
                      for refined in (False, True))
    assert [model.stages[0].forward_shift for model in (plain, refined)] == [7, 6]
    # twice as large inputs: twice as large sums, one bit more to drop
    assert plain.stages[1].forward_shift + 1 == refined.stages[1].forward_shift
    sqnr = [compare(graph, model, data).layers[0].sqnr_db for model in (plain, refined)]
    assert sqnr[1] > sqnr[0] + 3


def test_upper_clamps():
    assert largest_output(None, 0.1) == 127
    assert largest_output(6.0, 2.0**-4) == 96
    assert largest_output(6.0, 2.0**-5) == 127
    assert largest_output(6.0, 16.0) == 1


def block(channels: int = 6) -> Net:
    """A residual block whose shortcut is a layer, one whose shortcut is none, depthwise, pool."""
    net = Net(2, 8, 8, seed=7)
    net.conv(channels, 2, 3, 3, pads=[1, 1, 1, 1])
    first = net.op("Relu")
    net.conv(channels, channels, 3, 3, pads=[1, 1, 1, 1])
    net.op("Relu")
    net.conv(channels, channels, 3, 3, pads=[1, 1, 1, 1])
    second = net.op("Relu", net.op("Add", first, net.last))
    net.conv(8, channels, 3, 3, strides=[2, 2], pads=[1, 1, 1, 1])
    left = net.last
    net.op("Add", left, net.conv(8, channels, 1, 1, x=second, strides=[2, 2]))
    net.op("Relu")
    net.conv(8, 1, 3, 3, group=8, pads=[1, 1, 1, 1])
    net.op("Relu")
    net.op("GlobalAveragePool")
    net.op("Flatten")
    net.linear(4, 8)
    return net


def stretched(graph: FloatGraph, stage: int, spread: float) -> FloatGraph:
    """The filters of a stage scaled unlike: no network that computes the same, but as uneven as
    batch norms leave them."""
    scale = 2.0 ** np.random.default_rng(stage).normal(0, spread, graph.stages[stage].n_out)
    stages = list(graph.stages)
    weights = stages[stage].weights * scale[:, None, None, None]
    stages[stage] = replace(stages[stage], weights=weights.astype(np.float32),
                            bias=(stages[stage].bias * scale).astype(np.float32))
    return replace(graph, stages=stages)


def test_channels_are_equalised_across_sums(tmp_path):
    """The same function; every layer's channels nearer to each other, also those whose outputs
    are summed."""
    net = block()
    onnx.save(net.model(), tmp_path / "net.onnx")
    graph = import_file(tmp_path / "net.onnx")[0]
    for i, stage in enumerate(graph.stages):
        if stage.kind == "conv2d":
            graph = stretched(graph, i, 1.5)
    balanced = equalize(graph)
    samples = net.samples(40)
    assert relative_error(logits(balanced, samples), logits(graph, samples)) < 1e-4

    def unevenness(stage: FloatStage) -> float:
        sizes = np.abs(stage.weights.reshape(stage.n_out, -1)).max(axis=1)
        return float(np.log2(sizes.max() / sizes).mean())

    for before, after in zip(graph.stages, balanced.stages, strict=True):
        if before.kind == "conv2d":
            assert unevenness(after) < unevenness(before)


def test_channels_that_stay_below_a_clamp_are_equalised(tmp_path):
    """ReLU6 behind a depthwise layer: channels that reach 6 stay, the small ones grow, and on such
    samples the network computes the same."""
    net = Net(3, 6, 6, seed=2)
    net.conv(8, 3, 3, 3, pads=[1, 1, 1, 1])
    net.op("Clip", net.last, net.constant(0.0), net.constant(6.0))
    net.conv(8, 1, 3, 3, pads=[1, 1, 1, 1], group=8)
    net.op("Clip", net.last, net.constant(0.0), net.constant(6.0))
    net.op("Flatten")
    net.linear(3, 288)
    onnx.save(net.model(), tmp_path / "net.onnx")
    graph = import_file(tmp_path / "net.onnx")[0]
    for i, n in ((0, 3), (1, 5)):  # of so many channels the outputs become small, of one large
        stage = graph.stages[i]
        factor = np.where(np.arange(8) < n, 0.02, 1.0)
        factor[7] = 50.0
        stage.weights = stage.weights * factor[:, None, None, None].astype(np.float32)
        stage.bias = None if stage.bias is None else stage.bias * factor.astype(np.float32)
    samples = net.samples(40)
    images = graph.images(samples)
    outputs = run(graph, images)
    reaching = [i for i in range(8) if outputs[0][:, i].max() > 5.95]
    assert 7 in reaching and not {0, 1, 2} & set(reaching)
    balanced = equalize(graph, images)
    assert relative_error(logits(balanced, samples), logits(graph, samples)) < 1e-4
    before, after = (np.abs(g.stages[0].weights).max(axis=(1, 2, 3)) for g in (graph, balanced))
    assert np.allclose(before[reaching], after[reaching]) and (after[:3] > 3 * before[:3]).all()
    assert max(y.max() for y in run(balanced, images)[:2]) <= 6.0
    assert [stage.clamp for stage in balanced.stages] == [6.0, 6.0, None]


def test_a_clamp_or_the_image_in_a_sum_keeps_its_channels(tmp_path):
    """ReLU6 behind a sum, and a sum with the image: what ties to them is left as it is."""
    net = Net(4, 6, 6, seed=2)
    net.conv(4, 4, 3, 3, pads=[1, 1, 1, 1])
    net.op("Add", "x", net.last)
    net.conv(4, 4, 3, 3, pads=[1, 1, 1, 1])
    other = net.last
    net.op("Add", other, net.conv(4, 4, 1, 1))
    net.op("Clip", net.last, net.constant(0.0), net.constant(6.0))
    net.op("Flatten")
    net.linear(3, 144)
    onnx.save(net.model(), tmp_path / "net.onnx")
    graph = import_file(tmp_path / "net.onnx")[0]
    for before, after in zip(graph.stages, equalize(graph).stages, strict=True):
        assert before.weights is None or (before.weights == after.weights).all()
