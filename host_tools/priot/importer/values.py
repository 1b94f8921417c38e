"""A value of the file while a graph is built: which outputs of which stage it holds, and where.

A value is an array of the file's shape whose elements are places in the output [channel][y][x] of
a stage. Reshapes and transposes move places about and cost nothing; whoever reads the value sees
whether it lies as the stage's output does, as an image with the channels last, or as a row that
weights must be permuted for. The place NOTHING is a zero of a padding.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from priot.importer.nodes import Dims

NOTHING = -1


class UnfitError(ValueError):
    """Why a node cannot be imported, and what to do: the text of a line of the complaint."""


@dataclass
class Value:
    """What a name of the file stands for.

    places: int32, of the file's shape. scale, offset: float64 [outputs of the stage], arithmetic
    that no layer has taken in yet, or None; `pending` says whose. alone: nothing else reads what
    the stage gives. quantised: between Quantize- and DequantizeLinear.
    """

    stage: int
    places: np.ndarray = field(repr=False)
    scale: np.ndarray | None = field(default=None, repr=False)
    offset: np.ndarray | None = field(default=None, repr=False)
    pending: str = ""
    alone: bool = True
    quantised: bool = False

    def at(self, places: np.ndarray) -> "Value":
        """The same outputs in other places."""
        return replace(self, places=places)


@dataclass
class Tail:
    """What follows the softmax at the end: dropped, the logits behind it are kept."""

    logits: Value
    shape: Dims


@dataclass
class Picture:
    """A value read as an image. shape: channels, height, width; padding: zeros around it.

    swapped: the stage's output has height and width the other way round.
    """

    shape: tuple[int, int, int]
    padding: tuple[int, int, int, int]
    places: np.ndarray
    swapped: bool = False


def picture_of(places: np.ndarray, channels_last: bool) -> Picture:
    """Places [1][channel][y][x], or without y, or with channels last, without the zeros around.

    Raises UnfitError.
    """
    if places.ndim not in (3, 4):
        raise UnfitError(f"reads {places.ndim - 1} dimensions, expected an image or a sequence")
    if len(places) != 1:
        raise UnfitError(f"batch: found {len(places)}, expected 1")
    if channels_last:
        places = np.moveaxis(places, -1, 1)
    image = places[0] if places.ndim == 4 else places[0][:, None]
    live = image >= 0
    spans = []
    for axes in ((0, 2), (0, 1)):
        found = np.flatnonzero(live.any(axis=axes))
        if not found.size:
            raise UnfitError("reads nothing but padding")
        size = live.shape[3 - sum(axes)]
        spans.append((int(found[0]), int(size - 1 - found[-1])))
    (top, bottom), (left, right) = spans
    box = image[:, top : image.shape[1] - bottom, left : image.shape[2] - right]
    if (box < 0).any():
        raise UnfitError("padding of channels, or within an image")
    channels, height, width = box.shape
    return Picture((channels, height, width), (top, bottom, left, right), box)


def file_places(shape: tuple[int, int, int], rank: int, channels_last: bool, swapped: bool,
                ) -> np.ndarray:
    """Places of a stage's whole output as the file holds it.

    shape: of the stage's output. rank: dimensions of the file's array, 3 or 4. swapped: as of
    Picture.
    """
    places = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(1, *shape)
    if swapped:
        places = places.transpose(0, 1, 3, 2)
    if rank == 3:
        if places.shape[2] != 1:
            raise UnfitError("a sequence became an image")
        places = places[:, :, 0]
    return np.moveaxis(places, 1, -1) if channels_last else places
