"""Makes a file of today of one of version 1: the same stages, weights, samples, parameters."""

from pathlib import Path

from priot.errors import FileError, mismatch
from priot.formats import dataset, model
from priot.formats.adapter import Adapter
from priot.formats.container import KINDS, PREFIX, not_ours, unpack_file, write_file
from priot.formats.dataset import Dataset
from priot.formats.model import Model


def convert(path: Path, output: Path, old_model: Path | None = None) -> str:
    """Convert a file of version 1, to another place or its own; returns what kind it is.

    An adapter names its backbone, which converts to another file: it wants `old_model`, that
    backbone of version 1. Raises FileError, OSError.
    """
    data = path.read_bytes()
    magic = data[:4]
    if magic not in KINDS:
        raise FileError(path, not_ours(data))
    if unpack_file(data, magic, path).version != 1:
        raise FileError(path, mismatch("version", PREFIX.unpack_from(data)[1],
                                       "1: there is nothing to convert"))
    if magic == model.MAGIC:
        converted = Model.from_bytes(data, path).to_bytes()
    elif magic == dataset.MAGIC:
        converted = Dataset.from_bytes(data, path).to_bytes()
    else:
        converted = _convert_adapter(Adapter.from_bytes(data, path), path, old_model)
    write_file(output, converted)
    return KINDS[magic]


def _convert_adapter(found: Adapter, path: Path, old_model: Path | None) -> bytes:
    if old_model is None:
        raise FileError(path, "is an adapter: give its backbone of version 1 by --model")
    data = old_model.read_bytes()
    contents = unpack_file(data, model.MAGIC, old_model)
    if contents.version != 1 or contents.crc != found.backbone_crc:
        raise FileError(old_model, mismatch(
            "crc32", f"{contents.crc:08x} of version {contents.version}",
            f"{found.backbone_crc:08x}, the adapter's backbone of version 1"))
    backbone = Model.from_bytes(data, old_model)
    found.backbone_crc = backbone.crc
    found.check_backbone(backbone, path)
    return found.to_bytes()
