"""Public networks, where they lie beside the checkout: each imports, and agrees with its file."""

import pytest
from priot.importer import import_file
from priot.paths import ROOT
from public_networks import NETWORKS, Public, Source, examine, float_error

MODELS = ROOT.parent / "shared" / "models"
pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason=f"no {MODELS}")


@pytest.mark.parametrize("public", NETWORKS, ids=lambda public: public.file)
def test_the_float_graph_is_that_of_the_file(public):
    graph, report = import_file(MODELS / public.file)
    assert report.parameters_before == public.parameters
    error, most = float_error(MODELS / public.file, graph, public.size)
    assert error <= most


def test_zero_filters_of_a_mobilenet():
    """77 % of its weights are filters of zeros, or nothing but zeros read."""
    graph, report = import_file(MODELS / "mlperf_vww_96_float.tflite")
    weights = sum(stage.weights.size for stage in graph.stages if stage.weights is not None)
    assert report.dead_filters > 0 and weights < 47_100
    assert report.macs_before == 7_489_664 and graph.macs < 4_200_000


def test_every_network_is_described():
    for public in NETWORKS:
        graph, report = import_file(MODELS / public.file)
        text = report.describe(graph)
        assert f"{graph.parameters:,} parameters" in text
        assert text.count("\n") >= len(graph.stages) + len(report.fates)


@pytest.mark.parametrize("name", ["tm_mnist_dw_f.tflite", "pv_pulsevad_2.1k.onnx"])
def test_the_table_of_public_networks(name):
    """One is as it should be, on random samples; with another number of parameters it is not."""
    public, = (public for public in NETWORKS if public.file == name)
    source = Source(None, None, None)
    row = examine(public, MODELS, source, ["unix"], 2)
    assert row.faults == [] and row.text.count(": equal") == 3
    other = Public(name, public.parameters + 1, public.kind, agreement=101.0)
    faults = examine(other, MODELS, source, [], 2).faults
    assert len(faults) == 2 and "published" in faults[0] and "agree" in faults[1]
