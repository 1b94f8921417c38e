"""Float networks between `priot pretrain` and `priot quantize`: one .npz file.

    network        the layers as one line (priot/network/spec.py)
    layer0.weight  float32 of the first conv2d or linear layer, layer1.weight of the next, ...;
                   [n_out][n_in][ky][kx] or [n_out][n_in], for inputs scaled to 0..127/128
"""

import copy
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from priot.errors import FileError, PriotError, mismatch
from priot.formats.container import write_file
from priot.formats.npz import read_npz
from priot.network import fields as f
from priot.network.layer import Layer
from priot.network.spec import format_network, parse_network
from priot.network.stage import Stage
from priot.oracle import batch


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
        arrays = read_npz(path, "a float network (.npz)")
        if "network" not in arrays:
            images = "; x and y are images with labels" if {"x", "y"} <= set(arrays) else ""
            raise FileError(path, mismatch("arrays", _listed(arrays), "one named network")
                            + images)
        try:
            layers = parse_network(str(arrays.pop("network")))
        except PriotError as error:
            raise FileError(path, str(error)) from None
        n_weighted = sum(layer.has_weights for layer in layers)
        names = [f"layer{i}.weight" for i in range(n_weighted)]
        if sorted(arrays) != sorted(names):
            raise FileError(path, mismatch("arrays", _listed(arrays), _listed(names)))
        for name, values in arrays.items():
            try:
                check_weights(values)
            except ValueError as error:
                raise FileError(path, f"{name}: {error}") from None
        return cls(layers, [arrays[name] for name in names])

    def weights_for(self, stages: Sequence[Stage]) -> list[np.ndarray]:
        """Float weights of each stage of `stages` that has some, as these compute.

        A global pool gives sum / 2^k; the 2^k / area that it lacks lies in the weights behind it.
        Raises PriotError where the shapes differ.
        """
        found = []
        weighted = [stage for stage in stages if stage.has_weights]
        for stage, values in zip(weighted, self.weights, strict=True):
            if values.shape != stage.weight_shape:
                raise PriotError(f"layer{stage.index}.weight",
                                 f"shape: found {values.shape}, expected {stage.weight_shape}")
            found.append(values * pool_factor(stages, stage))
        return found


def check_weights(values: np.ndarray) -> None:
    """Raise ValueError unless an array holds floats, all finite, not all zero."""
    if values.dtype.kind != "f":
        raise ValueError(mismatch("type", values.dtype, "floats"))
    bad = values[~np.isfinite(values)]
    if bad.size:
        raise ValueError(f"found {bad.flat[0]}, {bad.size} of {values.size} weights are not "
                         "finite; the training that made them diverged")
    if not values.any():
        raise ValueError("weights: all zero")


def outputs(stages: Sequence[Stage], weights: Sequence[np.ndarray],
            x: np.ndarray) -> Iterator[np.ndarray]:
    """The float output of every stage in turn, float64 [n][n_out][h_out][w_out].

    weights: of each stage that has some, as `weights_for` gives them; fewer rows than the stage
    has outputs are the first of them. x: float64 [n][channels][height][width].
    """
    some = iter(weights)
    for stage in stages:
        stage = copy.copy(stage)
        if stage.has_weights:
            stage.weights = next(some)
            stage.n_out = len(stage.weights)
        x = x.reshape(len(x), *stage.shape_in)
        x = np.concatenate([batch.forward(stage, x[part])[0]
                            for part in batch.chunks(stage, len(x))])
        if stage.kind == f.AVG_POOL:
            x /= stage.window[0] * stage.window[1]
        elif stage.kind == f.GLOBAL_POOL:
            x /= 2.0**stage.weight_exponent
        if stage.relu:
            x = np.maximum(x, 0)
        yield x


def pool_factor(stages: Sequence[Stage], stage: Stage) -> float:
    """What a global pool below leaves to a stage's weights, 2^k / area; 1 without one."""
    below = stages[stage.a] if stage.a >= 0 else None
    if below is None or below.kind != f.GLOBAL_POOL:
        return 1.0
    return 2.0**below.weight_exponent / (below.window[0] * below.window[1])


def _listed(names: Sequence[str] | dict[str, Any]) -> str:
    return ", ".join(sorted(names)) or "none"
