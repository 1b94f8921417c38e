"""What an import does with operators of TFLite, against LiteRT."""

import numpy as np
import pytest
from import_support import Lite, Tflite, logits, relative_error, samples_for
from priot.backbone.float_graph import FloatGraph
from priot.importer import Report, import_file

TOLERANCE = 1e-5
SAME, VALID = 0, 1
NONE, RELU, RELU6 = 0, 1, 3


def imported(lite: Lite, folder) -> tuple[FloatGraph, Report]:
    path = folder / "net.tflite"
    path.write_bytes(lite.data())
    return import_file(path)


def check(lite: Lite, folder, kinds: str, judge: Lite | None = None) -> tuple[FloatGraph, Report]:
    """Import a network, whose stages must be of these kinds; compare it with LiteRT.

    judge: a float network that must be the same one.
    """
    graph, report = imported(lite, folder)
    assert " ".join(stage.kind for stage in graph.stages) == kinds
    samples = samples_for(lite.shape[1:], 5, seed=1)
    judged = Tflite((judge or lite).data())
    expected, = judged.run(samples, [judged.logits_tensor()])
    if graph.limits is None or judge is None:
        raw = samples
    else:
        raw = samples * graph.std + graph.mean  # as the integers of the input mean them
    assert relative_error(logits(graph, raw), expected.reshape(5, -1)) < TOLERANCE
    return graph, report


