"""Public networks, where they lie beside the checkout: each imports, and agrees with its file."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from import_support import (
    Tflite,
    logits,
    onnx_outputs,
    relative_error,
    samples_for,
    without_activation_qdq,
    without_end,
)
from priot.backbone.float_graph import forward
from priot.importer import import_file
from priot.paths import ROOT

MODELS = ROOT.parent / "shared" / "models"
pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason=f"no {MODELS}")

# file: parameters as published, inputs of about this size (images 0..1 or 0..255, log-mel)
FLOAT_TFLITE = {
    "eml_mnist_cnn_fp32": (3_108, 1.0), "mlperf_ad01_fp32": (265_864, 5.0),
    "mlperf_pretrainedResnet": (77_706, 255.0), "mlperf_vww_96_float": (210_850, 1.0),
    "tm_cifar10_f": (89_578, 1.0), "tm_mnist_dw_f": (1_322, 1.0), "tm_mnist_valid_f": (1_674, 1.0),
}
ONNX = {
    "mlperf_kws_ref_model_float32.tf2onnx": (22_604, 30.0),
    "mlperf_pretrainedResnet.tf2onnx": (77_706, 255.0), "pv_pulsevad_2.1k": (2_266, 2.0),
}
INT8_TFLITE = {
    "eml_mnist_cnn_int8": 3_108, "mlperf_kws_ref_model": 22_604,
    "mlperf_pretrainedResnet_quant": 77_706, "tflm_micro_speech_quantized": 16_652,
    "tflm_person_detect": 210_706, "tm_cifar10_q": 89_578,
}
N_SAMPLES = 20
TOLERANCE = 1e-5


def images(shape, scale, n=N_SAMPLES):
    """Smooth images 0..scale, unlike noise near what networks are trained on."""
    rng = np.random.default_rng(5)
    rows = rng.random((n, *shape))
    for axis in range(1, rows.ndim):
        rows = (rows + np.roll(rows, 1, axis) + np.roll(rows, 2, axis)) / 3
    rows = (rows - rows.min()) / (rows.max() - rows.min())
    return (rows * scale).astype(np.float32)


@pytest.mark.parametrize("name", FLOAT_TFLITE)
def test_float_tflite(name):
    parameters, scale = FLOAT_TFLITE[name]
    path = MODELS / f"{name}.tflite"
    graph, report = import_file(path)
    assert report.parameters_before == parameters
    judge = Tflite(path.read_bytes())
    samples = images(graph.file_shape, scale)
    expected, = judge.run(samples, [judge.logits_tensor()])
    error = relative_error(logits(graph, samples), expected.reshape(N_SAMPLES, -1))
    assert error <= TOLERANCE


@pytest.mark.parametrize("name", ONNX)
def test_onnx(name):
    parameters, scale = ONNX[name]
    path = MODELS / f"{name}.onnx"
    graph, report = import_file(path)
    assert report.parameters_before == parameters
    samples = samples_for(graph.file_shape, N_SAMPLES, scale=scale)
    expected = onnx_outputs(without_end(onnx.load(path)), samples)
    error = relative_error(logits(graph, samples), expected)
    assert error <= TOLERANCE


def test_hybrid_tflite_is_its_conversion_to_onnx():
    """Weights int8 with a scale: LiteRT would quantise activations too, so ONNX judges."""
    graph, _ = import_file(MODELS / "mlperf_kws_ref_model_float32.tflite")
    samples = samples_for(graph.file_shape, N_SAMPLES, scale=30.0)
    path = MODELS / "mlperf_kws_ref_model_float32.tf2onnx.onnx"
    expected = onnx_outputs(without_end(onnx.load(path)), samples)
    error = relative_error(logits(graph, samples), expected)
    assert error <= TOLERANCE


def test_qdq_onnx():
    path = MODELS / "pv_pulsevad_2.1k_int8.onnx"
    graph, _ = import_file(path)
    samples = samples_for(graph.file_shape, N_SAMPLES, scale=1.5)
    expected = onnx_outputs(without_activation_qdq(onnx.load(path)), samples)
    assert relative_error(logits(graph, samples), expected) <= TOLERANCE


@pytest.mark.parametrize("name", INT8_TFLITE)
def test_int8_tflite(name):
    """Every layer, given what LiteRT's read, gives what LiteRT's gave, to its rounding."""
    path = MODELS / f"{name}.tflite"
    graph, report = import_file(path)
    assert report.parameters_before == INT8_TFLITE[name]
    judge = Tflite(path.read_bytes())
    rng = np.random.default_rng(3)
    dtype = judge.details[judge.entry]["dtype"]
    raw = np.rint(images(graph.file_shape, 255.0)).astype(int) + np.iinfo(dtype).min
    raw = (raw + rng.integers(0, 2, raw.shape)).clip(
        np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)
    operators = judge.layers()
    assert len(operators) == len(graph.stages)
    outputs = judge.run(raw, [operator[2][0] for operator in operators])
    outputs = [y.reshape(N_SAMPLES, 1, 1, -1) if y.ndim == 2 else y for y in outputs]
    outputs = [np.ascontiguousarray(y.transpose(0, 3, 1, 2)) for y in outputs]
    image = graph.images(raw)
    for stage, (op, _, written), expected in zip(graph.stages, operators, outputs, strict=True):
        others = [image if n == -1 else outputs[n] for n in (stage.a, stage.b) if n is not None]
        found = forward(stage, *others)
        details = judge.details[written[0]]
        step, zero = details["quantization"]
        limits = np.iinfo(details["dtype"])
        found = found.clip((limits.min - zero) * step, (limits.max - zero) * step)
        error = float(np.abs(found - expected).max() / step)
        assert error <= 0.6, (op, error)


def test_zero_filters_of_a_mobilenet():
    """77 % of its weights are filters of zeros, or nothing but zeros read."""
    graph, report = import_file(MODELS / "mlperf_vww_96_float.tflite")
    weights = sum(stage.weights.size for stage in graph.stages if stage.weights is not None)
    assert report.dead_filters > 0 and weights < 47_100
    assert report.macs_before == 7_489_664 and graph.macs < 4_200_000


def test_every_network_is_described():
    for path in sorted(Path(MODELS).iterdir()):
        graph, report = import_file(path)
        text = report.describe(graph)
        assert f"{graph.parameters:,} parameters" in text
        assert text.count("\n") >= len(graph.stages) + len(report.fates)
