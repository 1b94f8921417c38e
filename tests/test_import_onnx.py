"""What an import does with each kind of node, against onnxruntime."""

import numpy as np
import onnx
import pytest
from import_support import Net, logits, onnx_outputs, relative_error, without_end
from priot.backbone.float_graph import FloatGraph, run
from priot.importer import Report, import_file

TOLERANCE = 1e-5


def imported(net: Net, folder, outputs: tuple[str, ...] = ()) -> tuple[FloatGraph, Report]:
    path = folder / "net.onnx"
    onnx.save(net.model(outputs), path)
    return import_file(path)


def check(net: Net, folder, kinds: str, judged: bool = True) -> tuple[FloatGraph, Report]:
    """Import a network, whose stages must be of these kinds; compare it with onnxruntime."""
    graph, report = imported(net, folder)
    assert " ".join(stage.kind for stage in graph.stages) == kinds
    assert len(report.fates) == len(net.nodes)
    if judged:
        samples = net.samples()
        expected = onnx_outputs(without_end(net.model()), samples)
        assert relative_error(logits(graph, samples), expected) < TOLERANCE
    return graph, report


def test_conv_relu_max_pool_join(tmp_path):
    net = Net(2, 9, 8)
    net.conv(4, 2, 3, 3, pads=[1, 1, 1, 1])
    net.op("Relu")
    net.op("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    net.op("Flatten")
    net.linear(3, 64)
    graph, _ = check(net, tmp_path, "conv2d linear")
    stage = graph.stages[0]
    assert (stage.relu, stage.window, stage.window_stride) == (True, (2, 2), (2, 2))
    assert graph.shapes() == [(4, 4, 4), (3, 1, 1)] and graph.classes == 3


@pytest.mark.parametrize(("kernel", "attributes"), [
    ((3, 5), {"pads": [0, 1, 2, 3], "strides": [2, 1]}),
    ((4, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ((4, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ((2, 2), {"auto_pad": "VALID"}),
    ((3, 2), {"dilations": [2, 3], "pads": [1, 0, 1, 0]}),
    ((3, 3), {"group": 2}),
], ids=str)
def test_convolutions(kernel, attributes, tmp_path):
    net = Net(4, 9, 10)
    net.conv(6, 4 // attributes.get("group", 1), *kernel, **attributes)
    graph, _ = check(net, tmp_path, "conv2d")
    assert graph.stages[0].groups == attributes.get("group", 1)


@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise(multiplier, tmp_path):
    net = Net(4, 7, 6)
    net.conv(4 * multiplier, 1, 3, 3, group=4, bias=False)
    net.conv(3, 4 * multiplier, 1, 1)
    check(net, tmp_path, "conv2d conv2d")


def test_sequences_are_images_one_high(tmp_path):
    net = Net(5, 21)
    net.conv(6, 5, 7, pads=[3, 2], strides=[2])
    net.op("Relu")
    net.conv(6, 1, 3, group=6, dilations=[2], pads=[2, 2])
    net.op("MaxPool", kernel_shape=[2], strides=[2])
    net.conv(4, 6, 1)
    net.op("GlobalAveragePool")
    net.op("Flatten")
    net.linear(2, 4)
    graph, _ = check(net, tmp_path, "conv2d conv2d conv2d global_pool linear")
    assert graph.shape == (5, 1, 21) and graph.stages[1].kernel == (1, 5)


def test_two_dimensional_convolution_of_a_sequence(tmp_path):
    """Keras' Conv1D: an axis is put in and taken out again."""
    net = Net(5, 20)
    net.conv(6, 5, 3)
    net.op("Relu")
    net.op("Unsqueeze", net.last, net.constant([3], np.int64))
    net.conv(4, 6, 3, 1, pads=[1, 0, 0, 0], strides=[2, 1])
    net.op("Squeeze", net.last, net.constant([3], np.int64))
    net.conv(2, 4, 2)
    graph, _ = check(net, tmp_path, "conv2d conv2d conv2d")
    assert [stage.kernel for stage in graph.stages] == [(1, 3), (1, 3), (1, 2)]


@pytest.mark.parametrize("op", ["conv", "pooled conv", "linear"])
def test_batch_norm_folds(op, tmp_path):
    net = Net(3, 6, 5)
    if op == "linear":
        net.op("Flatten")
        net.linear(4, 90)
        net.batch_norm(4)
    else:
        net.conv(4, 3, 3, 3, bias=op == "conv")
        net.batch_norm(4)
    net.op("Relu")
    if op == "pooled conv":
        net.op("MaxPool", kernel_shape=[2, 2])
    graph, report = check(net, tmp_path, "linear" if op == "linear" else "conv2d")
    assert graph.stages[0].relu and not report.warnings
    assert any("folded into stage 0" in fate.text for fate in report.fates)


def test_batch_norm_of_an_export_for_training(tmp_path):
    net = Net(3, 6, 5)
    net.conv(4, 3, 3, 3)
    net.batch_norm(4, training_mode=1, outputs=3)
    graph, report = check(net, tmp_path, "conv2d", judged=False)
    assert len(report.warnings) == 1 and "model.eval()" in report.warnings[0]
    del net.nodes[-1].attribute[:]
    del net.nodes[-1].output[1:]
    samples = net.samples()
    assert relative_error(logits(graph, samples), onnx_outputs(net.model(), samples)) < TOLERANCE


def test_batch_norm_behind_a_relu_folds_forward(tmp_path):
    """Of an average and of a padded convolution it could not; of a linear layer it can."""
    net = Net(3, 6, 5)
    net.conv(4, 3, 3, 3)
    net.op("Relu")
    net.batch_norm(4)
    net.op("GlobalAveragePool")
    net.op("Flatten")
    net.linear(5, 4)
    net.op("Relu")
    net.op("Mul", net.last, net.random(5))
    net.op("Add", net.last, net.random(5))
    net.linear(3, 5)
    check(net, tmp_path, "conv2d global_pool linear linear")


def test_batch_norm_of_what_others_read_folds_forward(tmp_path):
    net = Net(3, 6, 5)
    first = net.conv(4, 3, 3, 3)
    net.batch_norm(4)
    other = net.conv(6, 2, 2, 2, group=2)
    net.op("Add", other, net.conv(6, 4, 2, 2, x=first))
    check(net, tmp_path, "conv2d conv2d conv2d add")


def test_batch_norm_that_turns_a_maximum_round_folds_forward(tmp_path):
    net = Net(3, 6, 6)
    net.conv(4, 3, 3, 3)
    net.op("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    net.op("Mul", net.last, net.constant([[[1.0]], [[-1.0]], [[2.0]], [[-0.5]]]))
    net.conv(2, 4, 2, 2)
    check(net, tmp_path, "conv2d conv2d")


def test_constant_arithmetic_folds(tmp_path):
    net = Net(3, 6, 5)
    net.op("Div", net.last, net.constant(3.0))
    net.op("Sub", net.last, net.random(3, 1, 1))
    net.conv(4, 3, 3, 3, pads=[1, 1, 1, 1])
    net.op("Mul", net.last, net.random(1, 4, 1, 1))
    net.op("Sub", net.random(4, 1, 1), net.last)
    net.op("Neg")
    net.op("Add", net.last, net.random(1))
    graph, report = check(net, tmp_path, "conv2d")
    assert np.shape(graph.mean) == (3,) and graph.std == pytest.approx(3)
    assert sum("the input's scale" in fate.text for fate in report.fates) == 2


def test_scaled_input_with_padding_is_exact(tmp_path):
    """(x - 128) / 64 before a padded layer: the padding is 0 of what the layer reads."""
    net = Net(1, 5, 5)
    net.op("Sub", net.last, net.constant(128.0))
    net.op("Mul", net.last, net.constant(1 / 64))
    net.conv(2, 1, 3, 3, pads=[1, 1, 1, 1])
    graph, _ = check(net, tmp_path, "conv2d")
    assert (graph.mean, graph.std) == (128.0, 64.0)


def test_computed_constants(tmp_path):
    """Shapes and weights that exporters write as nodes."""
    net = Net(2, 4, 3)
    weights = net.op("Transpose", net.random(24, 3), perm=[1, 0])
    net.last = "x"
    shape = net.op("Shape", "x")
    size = net.op("Gather", shape, net.constant(0, np.int64), axis=0)
    size = net.op("Unsqueeze", size, net.constant([0], np.int64))
    size = net.op("Concat", size, net.constant([-1], np.int64), axis=0)
    net.op("Reshape", "x", size)
    net.op("Gemm", net.last, weights, transB=1, alpha=0.5)
    check(net, tmp_path, "linear")


@pytest.mark.parametrize("spelling", ["global", "full size", "attribute", "input", "squeezed"])
def test_global_averages(spelling, tmp_path):
    net = Net(3, 4, 6, opset=18 if spelling == "input" else 17)
    net.conv(5, 3, 1, 1)
    if spelling == "global":
        net.op("GlobalAveragePool")
    elif spelling == "full size":
        net.op("AveragePool", kernel_shape=[4, 6], strides=[4, 6])
    elif spelling == "input":
        net.op("ReduceMean", net.last, net.constant([-1, -2], np.int64))
    else:
        net.op("ReduceMean", axes=[2, 3], keepdims=int(spelling == "attribute"))
    if spelling != "squeezed":
        net.op("Flatten")
    net.linear(3, 5)
    graph, _ = check(net, tmp_path, "conv2d global_pool linear")
    assert graph.stages[1].window == (4, 6)


def test_pools(tmp_path):
    net = Net(2, 12, 13)
    net.op("AveragePool", kernel_shape=[2, 3], strides=[1, 2])
    net.op("MaxPool", kernel_shape=[3, 2], strides=[2, 1], ceil_mode=1)
    net.conv(3, 2, 1, 1)
    net.op("MaxPool", kernel_shape=[2, 2])
    net.op("MaxPool", kernel_shape=[2, 2])
    net.op("ReduceMax", axes=[2, 3])
    check(net, tmp_path, "avg_pool max_pool conv2d max_pool max_pool")


def test_residual_block(tmp_path):
    net = Net(3, 8, 8)
    stem = net.conv(4, 3, 3, 3, pads=[1, 1, 1, 1])
    stem = net.op("Relu")
    net.conv(6, 4, 3, 3, pads=[0, 0, 1, 1], strides=[2, 2])
    net.op("Relu")
    branch = net.conv(6, 6, 3, 3, pads=[1, 1, 1, 1])
    shortcut = net.conv(6, 4, 1, 1, x=stem, strides=[2, 2])
    net.op("Add", shortcut, branch)
    block = net.op("Relu")
    net.op("Add", block, net.conv(6, 6, 1, 1))
    net.op("GlobalAveragePool")
    net.op("Flatten")
    net.linear(5, 6)
    graph, _ = check(net, tmp_path,
                     "conv2d conv2d conv2d conv2d add conv2d add global_pool linear")
    assert [(stage.a, stage.b) for stage in graph.stages][2:7] == [
        (1, None), (0, None), (3, 2), (4, None), (4, 5)]
    assert graph.stages[4].relu and not graph.stages[6].relu


@pytest.mark.parametrize("spelling", ["clip", "max min", "relu clip"])
def test_relu6(spelling, tmp_path):
    net = Net(2, 4, 4)
    net.conv(3, 2, 3, 3)
    net.op("Mul", net.last, net.constant(3.0))
    zero, six = net.constant(0.0), net.constant(6.0)
    if spelling == "clip":
        net.op("Clip", net.last, zero, six)
    elif spelling == "max min":
        net.op("Max", net.last, zero)
        net.op("Min", net.last, six)
    else:
        net.op("Relu")
        net.op("Clip", net.last, "", six)
    graph, _ = check(net, tmp_path, "conv2d")
    assert (graph.stages[0].relu, graph.stages[0].clamp) == (True, 6.0)
    assert run(graph, graph.images(net.samples()))[0].max() == 6


def test_channels_last_in_front_and_behind(tmp_path):
    """tf2onnx: transposed at the input, and back before a flatten whose order is the file's."""
    net = Net(6, 5, 3)
    net.op("Transpose", perm=[0, 3, 1, 2])
    net.conv(4, 3, 3, 3)
    net.op("Relu")
    net.op("Transpose", perm=[0, 2, 3, 1])
    net.op("Reshape", net.last, net.constant([-1, 48], np.int64))
    net.op("MatMul", net.last, net.random(48, 3))
    net.op("Add", net.last, net.random(3))
    graph, report = check(net, tmp_path, "conv2d linear")
    assert graph.shape == (3, 6, 5) and graph.file_shape == (6, 5, 3)
    assert any("inputs permuted" in fate.text for fate in report.fates)


def test_linear_layer_at_every_position_is_a_convolution(tmp_path):
    net = Net(7, 5)
    net.op("MatMul", net.last, net.random(5, 6))
    net.op("Add", net.last, net.random(6))
    net.op("Relu")
    net.op("ReduceMean", axes=[1], keepdims=0)
    net.linear(3, 6)
    graph, _ = check(net, tmp_path, "conv2d global_pool linear")
    assert graph.shape == (5, 1, 7)


def test_padding_nodes_join(tmp_path):
    net = Net(2, 5, 6)
    net.op("Pad", net.last, net.constant([0, 0, 1, 2, 0, 0, 0, 1], np.int64))
    net.conv(3, 2, 3, 3, pads=[0, 0, 1, 0])
    graph, _ = check(net, tmp_path, "conv2d")
    assert graph.stages[0].padding == (1, 1, 2, 1)


@pytest.mark.parametrize(("op", "final"), [
    ("Softmax", "softmax"), ("LogSoftmax", "softmax"), ("Sigmoid", "sigmoid")])
def test_the_end_is_left_out(op, final, tmp_path):
    net = Net(4)
    net.linear(3, 4)
    net.op("Identity")
    net.op("Dropout")
    net.op("Cast", to=onnx.TensorProto.FLOAT)
    net.op(op)
    graph, _ = check(net, tmp_path, "linear")
    assert graph.final == final


def test_one_output_behind_a_sigmoid_becomes_two(tmp_path):
    net = Net(4)
    net.linear(1, 4)
    net.op("Sigmoid")
    graph, report = imported(net, tmp_path)
    found = np.exp(logits(graph, net.samples()))
    found = found[:, 1] / found.sum(axis=1)
    expected = onnx_outputs(net.model(), net.samples())[:, 0]
    assert np.allclose(found, expected, rtol=1e-5)
    assert graph.classes == 2 and len(report.warnings) == 1


def test_classifier_of_scikit_learn(tmp_path):
    """Scaled inputs, and labels computed behind the softmax."""
    net = Net(4)
    net.op("Scaler", domain="ai.onnx.ml", offset=[1.0, -2.0, 0.5, 0.0], scale=[2.0, 1.0, 0.5, 3.0])
    net.op("Cast", to=onnx.TensorProto.FLOAT)
    net.op("MatMul", net.last, net.random(4, 6))
    net.op("Add", net.last, net.random(1, 6))
    net.op("Relu")
    net.op("MatMul", net.last, net.random(6, 3))
    scores = net.op("Add", net.last, net.random(1, 3))
    probabilities = net.op("Softmax")
    net.op("ArgMax", axis=1)
    net.op("ArrayFeatureExtractor", net.constant([5, 6, 7], np.int64), net.last,
           domain="ai.onnx.ml")
    label = net.op("Cast", to=onnx.TensorProto.INT64)
    graph, _ = imported(net, tmp_path, (label, probabilities))
    assert graph.final == "softmax" and np.shape(graph.std) == (4,)
    samples = net.samples()
    expected = onnx_outputs(net.model((scores,)), samples)
    assert relative_error(logits(graph, samples), expected) < TOLERANCE


def quantised(net: Net, x: str, scale: float, zero: int, dtype: type) -> str:
    """x through QuantizeLinear and DequantizeLinear."""
    names = net.constant(scale), net.constant(zero, dtype)
    net.op("QuantizeLinear", x, *names)
    return net.op("DequantizeLinear", net.last, *names)


def test_quantised_weights_and_activations(tmp_path):
    """QDQ: weights are what their integers mean, activations stay float."""
    plain, net = (Net(3, 5, 5, seed=4) for _ in range(2))
    q = net.rng.integers(-127, 128, (4, 3, 3, 3))
    scales = net.rng.uniform(0.01, 0.02, 4).astype(np.float32)
    plain.op("Conv", "x", plain.constant(q * scales[:, None, None, None]))
    x = quantised(net, "x", 0.04, 3, np.int8)
    w = net.op("DequantizeLinear", net.constant(q, np.int8), net.constant(scales),
               net.constant(np.zeros(4), np.int8), axis=0)
    net.op("Conv", x, w)
    quantised(net, net.last, 0.1, 0, np.int8)
    graph, _ = imported(net, tmp_path)
    expected = onnx_outputs(plain.model(), plain.samples())
    assert relative_error(logits(graph, plain.samples()), expected) < TOLERANCE
    assert graph.limits == pytest.approx((-131 * 0.04, 124 * 0.04))


def test_limits_of_the_input_follow_its_scale(tmp_path):
    """Of images quantised to 0..255 and scaled to -1..1 behind that."""
    net = Net(1, 4, 4)
    quantised(net, "x", 1.0, 0, np.uint8)
    net.op("Div", net.last, net.constant(-127.5))
    net.op("Add", net.last, net.constant(1.0))
    net.conv(2, 1, 3, 3)
    graph, _ = imported(net, tmp_path)
    assert graph.limits == pytest.approx((-1, 1))
    assert (graph.mean, graph.std) == (127.5, -127.5)


def test_integers_as_input(tmp_path):
    """What stands behind a network whose QuantizeLinear was cut off: raw values are integers."""
    plain, net = Net(3, 4, 4, seed=4), Net(3, 4, 4, seed=4)
    net.op("DequantizeLinear", "x", net.constant(0.05), net.constant(-10, np.int8))
    for n in (plain, net):
        n.conv(2, 3, 3, 3)
    model = net.model()
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT8
    onnx.save(model, tmp_path / "net.onnx")
    graph, _ = import_file(tmp_path / "net.onnx")
    raw = np.random.default_rng(2).integers(-128, 128, (5, 3, 4, 4))
    expected = onnx_outputs(plain.model(), ((raw + 10) * 0.05).astype(np.float32))
    assert relative_error(logits(graph, raw), expected) < TOLERANCE
    assert graph.limits == pytest.approx((-118 * 0.05, 137 * 0.05))


@pytest.mark.parametrize(("scale", "clamp"), [(6 / 255, 6.0), (0.1, None)])
def test_a_range_from_zero_is_a_relu(scale, clamp, tmp_path):
    """Quantisers leave the ReLU out where the range cuts off the same."""
    plain, net = (Net(3, 5, 5, seed=4) for _ in range(2))
    for n in (plain, net):
        n.conv(4, 3, 3, 3)
    plain.op("Clip", plain.last, plain.constant(0.0), plain.constant(clamp or 1e6))
    quantised(net, net.last, scale, -128, np.int8)
    for n in (plain, net):
        n.op("Flatten")
        n.linear(2, 36)
    quantised(net, net.last, 0.1, -128, np.int8)  # that of the logits does not count
    graph, _ = imported(net, tmp_path)
    expected = onnx_outputs(plain.model(), plain.samples())
    assert relative_error(logits(graph, plain.samples()), expected) < TOLERANCE
    assert graph.stages[0].relu and graph.stages[0].clamp == clamp and not graph.stages[1].relu


def test_dead_filters_go(tmp_path):
    """Zero filters with and without a bias, through depthwise, pool, sum and flatten."""
    net = Net(2, 6, 6)
    w, b = net.rng.uniform(-1, 1, (5, 2, 3, 3)), np.array([0.5, -1, 0.3, -0.2, 0.1])
    w[1] = 0  # gives relu(-1) = 0: goes through padding
    w[4] = 1e-30  # gives 0.1: stays where padding is read, as long as it is
    net.op("Conv", net.last, net.constant(w), net.constant(b), pads=[1, 1, 1, 1])
    net.op("Relu")
    net.conv(5, 1, 3, 3, group=5, pads=[1, 1, 1, 1])
    net.op("Relu")
    w = net.rng.uniform(-1, 1, (4, 5, 1, 1))
    w[2] = 0
    stem = net.op("Conv", net.last, net.constant(w), net.constant([1.0, 2.0, 3.0, 4.0]))
    w = net.rng.uniform(-1, 1, (4, 4, 1, 1))
    w[2] = 0
    net.op("Add", stem, net.op("Conv", net.last, net.constant(w)))
    net.op("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    net.op("Flatten")
    net.linear(3, 36)
    graph, report = check(net, tmp_path, "conv2d conv2d conv2d conv2d add max_pool linear")
    assert [stage.n_out for stage in graph.stages] == [4, 4, 3, 3, 3, 3, 3]
    assert report.dead_filters == 4 and report.parameters_before > graph.parameters


def test_a_constant_that_padding_interrupts_stays(tmp_path):
    net = Net(2, 4, 4)
    w = net.rng.uniform(-1, 1, (4, 2, 1, 1))
    w[1:3] = 0
    net.op("Conv", net.last, net.constant(w), net.constant([1.0, 0.5, 0.0, 1.0]))
    net.conv(2, 4, 3, 3, pads=[1, 0, 0, 0])
    graph, _ = check(net, tmp_path, "conv2d conv2d")
    assert graph.stages[0].n_out == 3


def test_a_layer_keeps_one_filter(tmp_path):
    net = Net(2, 4, 4)
    net.op("Conv", net.last, net.constant(np.zeros((3, 2, 3, 3))), net.random(3))
    net.conv(2, 3, 2, 2)
    graph, _ = check(net, tmp_path, "conv2d conv2d")
    assert graph.stages[0].n_out == 1


def test_nodes_that_no_output_needs(tmp_path):
    net = Net(4)
    hidden = net.linear(3, 4)
    net.op("Relu")
    net.op("Tanh")
    net.last = hidden
    _, report = imported(net, tmp_path)
    assert [fate.text for fate in report.fates][1:] == ["dropped: no output needs it"] * 2


def test_functions_are_put_in_place(tmp_path):
    """What torch's newer exporter may leave as functions of the file."""
    net = Net(4)
    net.linear(3, 4)
    model = net.model()
    helper = onnx.helper
    function = helper.make_function(
        "local", "Halved", ["x"], ["y"],
        [helper.make_node("Constant", [], ["half"], value_float=0.5),
         helper.make_node("Mul", ["x", "half"], ["y"])], [helper.make_opsetid("", 17)])
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.graph.node.append(helper.make_node("Halved", [net.last], ["out"], domain="local"))
    model.graph.output[0].name = "out"
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    graph, _ = import_file(path)
    expected = onnx_outputs(net.model(), net.samples()) / 2
    assert relative_error(logits(graph, net.samples()), expected) < TOLERANCE


def test_the_report_says_what_became_of_each_node(tmp_path):
    net = Net(2, 8, 8)
    net.conv(4, 2, 3, 3)
    net.batch_norm(4)
    net.op("Relu")
    net.op("GlobalAveragePool")
    net.op("Flatten")
    net.linear(3, 4)
    net.op("Softmax")
    graph, report = imported(net, tmp_path)
    text = report.describe(graph).splitlines()
    assert text[0] == "net: input 2x8x8, 3 outputs, softmax left out"
    assert text[2].split() == ["0", "conv2d", "3x3,", "relu", "image", "4x6x6", "72", "2,592"]
    assert "BatchNormalization 'batchnormalization1' (1x4x6x6): folded into stage 0" in text
    assert "91 parameters, 2,604 MAC" in text
    assert graph.parameters == 4 * 18 + 4 + 12 + 3 and graph.stages[0].source == [
        "conv0", "relu2"]
