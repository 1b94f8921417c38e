"""How a user wants pictures and arrays read; what is left open is decided by rule, and said."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from priot.errors import PriotError

Size = tuple[int, int]  # height, width
Colour = tuple[int, int, int]  # red, green, blue: 0..255

FITS = ("stretch", "crop", "fit")
LAYOUTS = ("hwc", "chw", "rgba")
WHITE = (255, 255, 255)
FRAMES, MELS = 32, 16  # columns and bands of a recording, unless they are said
# Not every source can use them.
SPECIAL = ("background", "range", "layout", "skip_bad", "x", "y", "labels")


@dataclass(frozen=True)
class Reading:
    """The choices of a user.

    size: height and width that images are brought to. fit: "stretch" changes their proportions,
    "crop" cuts off what protrudes, "fit" adds `background` around them. channels: 1 grey, 3
    colours, more as they are; None: 1 where all pictures are grey. invert: black becomes white.
    background: behind transparent pictures, white where it is None. range: the values of arrays
    and pictures that are black and white. layout: of arrays of 4 axes,
    channels last ("hwc", "rgba": the fourth is transparency) or first ("chw"). classes: how many.
    names: of the classes, in the order of their numbers. skip_bad: leave out what cannot be read.
    x, y: names of the arrays of an .npz file. labels: the file of labels beside one of images.
    say: takes a line on each decision; None warns of those that are not the usual ones.
    """

    size: Size | None = None
    fit: str = "stretch"
    channels: int | None = None
    invert: bool = False
    background: Colour | None = None
    range: tuple[float, float] | None = None
    layout: str | None = None
    classes: int | None = None
    names: tuple[str, ...] = ()
    skip_bad: bool = False
    x: str | None = None
    y: str | None = None
    labels: Path | None = None
    say: Callable[[str], object] | None = None

    def note(self, text: str, usual: bool = False) -> None:
        """Say what was decided. usual: what nobody need be warned of."""
        if self.say is not None:
            self.say(text)
        elif not usual:
            warnings.warn(text, stacklevel=3)

    @property
    def ground(self) -> Colour:
        """What is behind transparent pictures."""
        return WHITE if self.background is None else self.background

    def check(self, where: str, takes: tuple[str, ...]) -> None:
        """Raise PriotError where an option is given that the source `where` cannot use."""
        usual = {field.name: field.default for field in fields(self)}
        for name in SPECIAL:
            padded = name == "background" and self.fit == "fit"
            if getattr(self, name) != usual[name] and name not in takes and not padded:
                raise PriotError(f"--{name.replace('_', '-')}", f"does not go with {where}")
        if self.fit != "stretch" and self.size is None:
            raise PriotError(f"--{self.fit}", "goes with a size: --resize HxW or --for FILE")


def listed(names: tuple[str, ...] | list[str], most: int = 10) -> str:
    """The first names, and how many there are where these are not all."""
    text = ", ".join(names[:most])
    return text if len(names) <= most else f"{text}, ... ({len(names)} in all)"
