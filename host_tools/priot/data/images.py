"""Images with labels, as every source gives them."""

from dataclasses import dataclass, replace

import numpy as np

from priot.errors import FileError, mismatch


@dataclass(frozen=True)
class Images:
    """`pixels` uint8 [n][channels][height][width], 0..255; `labels` uint8 [n], below classes.

    names: of the classes, or none.
    """

    pixels: np.ndarray
    labels: np.ndarray
    classes: int
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, chosen: np.ndarray | slice) -> "Images":
        """The chosen ones, in the order chosen."""
        return replace(self, pixels=self.pixels[chosen], labels=self.labels[chosen])


def checked(where: object, pixels: np.ndarray, labels: np.ndarray, classes: int,
            names: tuple[str, ...] = ()) -> Images:
    """Images of checked counts and labels. Raises FileError."""
    if not len(pixels) or 0 in pixels.shape:
        raise FileError(where, "no images")
    if len(pixels) != len(labels):
        raise FileError(where, mismatch("labels", len(labels), f"{len(pixels)}, one an image"))
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= classes:
        raise FileError(where, mismatch(
            "label", lowest if lowest < 0 else highest, f"0..{classes - 1}"))
    return Images(np.ascontiguousarray(pixels), labels.astype(np.uint8), classes, names)