def conv(lite: Lite, kernel: tuple[int, ...], out: tuple[int, ...], depthwise: bool = False,
         padding: int = SAME, stride: int = 1, activation: int = NONE, dilation: int = 1) -> int:
    """kernel: [n_out][y][x][n_in], or [1][y][x][n_out] of a depthwise one."""
    options = {"padding": padding, "strideH": stride, "strideW": stride,
               "dilationHFactor": dilation, "dilationWFactor": dilation,
               "fusedActivationFunction": activation}
    n_out = kernel[3] if depthwise else kernel[0]
    if depthwise:
        n_in = lite.tensors[lite.last].shape[3]
        return lite.op("DEPTHWISE_CONV_2D", lite.last, lite.random(*kernel), lite.random(n_out),
                       shape=out, options="DepthwiseConv2DOptions",
                       depthMultiplier=n_out // n_in, **options)
    return lite.op("CONV_2D", lite.last, lite.random(*kernel), lite.random(n_out), shape=out,
                   options="Conv2DOptions", **options)


def linear(lite: Lite, n_out: int, n_in: int, activation: int = NONE) -> int:
    return lite.op("FULLY_CONNECTED", lite.last, lite.random(n_out, n_in), lite.random(n_out),
                   shape=(1, n_out), options="FullyConnectedOptions",
                   fusedActivationFunction=activation)


def test_flatten_of_channels_last_permutes(tmp_path):
    lite = Lite(7, 6, 3)
    conv(lite, (4, 3, 3, 3), (1, 4, 3, 4), stride=2, activation=RELU6)
    conv(lite, (1, 3, 2, 8), (1, 4, 3, 8), depthwise=True, activation=RELU)
    lite.op("MAX_POOL_2D", shape=(1, 2, 1, 8), options="Pool2DOptions", padding=VALID, strideH=2,
            strideW=2, filterHeight=2, filterWidth=2)
    lite.op("RESHAPE", lite.last, lite.constant([-1, 16], np.int32), shape=(1, 16),
            options="ReshapeOptions", newShape=[-1, 16])
    linear(lite, 5, 16)
    lite.op("SOFTMAX", shape=(1, 5), options="SoftmaxOptions", beta=1.0)
    graph, report = check(lite, tmp_path, "conv2d conv2d linear")
    assert graph.shape == (3, 7, 6) and graph.final == "softmax"
    assert graph.stages[0].padding == (1, 1, 0, 1) and graph.stages[0].clamp == 6
    assert graph.stages[1].groups == 4 and graph.stages[1].window == (2, 2)
    assert any("inputs permuted" in fate.text for fate in report.fates)


def test_flatten_by_shape_slice_and_pack(tmp_path):
    lite = Lite(4, 5, 2)
    image = conv(lite, (3, 2, 2, 2), (1, 3, 4, 3), padding=VALID)
    lite.op("SHAPE", image, shape=(4,), kind="INT32", options="ShapeOptions", outType=2)
    one, two = (lite.constant([v], np.int32) for v in (0, 1))
    lite.op("STRIDED_SLICE", lite.last, one, two, two, shape=(), kind="INT32",
            options="StridedSliceOptions", shrinkAxisMask=1)
    lite.op("PACK", lite.last, lite.constant(36, np.int32), shape=(2,), kind="INT32",
            options="PackOptions", valuesCount=2)
    lite.op("RESHAPE", image, lite.last, shape=(1, 36), options="ReshapeOptions")
    linear(lite, 3, 36)
    check(lite, tmp_path, "conv2d linear")


def test_residual_block_and_mean(tmp_path):
    lite = Lite(6, 6, 3)
    stem = conv(lite, (4, 3, 3, 3), (1, 6, 6, 4), activation=RELU)
    branch = conv(lite, (4, 3, 3, 4), (1, 6, 6, 4))
    lite.op("ADD", stem, branch, shape=(1, 6, 6, 4), options="AddOptions",
            fusedActivationFunction=RELU)
    lite.op("MEAN", lite.last, lite.constant([1, 2], np.int32), shape=(1, 4),
            options="ReducerOptions")
    linear(lite, 3, 4)
    graph, _ = check(lite, tmp_path, "conv2d conv2d add global_pool linear")
    assert graph.stages[2].relu


def test_arithmetic_padding_and_dilation(tmp_path):
    lite = Lite(8, 9, 2)
    lite.op("SUB", lite.last, lite.constant([1.0, 2.0]), shape=(1, 8, 9, 2), options="SubOptions")
    lite.op("PAD", lite.last, lite.constant([[0, 0], [1, 0], [2, 1], [0, 0]], np.int32),
            shape=(1, 9, 12, 2))
    conv(lite, (3, 2, 3, 2), (1, 7, 8, 3), padding=VALID, dilation=2)
    lite.op("MUL", lite.last, lite.random(3), shape=(1, 7, 8, 3), options="MulOptions",
            fusedActivationFunction=RELU)
    lite.op("AVERAGE_POOL_2D", shape=(1, 3, 4, 3), options="Pool2DOptions", padding=VALID,
            strideH=2, strideW=2, filterHeight=2, filterWidth=2)
    conv(lite, (2, 3, 4, 3), (1, 1, 1, 2), padding=VALID)
    lite.op("LOGISTIC", shape=(1, 1, 1, 2))
    graph, _ = check(lite, tmp_path, "conv2d avg_pool conv2d")
    assert graph.final == "sigmoid" and list(graph.mean) == [1, 2] and graph.std == 1
    assert graph.stages[0].padding == (1, 0, 2, 1) and graph.stages[0].kernel == (3, 5)


def test_fully_connected_reads_an_image(tmp_path):
    lite = Lite(3, 4, 2)
    linear(lite, 4, 24, activation=RELU)
    linear(lite, 2, 4)
    graph, _ = check(lite, tmp_path, "linear linear")
    assert graph.shape == (2, 3, 4)


def test_half_precision_weights(tmp_path):
    lite = Lite(5)
    w = lite.op("DEQUANTIZE", lite.constant(lite.rng.uniform(-1, 1, (3, 5)), np.float16),
                shape=(3, 5))
    lite.last = 0
    lite.op("FULLY_CONNECTED", 0, w, lite.random(3), shape=(1, 3),
            options="FullyConnectedOptions")
    check(lite, tmp_path, "linear")


@pytest.mark.parametrize("kind", ["hybrid", "int8", "int8 without its relu"])
def test_integer_weights_are_what_they_mean(kind, tmp_path):
    """Per-channel scales of weights, a scale of biases; activations stay float."""
    whole = kind != "hybrid"
    net, plain = Lite(5, 5, 3, input_type="INT8" if whole else "FLOAT32"), Lite(5, 5, 3)
    steps = (0.05, 0.04) if whole else (None, None)
    if whole:
        net.tensors[0] = plain_input(net, 0.05, 7)
    q = net.rng.integers(-127, 128, (4, 3, 3, 3))
    scales = net.rng.uniform(0.004, 0.01, 4).astype(np.float32)
    b = net.rng.integers(-900, 900, 4)
    bias = b * scales * np.float32(0.05)
    options = {"padding": SAME, "strideH": 1, "strideW": 1, "options": "Conv2DOptions",
               "dilationHFactor": 1, "dilationWFactor": 1}
    number = "INT8" if whole else "FLOAT32"
    net.op("CONV_2D", 0, net.constant(q, np.int8, scale=scales),
           net.constant(b, np.int32, scale=scales * 0.05) if whole else net.constant(bias),
           shape=(1, 5, 5, 4), kind=number, scale=steps[1], zero=-128, **options,
           fusedActivationFunction=NONE if "without" in kind else RELU)
    plain.op("CONV_2D", 0, plain.constant(q * scales[:, None, None, None]), plain.constant(bias),
             shape=(1, 5, 5, 4), fusedActivationFunction=RELU, **options)
    wq = net.rng.integers(-127, 128, (2, 100))
    c = net.rng.integers(-900, 900, 2)
    for lite in (net, plain):
        lite.op("RESHAPE", lite.last, lite.constant([1, 100], np.int32), shape=(1, 100),
                kind=number if lite is net else "FLOAT32",
                scale=steps[1] if lite is net else None, zero=-128)
    net.op("FULLY_CONNECTED", net.last, net.constant(wq, np.int8, scale=0.01),
           net.constant(c, np.int32, scale=0.0004) if whole else net.constant(c * 0.0004),
           shape=(1, 2), kind=number, scale=0.2 if whole else None, zero=-128,
           options="FullyConnectedOptions")
    plain.op("FULLY_CONNECTED", plain.last, plain.constant(wq * np.float32(0.01)),
             plain.constant(c * np.float32(0.0004)), shape=(1, 2),
             options="FullyConnectedOptions")
    graph, _ = check(net, tmp_path, "conv2d linear", plain)
    assert graph.stages[0].relu and not graph.stages[1].relu
    if whole:
        assert graph.mean == pytest.approx(7) and graph.std == pytest.approx(20)
        assert graph.limits == pytest.approx((-135 * 0.05, 120 * 0.05))


def plain_input(net: Lite, scale: float, zero: int):
    """The tensor of an int8 input."""
    return net.tensors[net.tensor(net.shape, "INT8", scale=scale, zero=zero)]


def test_depthwise_of_one_channel_is_a_convolution(tmp_path):
    lite = Lite(5, 5, 1)
    conv(lite, (1, 3, 3, 4), (1, 5, 5, 4), depthwise=True)
    lite.op("REDUCE_MAX", lite.last, lite.constant([1, 2], np.int32), shape=(1, 4),
            options="ReducerOptions")
    graph, _ = check(lite, tmp_path, "conv2d max_pool")
    assert graph.stages[0].groups == 1
