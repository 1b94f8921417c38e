"""Networks that people bring: ONNX and TFLite files to float graphs."""

from priot.importer.read import import_file
from priot.importer.report import Fate, Report

__all__ = ["Fate", "Report", "import_file"]
