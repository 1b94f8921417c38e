"""One picture file as the user sees it: upright, on its ground, in 8 bits."""

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from priot.data.reading import Colour, Reading, Size
from priot.data.values import Range, extent, to_bytes
from priot.errors import FileError

# What is a picture by the end of its name. Pillow's own list has films, documents and formats
# that it only writes or that need another program.
ENDINGS = frozenset(
    ".apng .avif .avifs .bmp .bw .dcx .dds .dib .fit .fits .gif .icb .ico .im .j2c .j2k .jfif "
    ".jp2 .jpc .jpe .jpeg .jpf .jpg .jpx .pbm .pcx .pfm .pgm .png .pnm .ppm .psd .qoi .ras .rgb "
    ".rgba .sgi .tga .tif .tiff .vda .vst .webp .xbm .xpm".split())
# Pictures that Pillow cannot read: to pass over them would lose them without a word.
FOREIGN = frozenset(".arw .cr2 .cr3 .dng .heic .heif .jxl .nef .orf .raf .raw .rw2 .svg".split())

_FORMATS = ("AVIF", "BMP", "DCX", "DDS", "DIB", "FITS", "GIF", "ICO", "IM", "JPEG", "JPEG2000",
            "MPO", "PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP", "XBM",
            "XPM")
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_ORIENTATION = 0x0112  # EXIF's number for it
_TINT = 3  # WebP gives grey pictures back with channels that differ by as much


@dataclass
class Picture:
    """A picture in mode L or RGB, or one of more than 8 bits: `deep`, numbers [h][w].

    grey: no pixel has a colour, however it is stored. turned: it was stored in another
    orientation. composed: some of its ground was transparent. first: of several in the file.
    """

    image: Image.Image | None
    deep: np.ndarray | None
    grey: bool
    turned: bool = False
    composed: bool = False
    first: bool = False


def is_picture(path: Path) -> bool:
    """Whether a file is one, by its name; `._x.png` is macOS's note on one."""
    return not path.name.startswith(".") and path.suffix.lower() in ENDINGS | FOREIGN


@cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


@contextmanager
def _quiet(data: bytes) -> Iterator[None]:
    """Keep libtiff from writing its own lines to stderr, past Python's."""
    if data[:2] not in (b"II", b"MM"):
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def open_picture(path: Path, ground: Colour) -> Picture:
    """The picture in a file. Raises FileError with one line where there is none, OSError."""
    if path.suffix.lower() in FOREIGN:
        raise FileError(path, f"not an image: {path.suffix.lower()} cannot be read; "
                        "convert it to .png or .jpg")
    data = path.read_bytes()
    try:
        with warnings.catch_warnings(), _quiet(data):
            warnings.simplefilter("ignore")  # on damaged tags, which do not touch the pixels
            # Not by its path: Pillow maps a plain TIFF into memory and then turns it wrongly.
            with Image.open(io.BytesIO(data), formats=_formats()) as image:
                turned = image.getexif().get(_ORIENTATION, 1) in range(2, 9)
                several = image.format != "MPO" and getattr(image, "is_animated", False)
                found = _decoded(ImageOps.exif_transpose(image), ground)
    except Image.UnidentifiedImageError:
        raise FileError(path, "not an image: damaged, or of no known format") from None
    except Exception as error:  # what damaged files raise in Pillow is nearly anything
        text = " ".join(str(error).split()) or type(error).__name__
        raise FileError(path, f"not an image: {text}") from None
    found.turned, found.first = turned, bool(several)
    return found


def _decoded(image: Image.Image, ground: Colour) -> Picture:
    if image.mode in _DEEP:
        values = np.asarray(image)
        key = image.info.get("transparency")
        if isinstance(key, int) and image.mode != "F" and (values == key).any():
            raise ValueError("a transparent value in more than 8 bits cannot be read")
        return Picture(None, values, grey=True)
    composed = False
    if image.has_transparency_data:
        whole = image.convert("RGBA")
        composed = bool((np.asarray(whole.getchannel("A")) < 255).any())
        if composed:
            behind = Image.new("RGBA", whole.size, (*ground, 255))
            behind.alpha_composite(whole)
            whole = behind
        image = whole.convert("RGB")
    elif image.mode in ("1", "L"):
        return Picture(image.convert("L"), None, grey=True)
    else:
        image = image.convert("RGB")
    return Picture(image, None, _is_grey(image), composed=composed)


def _is_grey(image: Image.Image) -> bool:
    values = np.asarray(image).astype(np.int16)
    return bool((values.max(axis=2) - values.min(axis=2) <= _TINT).all())


def deep_extent(path: Path, picture: Picture) -> tuple[float, float, bool]:
    """See values.extent. Raises FileError."""
    assert picture.deep is not None
    return extent(path, picture.deep)


def in_8_bits(picture: Picture, black_white: Range) -> Image.Image:
    """A picture of more than 8 bits in mode L."""
    assert picture.deep is not None
    return Image.fromarray(to_bytes(picture.deep, black_white))


def grey_of(ground: Colour) -> int:
    """The grey of a colour, as Pillow weighs it."""
    return (ground[0] * 19595 + ground[1] * 38470 + ground[2] * 7471 + 0x8000) >> 16


def fitted(image: Image.Image, size: Size | None, fit: str, ground: Colour) -> Image.Image:
    """An image in mode L or RGB brought to a size, bilinear; see Reading."""
    if size is None or image.size == size[::-1]:
        return image
    bilinear = Image.Resampling.BILINEAR
    if fit == "crop":
        return ImageOps.fit(image, size[::-1], bilinear)
    if fit == "fit":
        colour = grey_of(ground) if image.mode == "L" else ground
        return ImageOps.pad(image, size[::-1], bilinear, color=colour)
    return image.resize(size[::-1], bilinear)


def is_stretched(image: Image.Image, reading: Reading) -> bool:
    """Whether the size that is wanted changes an image's proportions by more than a twentieth."""
    if reading.size is None or reading.fit != "stretch":
        return False
    (width, height), (high, wide) = image.size, reading.size
    return abs(width * high / (height * wide) - 1) > 0.05
