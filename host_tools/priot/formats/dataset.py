"""Dataset files: images of 0..127, or signed ones, with labels. Byte table: priot/formats."""

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from priot.errors import FileError, mismatch
from priot.formats import version1
from priot.formats.container import (
    SOUND,
    Sound,
    check_header,
    check_scale,
    first_difference,
    pack_file,
    pack_names,
    pack_scales,
    pack_sound,
    read_file,
    unpack_file,
    unpack_names,
    unpack_scales,
    unpack_sound,
    unpack_table,
    write_file,
)
from priot.formats.model import Model
from priot.network import fields as f
from priot.network.stage import Shape

MAGIC = b"PRID"
TABLE = struct.Struct("<I4HHBBHHfiI")
_LABEL_BYTES = 1  # of a target
SIGNED = 1
VECTORS = 2
OF_SOUND = 4


@dataclass
class Dataset:
    """`images` uint8 [n][channels][height][width], 0..127, or int8, -127..127, where values are
    signed; `labels` uint8 [n], < classes.

    names: of the classes, or none. scale, zero, scales, sound: what a value means, as of a Model.
    targets: int8 [n][values], -127..127, in the place of labels, which are 0 then; else [n][0].
    """

    images: np.ndarray
    labels: np.ndarray
    classes: int
    names: tuple[str, ...] = ()
    scale: float = 0.0
    zero: int = 0
    targets: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int8), repr=False)
    scales: tuple[tuple[float, int], ...] = ()
    sound: Sound | None = None

    @property
    def n_targets(self) -> int:
        """Values of a sample's target, 0 where it is a label."""
        return self.targets.shape[1]

    @property
    def scaling(self) -> tuple[float, int, tuple[tuple[float, int], ...]]:
        """What a value means, as it stands in the file: scale and zero, and those by channel."""
        return (float(np.float32(self.scale)), self.zero,
                tuple((float(np.float32(scale)), zero) for scale, zero in self.scales))

    @property
    def signed(self) -> bool:
        """Whether values are -127..127."""
        return self.images.dtype == np.int8

    @property
    def shape(self) -> Shape:
        """Channels, height, width."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @property
    def counts(self) -> list[int]:
        """Samples of each class."""
        return np.bincount(self.labels, minlength=self.classes).tolist()

    def __len__(self) -> int:
        return len(self.images)

    def check(self, where: object = "dataset") -> None:
        """Raise FileError unless shapes, types and ranges are those of the format."""
        images, labels = self.images, self.labels
        if images.ndim != 4 or images.dtype not in (np.uint8, np.int8) or labels.dtype != np.uint8:
            raise FileError(where, mismatch(
                "images, labels", f"{images.ndim} axes of {images.dtype}, {labels.dtype}",
                "4 axes of uint8 or int8, uint8"))
        if labels.shape != images.shape[:1]:
            raise FileError(where, mismatch("labels", labels.shape, images.shape[:1]))
        for name, value, high in zip(
                ("samples", "channels", "height", "width"), images.shape,
                (0xFFFFFFFF, 0xFFFF, 0xFFFF, 0xFFFF), strict=True):
            if not 1 <= value <= high:
                raise FileError(where, mismatch(name, value, f"1..{high}"))
        if not 1 <= self.classes <= 256:
            raise FileError(where, mismatch("classes", self.classes, "1..256"))
        self._check_targets(where)
        if int(images.max()) > 127:
            raise FileError(where, mismatch("pixel", int(images.max()), "0..127"))
        if int(images.min()) < -127:
            raise FileError(where, mismatch("value", int(images.min()), "-127..127"))
        if int(labels.max()) >= self.classes:
            raise FileError(where, mismatch("label", int(labels.max()), f"below {self.classes}"))

    def _check_targets(self, where: object) -> None:
        if not self.n_targets:
            return
        targets, wanted = self.targets, (len(self.images), self.n_targets)
        if targets.dtype != np.int8 or targets.shape != wanted or self.n_targets > 0xFFFF:
            raise FileError(where, mismatch("targets", f"{targets.dtype} {targets.shape}",
                                            f"int8 {wanted}, at most 65535 values"))
        if int(targets.min()) < -127:
            raise FileError(where, mismatch("target", int(targets.min()), "-127..127"))
        if self.classes != 1:
            raise FileError(where, mismatch("classes", self.classes, "1, as samples have targets"))

    def check_fits(self, model: Model, where: object = "dataset") -> None:
        """Raise FileError unless `model` takes these images and knows their classes."""
        if self.shape != model.shape:
            what = "images" if model.loss == f.CROSS_ENTROPY else "samples"
            raise FileError(where, mismatch(what, self.shape, model.shape))
        if self.signed != model.signed:
            raise FileError(where, mismatch("values", *(
                "-127..127" if signed else "0..127" for signed in (self.signed, model.signed))))
        if self.sound and model.sound and self.sound != model.sound:
            raise FileError(where, mismatch("sound", self.sound, model.sound))
        if self.n_targets != model.n_targets:
            raise FileError(where, mismatch("values of a target", self.n_targets,
                                            f"{model.n_targets}, where 0 is a label"))
        if model.loss == f.CROSS_ENTROPY:
            self.labels_of(model, where)

    def labels_of(self, model: Model, where: object = "dataset") -> np.ndarray:
        """The labels in the model's numbers: of the class of the same name, as a board takes them.

        Without names on either side a label stays as it is. Raises FileError where the model lacks
        a class.
        """
        if self.names and model.names and self.names != model.names[: len(self.names)]:
            for name in self.names:
                if name not in model.names:
                    adds = f"; --add-class {name} adds it" if len(model.spare) else ""
                    raise FileError(where, f"has the class {name}, the model has not "
                                    f"({first_difference(self.names, model.names)}){adds}")
            table = np.array([model.names.index(name) for name in self.names], np.uint8)
            return table[self.labels]
        if self.classes > model.classes:
            spare = f", which has {len(model.spare)} to add" if len(model.spare) else ""
            raise FileError(where, mismatch("classes", self.classes, f"at most {model.classes}, "
                                            f"the model's{spare}"))
        return self.labels

    def head(self) -> bytes:
        """What follows the prefix and precedes the samples. Raises FileError."""
        names = pack_names(self.names, "dataset")
        return TABLE.pack(len(self), *self.shape, self.classes, self.n_targets or _LABEL_BYTES,
                          self.signed * SIGNED | (self.n_targets > 0) * VECTORS
                          | (self.sound is not None) * OF_SOUND, 0,
                          len(names), len(self.scales), self.scale, self.zero, 0,
                          ) + names + pack_scales(self.scales) + pack_sound(self.sound)

    def to_bytes(self) -> bytes:
        """The bytes of the file. Raises FileError."""
        self.check()
        n = len(self)
        values = self.images.view(np.uint8).reshape(n, -1)
        last = self.targets.view(np.uint8) if self.n_targets else self.labels[:, None]
        records = np.concatenate([values, last], axis=1)
        data = pack_file(MAGIC, self.head(), records.tobytes())
        unpack_head(self.head(), "dataset")
        return data

    def write(self, path: Path | str) -> None:
        """Write the file, atomically. Raises FileError, OSError."""
        write_file(path, self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes, where: object = "dataset") -> "Dataset":
        """The dataset in the bytes of a file, of version 1 or 2. Raises FileError."""
        contents = unpack_file(data, MAGIC, where)
        if contents.version == 1:
            n, shape, classes = version1.read_dataset_table(contents, where)
            images, targets = _unpack_samples(n, shape, 1, contents.payload, where)
            dataset = cls(images, targets.ravel(), classes)
        else:
            (n, shape, classes, n_bytes, flags, names, scale, zero, scales,
             sound) = unpack_head(contents.tables, where)
            images, targets = _unpack_samples(n, shape, n_bytes, contents.payload, where)
            if flags & SIGNED:
                images = images.view(np.int8)
            dataset = cls(images, targets[:, 0].copy(), classes, names, scale, zero,
                          scales=scales, sound=sound)
            if flags & VECTORS:
                dataset.targets = targets.view(np.int8)
                dataset.labels = np.zeros(n, np.uint8)
        dataset.check(where)
        return dataset

    @classmethod
    def read(cls, path: Path | str) -> "Dataset":
        """The dataset in a file. Raises FileError, OSError."""
        return cls.from_bytes(read_file(path, MAGIC), path)


def unpack_head(tables: bytes, where: object,
                ) -> tuple[int, Shape, int, int, int, tuple[str, ...], float, int, tuple,
                           Sound | None]:
    """Samples, shape, classes, bytes of a target, flags, names, scale, zero, scales, sound.

    Raises FileError.
    """
    (n, channels, height, width, classes, target_bytes, flags, reserved, n_names, n_scales,
     scale, zero, most) = unpack_table(TABLE, tables, where)
    end = TABLE.size + n_names
    end_scales = end + 8 * n_scales
    check_header(tables, end_scales + SOUND.size * bool(flags & OF_SOUND), where)
    if reserved | most:
        raise FileError(where, mismatch("reserved", reserved | most, 0))
    if flags > SIGNED | VECTORS | OF_SOUND:
        raise FileError(where, mismatch("flags", flags, "0..7"))
    if not target_bytes or (target_bytes > _LABEL_BYTES and not flags & VECTORS):
        raise FileError(where, mismatch("bytes of a target", target_bytes,
                                        "1, or more where it is a vector"))
    check_scale(struct.unpack_from("<I", tables, 20)[0], where)
    names = unpack_names(tables[TABLE.size : end], classes, where)
    scales = unpack_scales(tables[end:end_scales], channels, scale, zero, where)
    return (n, (channels, height, width), classes, target_bytes, flags, names, scale, zero,
            scales, unpack_sound(tables[end_scales:], where))


def _unpack_samples(n: int, shape: Shape, target_bytes: int, payload: bytes, where: object,
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Images, and bytes of the targets [n][target_bytes].

    Raises FileError where there are more or fewer than n.
    """
    pixels = int(np.prod(shape, dtype=object))
    if len(payload) != n * (pixels + target_bytes):
        raise FileError(where, mismatch(
            "bytes of samples", len(payload), f"{n} * ({pixels} + {target_bytes})"))
    records = np.frombuffer(payload, np.uint8).reshape(n, pixels + target_bytes)
    images = records[:, :pixels].reshape(n, *shape)
    return np.ascontiguousarray(images), records[:, pixels:].copy()
