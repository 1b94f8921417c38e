"""A float network as stages: what an import, or pretraining, leaves, and its evaluation in numpy.

The stages are those of `priot/network/stage.py` before anything is quantised.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from priot.backbone.float_kernels import forward
from priot.backbone.float_stage import FloatStage
from priot.errors import mismatch
from priot.network import fields as f
from priot.network.stage import IMAGE, Shape


@dataclass
class FloatGraph:
    """Stages in topological order; the outputs of the last one are the logits.

    shape: channels, height, width of the image. final: what followed the logits in the file,
    "softmax", "sigmoid" or "". mean, std: scalars or float64 [channels]; the network gets
    x = (raw - mean) / std of the raw values that the file's input takes. limits: smallest and
    largest x that the file's quantised input can express, None where it says nothing.
    loss: what the outputs are compared with, a number of device/priot/fields.py.
    file_shape: shape of one sample as the file has it, and order the place in it of every value
    of the image [channel][y][x], None where both are the same.
    """

    name: str
    shape: Shape
    stages: list[FloatStage]
    final: str = ""
    mean: float | np.ndarray = 0.0
    std: float | np.ndarray = 1.0
    limits: tuple[float, float] | None = None
    file_shape: tuple[int, ...] = ()
    order: np.ndarray | None = field(default=None, repr=False)
    loss: int = f.CROSS_ENTROPY

    @property
    def classes(self) -> int:
        """How many logits there are."""
        return int(np.prod(self.shapes()[-1]))

    def shapes(self) -> list[Shape]:
        """Channels, height, width of every stage's output."""
        found: list[Shape] = []
        for stage in self.stages:
            found.append(stage.shape_out(self.shape_in(stage, found)))
        return found

    def shape_in(self, stage: FloatStage, shapes: Sequence[Shape]) -> Shape:
        """Channels, height, width of what a stage reads first."""
        return self.shape if stage.a == IMAGE else shapes[stage.a]

    @property
    def parameters(self) -> int:
        """Weights and biases of all stages."""
        return sum(stage.parameters for stage in self.stages)

    @property
    def macs(self) -> int:
        """Multiplications with weights for one image."""
        shapes = self.shapes()
        return sum(stage.macs(self.shape_in(stage, shapes)) for stage in self.stages)

    def images(self, samples: np.ndarray) -> np.ndarray:
        """What the network gets, float32 [n][channels][height][width], of raw samples.

        samples: numbers [n] of the file's shape of a sample. Raises ValueError.
        """
        size = int(np.prod(self.shape))
        if samples.size != len(samples) * size:
            raise ValueError(mismatch(
                "values of a sample", samples.size // max(1, len(samples)), size))
        rows = samples.reshape(len(samples), size)
        if self.order is not None:
            rows = rows[:, self.order]
        x = rows.reshape(len(samples), *self.shape).astype(np.float64)
        mean, std = (np.reshape(values, (-1, 1, 1)) for values in (self.mean, self.std))
        return ((x - mean) / std).astype(np.float32)


def run(graph: FloatGraph, images: np.ndarray) -> list[np.ndarray]:
    """Outputs of every stage [n][channels][height][width], float64 of such images, else float32.

    images: [n][channels][height][width], what the network gets (`FloatGraph.images`).
    Raises ValueError.
    """
    if images.shape[1:] != tuple(graph.shape):
        raise ValueError(mismatch("shape of an image", images.shape[1:], graph.shape))
    outputs: list[np.ndarray] = []
    image = images.astype(np.result_type(images.dtype, np.float32))
    for stage in graph.stages:
        x = image if stage.a == IMAGE else outputs[stage.a]
        other = None if stage.b is None else image if stage.b == IMAGE else outputs[stage.b]
        outputs.append(forward(stage, x, other))
    return outputs
