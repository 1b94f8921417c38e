"""Stages while they are made: what joins a stage, which arithmetic folds into it.

Weights are float64 until the graph is finished.
"""

from dataclasses import replace

import numpy as np

from priot.backbone.float_stage import FloatStage
from priot.importer.nodes import MAX_VALUES, Dims
from priot.importer.values import NOTHING, Picture, UnfitError, Value, picture_of
from priot.network.stage import IMAGE, Shape

_BEHIND = "put batch norm and constant factors directly behind a convolution or linear layer"


class Builder:
    """Stages so far, and what is known of the image.

    shape, order: the image as the first layer reads it, [channel][y][x], and the place in the
    file's input of each of its values; None until a layer has. limits: of the image's values.
    """

    def __init__(self, file_shape: Dims, channels_last: bool) -> None:
        self.file_shape, self.channels_last = file_shape, channels_last
        self.stages: list[FloatStage] = []
        self.outputs: list[Shape] = []
        self.by_range: set[int] = set()  # stages whose ReLU is the range of a quantised output
        self.shape: Shape | None = None
        self.order: np.ndarray | None = None
        self.scale: np.ndarray | None = None  # a channel, from when a layer reads the image
        self.offset: np.ndarray | None = None
        self.limits: tuple[float, float] | None = None

    # -- values --

    def image(self) -> Value:
        """The file's input."""
        size = int(np.prod(self.file_shape))
        return Value(IMAGE, np.arange(size, dtype=np.int32).reshape(self.file_shape))

    def shape_of(self, number: int) -> Shape:
        """Channels, height, width of a stage's output or the image."""
        if number == IMAGE:
            if self.shape is None:
                self._default_order()
            assert self.shape is not None
            return self.shape
        return self.outputs[number]

    def size_of(self, number: int) -> int:
        """Values of a stage's output or the image."""
        return int(np.prod(self.file_shape if number == IMAGE else self.outputs[number]))

    def _default_order(self) -> None:
        """The image where no convolution says what its axes are."""
        dims = self.file_shape[1:] if len(self.file_shape) > 1 else self.file_shape
        places = np.arange(int(np.prod(dims)), dtype=np.int32).reshape(dims)
        if len(dims) == 3 and self.channels_last:
            places = np.moveaxis(places, -1, 0)
        elif len(dims) == 2:
            places = places[None]
        elif len(dims) != 3:
            places = places.reshape(-1, 1, 1)
        channels, height, width = places.shape
        self.shape, self.order = (channels, height, width), places.ravel()

    def places(self, value: Value, places: np.ndarray) -> np.ndarray:
        """Places of a value in the output of its stage; those of the image, as it is ordered."""
        if value.stage != IMAGE:
            return places
        self.shape_of(IMAGE)
        assert self.order is not None
        inverse = np.empty_like(self.order)
        inverse[self.order] = np.arange(len(self.order), dtype=np.int32)
        return np.where(places < 0, NOTHING, inverse[places])

    def picture(self, value: Value, channels_last: bool) -> Picture:
        """A value as an image that its stage's output is. Raises UnfitError."""
        found = picture_of(value.places, channels_last)
        if value.stage == IMAGE and self.order is None:
            if found.places.size != self.size_of(IMAGE):
                raise UnfitError("reads a part of the input")
            self.shape, self.order = found.shape, found.places.ravel()
        places = self.places(value, found.places)
        shape = self.shape_of(value.stage)
        if places.size == np.prod(shape):
            natural = np.arange(places.size).reshape(shape)
            if found.shape == shape and np.array_equal(places, natural):
                return found
            turned = natural.transpose(0, 2, 1)
            if found.shape == turned.shape and np.array_equal(places, turned):
                return replace(found, swapped=True)
        raise UnfitError(f"reads {_area(found.shape)} in another order or size than the layer "
                         f"before it gives ({_area(shape)}); only flatten, and transposes that "
                         "put channels first or last, can stand between layers")

    # -- arithmetic --

    def settle(self, value: Value) -> tuple[np.ndarray, np.ndarray] | None:
        """Scale and offset [outputs of the stage] that a reader must fold, None for none.

        Those of the image become the input's scale. Raises UnfitError.
        """
        if value.stage != IMAGE:
            if value.scale is None or value.offset is None:
                return None
            return value.scale, value.offset
        size = self.size_of(IMAGE)
        scale = np.ones(size) if value.scale is None else value.scale
        offset = np.zeros(size) if value.offset is None else value.offset
        channels = self.shape_of(IMAGE)[0]
        assert self.order is not None
        scale, offset = (a[self.order].reshape(channels, -1) for a in (scale, offset))
        if (scale != scale[:, :1]).any() or (offset != offset[:, :1]).any():
            raise UnfitError("the input is scaled by other factors at each place of a channel")
        if (scale == 0).any():
            raise UnfitError("the input is multiplied by zero")
        if self.scale is not None and self.offset is not None and not (
                np.array_equal(self.scale, scale[:, 0])
                and np.array_equal(self.offset, offset[:, 0])):
            raise UnfitError("the input is scaled in two ways")
        self.scale, self.offset = scale[:, 0], offset[:, 0]
        return None

    def per_channel(self, number: int, *arrays: np.ndarray) -> list[np.ndarray]:
        """One value a channel of arrays that hold it at every place. Raises UnfitError."""
        channels = self.shape_of(number)[0]
        rows = [values.reshape(channels, -1) for values in arrays]
        if any((values != values[:, :1]).any() for values in rows):
            raise UnfitError("a constant that differs from place to place within a channel")
        return [values[:, 0] for values in rows]

    def arithmetic(self, value: Value, scale: np.ndarray, offset: np.ndarray, label: str,
                   ) -> tuple[Value, str]:
        """value * scale + offset, arrays of its shape; and what became of it."""
        if (value.places < 0).any():
            raise UnfitError("arithmetic on a padded value; pad behind it")
        factor, added = np.ones(self.size_of(value.stage)), np.zeros(self.size_of(value.stage))
        factor[value.places.ravel()] = np.broadcast_to(scale, value.places.shape).ravel()
        added[value.places.ravel()] = np.broadcast_to(offset, value.places.shape).ravel()
        if not (np.isfinite(factor).all() and np.isfinite(added).all()):
            raise UnfitError("constants that are not finite")
        if value.stage != IMAGE and self._takes(value, factor, added):
            return value, f"folded into stage {value.stage}"
        if value.stage == IMAGE:
            self._scale_limits(factor, added)
        if value.scale is not None and value.offset is not None:
            added += value.offset * factor
            factor = value.scale * factor
        text = "the input's scale" if value.stage == IMAGE else "folded into what reads it"
        return replace(value, scale=factor, offset=added, pending=label), text

    def _scale_limits(self, factor: np.ndarray, added: np.ndarray) -> None:
        """Carry the limits of the image through its arithmetic, or forget them."""
        if self.limits is not None:
            uniform = (factor == factor[0]).all() and (added == added[0]).all()
            ends = sorted(end * float(factor[0]) + float(added[0]) for end in self.limits)
            self.limits = (ends[0], ends[1]) if uniform else None

    def _takes(self, value: Value, factor: np.ndarray, added: np.ndarray) -> bool:
        """Fold into the stage's own weights, where that is the same."""
        stage = self.stages[value.stage]
        if (stage.weights is None or stage.relu or stage.clamp is not None or not value.alone
                or value.scale is not None):
            return False
        channels = self.shape_of(value.stage)[0]
        rows = factor.reshape(channels, -1), added.reshape(channels, -1)
        if any((row != row[:, :1]).any() for row in rows):
            return False
        a, c = (row[:, 0] for row in rows)
        if stage.window != (1, 1) and (a <= 0).any():
            return False  # the maximum would become the minimum
        stage.weights = stage.weights * a.reshape(-1, *[1] * (stage.weights.ndim - 1))
        bias = c if stage.bias is None else stage.bias * a + c
        stage.bias = bias if stage.bias is not None or bias.any() else None
        return True

    def carried(self, value: Value, size: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Arithmetic that passes an average unchanged, for an output of `size` values a channel.

        Raises UnfitError.
        """
        found = self.settle(value)
        if found is None:
            return None, None
        scale, offset = self.per_channel(value.stage, *found)
        return np.repeat(scale, size), np.repeat(offset, size)

    def refuse_pending(self, value: Value, what: str) -> None:
        """Raise UnfitError where arithmetic waits for a layer that takes it in."""
        if self.settle(value) is not None:
            raise UnfitError(f"{what} cannot take in {value.pending} before it; {_BEHIND}")

    # -- stages --

    def add(self, stage: FloatStage, places: np.ndarray) -> Value:
        """A new stage, whose output is at `places` of the file. Raises UnfitError."""
        self.stages.append(stage)
        self.outputs.append(stage.shape_out(self.shape_of(stage.a)))
        return Value(len(self.stages) - 1, places)

    def fits(self, stage: FloatStage, shape_in: Shape) -> Shape:
        """The shape of a stage's output. Raises UnfitError where it is none or too large."""
        pads = stage.padding
        for size, pad, kernel in zip(
                shape_in[1:], (pads[0] + pads[1], pads[2] + pads[3]), stage.kernel, strict=True):
            if kernel > size + pad:
                raise UnfitError(f"kernel: found {kernel}, expected within {size + pad}")
        shape = stage.shape_out(shape_in)
        if min(shape) < 1 or np.prod(shape, dtype=float) > MAX_VALUES:
            raise UnfitError(f"gives {_area(shape)}, expected 1..{MAX_VALUES} values")
        return shape

    def nonnegative(self, number: int) -> bool:
        """Whether no output of a stage is below zero."""
        if number == IMAGE:
            return False
        stage = self.stages[number]
        if stage.relu:
            return True
        if stage.weights is not None:
            return False
        return self.nonnegative(stage.a) and (stage.b is None or self.nonnegative(stage.b))

    def limit(self, value: Value, clamp: float | None, label: str, name: str) -> str:
        """Join a ReLU, clamped above or not, to the stage before it; what became of it.

        Raises UnfitError.
        """
        if value.stage == IMAGE:
            raise UnfitError("an activation on the input; scale the data instead")
        stage = self.stages[value.stage]
        if value.scale is not None:
            raise UnfitError(f"cannot join {stage.kind} through {value.pending}; {_BEHIND}")
        if clamp is not None and clamp <= 0:
            raise UnfitError(f"upper limit: found {clamp:g}, expected above 0")
        lowers = clamp is not None and (stage.clamp is None or clamp < stage.clamp)
        if self.nonnegative(value.stage) and not lowers:
            return "dropped: nothing there is negative"
        if not value.alone:
            raise UnfitError(f"what it reads is also read without {label}; apply it to both")
        stage.relu = True
        if lowers:
            stage.clamp = clamp
        stage.source.append(name)
        return f"joined to stage {value.stage}"


def _area(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
