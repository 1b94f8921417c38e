"""Float networks between `priot pretrain` and `priot quantize`: one .npz file.

    network        the layers as one line (priot/network/spec.py)
    layer0.weight  float32 of the first layer with weights, layer1.weight of the next, ...:
                   [n_out][n_in / groups][ky][kx] of a convolution, [n_out][n_in] of a linear one,
                   for inputs scaled to 0..127/128, or -127/128..127/128
    layer0.bias    float32 [n_out], where the layer has a bias or a batch norm behind it, which is
                   in its weights and its bias
    loss           "squared" of one that was trained by squared error
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from priot.backbone.float_graph import FloatGraph
from priot.backbone.float_stage import FloatStage
from priot.errors import FileError, PriotError, mismatch
from priot.formats.container import write_file
from priot.formats.dataset import Dataset
from priot.formats.npz import read_npz
from priot.network import fields as f
from priot.network.layer import Layer
from priot.network.spec import format_network, parse_network
from priot.network.stage import NO_INPUT, Shape, Stage
from priot.network.stages import compile_layers

_RELU6 = 6.0
_SQUARED = "squared"


@dataclass
class FloatNetwork:
    """`layers` without weights; float32 `weights` and `biases` of each layer with weights in
    order, a bias None where there is none. squared: trained by squared error, to the targets that
    come with samples, or where there are none to these themselves."""

    layers: list[Layer]
    weights: list[np.ndarray]
    biases: list[np.ndarray | None] = field(default_factory=list)
    squared: bool = False

    def __post_init__(self) -> None:
        self.biases = self.biases or [None] * len(self.weights)

    def write(self, path: Path | str) -> None:
        """Write the .npz file. Raises OSError."""
        arrays: dict[str, Any] = {"network": np.array(format_network(self.layers))}
        for i, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            arrays[f"layer{i}.weight"] = weights.astype(np.float32)
            if bias is not None:
                arrays[f"layer{i}.bias"] = bias.astype(np.float32)
        if self.squared:
            arrays["loss"] = np.array(_SQUARED)
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
        loss = arrays.pop("loss", None)
        if loss is not None and str(loss) != _SQUARED:
            raise FileError(path, mismatch("loss", str(loss)[:40], _SQUARED))
        ends = ends_of(layers)
        names = [f"layer{i}.weight" for i in range(len(ends))]
        biases = [f"layer{i}.bias" if bias or norm else "" for i, (bias, norm) in enumerate(ends)]
        expected = [*names, *filter(None, biases)]
        if sorted(arrays) != sorted(expected):
            raise FileError(path, mismatch("arrays", _listed(arrays), _listed(expected)))
        for name, values in arrays.items():
            try:
                check_weights(values) if name in names else check_floats(values, "values")
            except ValueError as error:
                raise FileError(path, f"{name}: {error}") from None
        return cls(layers, [arrays[name] for name in names],
                   [arrays[name] if name else None for name in biases], loss is not None)

    def graph_for(self, dataset: Dataset) -> FloatGraph:
        """The network on the samples of a dataset, as stages; see `graph`."""
        return self.graph(dataset.shape, *outputs_for(dataset, self.squared))

    def graph(self, shape: Shape, classes: int, loss: int = f.CROSS_ENTROPY) -> FloatGraph:
        """The network on an input of (channels, height, width), as stages.

        classes: outputs. loss: of device/priot/fields.py. Raises ValueError where the layers do
        not fit it, PriotError where an array does not.
        """
        graph = empty_graph(self.layers, shape, classes, loss)
        weighted = [stage for stage in graph.stages if stage.weights is not None]
        for i, stage in enumerate(weighted):
            assert stage.weights is not None
            for what, found, wanted in (("weight", self.weights[i], stage.weights),
                                        ("bias", self.biases[i], stage.bias)):
                shapes = [None if a is None else a.shape for a in (found, wanted)]
                if shapes[0] != shapes[1]:
                    raise PriotError(f"layer{i}.{what}", mismatch("shape", *shapes))
            stage.weights, stage.bias = self.weights[i], self.biases[i]
        return graph


def outputs_for(dataset: Dataset, squared: bool) -> tuple[int, int]:
    """How many outputs a network has for the samples of a dataset, and which loss."""
    if not squared:
        return dataset.classes, f.CROSS_ENTROPY
    if dataset.n_targets:
        return dataset.n_targets, f.SQUARED_ERROR
    return int(np.prod(dataset.shape)), f.RECONSTRUCTION


def empty_graph(layers: Sequence[Layer], shape: Shape, classes: int,
                loss: int = f.CROSS_ENTROPY) -> FloatGraph:
    """Stages of layers, whose weights and biases are zeros of their shapes. Raises ValueError."""
    stages = [_float_stage(stage) for stage in compile_layers(layers, shape, classes, loss)]
    return FloatGraph("", shape, stages, loss=loss)


def _float_stage(stage: Stage) -> FloatStage:
    weights = np.zeros(stage.weight_shape, np.float32) if stage.has_weights else None
    bias = None if stage.bias is None else np.zeros(stage.n_out, np.float32)
    return FloatStage(
        stage.name, stage.n_out, stage.a, None if stage.b == NO_INPUT else stage.b, stage.relu,
        None if stage.largest == 127 else _RELU6, stage.kernel, stage.stride, stage.padding,
        stage.window, stage.window_stride, stage.groups, weights, bias,
        [f"layer{stage.index}.weight"] if stage.has_weights else [])


def ends_of(layers: Sequence[Layer]) -> list[tuple[bool, bool]]:
    """Of each layer with weights: whether it has a bias, and a batch norm behind it."""
    found: list[tuple[bool, bool]] = []
    for layer in layers:
        if layer.has_weights:
            found.append((layer.bias, False))
        elif layer.kind == "batch_norm" and found:
            found[-1] = found[-1][0], True
    return found


def check_weights(values: np.ndarray) -> None:
    """Raise ValueError unless an array holds floats, all finite, not all zero."""
    check_floats(values, "weights")
    if not values.any():
        raise ValueError("weights: all zero")


def check_floats(values: np.ndarray, what: str) -> None:
    """Raise ValueError unless an array holds floats, all finite."""
    if values.dtype.kind != "f":
        raise ValueError(mismatch("type", values.dtype, "floats"))
    bad = values[~np.isfinite(values)]
    if bad.size:
        raise ValueError(f"found {bad.flat[0]}, {bad.size} of {values.size} {what} are not "
                         "finite; the training that made them diverged")


def _listed(names: Sequence[str] | dict[str, Any]) -> str:
    return ", ".join(sorted(names)) or "none"
