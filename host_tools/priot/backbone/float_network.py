"""Float networks between `priot pretrain` and `priot quantize`: one .npz file.

    network        the layers as one line (priot/network/spec.py)
    layer0.weight  float32 of the first conv2d or linear layer, layer1.weight of the next, ...;
                   [n_out][n_in][ky][kx] or [n_out][n_in], for inputs scaled to 0..127/128
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from priot.errors import FileError, mismatch
from priot.formats.container import write_file
from priot.network.layer import Layer
from priot.network.spec import format_network, parse_network


@dataclass
class FloatNetwork:
    """`layers` without weights, and float32 `weights` of each conv2d and linear layer in order."""

    layers: list[Layer]
    weights: list[np.ndarray]

    def write(self, path: Path | str) -> None:
        """Write the .npz file. Raises OSError."""
        arrays: dict[str, Any] = {"network": np.array(format_network(self.layers))}
        for i, weights in enumerate(self.weights):
            arrays[f"layer{i}.weight"] = weights.astype(np.float32)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_file(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path | str) -> "FloatNetwork":
        """Read the .npz file. Raises FileError, OSError, PriotError (the line)."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            reason = "" if "allow_pickle" in str(error) else f": {error}"
            raise FileError(path, f"not an .npz file of arrays{reason}") from None
        if "network" not in arrays:
            raise FileError(path, mismatch("arrays", ", ".join(arrays), "one named network"))
        layers = parse_network(str(arrays.pop("network")))
        n_weighted = sum(layer.has_weights for layer in layers)
        names = [f"layer{i}.weight" for i in range(n_weighted)]
        if sorted(arrays) != sorted(names):
            raise FileError(path, mismatch(
                "arrays", ", ".join(sorted(arrays)) or "none", ", ".join(names)))
        for name, values in arrays.items():
            if values.dtype.kind != "f" or not np.isfinite(values).all():
                raise FileError(path, mismatch(name, values.dtype, "finite floats"))
        return cls(layers, [arrays[name] for name in names])
