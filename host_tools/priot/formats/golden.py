"""Golden files: inputs of a model and the logits that it gives, to be replayed anywhere.

An .npz file beside the model, NAME.golden.npz, of three arrays: `inputs` uint8 0..127, or int8
-127..127 where the model's input is signed, [n][channels][height][width]; `logits` int8
[n][classes]; `crc32` uint32, the model's identity.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from priot.errors import FileError, mismatch
from priot.formats.container import write_file
from priot.formats.model import Model
from priot.formats.npz import read_npz

_WHAT = "a golden file, of 'priot import --golden'"


@dataclass
class Golden:
    """Inputs [n][channels][height][width] and logits [n][classes] of the model with a CRC32."""

    crc: int
    inputs: np.ndarray
    logits: np.ndarray

    def write(self, path: Path | str) -> None:
        """Write the file, atomically. Raises OSError."""
        data = io.BytesIO()
        np.savez_compressed(data, inputs=self.inputs, logits=self.logits,
                            crc32=np.uint32(self.crc))
        write_file(path, data.getvalue())

    @classmethod
    def read(cls, path: Path | str, model: Model) -> "Golden":
        """The golden file of a model. Raises FileError where it is damaged or of another one."""
        arrays = read_npz(path, _WHAT)
        if set(arrays) != {"inputs", "logits", "crc32"}:
            raise FileError(path, f"not {_WHAT}: it has {', '.join(arrays) or 'no arrays'}")
        inputs, logits, crc = arrays["inputs"], arrays["logits"], arrays["crc32"]
        if crc.dtype != np.uint32 or crc.shape != () or int(crc) != model.crc:
            raise FileError(path, f"is of another model than this one, {model.crc:08x}; import it "
                            "again with --golden")
        kind = np.int8 if model.signed else np.uint8
        for name, values, dtype, shape in (("inputs", inputs, kind, model.shape),
                                           ("logits", logits, np.int8, (model.classes,))):
            if values.dtype != dtype or values.shape[1:] != shape or len(values) != len(inputs):
                raise FileError(path, mismatch(
                    name, f"{values.dtype} {list(values.shape)}",
                    f"{np.dtype(dtype)} {[len(inputs), *shape]}"))
        if not len(inputs):
            raise FileError(path, "has no samples")
        return cls(int(crc), inputs, logits)


def golden_path(model: Path) -> Path:
    """Where the golden file of a model file lies."""
    return model.with_suffix(".golden.npz")
