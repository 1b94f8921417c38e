"""A file to a float graph, by what kind of file it is."""

from pathlib import Path

from priot.backbone.float_graph import FloatGraph
from priot.errors import FileError
from priot.importer.fold import fold
from priot.importer.onnx_reader import read_onnx
from priot.importer.prune import remove_dead
from priot.importer.report import Report
from priot.importer.tflite_reader import IDENTIFIER, read_tflite

_TO_ONNX = "torch.onnx.export(model.eval(), example, 'net.onnx')"
_TO_TFLITE = "tf.lite.TFLiteConverter.from_keras_model(model).convert()"
# beginnings of files that are not exported yet
_OTHERS = (
    (b"PK\x03\x04", f"an archive of PyTorch or Keras; export it: {_TO_ONNX}, or {_TO_TFLITE}"),
    (b"\x80", f"a pickle; export the network: {_TO_ONNX}"),
    (b"\x89HDF", f"an HDF5 file of Keras; convert it: {_TO_TFLITE}"),
)


def import_file(path: Path | str) -> tuple[FloatGraph, Report]:
    """The float graph of an ONNX or TFLite file, without dead filters, and what became of it.

    Raises FileError (one line; where nodes cannot be imported, a line for each), OSError,
    PriotError (a package of the extra `import` is not installed).
    """
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise FileError(path, "is empty")
    for magic, text in _OTHERS:
        if start.startswith(magic):
            raise FileError(path, text)
    listed = read_tflite(path) if start[4:8] == IDENTIFIER else read_onnx(path)
    graph, report = fold(listed, path)
    report.parameters_before, report.macs_before = graph.parameters, graph.macs
    report.dead_filters = remove_dead(graph)
    return graph, report
