"""Dataset files: images of 0..127 with labels. Byte table: priot/formats."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from priot.errors import FileError, mismatch
from priot.formats.container import PREFIX, pack_file, read_file, unpack_file, write_file
from priot.formats.model import Model

MAGIC = b"PRID"
TABLE = struct.Struct("<IHHHHI")


@dataclass
class Dataset:
    """`images` uint8 [n][channels][height][width], 0..127; `labels` uint8 [n], < classes."""

    images: np.ndarray
    labels: np.ndarray
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def __len__(self) -> int:
        return len(self.images)

    def check(self, where: object = "dataset") -> None:
        """Raise FileError unless shapes, types and ranges are those of the format."""
        images, labels = self.images, self.labels
        if images.ndim != 4 or images.dtype != np.uint8 or labels.dtype != np.uint8:
            raise FileError(where, mismatch(
                "images, labels", f"{images.ndim} axes of {images.dtype}, {labels.dtype}",
                "4 axes of uint8, uint8"))
        if labels.shape != images.shape[:1]:
            raise FileError(where, mismatch("labels", labels.shape, images.shape[:1]))
        for field, value, high in zip(
                ("samples", "channels", "height", "width"), images.shape,
                (0xFFFFFFFF, 0xFFFF, 0xFFFF, 0xFFFF), strict=True):
            if not 1 <= value <= high:
                raise FileError(where, mismatch(field, value, f"1..{high}"))
        if not 2 <= self.classes <= 256:
            raise FileError(where, mismatch("classes", self.classes, "2..256"))
        if int(images.max()) > 127:
            raise FileError(where, mismatch("pixel", int(images.max()), "0..127"))
        if int(labels.max()) >= self.classes:
            raise FileError(where, mismatch("label", int(labels.max()), f"below {self.classes}"))

    def check_fits(self, model: Model, where: object = "dataset") -> None:
        """Raise FileError unless `model` takes these images and knows their classes."""
        if self.shape != model.shape:
            raise FileError(where, mismatch("images", self.shape, model.shape))
        if self.classes > model.classes:
            raise FileError(where, mismatch("classes", self.classes,
                                            f"at most {model.classes}, the model's"))

    def to_bytes(self) -> bytes:
        """The bytes of the file. Raises FileError."""
        self.check()
        n = len(self)
        table = TABLE.pack(n, *self.shape, self.classes, 0)
        records = np.concatenate([self.images.reshape(n, -1), self.labels[:, None]], axis=1)
        return pack_file(MAGIC, table, records.tobytes())

    def write(self, path: Path | str) -> None:
        """Write the file, atomically. Raises FileError, OSError."""
        write_file(path, self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes, where: object = "dataset") -> "Dataset":
        """The dataset in the bytes of a file. Raises FileError."""
        return cls._parse(*unpack_file(data, MAGIC, where)[:2], where)

    @classmethod
    def read(cls, path: Path | str) -> "Dataset":
        """The dataset in a file. Raises FileError, OSError."""
        return cls._parse(*read_file(path, MAGIC)[:2], path)

    @classmethod
    def _parse(cls, table: bytes, payload: bytes, where: object) -> "Dataset":
        if len(table) != TABLE.size:
            raise FileError(where, mismatch(
                "header size", PREFIX.size + len(table), PREFIX.size + TABLE.size))
        n, channels, height, width, classes, reserved = TABLE.unpack(table)
        if reserved:
            raise FileError(where, mismatch("reserved", reserved, 0))
        pixels = channels * height * width
        if len(payload) != n * (pixels + 1):
            raise FileError(where, mismatch(
                "bytes of samples", len(payload), f"{n} * ({pixels} + 1)"))
        records = np.frombuffer(payload, np.uint8).reshape(n, pixels + 1)
        images = records[:, :pixels].reshape(n, channels, height, width)
        dataset = cls(np.ascontiguousarray(images), records[:, pixels].copy(), classes)
        dataset.check(where)
        return dataset
